"""One at a time: whatever moves batches or the champion holds the project's retrain lock."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator

from pamela.core.errors import PamelaError
from pamela.core.paths import Project


@contextlib.contextmanager
def one_at_a_time(project: Project) -> Iterator[None]:
    """Hold the project's retrain lock; a second retrain is an error, not a queue."""
    project.prefect_home.mkdir(exist_ok=True)
    with (project.prefect_home / "retrain.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PamelaError("another retrain is running in this project: wait for it") from None
        yield
