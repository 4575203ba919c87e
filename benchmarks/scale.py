"""Large tables: ``python -m benchmarks.scale [--rows 50000 500000 5000000]``, part of `make bench`.

``--parquet`` measures the stages alone, from Parquet alone: ``--rows 7000000 70000000 --parquet``.

Ratings in the tables format (one user per 100 rows, one image per 50, precomputed features, no
pictures, a few planted faults) go through ingest, validate and split, each in a process of its own.
Seconds are what the stage's library functions take after imports; ``as a command`` is
``python -m flows.<stage>`` against one Prefect server, with all that Prefect and imports add, and
in validate the data docs. CPU seconds stand beside, as other work may run on the machine. Goals: 5
million ratings in at most 30 s and 4 GiB on 2 cores, 70 million in 8 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from benchmarks.entries import Entry, entry
from flows.environment import environment
from flows.server import server
from pamela.cli.edit_params import set_params
from pamela.core.files import write_json
from pamela.core.paths import Project

DATASET: Final = "big"
ROWS: Final = (50_000, 500_000, 5_000_000)
STAGES: Final = ("ingest", "validate", "split")
FAULTY: Final = 500  # every so many rows one is off the scale
REPEATED: Final = 1000  # every so many rows one repeats the user and image of the row before
GOLDEN: Final = (5**0.5 - 1) / 2  # its multiples spread evenly
FEATURES: Final = 16
PIECE: Final = 5_000_000  # ratings that are made at once
TIME: Final = "%Y-%m-%dT%H:%M:%S"
FIRST_TIME: Final = 1_700_000_000_000_000  # microseconds since 1970
GIB: Final = 2**30
MOST_GIB: Final = 8.0


@dataclass(frozen=True)
class Cost:
    """What a process took: wall and CPU seconds, peak resident memory in bytes."""

    wall_s: float
    cpu_s: float
    peak: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.wall_s + other.wall_s, self.cpu_s + other.cpu_s, max(self.peak, other.peak)
        )


# --- the data ---------------------------------------------------------------------------------
def make_dataset(folder: Path, rows: int, suffix: str) -> None:
    """Write a dataset of `rows` ratings as ``ratings.csv`` or ``.parquet`` (`suffix`)."""
    folder.mkdir(parents=True)
    users, images = sizes(rows)
    (folder / "dataset.yaml").write_text(
        f"name: {DATASET}\nscale: [1, 5]\nfeatures: features.npz\n"
    )
    _write_ratings(rows, folder / f"ratings{suffix}")
    ids = pl.DataFrame({"n": pl.int_range(users, eager=True)})
    demographics = {"gender": ["f", "m", "x"], "age": ["18-29", "30-39", "40-49", "50-59"]}
    _write(
        ids.select(
            pl.format("user-{}", "n").alias("user_id"),
            *(
                pl.Series(name, values).gather(np.arange(users) % len(values)).alias(name)
                for name, values in demographics.items()
            ),
        ),
        folder / f"users{suffix}",
    )
    numbers = pl.DataFrame({"n": pl.int_range(images, eager=True)})
    _write(
        numbers.select(
            pl.format("image-{}", "n").alias("image_id"),
            pl.lit(None, pl.String).alias("file"),
            pl.format("picture number {}", pl.col("n") // 2).alias("prompt"),
            pl.format("p{}", pl.col("n") // 2).alias("prompt_id"),
        ),
        folder / f"images{suffix}",
    )
    features = np.random.default_rng(0).normal(size=(images, FEATURES)).astype(np.float32)
    names = np.array([f"image-{n}" for n in range(images)])
    np.savez(folder / "features.npz", image_id=names, features=features)


def sizes(rows: int) -> tuple[int, int]:
    """Return the number of users and of images of a dataset of `rows` ratings."""
    return max(rows // 100, 150), max(rows // 50, 300)


def make_ratings(rows: int, of: int, start: int = 0) -> pl.DataFrame:
    """Return `rows` ratings of a dataset of `of`, in the order of time.

    No pair of user and image comes twice over all starts, but for one row in `REPEATED`, which
    repeats the pair before it; one in `FAULTY` is off the scale.
    """
    users, images = sizes(of)
    rng = np.random.default_rng(start)
    number = np.arange(start, start + rows)
    number[REPEATED::REPEATED] -= 1
    pairs = users * images
    step = next(k for k in range(int(pairs * GOLDEN), pairs) if gcd(k, pairs) == 1)
    pair = number * step % pairs
    rating = rng.integers(1, 6, rows)
    rating[::FAULTY] = 9
    frame = pl.DataFrame(
        {
            "user": pair % users,
            "image": pair // users,
            "rating": rating,
            "second": np.sort(rng.integers(0, 60_000_000, rows)),
        }
    )
    return frame.select(
        pl.format("user-{}", "user").alias("user_id"),
        pl.format("image-{}", "image").alias("image_id"),
        "rating",
        (FIRST_TIME + pl.col("second") * 1_000_000).cast(pl.Datetime("us")).alias("rated_at"),
        pl.int_range(pl.len()).over("user").alias("position"),
    )


def make_batch(folder: Path, rows: int, of: int) -> None:
    """Write a batch of `rows` more ratings for a dataset of `of` rows."""
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text(f"name: {DATASET}\nscale: [1, 5]\n")
    _write(make_ratings(rows, of, start=of), folder / "ratings.csv")


def _write_ratings(rows: int, path: Path) -> None:
    """Write all ratings, made in pieces that fit into memory."""
    with tempfile.TemporaryDirectory(dir=path.parent) as aside:
        pieces = [Path(aside) / f"{start:012}.parquet" for start in range(0, rows, PIECE)]
        for piece, start in zip(pieces, range(0, rows, PIECE), strict=True):
            make_ratings(min(PIECE, rows - start), rows, start).write_parquet(piece)
        every = pl.scan_parquet(pieces)
        if path.suffix == ".csv":
            every.sink_csv(path, datetime_format=TIME)
        else:
            every.sink_parquet(path)


def _write(frame: pl.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        frame.write_csv(path, datetime_format=TIME)
    else:
        frame.write_parquet(path)


def make_project(folder: Path) -> Project:
    """Make a project of this repository's params and expectations that ingests the dataset."""
    here = Project.here()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(here.expectations, folder / "expectations")
    project = Project(folder)
    shutil.copy(here.params_file, project.params_file)
    set_params(project.params_file, {"ingest.datasets": [DATASET], "embed.encoder": "precomputed"})
    return project


