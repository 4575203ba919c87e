"""What the benchmarks share: clocks, the finished run that they build on, and stating the load."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks.entries import Entry
from pamela.core.dataset import Fold, load_fold
from pamela.core.errors import PamelaError
from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.models.base import RewardModel, load_model

FOLD = 0


@dataclass(frozen=True)
class Taken:
    """Seconds on the wall and of CPU (all threads)."""

    wall_s: float
    cpu_s: float


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def taken(self) -> Taken:
        """What has passed until now."""
        return Taken(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def timed(work: Callable[[], object]) -> Taken:
    """Return what `work` takes."""
    clock = Clock()
    work()
    return clock.taken


class ProcessTree:
    """What this process and all that it started use in the block, looked at every second.

    Attributes
    ----------
    peak_gib : the most memory that all held at once. Pages that several of them share are counted
        once (proportional set size, Linux).
    cpu_s : CPU seconds of those that it started; the last second of each may be missing.
    """

    def __init__(self) -> None:
        self.peak_gib = 0.0
        self._seconds: dict[tuple[int, float], float] = {}  # by process id and start
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look_again, daemon=True)

    @property
    def cpu_s(self) -> float:
        """CPU seconds until now."""
        return sum(self._seconds.values())

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look_again(self) -> None:
        me = psutil.Process()
        while True:
            started = me.children(recursive=True)
            held = sum(_held(one) for one in (me, *started))
            self.peak_gib = max(self.peak_gib, held / 2**30)
            for one in started:
                self._count(one)
            if self._over.wait(1.0):
                return

    def _count(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.Error):  # it has ended
            used = process.cpu_times()
            self._seconds[process.pid, process.create_time()] = used.user + used.system


def _held(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        held: int = process.memory_full_info().pss
        return held
    return 0


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median wall time of `work`, once run before to warm up."""
    work()
    return statistics.median(timed(work).wall_s for _ in range(repeats))


def fitted(project: Project, name: str) -> RewardModel:
    """Return a model of the project's finished run.

    Raises
    ------
    PamelaError
        If the run has none.
    """
    folder = project.models / name / f"fold_{FOLD}"
    if not folder.is_dir():
        raise PamelaError(
            f"{project.relative(folder)}: no fitted model; name {name} in train.models "
            "(params.yaml) and run `make repro`"
        )
    return load_model(folder)


def fold_of(project: Project) -> Fold:
    """Return the fold that the benchmarks use."""
    return load_fold(project, FOLD)


def load() -> float:
    """Return how many processes waited for a core over the last minute."""
    return round(os.getloadavg()[0], 1)


def run_alone(name: str, bench: Callable[[Project], list[Entry]]) -> None:
    """Run one benchmark on the project here; write ``reports/bench_<name>.json``."""
    parser = argparse.ArgumentParser(description=(bench.__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help=f"instead of reports/bench_{name}.json")
    asked = parser.parse_args()
    project = Project.here()
    before = load()
    try:
        rows: list[dict[str, Any]] = bench(project)
    except PamelaError as error:
        sys.exit(f"error: {error}")
    write_json(asked.out or project.reports / f"bench_{name}.json", rows)
    print(json.dumps(rows, indent=1))
    print(f"load {before} before, {load()} after, {os.cpu_count()} cores")
