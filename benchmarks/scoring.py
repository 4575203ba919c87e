"""Scoring and adapting, features cached: ``python -m benchmarks.scoring``, part of `make bench`.

All users x all pictures of a finished run. `hierarchical` keeps a table of the pictures
(`pamela.models.hierarchical.picture_columns`, built once) beside the features; its scores are then
one matrix product. Against it stand the bare product of the same shapes without the base score, and
one pass of `paper`'s transformer per pair: timed on two samples of pairs in its own large batches,
the difference per pair extrapolated to all pairs, so that what it prepares once is not counted.

Adapting: `Reward.adapt` with 20 ratings of pictures that the model knows, given as files, for 200
simulated cold-start users one after the other; what the first score afterwards takes stands beside,
and so does the posterior alone. CPU seconds stand beside, as other work may run on the machine.

Files: `pamela score` of 5,000 picture files that the model does not know (those of the world,
mirrored), start of the process included, and the same command again. Against it stands the bare
encoder in a process that runs already: `encode_images` of the same files, decoding included.
"""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import ImageOps

from benchmarks.encoding import open_encoder, world_files
from benchmarks.entries import Entry, entry
from benchmarks.newcomers import MODEL, ColdStartUsers, draw_cold_start_users
from benchmarks.timing import Clock, Taken, fitted, fold_of, median_seconds, run_alone, timed
from pamela.core import schema as s
from pamela.core.arrays import Bools
from pamela.core.dataset import Fold, Pairs, People
from pamela.core.errors import PamelaError
from pamela.core.images import open_rgb
from pamela.core.paths import Project
from pamela.features.factory import EMBEDDED
from pamela.models.base import RewardModel
from pamela.models.hierarchical.model import Hierarchical
from pamela.params import load_params
from pamela.serving.api import Reward
from pamela.training.bundle import load_evaluated
from pamela.training.train import BUNDLE

SAMPLES: Final = (8192, 4 * 8192)  # pairs that the transformer is timed on
REPEATS: Final = 15
SLOW_REPEATS: Final = 3
TIMES_FASTER: Final = 1000.0
SHARE_OF_PRODUCT: Final = 0.5
USERS: Final = 200
RATINGS: Final = 20
ADAPT_MS: Final = 5.0
FILES: Final = 5000
SHARE_OF_ENCODER: Final = 0.95
TIMES_AGAIN: Final = 10.0


def seconds_per_pair(model: RewardModel, fold: Fold) -> float:
    """Return what one more pair costs `model`, from two samples of different size."""
    rng = np.random.default_rng(0)
    found = []
    for count in SAMPLES:
        user = rng.integers(0, len(fold.people), count)
        item = rng.integers(0, len(fold.items), count)
        pairs = Pairs(user, item, np.zeros(count, np.float32))
        found.append(_median_of_predict(model, fold, pairs))
    return (found[1] - found[0]) / (SAMPLES[1] - SAMPLES[0])


def _median_of_predict(model: RewardModel, fold: Fold, pairs: Pairs) -> float:
    return median_seconds(lambda: model.predict(fold.items, fold.people, pairs), SLOW_REPEATS)


def bare_product(people: int, items: int, columns: int) -> float:
    """Return the seconds of one float32 matrix product of these shapes."""
    rng = np.random.default_rng(0)
    left = rng.normal(size=(people, columns)).astype(np.float32)
    right = rng.normal(size=(items, columns)).astype(np.float32)
    return median_seconds(lambda: left @ right.T, REPEATS)


def bench_scores(project: Project) -> list[Entry]:
    """Score all users x all pictures."""
    fold, ours = fold_of(project), _hierarchical(project)
    people, items = len(fold.people), len(fold.items)
    start = time.monotonic()
    table = ours.picture_columns(fold.items)
    built = time.monotonic() - start
    weights = ours.weights_of(fold.people)[0].astype(np.float32)
    scored = median_seconds(lambda: table.scores(weights), REPEATS)
    product = bare_product(people, items, table.columns.shape[1])
    passes = seconds_per_pair(fitted(project, "paper"), fold) * people * items
    label = f"scoring, {people} users x {items} pictures"
    return [
        entry(f"{label}, hierarchical", 1000 * scored, "ms"),
        entry(f"{label}, bare matrix product", 1000 * product, "ms"),
        entry(f"{label}, paper, extrapolated from {SAMPLES[1]} pairs", passes, "s"),
        entry("scoring, table of the pictures, built once", built, "s"),
        entry("scoring, times faster than paper", passes / scored, "times", TIMES_FASTER),
        entry("scoring, speed over the bare product's", product / scored, "", SHARE_OF_PRODUCT),
    ]


def _hierarchical(project: Project) -> Hierarchical:
    model = fitted(project, MODEL)
    if not isinstance(model, Hierarchical):
        raise PamelaError(f"models/{MODEL}: holds a {model.name}; run `dvc repro -f train`")
    return model


