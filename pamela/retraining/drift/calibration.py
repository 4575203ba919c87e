"""How well the champion predicts the new ratings before it learns them.

Asked is the fit of fold 0, as by the gate: it has seen neither the new ratings nor the frozen
hold-out, so that both are equally new to it. Figures are means over people; people whom it was
trained on and cold-start people are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from pamela.core.arrays import Bools, Floats
from pamela.core.dataset import Fold, Pairs
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics.grouping import (
    GroupedPredictions,
    group_predictions,
    group_sum,
)
from pamela.models.base import RewardModel
from pamela.params import DriftParams
from pamela.retraining.drift.measure import (
    BIAS,
    CALIBRATION,
    COVERAGE,
    RMSE,
    SROCC,
    Measure,
    judged,
    nothing,
)

SEEN, COLD = "seen people", "cold-start people"


@dataclass(frozen=True)
class Predicted:
    """Pairs of one dataset with what the champion says of them."""

    pairs: Pairs
    mean: Floats
    std: Floats

    @classmethod
    def by(cls, model: RewardModel, fold: Fold, pairs: Pairs) -> Predicted:
        """Ask `model`."""
        found = model.predict(fold.items, fold.people, pairs)
        return cls(pairs, found.mean.astype(np.float64), found.std.astype(np.float64))

    def grouped(self, mask: Bools) -> GroupedPredictions:
        """Return the pairs of `mask`, grouped by person."""
        some = self.pairs.take(mask)
        mean, std = self.mean[mask][:, None], self.std[mask][:, None]
        return group_predictions(some.user, some.item, some.rating, mean, std)


def measure_calibration(
    dataset: str, model: RewardModel, fold: Fold, old: Pairs, new: Pairs, params: DriftParams
) -> Iterator[Measure]:
    """Yield the measures of both kinds of people.

    Parameters
    ----------
    old, new : the frozen hold-out and the new ratings of `dataset`.
    """
    known = model.knows(fold.people)
    before, after = (Predicted.by(model, fold, pairs) for pairs in (old, new))
    for name, seen in ((SEEN, True), (COLD, False)):
        here, there = (known[one.pairs.user] == seen for one in (before, after))
        for kind in CALIBRATION:
            what = (dataset, kind, name)
            if here.any() and there.any():
                yield _measure(what, before.grouped(here), after.grouped(there), params)
            elif there.any():
                people = len(np.unique(new.user[there]))
                yield nothing(what, getattr(params, kind), people)


def _measure(
    what: tuple[str, str, str],
    before: GroupedPredictions,
    after: GroupedPredictions,
    params: DriftParams,
) -> Measure:
    kind = what[1]
    threshold = getattr(params, kind)
    old, new = (_by_person(kind, one) for one in (before, after))
    people = len(new)
    if len(old) < 2 or people < 2:
        return nothing(what, threshold, people)
    difference = float(new.mean() - old.mean())
    # further from what it was is worse, either way; of RMSE and SROCC only one way is
    shift = {RMSE: difference, SROCC: -difference}.get(kind, abs(difference))
    sides = 1 if kind in (RMSE, SROCC) else 2
    chance = _chance(old, new, params.level / sides)
    if kind != SROCC:
        pictures = _by_picture(kind, before), _by_picture(kind, after)
        chance = max(chance, _chance(*pictures, params.level / sides))
    if not np.isfinite(chance):
        return nothing(what, threshold, people)
    return judged(
        what,
        shift=shift,
        threshold=threshold,
        chance=chance,
        count=people,
        least=params.min_people,
        old=float(old.mean()),
        new=float(new.mean()),
    )


def _by_person(kind: str, j: GroupedPredictions) -> Floats:
    """Return the figure of every person who has one."""
    if kind == SROCC:
        values = m.srocc(j)[:, 0]
    elif kind == RMSE:
        values = m.rmse(j)[:, 0]
    else:
        rows = _rows(kind, j)
        values = group_sum(rows[:, None], j.user, j.n_users)[:, 0] / np.bincount(j.user)
    known: Floats = values[~np.isnan(values)]
    return known


def _by_picture(kind: str, j: GroupedPredictions) -> Floats:
    """Return the mean of every picture; of RMSE the root of its mean squared error."""
    means: Floats = np.bincount(j.image, _rows(kind, j)) / np.bincount(j.image)
    return np.sqrt(means) if kind == RMSE else means


def _rows(kind: str, j: GroupedPredictions) -> Floats:
    error = j.mean[:, 0] - j.rating
    rows: Floats = {COVERAGE: m.covered(j)[:, 0], BIAS: error, RMSE: error**2}[kind]
    return rows


def _chance(old: Floats, new: Floats, level: float) -> float:
    """Return how far two equal means lie apart by chance: Welch, with the fewer's freedom."""
    if len(old) < 2 or len(new) < 2:
        return float("inf")
    error = np.sqrt(old.var(ddof=1) / len(old) + new.var(ddof=1) / len(new))
    return float(student.ppf(1 - level, min(len(old), len(new)) - 1) * error)
