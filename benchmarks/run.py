"""Measure and write ``reports/bench.json``: ``python -m benchmarks.run`` (`make bench`).

The whole run on the embedded dataset, suggested ratings (`benchmarks.suggest`), large tables
(`benchmarks.scale`), planted pairs of datasets (`benchmarks.joint`; the real pair is
``python -m benchmarks.joint --real``); on the models of that run `benchmarks.training`, `scoring`,
`encoding`, `serve` and `newcomers`; and `benchmarks.growth` and `benchmarks.evaluation`.

A list of ``name, value, unit, baseline, ratio``. Every speed claim is the ratio of two things
measured in this run on this machine. The figures are also appended to ``benchmarks/history.csv``;
``python -m benchmarks.history`` says what got slower. ``--parts stages nothing`` measures these
parts alone; a part that works on a finished run needs ``stages`` beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import history
from benchmarks.encoding import bench_encoding
from benchmarks.entries import Entry, clone, entry
from benchmarks.evaluation import bench_evaluation
from benchmarks.growth import bench_growth
from benchmarks.joint import bench_planted
from benchmarks.newcomers import bench_newcomers
from benchmarks.scale import bench_scale
from benchmarks.scoring import bench_scoring
from benchmarks.serve import bench_serve
from benchmarks.suggest import bench_suggest
from benchmarks.timing import ProcessTree, timed
from benchmarks.training import bench_training
from flows.command import timings_folder
from flows.environment import environment
from flows.pipeline import repro, stale_stages
from flows.server import server
from pamela.core.errors import PamelaError
from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.core.timeline import STEP, Timeline
from pamela.params import load_params

STARTS_GOAL_S = 25.0


def bench_stages(project: Project) -> list[Entry]:
    """Measure a full run, per stage, and what orchestration adds to the stages' own work."""
    with ProcessTree() as tree:
        wall = timed(lambda: repro(project, reason="bench")).wall_s
    rows, work = [], 0.0
    for path in sorted(timings_folder(project).glob("*.json")):
        timeline = Timeline.of(project, path.stem)
        if (whole := timeline.whole) is not None:
            rows.append(entry(f"stage {path.stem}", whole.end - whole.start, "s"))
        work += step_seconds(timeline)
    rows.append(entry("pipeline, all stages", wall, "s", work))
    rows.append(entry("pipeline, CPU of all processes", tree.cpu_s, "cpu_s", wall))
    rows.append(entry("pipeline, peak memory of all processes", tree.peak_gib, "GiB"))
    rows.append(entry("starts and orchestration", wall - work, "s", STARTS_GOAL_S))
    return rows


def step_seconds(timeline: Timeline) -> float:
    """Return how long any step of a stage ran; what is side by side counts once."""
    steps = [event for event in timeline.events if event["kind"] == STEP]
    total, until = 0.0, 0.0
    for begin, end in sorted((step["start"], step["time"]) for step in steps):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def bench_nothing_to_do(project: Project) -> list[Entry]:
    """Time ``dvc repro`` when nothing changed."""
    command = [sys.executable, "-m", "dvc", "repro", "--quiet"]
    seconds = timed(
        lambda: subprocess.run(command, cwd=project.root, env=environment(project), check=True)
    ).wall_s
    if stale_stages(project):
        raise PamelaError("bench: stages are stale right after a run")
    return [entry("dvc repro, nothing changed", seconds, "s")]


def bench_server(project: Project) -> list[Entry]:
    """Time starting and stopping the one Prefect server."""

    def once() -> None:
        with server(project):
            pass

    return [entry("prefect server, start and stop", timed(once).wall_s, "s")]


def bench_tables(project: Project) -> list[Entry]:
    """Measure ingest, validate and split on up to 5 million ratings."""
    with tempfile.TemporaryDirectory() as aside:
        return bench_scale(Path(aside))


def bench_joint(project: Project) -> list[Entry]:
    """Ask on planted pairs whether a second dataset helps the first."""
    return bench_planted(load_params(project.root / "params.yaml"))


def bench_sizes(project: Project) -> list[Entry]:
    """Fit `hierarchical` on up to 7 million ratings."""
    return bench_growth()


def bench_measuring(project: Project) -> list[Entry]:
    """Evaluate predictions of up to 1 million test ratings."""
    return bench_evaluation()


BENCHES: Mapping[str, Callable[[Project], list[Entry]]] = {
    "server": bench_server,
    "stages": bench_stages,
    "nothing": bench_nothing_to_do,
    "suggest": bench_suggest,
    "tables": bench_tables,
    "joint": bench_joint,
    "training": bench_training,
    "scoring": bench_scoring,
    "encoding": bench_encoding,
    "serve": bench_serve,
    "newcomers": bench_newcomers,
    "sizes": bench_sizes,
    "evaluation": bench_measuring,
}


def main() -> None:
    """Run every benchmark in a copy of the project and write the list."""
    parser = argparse.ArgumentParser(description="write reports/bench.json")
    parser.add_argument("--keep", type=Path, help="work in this empty folder and leave it")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=list(BENCHES),
        default=list(BENCHES),
        metavar="PART",
        help=f"measure these alone: {', '.join(BENCHES)}",
    )
    arguments = parser.parse_args()
    here = Project.here()
    os.environ.pop("PREFECT_API_URL", None)
    with tempfile.TemporaryDirectory() as aside:
        copy = clone(here, arguments.keep or Path(aside))
        rows: list[Entry] = []
        for name, bench in BENCHES.items():
            rows += bench(copy) if name in arguments.parts else []
            write_json(here.reports / "bench.json", rows)
    history.append(here, rows)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
