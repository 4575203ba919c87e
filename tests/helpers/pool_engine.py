"""A cluster of threads: the runner's loop without an engine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pamela.compute.runner import ClusterRunner


class ThreadEngine:
    """Workers that are threads; what it was asked and how often is kept."""

    place = "compute.runner threads"

    def __init__(self, workers: int = 2) -> None:
        self.workers, self.closed, self.submitted = workers, 0, 0
        self._pool = ThreadPoolExecutor(max(workers, 1))

    def slots(self) -> int:
        """Return how many threads there are."""
        return self.workers

    def submit(self, function: Callable[[Any], Any], item: Any) -> Future[Any]:
        """Start it, unless nobody works here."""
        self.submitted += 1
        return self._pool.submit(function, item) if self.workers else Future()

    def cause(self, error: BaseException) -> BaseException:
        """Return `error`."""
        return error

    def fault(self, error: BaseException) -> str | None:
        """Return what is wrong, if a connection broke."""
        return "it is gone" if isinstance(error, ConnectionError) else None

    def close(self) -> None:
        """End the threads."""
        self.closed += 1
        self._pool.shutdown(cancel_futures=True)


def threads(workers: int = 2) -> tuple[ClusterRunner, ThreadEngine]:
    """Return a runner on threads, and its engine."""
    engine = ThreadEngine(workers)
    return ClusterRunner(lambda: engine), engine