# --- the stages -------------------------------------------------------------------------------
def do_ingest(project: Project) -> None:
    """Do the work of ``flows.ingest``."""
    from pamela.data import ingest

    dataset = ingest.read_dataset(project, DATASET)
    ingest.write_tables(project, [dataset], ingest.hash_pictures(project, [dataset]))


def do_validate(project: Project) -> None:
    """Do the work of ``flows.validate``, but for the data docs."""
    from pamela.params import load_params
    from pamela.validation import validate

    params = load_params(project.params_file).validate_
    suites, decoded = validate.load_suites(project), validate.decode_pictures(project)
    found = validate.check_dataset(project, DATASET, decoded, suites, params.latest_rated_at)
    results = {DATASET: found}
    validate.write_quarantine(project, results)
    validate.write_validation_report(project, results, params.max_quarantined_share)
    validate.write_validated(project, results, params.max_quarantined_share)


def do_split(project: Project) -> None:
    """Do the work of ``flows.split``."""
    from pamela.params import load_params
    from pamela.splits import split

    params = load_params(project.params_file).split
    split.write_splits(project, [split.split_dataset(project, DATASET, params)])


def do_data_docs(project: Project) -> None:
    """Write the data docs, the part of ``flows.validate`` that `do_validate` leaves out."""
    from pamela.params import load_params
    from pamela.reporting.data_docs.page import write_data_docs

    write_data_docs(project, load_params(project.params_file).validate_)


WORK: Final[dict[str, Callable[[Project], None]]] = {
    "ingest": do_ingest,
    "validate": do_validate,
    "data docs": do_data_docs,
    "split": do_split,
}


def run_stage(stage: str) -> None:
    """Do the work of `stage` in the working directory's project; print what it took as JSON."""
    from great_expectations.expectations import core  # noqa: F401  (imports are not counted)

    from pamela.data import ingest  # noqa: F401
    from pamela.splits import split  # noqa: F401
    from pamela.validation import validate  # noqa: F401

    start, cpu = time.monotonic(), time.process_time()
    WORK[stage](Project.here())
    print(json.dumps({"wall_s": time.monotonic() - start, "cpu_s": time.process_time() - cpu}))


