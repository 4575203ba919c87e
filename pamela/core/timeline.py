"""When a stage did what: lines of JSON that it writes while it runs, and that tracking reads.

A stage appends to ``.prefect/timings/<stage>.jsonl`` (git-ignored; of its last run). MLflow's runs
get their real start and end from there, training curves arrive from there while training runs, and
a deleted ``mlflow.db`` is filled with the recorded times again. A stage knows of no MLflow.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pamela.core.files import writing_to
from pamela.core.paths import Project

FILE_ENV: Final = "PAMELA_TIMELINE"  # the running stage's file; unset: nothing is recorded
STAGE, STEP_BEGINS, STEP, METRICS, END = "stage", "step begins", "step", "metrics", "end"
PAUSE_S: Final = 120.0  # between two stages of one run, at most
FIT: Final = "fit"  # the step that fits one model on one fold

Event = Mapping[str, Any]
# model and fold of the fit that is under way here, empty where it is no fold's; several may be
# side by side
FIT_OF: ContextVar[tuple[str, int] | tuple[()] | None] = ContextVar("fit", default=None)


@dataclass(frozen=True)
class Span:
    """From when to when, in seconds since 1970."""

    start: float
    end: float


def record(kind: str, **fields: Any) -> None:
    """Append an event of now to the running stage's file."""
    path = os.environ.get(FILE_ENV)
    if path:
        line = json.dumps({"kind": kind, "time": time.time(), **fields})
        with (
            writing_to(Path(path).parent),
            Path(path).open("a", encoding="utf-8") as stream,
        ):
            stream.write(f"{line}\n")


def record_metrics(step: int, values: Mapping[str, float]) -> None:
    """Record what a model that is being trained measured at `step`."""
    told = {key: float(value) for key, value in values.items()}
    fit = FIT_OF.get()
    record(METRICS, step=step, values=told, **({} if fit is None else {"what": fit}))


@contextmanager
def fitting(model: str, fold: int | None) -> Iterator[None]:
    """Let what is recorded in the block be of this fit; no fold: of none that is evaluated."""
    token = FIT_OF.set(() if fold is None else (model, fold))
    try:
        yield
    finally:
        FIT_OF.reset(token)


def begin(project: Project, stage: str, started: float) -> None:
    """Start the file of `stage` anew; what it records from now on goes there."""
    path = file_of(project, stage)
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    os.environ[FILE_ENV] = str(path)
    record(STAGE, stage=stage, start=started)


def file_of(project: Project, stage: str) -> Path:
    """Return the file in which `stage` records."""
    return project.timings / f"{stage}.jsonl"


def parse(lines: Iterable[str]) -> list[Event]:
    """Return the events of whole lines; one that was cut off when its writer was killed is none."""
    found: list[Event] = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "kind" in event:
            found.append(event)
    return found


@dataclass(frozen=True)
class Timeline:
    """What the last run of one stage recorded; empty where there is no record."""

    events: list[Event]

    @classmethod
    def of(cls, project: Project, stage: str) -> Timeline:
        """Read the record of `stage`."""
        path = file_of(project, stage)
        if not path.is_file():
            return cls([])
        return cls(parse(path.read_text(encoding="utf-8", errors="replace").splitlines()))

    @property
    def whole(self) -> Span | None:
        """From the stage's first to its last moment; None where it did not end well."""
        if not self.events or self.events[-1]["kind"] != END:
            return None
        return Span(self.events[0].get("start", self.events[0]["time"]), self.events[-1]["time"])

    def until(self, now: float) -> Span | None:
        """From the stage's first moment to its last, or to `now` while it runs."""
        if not self.events:
            return None
        return self.whole or Span(self.events[0].get("start", self.events[0]["time"]), now)

    def step(self, name: str, *what: object) -> Span | None:
        """Return from the first to the last of the steps `name` whose arguments begin with `what`.

        None where there was none, or the stage did not end well.
        """
        asked = words(what)
        mine = [
            event
            for event in self.events
            if event["kind"] == STEP
            and event["name"] == name
            and words(event["what"]).startswith(asked)
        ]
        if not mine or self.whole is None:
            return None
        return Span(min(e["start"] for e in mine), max(e["time"] for e in mine))

    @cached_property
    def metric_times(self) -> dict[tuple[str, int, str, int], float]:
        """When a metric arrived: (model, fold, key, step) -> seconds since 1970."""
        found = {}
        fitted: list[Any] = []
        for event in self.events:
            if event["kind"] == STEP_BEGINS:  # of another step: no fold's fit
                fitted = event["what"] if event["name"] == FIT else []
            elif event["kind"] == METRICS and len(fit := event.get("what", fitted)) == 2:
                for key in event["values"]:
                    found[(fit[0], fit[1], key, event["step"])] = event["time"]
        return found


def words(what: Iterable[object]) -> str:
    """Return arguments as one text that begins as another's only if whole arguments agree."""
    return "".join(f"{one} " for one in what)


def unbroken(spans: Iterable[Span | None]) -> Span | None:
    """Return the last span with all before it that ran on into one another (`PAUSE_S` apart).

    What was cached when the last stage ran, days ago perhaps, is no part of its run.
    """
    known = sorted((s for s in spans if s is not None), key=lambda s: s.end, reverse=True)
    if not known:
        return None
    found = known[0]
    for earlier in known[1:]:
        if earlier.end < found.start - PAUSE_S:
            break
        found = Span(min(found.start, earlier.start), found.end)
    return found
