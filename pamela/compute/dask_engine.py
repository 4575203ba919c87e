"""Workers of a Dask cluster: one on this machine that ends with the command, or one that runs.

`distributed` is used itself, not prefect-dask: there every worker starts a Prefect server of its
own, and an item that a dead worker left is recorded as one attempt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, Final, TypeVar

from distributed import Client, KilledWorker, LocalCluster, Security
from distributed.core import rpc

from pamela.compute.addresses import TIMEOUT_S, require_listener
from pamela.compute.runner import GONE, MEMORY, OTHER_CODE
from pamela.core.errors import PamelaError

T = TypeVar("T")
R = TypeVar("R")

SCHEMES: Final = ("tcp", "tls")
CLOSE_S: Final = 10


class DaskEngine:
    """A Dask cluster; see `pamela.compute.runner.Engine`.

    Parameters
    ----------
    workers : processes of one thread each that are started here where there is no `address`.
    address : of the scheduler of a cluster that runs.
    """

    def __init__(self, workers: int, address: str | None) -> None:
        self._cluster: LocalCluster | None = None
        if address is None:
            self.place = "compute.runner dask"
            self._cluster = _start_here(workers)
            self._client = Client(self._cluster, set_as_default=False)
        else:
            self.place = f"compute.address {address!r}"
            require_listener(address, SCHEMES, "tcp://scheduler:8786")
            _require_scheduler(address)
            self._client = Client(address, timeout=TIMEOUT_S, set_as_default=False)
        self._executor = self._client.get_executor(pure=False)

    def slots(self) -> int:
        """Return how many threads the cluster's workers have now."""
        try:
            return sum(self._client.nthreads().values())
        except (OSError, CancelledError):
            raise PamelaError(f"{self.place}: {GONE}") from None

    def submit(self, function: Callable[[T], R], item: T) -> Future[R]:
        """Start ``function(item)`` on a worker; Dask starts it again where the worker dies."""
        future: Future[R] = self._executor.submit(function, item)
        return future

    def cause(self, error: BaseException) -> BaseException:
        """Return `error`: Dask raises what the function raised."""
        return error

    def fault(self, error: BaseException) -> str | None:
        """Return what is wrong with the cluster, in words; None for an error of the function."""
        if isinstance(error, KilledWorker):
            return f"{error.allowed_failures + 1} workers died of it; {MEMORY}"
        if isinstance(error, CancelledError):
            return GONE
        if isinstance(error, ImportError):
            return OTHER_CODE.format(error)
        cause = error.__cause__
        if isinstance(error, RuntimeError) and "deserialization" in str(error):
            return OTHER_CODE.format(cause or "its scheduler")
        return None

    def close(self) -> None:
        """Leave the cluster; end it where it was started here."""
        self._client.close(timeout=CLOSE_S)
        if self._cluster is not None:
            self._cluster.close(timeout=CLOSE_S)


def _start_here(workers: int) -> LocalCluster:
    """Start workers on loopback; others on this machine have no key, so they cannot join."""
    # `silence_logs` reaches Dask's own handlers, and it has none where the root logger has some
    logging.getLogger("distributed").setLevel(logging.ERROR)
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        security=Security.temporary(),
        memory_limit=None,
        silence_logs=logging.CRITICAL,
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    )


def _require_scheduler(address: str) -> None:
    """Raise unless a Dask scheduler answers at `address`."""

    async def ask() -> Any:
        given = Security().get_connection_args("client")
        async with rpc(address, timeout=TIMEOUT_S, connection_args=given) as scheduler:
            return await scheduler.identity()

    try:
        answer = asyncio.run(asyncio.wait_for(ask(), TIMEOUT_S))
    except Exception as error:  # whatever listens there may answer anything
        advice = "correct it (an encrypted cluster is tls://...)"
        if address.startswith("tls:"):
            advice = "correct it, or the client's certificates in Dask's configuration"
        raise PamelaError(
            f"compute.address {address!r}: no Dask scheduler answers there "
            f"({type(error).__name__}); {advice}"
        ) from None
    if answer.get("type") != "Scheduler":
        raise PamelaError(
            f"compute.address {address!r}: there is a Dask {answer.get('type', 'server').lower()}; "
            "name the scheduler's address"
        )
