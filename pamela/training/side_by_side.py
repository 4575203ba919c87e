"""The fits of stage train, side by side in processes where there are any.

A fit that is built upon `population` waits for the first such fit of its fold, which lends it what
it made (`pamela.models.gaussian_process.model.lend_fits`): in one process that comes of itself, as
one fit follows the other. `paper` hands the trials of its search to the processes by itself, and is
therefore begun first.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from pamela.compute.processes import Processes
from pamela.compute.sizing import LEARNING, fold_rows, open_processes, process_count
from pamela.core.paths import Project
from pamela.models import model_class
from pamela.models.transformer.nodes import Nodes
from pamela.params import TrainParams
from pamela.training import train
from pamela.training.bundle_tables import BUNDLE_FOLD
from pamela.training.folds import MOST_IN_MEMORY
from pamela.training.train import FoldFit


class Fits:
    """Fits models of one project, side by side or one after the other.

    Parameters
    ----------
    processes : where they run; None: here.
    """

    def __init__(self, project: Project, params: TrainParams, processes: Processes | None) -> None:
        self.project, self.params, self.processes = project, params, processes
        self.threads = 1 if processes is None else processes.count
        self._lock = threading.Lock()
        self._lent: dict[int, Future[Any]] = {}  # by fold
        self._champion: Future[None] = Future()

    def order(self, todo: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Return the fits as they are best begun: what others wait for first."""
        if self.processes is None:
            return list(todo)
        ranks = ["spreads", "population", self.params.champion]

        def rank(one: tuple[str, int]) -> tuple[int, int]:
            name = "spreads" if model_class(one[0]).spreads else one[0]
            return one[1], ranks.index(name) if name in ranks else len(ranks)

        return sorted(todo, key=rank)

    def fit(self, model: str, fold: int) -> FoldFit:
        """Fit one model on one fold; see `pamela.training.train.fit_fold`."""
        done = self._champion if (model, fold) == (self.params.champion, BUNDLE_FOLD) else None
        with settling(done):
            found = self._fit(model, fold)
            if done is not None:
                done.set_result(None)
        return found

    def refit(self) -> FoldFit:
        """Fit the champion on all rows, once it is fitted on fold 0."""
        self._champion.result()
        if self.processes is None or model_class(self.params.champion).spreads:
            return train.refit_champion(self.project, self.params)
        name = f"{self.params.champion}, all ratings"
        return self.processes.run(name, train.refit_champion, self.project, self.params)

    def _fit(self, model: str, fold: int) -> FoldFit:
        kind = model_class(model)
        if self.processes is None or kind.spreads:
            return train.fit_fold(self.project, self.params, model, fold)
        name, what = f"{model}, fold {fold}", (self.project, self.params, model, fold)
        if not kind.on_population:
            return self.processes.run(name, train.fit_fold, *what)
        with self._lock:
            first = fold not in self._lent
            lent = self._lent.setdefault(fold, Future())
        if not first:
            return self.processes.run(name, train.fit_fold_upon, lent.result(), *what)
        with settling(lent):
            found, made = self.processes.run(name, train.fit_fold_and_lend, *what)
            lent.set_result(made)
        return found


@contextlib.contextmanager
def settling(future: Future[Any] | None) -> Iterator[None]:
    """Let those who wait for `future` fail with what goes wrong in the block."""
    try:
        yield
    except BaseException as error:
        if future is not None:
            future.set_exception(error)
        raise


@contextlib.contextmanager
def open_fits(
    project: Project, params: TrainParams, todo: Sequence[tuple[str, int]]
) -> Iterator[Fits]:
    """Open processes for all of `todo`, where they are worth it, and show what runs in them."""
    count = min(process_count(project), len(todo) + 1)
    if Nodes.from_environment() is not None or fold_rows(project) > MOST_IN_MEMORY:
        count = 1  # the other machines wait for one fit at a time; rows in shards are shared
    with open_processes("train", count, LEARNING) as processes:
        yield Fits(project, params, processes)
