"""How fitting `hierarchical` grows: ``python -m benchmarks.growth``, part of `make bench`.

From 70 thousand to 70 million ratings, 350 a person, of pictures that are simulated features alone,
in shards of 875,000 (`pamela.core.shards`), each size in a process of its own that says how long
the fit took (population part and every choice included, on one thread) and how much memory it held
at most, data included. Goals: the time grows no faster than the rows, from each size to the next,
and the largest size fits in 8 GiB. The largest is not part of `make bench`: `--most 70000000`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from benchmarks.entries import Entry, entry
from benchmarks.timing import Clock, load
from pamela.core import schema as s
from pamela.core.arrays import Floats32, Ints
from pamela.core.dataset import Fold, Items, People
from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.core.shards.fold import ITEM, USER, ShardedFold, ShardedParts
from pamela.core.shards.writing import write_shard
from pamela.models.hierarchical.model import Hierarchical
from pamela.params import load_params

GIB: Final = 2**30
MOST_GIB: Final = 8.0
EACH: Final = 350  # ratings of a person
AT_ONCE: Final = 2_500  # people in a shard
IMAGE_DIM, PROMPT_DIM, TASTES = 128, 64, 12
GROUPS, STYLES, PICTURES_PER_PROMPT = 10, 20, 4
NOISE: Final = 0.8


@dataclass(frozen=True)
class Size:
    """How many people and pictures."""

    people: int
    pictures: int

    @property
    def ratings(self) -> int:
        """How many ratings."""
        return self.people * EACH


SIZES: Final = (
    Size(200, 5_000),
    Size(2_000, 20_000),
    Size(20_000, 50_000),
)
LARGE: Final = Size(200_000, 200_000)  # an hour of CPU: where it is asked for


def simulate(size: Size, folder: Path, seed: int = 0) -> Fold:
    """Return training ratings of a shared and a personal linear taste, on 1..5, as shards.

    Parameters
    ----------
    folder : where the shards go.
    """
    rng = np.random.default_rng(seed)
    items = _pictures(size.pictures, rng)
    wide = items.image @ rng.normal(size=(IMAGE_DIM, TASTES)).astype(np.float32)
    wide /= wide.std(axis=0)
    for begin in range(0, size.people, AT_ONCE):
        some = np.arange(begin, min(begin + AT_ONCE, size.people))
        write_shard(folder / f"{begin:09}.parquet", _ratings(some, wide, rng))
    parts = ShardedParts(folder, {s.TRAIN: size.ratings})
    return ShardedFold(0, items, _people(size.people, rng), parts=parts)


def _ratings(people: Ints, wide: Floats32, rng: np.random.Generator) -> pl.DataFrame:
    """Return the ratings of some people of pictures of these columns (pictures, TASTES)."""
    shared = 0.5 * np.tanh(wide[:, 0]) + 0.4 * wide[:, 1]
    tastes = (0.3 * rng.normal(size=(len(people), TASTES))).astype(np.float32)
    bias = 0.4 * rng.normal(size=len(people))
    pictures = _drawn(len(people), len(wide), rng)
    own = np.einsum("pet,pt->pe", wide[pictures], tastes)
    rating = 3 + shared[pictures] + bias[:, None] + own
    rating += NOISE * rng.standard_normal(rating.shape, dtype=np.float32)
    np.clip(np.rint(rating, out=rating), s.SCALE_LOW, s.SCALE_HIGH, out=rating)
    return pl.DataFrame(
        {USER: np.repeat(people, EACH), ITEM: pictures.ravel(), s.RATING: rating.ravel()}
    ).with_columns(pl.lit(s.TRAIN).alias(s.PART))


def _drawn(people: int, pictures: int, rng: np.random.Generator) -> Ints:
    """Return the pictures (people, EACH) that each rates: an evenly spread walk, none twice."""
    start = rng.integers(0, pictures, (people, 1))
    step = pictures // EACH
    walk = np.arange(EACH) * step + rng.integers(0, step, (people, EACH))
    return np.sort((start + walk) % pictures, axis=1)


def _pictures(count: int, rng: np.random.Generator) -> Items:
    spectrum = (1.0 / np.sqrt(1 + np.arange(IMAGE_DIM))).astype(np.float32)
    image: Floats32 = rng.standard_normal((count, IMAGE_DIM), dtype=np.float32) * spectrum
    prompt: Floats32 = rng.standard_normal((count, PROMPT_DIM), dtype=np.float32)
    number = pl.int_range(pl.len())
    frame = pl.DataFrame({s.IMAGE: [f"i{row}" for row in range(count)]}).select(
        pl.lit("simulated").alias(s.DATASET),
        s.IMAGE,
        (pl.lit("p") + (number // PICTURES_PER_PROMPT).cast(pl.String)).alias(s.PROMPT_ID),
        pl.lit(None, pl.String).alias(s.PROMPT),
        pl.lit("Art").alias(s.TYPE),
        *(
            pl.Series(name, rng.integers(0, of, count)).cast(pl.String)
            for name, of in ((s.GROUP, GROUPS), (s.STYLE, STYLES))
        ),
    )
    return Items(frame, image, prompt)


def _people(count: int, rng: np.random.Generator) -> People:
    frame = pl.DataFrame({s.USER: [f"u{row}" for row in range(count)]})
    ages: Ints = rng.integers(0, 5, count)
    return People(
        frame.select(
            pl.lit("simulated").alias(s.DATASET), s.USER, pl.Series("age", ages).cast(pl.String)
        )
    )


def fit_once(size: Size) -> dict[str, float]:
    """Fit one size here; return seconds and peak memory of this process."""
    params = load_params(Project.here().params_file).train
    with tempfile.TemporaryDirectory() as aside:
        fold = simulate(size, Path(aside))
        clock = Clock()
        Hierarchical.from_params(params).fit(fold, seed=params.seed, progress=_said)
        taken = clock.taken
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"wall_s": taken.wall_s, "cpu_s": taken.cpu_s, "peak": peak}


def _said(share: float, what: str) -> None:
    print(f"{share:6.1%} {what}, {time.process_time():.1f} s of CPU", file=sys.stderr, flush=True)


def measure(size: Size) -> dict[str, float]:
    """Fit one size in a process of its own."""
    root = str(Project.here().root)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": root}
    asked = [str(size.people), str(size.pictures)]
    command = [sys.executable, "-m", "benchmarks.growth", "--fit", *asked]
    done = subprocess.run(command, env=env, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def bench_growth(sizes: tuple[Size, ...] = SIZES) -> list[Entry]:
    """Fit every size; compare the time with the rows, and the memory with the bound."""
    rows: list[Entry] = []
    costs = []
    for size in sizes:
        cost = measure(size)
        costs.append(cost)
        label = f"growth, {size.ratings:,} ratings"
        rows += [
            entry(f"{label}, fit", cost["wall_s"], "s"),
            entry(f"{label}, fit, CPU", cost["cpu_s"], "s"),
            entry(f"{label}, peak memory", cost["peak"] / GIB, "GiB", MOST_GIB),
        ]
    for low, high in zip(range(len(sizes)), range(1, len(sizes)), strict=False):
        grown = sizes[high].ratings / sizes[low].ratings
        label = f"growth, {sizes[low].ratings:,} to {sizes[high].ratings:,} ratings, CPU"
        rows.append(entry(label, costs[high]["cpu_s"] / costs[low]["cpu_s"], "times", grown))
    return rows


def main() -> None:
    """Measure all sizes, or fit one."""
    parser = argparse.ArgumentParser(description="how fitting grows; reports/bench_growth.json")
    parser.add_argument("--most", type=int, default=SIZES[-1].ratings, help="ratings at most")
    parser.add_argument("--out", type=Path, help="instead of reports/bench_growth.json")
    parser.add_argument("--fit", type=int, nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.fit:
        print(json.dumps(fit_once(Size(*asked.fit))))
        return
    rows = bench_growth(tuple(size for size in (*SIZES, LARGE) if size.ratings <= asked.most))
    write_json(asked.out or Project.here().reports / "bench_growth.json", rows)
    print(json.dumps(rows, indent=1))
    print(f"load {load()}")


if __name__ == "__main__":
    main()