def bench_adapting(project: Project) -> list[Entry]:
    """Adapt to 200 cold-start users, each with 20 ratings of known pictures."""
    fold = fold_of(project)
    cold_start_users = draw_cold_start_users(project, fold, USERS)
    evaluated = load_evaluated(project.models / BUNDLE)
    reward = Reward(replace(evaluated, model=_hierarchical(project)))
    files = [project.root / name for name in fold.items.frame[s.FILE]]
    asked = [files[int(cold_start_users.query.item[0])]]
    adapted, first = [], []
    for person in range(USERS):
        ratings = _ratings_of(cold_start_users, person, files)
        clock = Clock()
        user = reward.adapt(ratings=ratings)
        adapted.append(clock.taken)
        clock = Clock()
        reward.score(user=user, images=asked)
        first.append(clock.taken)
    label = f"adapting, {RATINGS} ratings, median of {USERS} users"
    return [
        *_medians(label, adapted, ADAPT_MS),
        *_medians(f"{label}, posterior alone", _posteriors(project, fold, cold_start_users)),
        *_medians(f"{label}, first score", first),
    ]


def _medians(label: str, taken: list[Taken], goal: float | None = None) -> list[Entry]:
    wall, cpu = ([getattr(one, name) for one in taken] for name in ("wall_s", "cpu_s"))
    return [
        entry(label, 1000 * statistics.median(wall), "ms", goal),
        entry(f"{label}, CPU", 1000 * statistics.median(cpu), "ms", goal),
    ]


def _ratings_of(
    cold_start_users: ColdStartUsers, person: int, files: list[Path]
) -> list[tuple[Path, float]]:
    shown = cold_start_users.context.take(_shown(cold_start_users, person))
    return [(files[i], float(r)) for i, r in zip(shown.item, shown.rating, strict=True)]


def _shown(cold_start_users: ColdStartUsers, person: int) -> Bools:
    return (cold_start_users.context.user == person) & (cold_start_users.place < RATINGS)


def _posteriors(project: Project, fold: Fold, cold_start_users: ColdStartUsers) -> list[Taken]:
    """Return what it takes from rated pictures' features to each person's weights."""
    model, found = _hierarchical(project), []
    for person in range(USERS):
        shown = cold_start_users.context.take(_shown(cold_start_users, person))
        one = People(cold_start_users.people.frame[person])
        pictures = fold.items.take(shown.item)
        pairs = Pairs(np.zeros(RATINGS, np.int64), np.arange(RATINGS), shown.rating)
        clock = Clock()
        model.weights_of(one, pictures, pairs)
        found.append(clock.taken)
    return found


def bench_files(project: Project) -> list[Entry]:
    """Score picture files by the command, and once more."""
    encoder = open_encoder(EMBEDDED, load_params(project.params_file).embed)
    with tempfile.TemporaryDirectory() as aside:
        files = _mirrored(world_files(project, FILES), Path(aside))
        encoder.encode_images(files[:128])  # warm up
        bare = timed(lambda: encoder.encode_images(files))
        shutil.rmtree(project.score_cache, ignore_errors=True)
        new, again = (_command(project, files) for _ in range(2))
    label = f"scoring {FILES} files by the command"
    rows = [entry(f"{label}, bare encoder, CPU", bare.cpu_s, "s")]
    for name, clock in (("", "wall_s"), (", CPU", "cpu_s")):
        first, second, alone = (getattr(one, clock) for one in (new, again, bare))
        rows += [
            entry(f"{label}{name}", first, "s"),
            entry(f"{label}, again{name}", second, "s"),
            entry(f"{label}, rate over the encoder's{name}", alone / first, "", SHARE_OF_ENCODER),
            entry(f"{label}, times faster again{name}", first / second, "times", TIMES_AGAIN),
        ]
    return rows


def _mirrored(files: list[Path], folder: Path) -> list[Path]:
    """Write the pictures mirrored, as they were drawn: to the model they are new."""
    found = [folder / file.name for file in files]
    for file, path in zip(files, found, strict=True):
        ImageOps.mirror(open_rgb(file, str(file))).save(path, quality=92)
    return found


def _command(project: Project, files: list[Path]) -> Taken:
    """Return what `pamela score` takes from its start to its end."""
    words = [sys.executable, "-m", "pamela.cli", "score", "--model", str(project.models / BUNDLE)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [*words, *map(str, files)], cwd=project.root, stdout=subprocess.DEVNULL, check=True
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(getattr(after, key) - getattr(before, key) for key in ("ru_utime", "ru_stime"))
    return Taken(wall, cpu)


def bench_scoring(project: Project) -> list[Entry]:
    """Time scores of everybody and everything, adapting to a cold-start user, and files."""
    return bench_scores(project) + bench_adapting(project) + bench_files(project)


if __name__ == "__main__":
    run_alone("scoring", bench_scoring)
