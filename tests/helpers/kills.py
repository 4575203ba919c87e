"""Dying at any point: every change of a file is found by the interpreter's audit events.

`run_killed` lets a call die before its n-th change (a file opened for writing, a rename, a removal,
a new folder). From then on every further change dies as well, so that what ``finally`` would tidy
up stays as SIGKILL leaves it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Killed(BaseException):
    """The process is dead."""


class _Hook:
    """One audit hook for the whole process; it cannot be taken off, so it sleeps."""

    def __init__(self) -> None:
        self.left: int | None = None  # changes that may still happen
        self.thread = 0
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.left is None or threading.get_ident() != self.thread:
            return
        if event in CHANGES or (event == "open" and _for_writing(arguments)):
            if self.left <= 0:
                raise Killed(event)
            self.left -= 1


def _for_writing(arguments: tuple[Any, ...]) -> bool:
    path, _, flags = arguments
    return isinstance(flags, int) and bool(flags & WRITING) and str(path) != os.devnull


_hook: list[_Hook] = []


def run_killed(call: Callable[[], object], changes: int) -> bool:
    """Run `call` until it has made so many changes; return whether it was killed."""
    if not _hook:
        _hook.append(_Hook())
    hook = _hook[0]
    hook.thread, hook.left = threading.get_ident(), changes
    try:
        call()
    except Killed:
        return True
    finally:
        hook.left = None
    return False


def every_kill(start: Callable[[], Callable[[], object]]) -> Iterator[int]:
    """Yield after each kill of a call: before its first change, its second, and so on to the end.

    Parameters
    ----------
    start : prepares a fresh situation and returns the call.
    """
    changes = 0
    while run_killed(start(), changes):
        yield changes
        changes += 1
    assert changes, "the call changes nothing"
