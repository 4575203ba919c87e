"""Work side by side in a few processes of this machine, a thread of arithmetic each.

A stage opens them once (`side_by_side`) for all of its work. Whoever then has independent pieces,
however deep inside, hands them to `run_all`; where nothing is open, as in a small run, on one core
or inside of such a process, they run here one after the other. Processes come from one server that
has imported what is heavy once (``forkserver``), end with the process that opened them, also where
that is killed, and leave Ctrl-C to it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextvars import copy_context
from functools import partial, wraps
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from typing import Any, ParamSpec, TypeVar

from pamela.compute.parent import follow_parent
from pamela.core import timeline
from pamela.core.errors import PamelaError

P = ParamSpec("P")
R = TypeVar("R")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")

FROZEN = "pamela.compute.frozen"


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Processes:
    """Processes that run named pieces of work; see `side_by_side`.

    Parameters
    ----------
    count : how many.
    preload : modules that all of them need and that are slow to import.
    """

    def __init__(self, count: int, preload: Sequence[str]) -> None:
        self.count = count
        self.over = False
        self._ending, self._ended = threading.Lock(), False
        self.running: list[str] = []  # what is being worked on
        self.on_change: Callable[[Sequence[str]], None] = lambda names: None
        context = start_server(count, preload)
        # one each, so that the piece that a process died of is known
        self._slots: queue.SimpleQueue[ProcessPoolExecutor] = queue.SimpleQueue()
        self._pools = [
            ProcessPoolExecutor(1, mp_context=context, initializer=_begin) for _ in range(count)
        ]
        with _threads_each(count), _main_unnamed():
            self.pids = [pool.submit(os.getpid).result() for pool in self._pools]
        for pool in self._pools:
            self._slots.put(pool)

    def run(self, name: str, function: Callable[..., R], *arguments: Any) -> R:
        """Run ``function(*arguments)`` in a process as soon as one is free, and wait for it.

        Raises
        ------
        PamelaError
            If the process dies of it, or all were ended meanwhile.
        """
        pool = self._slots.get()
        try:
            self._require_open(name)
            self._tell(name, begins=True)
            return pool.submit(_call, timeline.FIT_OF.get(), function, arguments).result()
        except BrokenProcessPool:
            self._require_open(name)
            raise PamelaError(
                f"{name}: its process was ended from outside, most often for want of memory; "
                "free some and run the command again, it goes on from what was done"
            ) from None
        except PamelaError as error:
            raise error if self.over else type(error)(f"{name}: {error}") from None
        except Exception as error:
            error.add_note(f"with {name}")
            raise
        finally:
            self._tell(name, begins=False)
            self._slots.put(pool)

    def end(self) -> None:
        """End every process, whatever it does."""
        self.over = True
        with self._ending:  # each thread that stops asks for it, and a pool bears one at a time
            if self._ended:
                return
            for pid in self.pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pool in self._pools:
                with contextlib.suppress(OSError):  # its own thread may have closed its pipes
                    pool.shutdown(wait=True, cancel_futures=True)
            self._ended = True

    def _require_open(self, name: str) -> None:
        if self.over:
            raise PamelaError(f"{name}: stopped, as other work ended")

    def _tell(self, name: str, *, begins: bool) -> None:
        if begins:
            self.running.append(name)
        elif name in self.running:
            self.running.remove(name)
        self.on_change(list(self.running))


def start_server(count: int, preload: Sequence[str]) -> ForkServerContext:
    """Start what `count` processes come from, if it does not run yet; it imports `preload` by then.

    Where a command knows early that it will need processes, both may import at once.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*preload, FROZEN])
    with _threads_each(count):
        forkserver.ensure_running()
    return context


def process_pool(
    count: int, initializer: Callable[[], None] = follow_parent
) -> ProcessPoolExecutor:
    """Return a pool of `count` processes that start afresh and import nothing of the command.

    For functions that are quick to import: not with Prefect, which a stage's own module imports.
    """
    context = multiprocessing.get_context("spawn")  # fork and threads do not mix
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=initializer)
    with _main_unnamed():
        for _ in range(count):  # each is started by a piece of work that finds none idle
            pool.submit(os.getpid)
    return pool


_open: Processes | None = None
_inside = False  # whether this is one of them


def opened() -> Processes | None:
    """Return the processes that are open; None where work runs in this one."""
    return _open


def in_pieces() -> bool:
    """Tell whether this is one of the processes, or the one that opened them."""
    return _open is not None or _inside


@contextlib.contextmanager
def side_by_side(count: int, preload: Sequence[str] = ()) -> Iterator[Processes | None]:
    """Open `count` processes for the block; None and nothing opened where that is one."""
    global _open
    if count < 2 or _open is not None:
        yield _open
        return
    _open = Processes(count, preload)
    try:
        yield _open
    finally:
        _open.end()
        _open = None


def run_all(
    function: Callable[..., R],
    jobs: Sequence[tuple[Any, ...]],
    names: Sequence[str],
    on_done: Callable[[str], None] = lambda name: None,
) -> list[R]:
    """Return ``function(*job)`` of every job, in order: in the processes that are open, or here.

    Parameters
    ----------
    function : picklable, as it goes to other processes; so do the jobs.
    names : of the jobs, for messages.
    on_done : called with its name when a job is done.
    """
    processes = _open

    def run(name: str, *job: Any) -> R:
        found = function(*job) if processes is None else processes.run(name, function, *job)
        on_done(name)
        return found

    if processes is None:
        return [run(name, *job) for name, job in zip(names, jobs, strict=True)]
    calls = [partial(run, name, *job) for name, job in zip(names, jobs, strict=True)]
    return in_threads(calls, threads=processes.count)


def elsewhere(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function of a module's top level run in the processes that are open, or else here.

    Messages call it by its name and the numbers and texts that it is given.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if _open is None:
            return function(*args, **kwargs)
        about = [str(one) for one in args if isinstance(one, int | str)]
        name = " ".join([function.__name__.replace("_", " "), *about])
        return _open.run(name, partial(function, *args, **kwargs))

    return run


def in_threads(calls: Sequence[Callable[[], R]], *, threads: int) -> list[R]:
    """Return what every call returns, in order; the first failure is raised at once.

    The calls are to wait for processes. What has not begun by then never does, and the processes
    are ended, so that nothing goes on.
    """
    if threads < 2:
        return [call() for call in calls]
    with ThreadPoolExecutor(threads) as pool:
        futures: list[Future[R]] = [pool.submit(copy_context().run, call) for call in calls]
        try:
            for done in as_completed(futures):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            if _open is not None:
                _open.end()
            raise
    return [future.result() for future in futures]


def _call(about: Any, function: Callable[..., R], arguments: tuple[Any, ...]) -> R:
    timeline.FIT_OF.set(about)
    return function(*arguments)


def _begin() -> None:
    global _inside
    _inside = True
    follow_parent()


@contextlib.contextmanager
def _threads_each(count: int) -> Iterator[None]:
    """Share the cores among `count` processes that start in the block: threads of arithmetic."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, str(max(1, usable_cores() // count))))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _main_unnamed() -> Iterator[None]:
    """Spare processes that start in the block the import of the command's own module.

    `multiprocessing` would import it in each, and with it what only the command needs.
    """
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {
        name: vars(main).pop(name) for name in ("__spec__", "__file__") if name in vars(main)
    }
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(kept)
