"""Does the second dataset help the first? ``python -m benchmarks.joint``.

Writes reports/bench_joint.json.
Planted pairs of datasets: of one world of tastes (joint training must help the small one) and of
two (it must not hurt by more than `MOST_HARM`). Real ratings, where they lie beside the repository:
each dataset alone against both together, on the pipeline's own folds, once with the embedded
encoder on the pictures and once with the precomputed features, whose network is the same for both.
``--planted`` and ``--real`` run one half; ``--here`` compares the datasets of this project instead
and writes reports/joint.json, which the report shows.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from benchmarks.entries import Entry, clone
from benchmarks.planted_pair import FEW, MANY, make_pair
from flows.environment import environment
from flows.server import server
from pamela.cli.edit_params import set_params
from pamela.core.dataset import count_folds, load_fold
from pamela.core.errors import PamelaError
from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.evaluation.joint_training import RECORD, Gain, compare_alone_and_joint
from pamela.evaluation.predictions import own_folds
from pamela.params import Params, load_params

MODELS = ("population", "paper")
WORLDS = 5
MOST_HARM = 0.02  # SROCC that an unrelated dataset may cost
REAL = ("oasis_beauty", "avt_ai_images")
ENCODERS = ("embedded", "precomputed")


def bench_planted(params: Params) -> list[Entry]:
    """Compare on planted pairs, worlds pooled: a world is a fold whose users are its own."""
    small = params.train.model_copy(update={"cv_trials": 1, "batch_size": 32, "device": "cpu"})
    rows: list[Entry] = []
    for related in (True, False):
        worlds = [replace(make_pair(seed, related=related), number=seed) for seed in range(WORLDS)]
        found = compare_alone_and_joint(
            worlds, dict.fromkeys((FEW, MANY), WORLDS), small, MODELS, params.evaluate
        )
        kind = "planted, one world" if related else "planted, unrelated worlds"
        rows += [_entry(kind, gain) for gain in found]
    return rows


def bench_real(here: Project, params: Params, source: Path) -> list[Entry]:
    """Compare on the real datasets in a copy of the project."""
    absent = [name for name in REAL if not (source / name).is_dir()]
    if absent:
        print(f"skipped: {source / absent[0]}: not beside the repository")
        return []
    first = params.train.model_copy(update={"cv_trials": 1, "device": "cpu"})
    rows: list[Entry] = []
    with tempfile.TemporaryDirectory() as aside:
        project = clone(here, Path(aside))
        for name in REAL:
            shutil.copytree(source / name, project.raw / name)
        with server(project) as url:
            for number, encoder in enumerate(ENCODERS):
                own = {"ingest.datasets": REAL, "embed.encoder": encoder}
                set_params(project.params_file, {**own, "train.dataset_weights": "cv"})
                for stage in ("ingest", "validate", "split", "embed")[3 if number else 0 :]:
                    _run(project, stage, url)
                folds = [load_fold(project, k) for k in range(count_folds(project))]
                found = compare_alone_and_joint(
                    folds, own_folds(project), first, MODELS, params.evaluate
                )
                rows += [_entry(f"real, {encoder}", gain) for gain in found]
    return rows


def _run(project: Project, stage: str, url: str) -> None:
    command = [sys.executable, "-m", f"flows.{stage}"]
    env = environment(project, PREFECT_API_URL=url)
    subprocess.run(command, cwd=project.root, env=env, check=True, stdout=subprocess.DEVNULL)


def _entry(kind: str, gain: Gain) -> Entry:
    """Return one row, and say it."""
    d = gain.difference
    span = "" if d.ci_low is None else f" [{d.ci_low:+.3f}, {d.ci_high:+.3f}]"
    value = "-" if d.value is None else f"{d.value:+.3f}"
    print(
        f"{kind}: {gain.model} on {gain.dataset}, {gain.population}: alone {gain.alone:.3f}, "
        f"joint {gain.joint:.3f}, {value}{span} over {d.n} users: {gain.verdict}",
        flush=True,
    )
    return {"kind": kind, **gain.to_json()}


def faults(rows: Iterable[Entry]) -> list[str]:
    """Return what the planted pairs promise and the figures do not keep."""
    found = []
    for row in rows:
        what = f"{row['model']} on {row['dataset']}, {row['population']}"
        wanted = row["kind"] == "planted, one world" and row["dataset"] == FEW
        if wanted and row["verdict"] != "helps":
            found.append(f"{what}: related ratings do not help")
        value = row["difference"]["value"]
        if row["kind"] == "planted, unrelated worlds" and value < -MOST_HARM:
            found.append(f"{what}: unrelated ratings cost {-value:.3f} SROCC")
    return found


def bench_here(project: Project, params: Params) -> list[Entry]:
    """Compare the datasets of this project, as it is split and embedded now."""
    folds = [load_fold(project, k) for k in range(count_folds(project))]
    models = list(dict.fromkeys(("population", params.train.champion)))
    found = compare_alone_and_joint(
        folds, own_folds(project), params.train, models, params.evaluate
    )
    return [_entry("here", gain) for gain in found]


def main() -> None:
    """Run what is asked for and write the rows."""
    parser = argparse.ArgumentParser(description="does the second dataset help the first?")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--planted", action="store_true", help="planted pairs only")
    only.add_argument("--real", action="store_true", help="real ratings only")
    only.add_argument("--here", action="store_true", help="this project's datasets")
    asked = parser.parse_args()
    project = Project.here()
    params = load_params(project.params_file)
    start = time.process_time()
    if asked.here:
        write_json(project.reports / RECORD, bench_here(project, params))
        return
    rows = [] if asked.real else bench_planted(params)
    if not asked.planted:
        rows += bench_real(project, params, project.root.parent / "shared" / "data")
    write_json(project.reports / "bench_joint.json", rows)
    print(f"{time.process_time() - start:.0f} s of CPU")
    broken = faults(rows)
    if broken:
        raise PamelaError("; ".join(broken))


if __name__ == "__main__":
    try:
        main()
    except PamelaError as error:
        sys.exit(f"error: {error}")
