"""What runs a function over items: here, or on the workers of an engine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from socket import gethostname
from typing import Any, Final, Protocol, TypeVar

from pamela.core.errors import PamelaError
from pamela.core.progress import progress

T = TypeVar("T")
R = TypeVar("R")

AHEAD: Final = 2  # items per worker that are under way: one is worked on, one waits there
LOOK_S: Final = 5.0  # how often a silent cluster is asked whether it still has workers
PATIENCE_S: Final = 300.0  # how long it may have none
# what an engine says of its own faults
GONE: Final = (
    "the cluster is gone; start it and run the command again, it goes on from what was done"
)
MEMORY: Final = "most often for want of memory: give the workers more, or run fewer on a machine"
OTHER_CODE: Final = (
    "the cluster cannot import what it is to run ({}): it needs the same Python environment as "
    "this command"
)


@dataclass(frozen=True)
class Bar:
    """A progress bar over items.

    Attributes
    ----------
    label : its name.
    total : what it counts to.
    size : how far one item takes it.
    """

    label: str
    total: int
    size: Callable[[Any], int] = lambda item: 1


class Runner(Protocol):
    """Runs a function over items.

    Attributes
    ----------
    slots : how many items are worked on at once.
    elsewhere : whether in other processes, which share nothing but files with this one.
    """

    @property
    def slots(self) -> int:
        """How many items are worked on at once."""
        ...

    @property
    def elsewhere(self) -> bool:
        """Whether in other processes."""
        ...

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        *,
        name: Callable[[T], str] = str,
        ordered: bool = False,
        bar: Bar | None = None,
    ) -> Iterator[tuple[T, R]]:
        """Yield every item with its result, each once.

        Parameters
        ----------
        function : of a module's top level, as workers import it by its name. Where a worker dies it
            runs again on the same item: its result must be all that it does.
        items : picklable; taken as they are needed.
        name : what a message calls an item.
        ordered : whether in the order of `items`; else as they are done.
        bar : shown while it runs; None for none.

        Raises
        ------
        PamelaError
            That `function` raised, or where the cluster fails.
        """
        ...


class LocalRunner:
    """Runs everything in this process, one item after the other; see `Runner`."""

    slots = 1
    elsewhere = False

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        *,
        name: Callable[[T], str] = str,
        ordered: bool = False,
        bar: Bar | None = None,
    ) -> Iterator[tuple[T, R]]:
        """Yield every item with its result, in order; see `Runner.map`."""
        with _shown(bar) as advance:
            for item in items:
                try:
                    result = function(item)
                except Exception as error:
                    raise _named(error, error, name(item)) from None
                advance(item)
                yield item, result


class Engine(Protocol):
    """A cluster, as `ClusterRunner` needs it.

    Attributes
    ----------
    place : what a message calls it.
    """

    place: str

    def slots(self) -> int:
        """Return how many items its workers take at once now."""
        ...

    def submit(self, function: Callable[[T], R], item: T) -> Future[R]:
        """Start ``function(item)`` on a worker; again where the worker dies."""
        ...

    def cause(self, error: BaseException) -> BaseException:
        """Return what the function raised, without the engine's wrapping."""
        ...

    def fault(self, error: BaseException) -> str | None:
        """Return what is wrong with the cluster, in words; None for an error of the function."""
        ...

    def close(self) -> None:
        """Let go of the cluster; end it where it was started here."""
        ...


class ClusterRunner:
    """Runs items on the workers of an engine, which starts when it is first needed.

    A few items per worker are under way at any time, so that neither items nor results pile up.
    """

    elsewhere = True

    def __init__(self, start: Callable[[], Engine]) -> None:
        self._start = start

    @cached_property
    def _engine(self) -> Engine:
        return self._start()

    @property
    def slots(self) -> int:
        """Return how many items are worked on at once."""
        return max(1, self._engine.slots())

    def close(self) -> None:
        """End what was started."""
        if "_engine" in vars(self):
            self._engine.close()

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        *,
        name: Callable[[T], str] = str,
        ordered: bool = False,
        bar: Bar | None = None,
    ) -> Iterator[tuple[T, R]]:
        """Yield every item with its result; see `Runner.map`."""
        call, todo = partial(on_worker, function), iter(items)
        under_way: dict[Future[R], T] = {}  # the oldest first
        try:
            with _shown(bar) as advance:
                while True:
                    free = max(0, AHEAD * self.slots - len(under_way))
                    for item in islice(todo, free):
                        under_way[self._engine.submit(call, item)] = item
                    if not under_way:
                        return
                    awaited = [next(iter(under_way))] if ordered else under_way
                    for future in self._some_done(awaited):
                        item = under_way.pop(future)
                        result = self._result(future, name(item))
                        advance(item)
                        yield item, result
        finally:
            for future in under_way:
                future.cancel()

    def _some_done(self, awaited: Collection[Future[R]]) -> set[Future[R]]:
        """Wait until some are done; give up on a cluster that has had no worker for long."""
        alone_since: float | None = None
        while True:
            done, _ = wait(awaited, timeout=LOOK_S, return_when=FIRST_COMPLETED)
            if done:
                return done
            if self._engine.slots() > 0:
                alone_since = None
                continue
            alone_since = alone_since or time.monotonic()
            if time.monotonic() - alone_since > PATIENCE_S:
                raise PamelaError(
                    f"{self._engine.place}: no worker for {PATIENCE_S:g} s; start some and run the "
                    "command again, it goes on where it stopped"
                )

    def _result(self, future: Future[R], name: str) -> R:
        try:
            return future.result()
        except Exception as error:
            said = self._engine.fault(error)
            if said is not None:
                raise PamelaError(f"{self._engine.place}: {name}: {said}") from None
            raise _named(error, self._engine.cause(error), name) from None


def on_worker(function: Callable[[T], R], item: T) -> R:
    """Run `function` on a worker; what is wrong there is told with the machine's name."""
    try:
        return function(item)
    except PamelaError as error:
        raise type(error)(f"on {gethostname()}: {error}") from None


def _named(error: Exception, cause: BaseException, name: str) -> Exception:
    """Return `error`, which `cause` led to, so that it tells the item's name."""
    if isinstance(cause, PamelaError):
        return type(cause)(f"{name}: {cause}")
    error.add_note(f"with {name}")
    return error


@contextlib.contextmanager
def _shown(bar: Bar | None) -> Iterator[Callable[[Any], None]]:
    """Show `bar`; yield what moves it on by an item."""
    if bar is None:
        yield lambda item: None
        return
    with progress(bar.label, bar.total) as advance:
        yield lambda item: advance(bar.size(item))
