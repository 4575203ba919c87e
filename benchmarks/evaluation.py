"""How evaluation grows: ``python -m benchmarks.evaluation``, part of `make bench`.

Every number that the evaluate stage makes of predictions (intervals, margins, conflicts, paired
differences, kinds of pictures, groups of people), from 10 thousand to 1 million simulated test
ratings of 2,000 pictures with the predictions of three models; each size in a process of its own,
on one thread. People grow with the ratings, 70 each; the largest size comes a second time as 5,000
people with 200 each. Nine people in ten are seen, the others unseen at 0 and 20 shots. Goals: 1
million test ratings with 1,000 draws in at most 60 s and 4 GiB, and time that grows no faster than
the ratings.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from benchmarks.entries import Entry, entry
from benchmarks.timing import Clock, load
from pamela.compute.processes import THREADS
from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.evaluation.comparisons import BASELINE, PAPER
from pamela.evaluation.evaluate import evaluate_predictions
from pamela.evaluation.metrics.image_slices import picture_slices
from pamela.evaluation.metrics.schema import (
    MODEL,
    NEW_PICTURES,
    PICTURES,
    POPULATION,
    PREDICTIONS,
    SEEN,
    SHOTS,
    UNSEEN,
)
from pamela.evaluation.metrics.subgroup_gaps import demographic_gaps
from pamela.params import load_params

GIB: Final = 2**30
MOST_GIB: Final = 4.0
MOST_S: Final = 60.0  # of the largest size
DRAWS: Final = 1000
ASKED: Final = (0, 20)  # shots
SEEN_SHARE: Final = 0.9
IMAGES, PICTURES_PER_PROMPT, TASTES = 2_000, 4, 8
GROUPS, STYLES, AGES = 10, 20, 5
CHAMPION: Final = "hierarchical"


@dataclass(frozen=True)
class Size:
    """How many people, and how many test ratings each has."""

    people: int
    each: int

    @property
    def ratings(self) -> int:
        """How many test ratings."""
        return self.people * self.each


LADDER: Final = (Size(143, 70), Size(1_430, 70), Size(14_300, 70))
LONG: Final = Size(5_000, 200)


def simulate(size: Size, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return predictions (`PREDICTIONS`), the table of pictures and that of people."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(size.people), size.each)
    start, step = rng.integers(0, IMAGES, size.people), IMAGES // size.each
    walk = np.arange(size.each) * step + rng.integers(0, step, (size.people, size.each))
    image = ((start[:, None] + walk) % IMAGES).ravel()  # evenly spread, none twice
    shared = rng.normal(0, 0.7, IMAGES)[image]
    tastes, kinds = rng.normal(size=(size.people, TASTES)), rng.normal(size=(IMAGES, TASTES))
    own = 0.7 * np.einsum("nt,nt->n", tastes[user], kinds[image]) / TASTES**0.5
    rating = np.clip(np.rint(3 + shared + own + rng.normal(0, 0.8, len(user))), 1, 5)
    known = {BASELINE: 0.0, PAPER: 0.4, CHAMPION: 0.6}  # how much of people's own taste
    means = {name: 3 + shared + share * own for name, share in known.items()}
    rows = _rows(user, image, rating, means, round(SEEN_SHARE * size.people))
    return rows, _images(rng), _users(size.people, rng)


def _rows(
    user: Ints, image: Ints, rating: Floats, means: dict[str, Floats], seen: int
) -> pl.DataFrame:
    """Return what every model says of the first `seen` people and, as unseen, of the others."""
    asked = pl.DataFrame({"user": user, "image": image, s.RATING: rating, **means}).with_columns(
        pl.lit("simulated").alias(s.DATASET),
        pl.lit(0).alias(s.FOLD),
        pl.format("u{}", "user").alias(s.USER),
        pl.format("i{}", "image").alias(s.IMAGE),
        pl.lit(1.0).alias("std"),
        pl.lit(NEW_PICTURES).alias(PICTURES),
    )
    own, other = asked.filter(pl.col("user") < seen), asked.filter(pl.col("user") >= seen)
    parts = [(own, SEEN, None), *((other, UNSEEN, k) for k in ASKED)]
    return pl.concat(
        frame.with_columns(
            pl.lit(name).alias(MODEL),
            pl.lit(population).alias(POPULATION),
            pl.lit(shots, pl.Int64).alias(SHOTS),
            pl.col(name).alias("mean"),
        ).select(pl.col(column).cast(kind) for column, kind in PREDICTIONS.items())
        for name in means
        for frame, population, shots in parts
    )


def _images(rng: np.random.Generator) -> pl.DataFrame:
    levels = ((s.TYPE, 3), (s.GROUP, GROUPS), (s.STYLE, STYLES))
    number = pl.int_range(pl.len())
    return pl.DataFrame({s.IMAGE: [f"i{row}" for row in range(IMAGES)]}).select(
        pl.lit("simulated").alias(s.DATASET),
        s.IMAGE,
        pl.format("p{}", number // PICTURES_PER_PROMPT).alias(s.PROMPT_ID),
        *(pl.Series(name, rng.integers(0, of, IMAGES)).cast(pl.String) for name, of in levels),
    )


def _users(count: int, rng: np.random.Generator) -> pl.DataFrame:
    return pl.DataFrame({s.USER: [f"u{row}" for row in range(count)]}).select(
        pl.lit("simulated").alias(s.DATASET),
        s.USER,
        pl.Series("age", rng.integers(0, AGES, count)).cast(pl.String),
    )


def evaluate_once(size: Size) -> dict[str, float]:
    """Evaluate one size here; return seconds and peak memory of this process."""
    params = load_params(Project.here().params_file).evaluate
    params = params.model_copy(update={"bootstrap": DRAWS, "shots": list(ASKED)})
    predictions, images, users = simulate(size)
    clock = Clock()
    evaluate_predictions(predictions, images, params, champion=CHAMPION)
    picture_slices(predictions, images, params)
    demographic_gaps(predictions, users, (CHAMPION, BASELINE), params)
    taken = clock.taken
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"wall_s": taken.wall_s, "cpu_s": taken.cpu_s, "peak": peak}


def measure(size: Size) -> dict[str, float]:
    """Evaluate one size in a process of its own, on one thread."""
    root = str(Project.here().root)
    threads = dict.fromkeys(THREADS, "1")
    asked = [str(size.people), str(size.each)]
    command = [sys.executable, "-m", "benchmarks.evaluation", "--evaluate", *asked]
    env = {**os.environ, **threads, "PYTHONPATH": root}
    done = subprocess.run(command, env=env, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def bench_evaluation(sizes: tuple[Size, ...] = (*LADDER, LONG)) -> list[Entry]:
    """Evaluate every size; compare the largest with the bounds, and the time with the ratings."""
    most = max(size.ratings for size in sizes)
    rows: list[Entry] = []
    costs = []
    for size in sizes:
        cost = measure(size)
        costs.append(cost)
        label = f"evaluation, {size.ratings:,} test ratings of {size.people:,} people"
        bound = MOST_S if size.ratings == most else None
        rows += [
            entry(label, cost["wall_s"], "s", bound),
            entry(f"{label}, CPU", cost["cpu_s"], "s"),
            entry(f"{label}, peak memory", cost["peak"] / GIB, "GiB", MOST_GIB),
        ]
    for low, high in zip(range(len(LADDER)), range(1, len(LADDER)), strict=False):
        if high < len(sizes):
            label = f"evaluation, {sizes[low].ratings:,} to {sizes[high].ratings:,} ratings, CPU"
            grown = sizes[high].ratings / sizes[low].ratings
            rows.append(entry(label, costs[high]["cpu_s"] / costs[low]["cpu_s"], "times", grown))
    return rows


def main() -> None:
    """Measure all sizes, or evaluate one."""
    parser = argparse.ArgumentParser(
        description="how evaluation grows; reports/bench_evaluation.json"
    )
    parser.add_argument("--out", type=Path, help="instead of reports/bench_evaluation.json")
    parser.add_argument("--evaluate", type=int, nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.evaluate:
        print(json.dumps(evaluate_once(Size(*asked.evaluate))))
        return
    rows = bench_evaluation()
    write_json(asked.out or Project.here().reports / "bench_evaluation.json", rows)
    print(json.dumps(rows, indent=1))
    print(f"load {load()}")


if __name__ == "__main__":
    main()
