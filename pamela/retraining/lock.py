"""One at a time: whatever moves batches or the champion holds the project's retrain lock.

The kernel frees a lock when its holder is gone, however it went.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
from collections.abc import Iterator
from typing import Final, TextIO

from pamela.core.errors import PamelaError
from pamela.core.paths import Project

RETRAIN: Final = "retrain"
BUSY: Final = "another retrain is running in this project"


@contextlib.contextmanager
def one_at_a_time(project: Project) -> Iterator[None]:
    """Hold the project's retrain lock; a second retrain is an error, not a queue."""
    with held(project, RETRAIN, BUSY):
        yield


@contextlib.contextmanager
def held(project: Project, name: str, complaint: str) -> Iterator[None]:
    """Hold the lock called `name`.

    Raises
    ------
    PamelaError
        If another process holds it: `complaint`, which process that is and since when.
    """
    with _opened(project, name) as stream:
        if not _taken(stream):
            raise PamelaError(f"{complaint}{_holder(stream)}: wait for it")
        stream.truncate(0)
        stream.write(f"process {os.getpid()}, since {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC")
        stream.flush()
        yield


def why_busy(project: Project) -> str:
    """Return that another retrain is running, and which; empty where none is."""
    with _opened(project, RETRAIN) as stream:
        return "" if _taken(stream) else f"{BUSY}{_holder(stream)}"


def _opened(project: Project, name: str) -> TextIO:
    project.prefect_home.mkdir(exist_ok=True)
    return (project.prefect_home / f"{name}.lock").open("a+")


def _taken(stream: TextIO) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(stream: TextIO) -> str:
    stream.seek(0)
    holder = stream.read().strip()
    return f" ({holder})" if holder else ""