def measure(project: Project, *command: str, **more: str) -> tuple[Cost, str]:
    """Run a command in the project; return what it took as a process, and its stdout."""
    code = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Project.here().root)}
    env = environment(project, **code, **more)
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *command], cwd=project.root, env=env, stdout=subprocess.PIPE, text=True
    )
    output = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {process.returncode}")
    cpu = used.ru_utime + used.ru_stime
    return Cost(time.monotonic() - start, cpu, used.ru_maxrss * 1024), output


def stage_cost(project: Project, stage: str) -> Cost:
    """Return what the library functions of `stage` took, with the process's peak memory."""
    whole, output = measure(project, "-m", "benchmarks.scale", "--stage", stage)
    said: dict[str, Any] = json.loads(output.splitlines()[-1])
    return Cost(said["wall_s"], said["cpu_s"], whole.peak)


# --- the numbers ------------------------------------------------------------------------------
def bench_size(home: Path, rows: int, suffix: str, *, commands: bool) -> tuple[list[Entry], Cost]:
    """Measure one size; return the report's rows and the cost of all stages."""
    label = f"{rows:,} ratings {suffix[1:]}"
    project = make_project(home / f"{rows}{suffix}")
    make_dataset(project.raw / DATASET, rows, suffix)
    rows_out, whole = _stages(project, label, stage_cost)
    docs = stage_cost(project, "data docs")
    rows_out.append(entry(f"data docs, {label}", docs.wall_s, "s", whole.wall_s))
    if commands:
        with server(project) as url:  # as `make repro` has one for all stages

            def served(project: Project, stage: str) -> Cost:
                return measure(project, "-m", f"flows.{stage}", PREFECT_API_URL=url)[0]

            rows_out += _stages(project, f"{label}, as a command", served)[0]
    shutil.rmtree(project.root)
    return rows_out, whole


def _stages(
    project: Project, label: str, cost: Callable[[Project, str], Cost]
) -> tuple[list[Entry], Cost]:
    found, total = [], Cost(0.0, 0.0, 0)
    for stage in STAGES:
        one = cost(project, stage)
        total += one
        found.append(entry(f"{stage}, {label}", one.wall_s, "s"))
        found.append(entry(f"{stage}, {label}, CPU", one.cpu_s, "s"))
        found.append(entry(f"{stage}, {label}, peak memory", one.peak / GIB, "GiB", MOST_GIB))
    return found, total


def bench_scale(home: Path, ladder: Sequence[int] = ROWS, *, parquet: bool = False) -> list[Entry]:
    """Measure all sizes as CSV, the largest also as Parquet and as commands; compare the ends.

    Parameters
    ----------
    parquet : all sizes as Parquet, and no commands.
    """
    found: list[Entry] = []
    costs: list[Cost] = []
    suffix = ".parquet" if parquet else ".csv"
    for rows in ladder:
        commands = rows == max(ladder) and not parquet
        some, cost = bench_size(home, rows, suffix, commands=commands)
        found, costs = [*found, *some], [*costs, cost]
    if not parquet:
        found += bench_size(home, max(ladder), ".parquet", commands=False)[0]
    grown = max(ladder) / min(ladder)
    label = f"from {min(ladder):,} to {max(ladder):,} ratings"
    found.append(entry(f"time {label}", costs[-1].wall_s / costs[0].wall_s, "times", grown))
    found.append(entry(f"peak memory {label}", costs[-1].peak / costs[0].peak, "times", grown))
    return found


def main() -> None:
    """Run the benchmark, or one stage of it."""
    parser = argparse.ArgumentParser(description="measure large tables; write reports/scale.json")
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--out", type=Path, help="instead of reports/scale.json")
    parser.add_argument("--parquet", action="store_true", help="stages alone, from Parquet alone")
    parser.add_argument("--stage", choices=list(WORK), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        run_stage(arguments.stage)
        return
    os.environ.pop("PREFECT_API_URL", None)
    with tempfile.TemporaryDirectory() as aside:
        rows = bench_scale(Path(aside), tuple(arguments.rows), parquet=arguments.parquet)
    write_json(arguments.out or Project.here().reports / "scale.json", rows)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
