"""One cycle as a process of the real command, to its end or killed; and a whole soak."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.soak import death
from benchmarks.soak.deliveries import Account
from benchmarks.soak.invariants import Soaked, processes_of
from tests.conftest import command_env

COMMAND = ("-m", "flows.retrain", "--once")
END_S = 15.0  # how long what a killed command started may outlive it
IN_TIME = 0.25  # of the kills are at a random time instead of a random event
ALONE = 0.5  # of them kill the process alone, not its group
CYCLE_S = 900.0
OWN = 0.1  # of the cycles start a Prefect server of their own
MOVED = 0.1  # of the cycles begin after the project moved to another folder
# Events of each process of a cycle that trains, and its seconds, as `Soak.dry` measures them.
EVENTS: Final = {"dvc-add": 24, "dvc-repro": 270, "dvc-status": 43, "flows.ingest": 42,
                 "flows.retrain": 193, "flows.split": 28, "flows.validate": 56}  # fmt: skip
SECONDS: Final = 40.0


@dataclass(frozen=True)
class Death:
    """Which process dies at which of its events; without a process: after so many seconds."""

    process: str
    at: float
    group: bool

    def __str__(self) -> str:
        where = f"{self.process} at event" if self.process else "at second"
        return f"{where} {self.at:.0f}, {'with its group' if self.group else 'alone'}"


@dataclass(frozen=True)
class Ended:
    """How a cycle ended: its exit status, what it printed, CPU seconds of all it started."""

    status: int
    out: str
    cpu_s: float

    @property
    def last(self) -> str:
        """The last line printed."""
        return ([*filter(str.strip, self.out.splitlines())] or [""])[-1]


def run_cycle(project: Path, hook: Path, env: Mapping[str, str], die: Death | None = None) -> Ended:
    """Run the command in `project`; return once nothing of it runs any more."""
    more = {"PYTHONPATH": str(hook), death.ROOT: str(project), **env}
    if die and die.process:
        more[death.DEATH] = f"{die.process}:{die.at:.0f}:{'group' if die.group else ''}"
    before = _cpu()
    process = subprocess.Popen(
        [sys.executable, *COMMAND], cwd=project, env=command_env(**more), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        out, _ = process.communicate(timeout=die.at if die and not die.process else CYCLE_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            (os.killpg if die and die.group else os.kill)(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
    deadline = time.monotonic() + END_S
    while processes_of(project) and time.monotonic() < deadline:
        time.sleep(0.1)
    return Ended(process.returncode, out, _cpu() - before)


def _cpu() -> float:
    """CPU seconds of ended children; what a killed command had started is none of ours."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass
class Soak:
    """Cycles with random batches and random deaths, one after another.

    Attributes
    ----------
    say : takes a line about each cycle.
    env : variables of every command, such as the address of a Prefect server.
    """

    soaked: Soaked
    account: Account
    hook: Path
    say: Callable[[str], None]
    env: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.events = dict(EVENTS)
        self.wall_s = SECONDS

    def dry(self) -> None:
        """Run a cycle that nothing disturbs, and count every event of it."""
        folder = self.hook.with_name("events")
        folder.mkdir()
        self.account.deliver("honest")
        began = time.monotonic()
        self._end(
            run_cycle(self.soaked.project, self.hook, {**self.env, death.EVENTS: str(folder)})
        )
        self.wall_s = time.monotonic() - began
        self.events = {path.name: len(path.read_text().splitlines())
                       for path in sorted(folder.iterdir())}  # fmt: skip
        self.say(f"events: {self.events}")

    def cycle(self, *, killed: bool) -> None:
        """Bring a batch, perhaps two, and run a cycle."""
        if self.account.rng.random() < MOVED:
            self._move()
        brought = [self.account.deliver() for _ in range(1 + (self.account.rng.random() < 0.3))]
        die = self._death() if killed else None
        self.say(f"brought {', '.join(one.name for one in brought)}; {die or 'not killed'}")
        env = {} if self.account.rng.random() < OWN else self.env
        ended = run_cycle(self.soaked.project, self.hook, env, die)
        self._end(ended, die)

    def finish(self) -> None:
        """Run cycles until nothing is left to do, and check everything."""
        for _ in range(3):
            self._end(run_cycle(self.soaked.project, self.hook, self.env))
        self._check(self.soaked.faults_at_rest())

    def _end(self, ended: Ended, die: Death | None = None) -> None:
        died = die is not None and ended.status == -signal.SIGKILL
        how = "killed" if died else ended.last.partition(":")[0][:40]
        self.tally["killed" if died else "hit" if die else "to the end"] += 1
        self.say(f"  status {ended.status}, {ended.cpu_s:.0f} s CPU: {ended.last[:300]}")
        if "Traceback" in ended.out:
            self.faults.append(f"a traceback: {ended.out[-2000:]}")
        if die is None and ended.status and "error: batch" not in ended.out:
            self.faults.append(f"a cycle failed: {how}: {ended.out[-2000:]}")
        self._check(self.soaked.faults())

    def _check(self, faults: Iterator[str]) -> None:
        for fault in faults:
            self.say(f"  FAULT {fault}")
            self.faults.append(fault)

    def _move(self) -> None:
        before = self.soaked.project
        now = before.with_name(f"{before.name.partition('-')[0]}-{len(self.account.deliveries)}")
        self.soaked.project = before.rename(now)
        self.account.inbox = now / self.account.inbox.relative_to(before)
        self.say(f"moved to {now.name}")

    def _death(self) -> Death:
        rng: np.random.Generator = self.account.rng
        group = bool(rng.random() >= ALONE)
        if rng.random() < IN_TIME:
            return Death("", float(rng.uniform(0.5, self.wall_s)), group)
        names = list(self.events)
        own = names.index("flows.retrain")
        name = names[own if rng.random() < 0.5 else int(rng.integers(len(names)))]
        return Death(name, float(rng.integers(1, self.events[name] + 1)), group)
