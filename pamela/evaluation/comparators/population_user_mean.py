"""`population_user_mean`: the population's score plus each user's shrunken mean residual.

Most of what a personal model takes off the squared error is the level at which a person rates. This
comparator takes off that and nothing else: within a user it orders pictures as `population` does.
It is no trained model of its own: the evaluation makes it of the fold's `population`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.models.base import Prediction, on_scale
from pamela.models.baselines import shrunken_means
from pamela.models.gaussian_process.model import Population
from pamela.models.preprocessing import canonical

POPULATION_USER_MEAN: Final = "population_user_mean"
SMALLEST = 1e-4  # floor of a variance


@dataclass(frozen=True)
class PopulationUserMean:
    """What the comparator knows; ask it like a model.

    Attributes
    ----------
    population : the fold's fitted `population`.
    keys : the training users, ``dataset/user_id``, sorted.
    count, total : float arrays (users,), training rows and the sum of their residuals.
    within, between : variances of one residual about its user's mean, and between users' means.
    """

    population: Population
    keys: npt.NDArray[np.str_]
    count: Floats
    total: Floats
    within: float
    between: float
    adapts: bool = True
    personal: bool = False  # it changes nobody's order of pictures

    @classmethod
    def fit(cls, population: Population, fold: Fold) -> Self:
        """Take the residuals of the fold's training rows."""
        train = canonical(fold[s.TRAIN])
        used, row = np.unique(train.item, return_inverse=True)
        residual = train.rating - population.score_items(fold.items.take(used))[0][row]
        users, code = np.unique(train.user, return_inverse=True)
        _, _, between = shrunken_means(code, residual, len(users))
        count = np.bincount(code, minlength=len(users)).astype(np.float64)
        total = np.bincount(code, residual, len(users)).astype(np.float64)
        centred = residual - (total / count)[code]
        within = float(centred @ centred) / max(len(train) - len(users), 1)
        keys = np.array(fold.people.keys)[users]
        order = np.argsort(keys)
        return cls(
            population, keys[order], count[order], total[order], max(within, SMALLEST), between
        )

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        """Predict `pairs`; see `pamela.models.base.RewardModel.predict`."""
        used, row = np.unique(pairs.item, return_inverse=True)
        mean, _ = self.population.score_items(items.take(used))
        std = self.population.predict(items, people, pairs).std
        count, total = self._known(people)
        if context is not None and len(context):
            shown = canonical(context)
            seen, place = np.unique(shown.item, return_inverse=True)
            score, _ = self.population.score_items(items.take(seen))
            count += np.bincount(shown.user, minlength=len(people))
            total += np.bincount(shown.user, shown.rating - score[place], len(people))
        weight = count + self.within / self.between
        # the population's deviation holds all the variance between users; their rows take some off
        known = self.between - self.within / weight
        variance = np.maximum(std.astype(np.float64) ** 2 - known[pairs.user], SMALLEST)
        return Prediction(
            on_scale(mean[row] + (total / weight)[pairs.user]),
            np.sqrt(variance).astype(np.float32),
        )

    def _known(self, people: People) -> tuple[Floats, Floats]:
        """Return training rows and residual sums of `people`, 0 for cold-start users."""
        keys = np.array(people.keys)
        place = np.searchsorted(self.keys, keys).clip(max=max(len(self.keys) - 1, 0))
        known = self.keys[place] == keys
        return (
            np.where(known, self.count[place], 0.0),
            np.where(known, self.total[place], 0.0),
        )
