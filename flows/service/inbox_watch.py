"""When the inbox is a reason to run: a batch that is complete, or a cycle that did not finish.

A batch that was refused, or kept out, is no reason again: only what a cycle would do something
about is. A cycle that failed is tried again, at growing intervals, and at once when a batch comes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.params import Params
from pamela.retraining import inbox
from pamela.retraining.waiting import work_waits

FIRST_RETRY_S, LAST_RETRY_S = 60.0, 6 * 3600.0

WITHDRAWN = "withdrawn"

Sight = frozenset[tuple[str, int]]  # complete batches and who withdrew, and since when


@dataclass
class Watch:
    """What was seen, and when to look again at what could not be finished."""

    project: Project
    _seen: Sight | None = None
    _sight: Sight = frozenset()
    _planned: bool = False
    _wait_s: float = FIRST_RETRY_S
    _again: float | None = None

    def reason(self, params: Params) -> str:
        """Return why a cycle is to run now; empty where there is no reason."""
        if self._planned:
            return ""
        self._sight = _look(self.project, params)
        new = sorted(label for label, _ in self._sight - (self._seen or frozenset()))
        if batches := [label for label in new if label != WITHDRAWN]:
            return f"new: {', '.join(batches)}"
        retry = self._again is not None and time.monotonic() >= self._again
        if (new or retry or self._seen is None) and waits(self.project, params):
            return "people withdrew" if new else "left by an earlier cycle"
        self._seen = self._sight
        return ""

    def planned(self) -> None:
        """Note that a cycle will run for the reason that was given."""
        if not set(self._sight) <= set(self._seen or ()):
            self._wait_s = FIRST_RETRY_S
        self._planned, self._seen, self._again = True, self._sight, None

    def ran(self, params: Params) -> None:
        """Note that a cycle has ended; what it could not finish is tried again later."""
        self._planned, self._again = False, None
        if waits(self.project, params):
            self._again = time.monotonic() + self._wait_s
            self._wait_s = min(2 * self._wait_s, LAST_RETRY_S)


def _look(project: Project, params: Params) -> Sight:
    ready = inbox.scan_inbox(project, params.ingest.datasets).ready
    files = {batch.label: batch.folder / inbox.DONE for batch in ready}
    files[WITHDRAWN] = project.withdrawn
    return frozenset((name, changed) for name, path in files.items() if (changed := _changed(path)))


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def waits(project: Project, params: Params) -> bool:
    """Return whether a cycle would do anything, be it to say what is wrong."""
    try:
        return work_waits(project, params)
    except PamelaError:
        return True  # the cycle says what is wrong
