"""Scoring tables: ``python -m benchmarks.score_table [--rows 1e6 1e7 1e8]``.

Random pairs of the people and pictures of a finished run's bundle, features cached, are scored by
`Reward.score_table` with a thread a core, each size in a process of its own that says how long it
took from the loaded model to the finished file, and how much memory it held at most. CPU seconds
stand beside, as other work may run on the machine: ``rows a minute of CPU on 2 cores`` is what two
undisturbed cores would do. Input and results lie in a temporary folder (40 bytes a row in all) and
are removed. Goals: 20 million rows a minute on 2 cores; the largest table takes no more memory than
the smallest (1.25 times).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

import pamela
from benchmarks.entries import Entry, entry
from benchmarks.timing import Clock, load
from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet, sink_parquet, write_json
from pamela.core.paths import Project
from pamela.training.bundle import CATALOG, USERS

ROWS: Final = (1_000_000, 10_000_000, 100_000_000)
GOAL: Final = 20_000_000  # rows a minute
CORES: Final = 2
MIB: Final = 2**20
MOST_GROWTH: Final = 1.25  # of memory, from the smallest table to the largest
DRAWN_AT_ONCE: Final = 5_000_000


def write_pairs(bundle: Path, path: Path, rows: int) -> None:
    """Write a table of random users and pictures of a bundle."""
    users = read_parquet(bundle / USERS)[s.USER]
    images = read_parquet(bundle / CATALOG)[s.IMAGE]
    rng = np.random.default_rng(0)
    folder = path.with_suffix(".pieces")
    folder.mkdir()
    for number, begin in enumerate(range(0, rows, DRAWN_AT_ONCE)):
        count = min(DRAWN_AT_ONCE, rows - begin)
        drawn = [column.gather(rng.integers(0, len(column), count)) for column in (users, images)]
        pl.DataFrame(drawn).write_parquet(folder / f"{number:04d}.parquet")
    sink_parquet(path, pl.scan_parquet(folder))
    for piece in folder.iterdir():
        piece.unlink()


def score_once(bundle: Path, source: Path, out: Path) -> dict[str, float]:
    """Score a table here; return seconds and peak memory of this process."""
    reward = pamela.load(bundle)
    clock = Clock()
    done = reward.score_table(source, out, percentile=False, workers=CORES)
    taken = clock.taken
    if done.rejected:
        raise PamelaError(f"{done.rejected} rows of known pairs were set apart")
    return {"wall_s": taken.wall_s, "cpu_s": taken.cpu_s, "peak": _peak()}


def _peak() -> int:
    """Return the most memory that this process held: ``ru_maxrss`` begins with its parent's."""
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def measure(bundle: Path, source: Path, out: Path) -> dict[str, float]:
    """Score a table in a process of its own."""
    root = str(Project.here().root)
    env = {**os.environ, "POLARS_MAX_THREADS": str(CORES), "PYTHONPATH": root}
    asked = [str(bundle), str(source), str(out)]
    command = [sys.executable, "-m", "benchmarks.score_table", "--score", *asked]
    done = subprocess.run(command, env=env, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def bench_score_table(bundle: Path, sizes: tuple[int, ...], folder: Path) -> list[Entry]:
    """Score tables of every size; compare the rate with the goal, and memory with the smallest."""
    rows: list[Entry] = []
    peaks = []
    for size in sizes:
        source, out = folder / "pairs.parquet", folder / "scores.parquet"
        write_pairs(bundle, source, size)
        cost = measure(bundle, source, out)
        peaks.append(cost["peak"])
        label = f"score table, {size:,} rows"
        rows += [
            entry(f"{label}, rows a minute", 60 * size / cost["wall_s"], "rows", GOAL),
            entry(
                f"{label}, rows a minute of CPU on {CORES} cores",
                60 * CORES * size / cost["cpu_s"],
                "rows",
                GOAL,
            ),
            entry(f"{label}, peak memory", cost["peak"] / MIB, "MiB"),
        ]
        print(json.dumps(rows[-3:]), f"load {load()}", file=sys.stderr, flush=True)
        for path in folder.rglob("*.parquet"):
            path.unlink()
        source.with_suffix(".pieces").rmdir()
    growth = max(peaks) / peaks[0]
    rows.append(entry("score table, memory, largest to smallest", growth, "times", MOST_GROWTH))
    return rows


def main() -> None:
    """Measure all sizes, or score one table."""
    parser = argparse.ArgumentParser(description="scoring tables; reports/bench_score_table.json")
    parser.add_argument("--rows", type=float, nargs="+", default=list(ROWS))
    parser.add_argument("--bundle", type=Path, help="instead of models/bundle")
    parser.add_argument("--folder", type=Path, help="below which the temporary folder is made")
    parser.add_argument("--out", type=Path, help="instead of reports/bench_score_table.json")
    parser.add_argument("--score", type=Path, nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.score:
        print(json.dumps(score_once(*asked.score)))
        return
    project = Project.here()
    bundle = (asked.bundle or project.models / "bundle").resolve()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        rows = bench_score_table(bundle, tuple(int(n) for n in asked.rows), Path(folder))
    write_json(asked.out or project.reports / "bench_score_table.json", rows)
    print(json.dumps(rows, indent=1))
    print(f"load {load()}")
    by_cpu = [row for row in rows if "of CPU" in row["name"]]
    slow = any(row["value"] < GOAL for row in by_cpu)
    sys.exit(1 if slow or rows[-1]["value"] > MOST_GROWTH else 0)


if __name__ == "__main__":
    main()
