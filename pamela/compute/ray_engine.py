"""Workers of a Ray cluster: one on this machine that ends with the command, or one that runs."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import threading
import time
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
EXAMPLE: Final = "head:6379 or ray://head:10001"
RETRIES: Final = 3  # of an item whose worker died
# A head that is gone makes Ray end the process after 60 s, with words of its own, and a call that
# asks it for something waits that long: it is asked by a thread, and first whether it is there.
ASK_S: Final = 3.0
AWAY_S: Final = 30.0  # how long it may be away
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
        self._address = address
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address is None:
            self.place = "compute.runner ray"
            own: dict[str, Any] = {"num_cpus": workers, "object_store_memory": OBJECTS}
            with _own_sigterm():
                ray.init(address="local", include_dashboard=False, **own, **quiet)
        else:
            self.place = f"compute.address {address!r}"
            require_listener(address, SCHEMES, EXAMPLE)
            _join(address, quiet)
        self._kind = "GPU" if gpu and self._total("GPU") else "CPU"
        gpus = 1 if self._kind == "GPU" else 0
        options = {"num_cpus": 1, "num_gpus": gpus, "max_retries": RETRIES}
        self._task: Any = ray.remote(_call).options(**options)
        self._slots, self._asked = 0, -math.inf

    def slots(self) -> int:
        """Return how many CPUs the cluster had just now, or GPUs where an item takes one."""
        if time.monotonic() > self._asked + ASK_S:
            until = time.monotonic() + AWAY_S
            self._require_head(until)
            self._slots = self._answer(until)
            self._asked = time.monotonic()
        return self._slots

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

    def _require_head(self, until: float) -> None:
        """Raise if the head of a cluster that ran is still away at `until`."""
        while self._address is not None:
            try:
                return require_listener(self._address, SCHEMES, EXAMPLE)
            except PamelaError:
                if time.monotonic() > until:
                    raise PamelaError(f"{self.place}: {GONE}") from None
            time.sleep(1)

    def _answer(self, until: float) -> int:
        """Return how many slots the head names; raise if it does not answer before `until`."""
        answer: Future[int] = Future()

        def ask() -> None:
            try:
                answer.set_result(self._total(self._kind))
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=ask, daemon=True).start()
        try:
            return answer.result(max(until - time.monotonic(), 1.0))
        except TimeoutError:
            raise PamelaError(f"{self.place}: {GONE}") from None

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
        said = lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1].strip()}"
        raise PamelaError(
            f"compute.address {address!r}: no Ray cluster to be joined from here ({said}); "
            "head:6379 is for a machine of the cluster (`ray start --address`), ray://head:10001 "
            "for any other"
        ) from None
