"""Workers of a Ray cluster: one on this machine that ends with the command, or one that runs."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, Final, TypeVar

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to its makers else

import ray
import ray.exceptions as faults

from pamela.compute.addresses import require_listener
from pamela.compute.runner import GONE, MEMORY, OTHER_CODE
from pamela.core.errors import PamelaError

T = TypeVar("T")
R = TypeVar("R")

SCHEMES: Final = ("gcs", "ray")  # host:port, ray://host:port
RETRIES: Final = 3  # of an item whose worker died
OBJECTS: Final = 256 * 2**20  # bytes of memory that items and results share on this machine


class RayEngine:
    """A Ray cluster; see `pamela.compute.runner.Engine`.

    Parameters
    ----------
    workers : processes that are started here where there is no `address`.
    address : of the head of a cluster that runs.
    gpu : whether an item takes a GPU where the cluster has any.
    """

    def __init__(self, workers: int, address: str | None, gpu: bool) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address is None:
            self.place = "compute.runner ray"
            own: dict[str, Any] = {"num_cpus": workers, "object_store_memory": OBJECTS}
            with _own_sigterm():
                ray.init(address="local", include_dashboard=False, **own, **quiet)
        else:
            self.place = f"compute.address {address!r}"
            require_listener(address, SCHEMES, "head:6379 or ray://head:10001")
            _join(address, quiet)
        self._kind = "GPU" if gpu and self._total("GPU") else "CPU"
        gpus = 1 if self._kind == "GPU" else 0
        options = {"num_cpus": 1, "num_gpus": gpus, "max_retries": RETRIES}
        self._task: Any = ray.remote(_call).options(**options)

    def slots(self) -> int:
        """Return how many CPUs the cluster has now, or GPUs where an item takes one."""
        return self._total(self._kind)

    def submit(self, function: Callable[[T], R], item: T) -> Future[R]:
        """Start ``function(item)`` on a worker; Ray starts it again where the worker dies."""
        future: Future[R] = self._task.remote(function, item).future()
        return future

    def cause(self, error: BaseException) -> BaseException:
        """Return what the function raised."""
        if isinstance(error, faults.RayTaskError) and isinstance(error.cause, BaseException):
            return error.cause
        return error

    def fault(self, error: BaseException) -> str | None:
        """Return what is wrong with the cluster, in words; None for an error of the function."""
        if isinstance(error, faults.RayTaskError):
            cause = self.cause(error)
            return OTHER_CODE.format(cause) if isinstance(cause, ImportError) else None
        if isinstance(error, faults.WorkerCrashedError | faults.OutOfMemoryError):
            return f"{RETRIES + 1} workers died of it; {MEMORY}"
        if isinstance(error, faults.RayError | ConnectionError):
            return f"{GONE} ({type(error).__name__})"
        return None

    def close(self) -> None:
        """Leave the cluster; end it where it was started here."""
        ray.shutdown()

    def _total(self, kind: str) -> int:
        try:
            return int(ray.cluster_resources().get(kind, 0))
        except (faults.RayError, ConnectionError):
            raise PamelaError(f"{self.place}: {GONE}") from None


def _call(function: Callable[[T], R], item: T) -> R:
    return function(item)


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep what this process does on SIGTERM: Ray's own handler would end it without a word."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _join(address: str, quiet: dict[str, Any]) -> None:
    try:
        with _own_sigterm():
            ray.init(address=address, **quiet)
    except (Exception, SystemExit) as error:  # Ray leaves the process where it cannot join
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise PamelaError(
            f"compute.address {address!r}: no Ray cluster to be joined from here ({lines[0]}); "
            "head:6379 is for a machine of the cluster (`ray start --address`), ray://head:10001 "
            "for any other"
        ) from None
