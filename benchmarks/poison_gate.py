"""The retraining cycle as `benchmarks.poison` attacks it: real fits and the real gate, in memory.

What `flows.retrain` does with DVC, MLflow and folders is a table of ratings here; what the gate
asks, which batches stay on trial, which are tried apart, and who is the best champion so far is
`pamela.retraining.gate` itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from benchmarks.poison_world import Attacked
from pamela.core import schema as s
from pamela.core.dataset import Fold, Pairs
from pamela.evaluation.metrics.definitions import mean_srocc
from pamela.models import create_model
from pamela.params import Params
from pamela.retraining.gate.holdout import Holdout, hold_out_newest
from pamela.retraining.gate.judgement import Judgement, judge
from pamela.retraining.gate.reference import Reference, best_after
from pamela.retraining.gate.trial import held_once, still_on_trial, to_be_tried_apart
from pamela.synthetic.release import NAME
from pamela.training.bundle import Bundle

ENCODER: Final = {"encoder": "design", "fingerprint": "design"}


@dataclass
class Retraining:
    """Who serves, what is in the data, and what is on trial.

    Attributes
    ----------
    models : every version that served, by number.
    champion, best : versions.
    batches : in the data, by name.
    aside : names of what was rejected for good.
    """

    params: Params
    world: Attacked
    models: list[Bundle]
    champion: int = 0
    best: int = 0
    batches: dict[str, Pairs] = field(default_factory=dict)
    on_trial: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)

    @classmethod
    def start(cls, params: Params, world: Attacked) -> Retraining:
        """Return the state before any batch: a champion fitted on the dataset as imported."""
        return cls(params, world, [fit(params, world.fold)])

    def copy(self) -> Retraining:
        """Return the same state, to go on with apart from this one."""
        copied: dict[str, Any] = {"models": [*self.models], "batches": dict(self.batches)}
        copied |= {"on_trial": [*self.on_trial], "aside": [*self.aside]}
        return replace(self, **copied)

    @property
    def srocc(self) -> float:
        """What the champion reaches on the frozen hold-out."""
        return srocc(self.models[self.champion], self.world)

    def cycle(self, name: str, batch: Pairs) -> list[Judgement]:
        """Take a batch, judge it with what is on trial; what is rejected together, apart too."""
        waiting = [sorted({name, *self.on_trial})]
        taken = {**self.batches, name: batch}
        found: list[Judgement] = []
        while waiting:
            group, *waiting = waiting
            self.batches |= {label: taken[label] for label in group}
            before = self.on_trial
            judgement = self._learn(group, apart=bool(found))
            found.append(judgement)
            if judgement.outcome == "REJECT":
                self.batches = {k: one for k, one in self.batches.items() if k not in group}
                waiting = [*to_be_tried_apart(group, before), *waiting]
                if len(group) == 1:
                    self.aside += group
        return found

    def _learn(self, group: Sequence[str], *, apart: bool) -> Judgement:
        """Fit a challenger, judge it, and do what follows."""
        holdout = make_holdout(self.params, self.world, self.batches, group)
        challenger = fit(self.params, holdout.fold)
        best = None if self.best == self.champion else self.models[self.best]
        champion = self.models[self.champion]
        found = judge(champion, challenger, holdout, self.params, best=best)
        found = held_once(found, group, self.on_trial, apart=apart)
        self.on_trial = still_on_trial(found, self.on_trial, group)
        if found.outcome == "PROMOTE":
            self.models.append(challenger)
            self.champion = len(self.models) - 1
            reference = Reference(str(self.best), self.models[self.best])
            self.best = int(best_after(found, reference, str(self.champion))[0])
        return found


def make_holdout(
    params: Params, world: Attacked, batches: dict[str, Pairs], group: Sequence[str]
) -> Holdout:
    """Return what a challenger is fitted on with these batches, and judged on, of `group` the
    newest ratings too.
    """
    fold = world.fold
    learned = Pairs.concat(fold[s.TRAIN], *batches.values())
    newest = Pairs.concat(*(batches[label] for label in group))
    keys = newest.user * len(fold.items) + newest.item
    whole = replace(fold, parts={**fold.parts, s.TRAIN: learned})
    share, seed = params.retrain.newest_share, params.evaluate.seed
    return Holdout(hold_out_newest(whole, keys, share, seed), world.frozen)


def fit(params: Params, fold: Fold, seed: int | None = None) -> Bundle:
    """Fit the champion's kind of model, as `pamela.training.train` does."""
    model = create_model(params.train.champion, params.train)
    model.fit(fold, seed=params.train.seed if seed is None else seed)
    train = fold[s.TRAIN]
    return Bundle(
        model, fold.items, fold.people,
        np.isin(np.arange(len(fold.items)), train.item),
        np.isin(np.arange(len(fold.people)), train.user),
        {NAME: (1.0, 5.0)}, ENCODER, params.train.champion,
    )  # fmt: skip


def srocc(model: Bundle, world: Attacked) -> float:
    """Return the mean SROCC of a model over the people of the frozen hold-out."""
    rows = Pairs.concat(*world.frozen.values())
    mean = model.model.predict(model.items, model.people, rows).mean
    return mean_srocc(rows.user, rows.rating, mean)
