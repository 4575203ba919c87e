"""How far steering has come, told while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from pamela.core import schema as s
from pamela.steer.search.trials import REWARD


@dataclass(frozen=True)
class Progress:
    """How far steering has come.

    Attributes
    ----------
    round, rounds : the round that is going on (0: the original prompt) and the last one.
    finished : whether that round has just ended.
    done, total : pictures that are drawn and scored, and that will be.
    best, start : the highest reward so far and the original's, on the person's own scale; None
        before the original is scored.
    folder : of the run.
    """

    round: int
    rounds: int
    finished: bool
    done: int
    total: int
    best: float | None
    start: float | None
    folder: Path


Listener = Callable[[Progress], None]


class Teller:
    """Turns what the search says into `Progress`.

    Parameters
    ----------
    scale : the person's own.
    listener : who is told; None: nobody.
    """

    def __init__(
        self,
        rounds: int,
        variants: int,
        folder: Path,
        scale: tuple[float, float],
        listener: Listener | None,
    ) -> None:
        self._scale, self._listener = scale, listener
        self._now = Progress(0, rounds, False, 0, 1 + rounds * variants, None, None, folder)

    def advance(self, n: int) -> None:
        """Tell that n more pictures are drawn and scored."""
        self._tell(replace(self._now, done=self._now.done + n))

    def finish_round(self, trials: pl.DataFrame) -> None:
        """Tell that a round is done, and what was found."""
        found = s.from_internal(float(trials[REWARD].to_numpy().max()), *self._scale)
        now = self._now
        best = found if now.best is None else max(now.best, found)
        start = found if now.start is None else now.start
        self._tell(replace(now, finished=True, best=best, start=start))
        if now.round < now.rounds:
            self._tell(replace(self._now, round=now.round + 1, finished=False))

    def _tell(self, now: Progress) -> None:
        self._now = now
        if self._listener:
            self._listener(now)
