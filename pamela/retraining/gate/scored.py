"""Two models asked about the same ratings, or the same choices, and each person's numbers of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.dataset import Choices, Fold, Pairs
from pamela.core.errors import PamelaError
from pamela.evaluation.choices import metrics as c
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics.grouping import GroupedPredictions, group_predictions
from pamela.models.base import Prediction
from pamela.models.choices.preference import Preference
from pamela.retraining.gate.table_rows import Row, Setting, nothing, row_of
from pamela.training.bundle import Bundle


class Scored(ABC):
    """What two models say of n ratings or choices.

    Attributes
    ----------
    metric : what a loss and a gain are measured by; higher is better.
    calibration : what else may not be worse.
    user : int64 array (n,), whose they are.
    pictures : int64 arrays (n,), of which pictures: one of a rating, two of a choice.
    """

    metric: ClassVar[str]
    calibration: ClassVar[tuple[str, ...]]
    user: Ints
    pictures: tuple[Ints, ...]

    def __len__(self) -> int:
        return len(self.user)

    @abstractmethod
    def values(self, metric: str, mask: Bools) -> Floats:
        """Return everybody's value (U, 2) on the rows of `mask`; NaN where they have none."""

    def row(self, what: tuple[str, str, str], metric: str, mask: Bools, setting: Setting) -> Row:
        """Return one row of the table.

        Parameters
        ----------
        what : `rows_of`, dataset and slice of the row.
        mask : (n,), which rows.
        """
        if not mask.any():
            return nothing(what, metric)
        return row_of(what, metric, self.values(metric, mask), int(mask.sum()), setting)


class ScoredRatings(Scored):
    """Two models' predictions of the same ratings.

    Parameters
    ----------
    models : champion and challenger, each with the fit that never saw the hold-out.
    fold : the pictures and people as they are now.

    Raises
    ------
    PamelaError
        If a prediction is not finite.
    """

    metric = m.SROCC
    calibration = (m.COVERAGE_90, m.RMSE)

    def __init__(self, models: Mapping[str, Bundle], fold: Fold, pairs: Pairs) -> None:
        self.pairs, self.user, self.pictures = pairs, pairs.user, (pairs.item,)
        found = [_predict(side, bundle, fold, pairs) for side, bundle in models.items()]
        self.mean = np.stack([one.mean for one in found], axis=1)
        self.std = np.stack([one.std for one in found], axis=1)

    def grouped(self, mask: Bools) -> GroupedPredictions:
        """Return the pairs of `mask`, grouped by person."""
        some = self.pairs.take(mask)
        return group_predictions(some.user, some.item, some.rating, self.mean[mask], self.std[mask])

    def values(self, metric: str, mask: Bools) -> Floats:
        """Return everybody's value (U, 2) on the ratings of `mask`."""
        of = {m.SROCC: m.srocc, m.COVERAGE_90: m.coverage_90, m.RMSE: m.rmse}[metric]
        return of(self.grouped(mask))


class ScoredChoices(Scored):
    """Two models' predictions of the same choices; parameters as of `ScoredRatings`."""

    metric = c.CHOICE_ACCURACY
    calibration = (c.CHOICE_LOG_LOSS,)

    def __init__(self, models: Mapping[str, Bundle], fold: Fold, choices: Choices) -> None:
        self.choices, self.user, self.pictures = choices, choices.user, (choices.a, choices.b)
        found = [_prefer(side, bundle, fold, choices) for side, bundle in models.items()]
        self.a, self.b, self.tie = (
            np.stack([getattr(one, which) for one in found], axis=1) for which in ("a", "b", "tie")
        )

    def values(self, metric: str, mask: Bools) -> Floats:
        """Return everybody's value (U, 2) on the choices of `mask`."""
        some = self.choices.take(mask)
        person = np.unique(some.user, return_inverse=True)[1]
        grouped = c.PredictedChoices(
            person, some.a, some.b, some.outcome.astype(np.float64),
            self.a[mask], self.b[mask], self.tie[mask],
        )  # fmt: skip
        return c.by_user(c.values_of(grouped, metric), grouped)


def _predict(side: str, bundle: Bundle, fold: Fold, pairs: Pairs) -> Prediction:
    try:
        return bundle.model.predict(fold.items, fold.people, pairs)
    except PamelaError as error:  # numbers that are not finite
        raise PamelaError(f"the {side} ({bundle.version}): {error}") from None


def _prefer(side: str, bundle: Bundle, fold: Fold, choices: Choices) -> Preference:
    try:
        found = bundle.model.prefer(fold.items, fold.people, choices)
    except PamelaError as error:
        raise PamelaError(f"the {side} ({bundle.version}): {error}") from None
    if not np.isfinite(np.stack([found.a, found.b, found.tie])).all():
        raise PamelaError(f"the {side} ({bundle.version}): its predictions are not finite numbers")
    return found
