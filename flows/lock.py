"""Locks of commands that start others: who holds one is alone, with all that it starts.

The kernel frees a lock when its holder is gone. What a dead holder had started is ended before the
next one goes on (`flows.family`), so that it cannot have the last word.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from flows import family
from pamela.core.paths import Project
from pamela.retraining import lock

SERVICE: Final = "serve"
SERVED: Final = "another `pamela retrain --serve` is running in this project"


@contextlib.contextmanager
def one_retrain(project: Project) -> Iterator[None]:
    """Hold the project's retrain lock; a second retrain is an error, not a queue."""
    family.lead(project)
    with lock.one_at_a_time(project):
        family.end_orphans(project)
        yield


@contextlib.contextmanager
def one_service(project: Project) -> Iterator[None]:
    """Hold the lock of ``pamela retrain --serve``."""
    family.lead(project)
    with lock.held(project, SERVICE, SERVED):
        family.end_orphans(project)
        yield
