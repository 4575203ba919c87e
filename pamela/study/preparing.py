"""Participants whose pictures are being drawn: one after the other, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from pamela.core.errors import PamelaError
from pamela.study.plan import Shown

log = logging.getLogger(__name__)
Advance = Callable[[int], None]


@dataclass
class Progress:
    """How far the drawing for one person is.

    Attributes
    ----------
    ahead : people whose pictures are drawn first.
    done, total : trials.
    fault : what stopped it, in a line for the researcher.
    """

    ahead: int = 0
    done: int = 0
    total: int = 1
    fault: str | None = None

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        return min(1.0, self.done / max(1, self.total))


class Preparing:
    """The queue.

    Parameters
    ----------
    draw : makes a person's pictures, told by id; calls back with trials as they are done.
    keep : takes the pictures.
    total : how many trials one person has.
    """

    def __init__(
        self,
        draw: Callable[[str, Advance], Sequence[Shown]],
        keep: Callable[[str, Sequence[Shown]], None],
        total: int,
    ) -> None:
        self._draw, self._keep, self._total = draw, keep, total
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="steering")
        self._running: dict[str, tuple[Progress, Future[None]]] = {}
        self._lock, self._stopped = threading.Lock(), False

    def ask(self, person: str) -> None:
        """Put a person into the queue, unless they are in it; one that failed is tried again."""
        with self._lock:
            found = self._running.get(person)
            if self._stopped or (found is not None and found[0].fault is None):
                return
            progress = Progress(total=self._total)
            self._running[person] = progress, self._pool.submit(self._run, person, progress)

    def progress(self, person: str) -> Progress | None:
        """Return how far a person's pictures are; None for somebody who is not in the queue."""
        with self._lock:
            if person not in self._running:
                return None
            place = list(self._running).index(person)
            ahead = [one for one, _ in list(self._running.values())[:place] if one.fault is None]
            self._running[person][0].ahead = len(ahead)
            return self._running[person][0]

    def stop(self) -> None:
        """Take nobody new; whoever's pictures are being drawn gets them at the next start."""
        with self._lock:
            self._stopped = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, person: str, progress: Progress) -> None:
        def advance(trials: int) -> None:
            if self._stopped:
                raise PamelaError("stopped")
            progress.done += trials

        try:
            self._keep(person, self._draw(person, advance))
        except Exception as error:  # whatever a generator raises: the others' are still drawn
            if self._stopped:
                return
            fault = str(error) if isinstance(error, PamelaError) else repr(error)
            log.error("%s: no pictures: %s", person, PamelaError(fault))
            with self._lock:
                progress.fault = fault
                self._running[person] = self._running.pop(person)  # no longer ahead of anybody
            return
        with self._lock:
            del self._running[person]
