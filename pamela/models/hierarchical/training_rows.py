"""What `hierarchical` learns from: training rows, less what all raters think of each picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.dataset import Fold, Items, Pairs
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.hierarchical.item_features import FIXED, Sizes, TasteFeatures
from pamela.models.hierarchical.user_covariates import PeopleColumns
from pamela.models.random_effects import SufficientStatistics


@dataclass(frozen=True)
class TrainingConfig:
    """How a network learns columns: its seed, and ``auto``, ``cpu`` or ``gpu``."""

    seed: int
    device: str


@dataclass(frozen=True)
class Fitting:
    """The training rows, sorted by user, with what all raters think taken off.

    Attributes
    ----------
    items : the m rated training pictures.
    users : int64 array (n,), rows of the people who rated.
    user, item : int64 arrays (rows,), places in `users` and `items`.
    rating, residual : arrays (rows,), the rating, and the rating less the picture's consensus.
    score : array (m,), the population's held-out score of each picture.
    item_variance : variance of the item effect, a picture's true mean about its score.
    described : array (n, q), what is known of each person.
    """

    items: Items
    users: Ints
    user: Ints
    item: Ints
    rating: Floats
    residual: Floats
    score: Floats
    item_variance: float
    described: Floats

    @classmethod
    def make(cls, fold: Fold, train: Pairs, consensus: Consensus, people: PeopleColumns) -> Self:
        """Prepare canonical training pairs."""
        users, user = np.unique(train.user, return_inverse=True)
        used, item = np.unique(train.item, return_inverse=True)
        items = fold.items.take(used)
        mean, score = consensus.of_known(items)
        rating = train.rating.astype(np.float64)
        return cls(
            items, users, user, item, rating, rating - mean[item], score,
            consensus.item_variance,            people.transform(fold.people)[users],
        )  # fmt: skip

    def features(self, sizes: Sizes) -> tuple[TasteFeatures, Floats]:
        """Return fitted columns of taste and their values (m, k) for the training pictures."""
        fitted = TasteFeatures.fit(self.items, self.score, sizes)
        return fitted, fitted.transform(self.items, self.score)

    def learn(
        self,
        features: TasteFeatures,
        columns: Floats,
        users: Ints,
        config: TrainingConfig,
        keep: Bools | None = None,
    ) -> tuple[TasteFeatures, Floats]:
        """Return `features` with what a network learns, and its columns (m, k).

        Parameters
        ----------
        columns : array (m, k), of the `features` without a network.
        users : int64 array (a,), from whose rows it learns; places in `users`, sorted.
        keep : bool array (rows,), which rows count; all where not given.
        """
        from pamela.models.hierarchical.meta_learning import (  # Lightning: only where it is used
            REGIMES,
            learn_taste,
        )

        rows, place = self.rows_of(users)
        if keep is not None:
            rows, place = rows[keep[rows]], place[keep[rows]]
        learned = learn_taste(
            columns[:, FIXED:],
            place,
            self.item[rows],
            self.residual[rows],
            count=features.sizes.learned,
            regime=REGIMES[features.sizes.regime],
            seed=config.seed,
            device=config.device,
        )
        return (features, columns) if learned is None else features.with_learned(columns, learned)

    def sample(self, most: int, seed: int) -> Ints:
        """Return at most `most` places in `users`, sorted."""
        order = np.random.default_rng([seed, 29]).permutation(len(self.users))
        return np.sort(order[:most])

    def collect(
        self, columns: Floats, users: Ints, keep: Bools | None = None
    ) -> SufficientStatistics:
        """Return the statistics of some users' rows.

        Parameters
        ----------
        columns : array (m, k).
        users : int64 array (a,), places in `users`, sorted.
        keep : bool array (rows,), which rows count; all where not given.
        """
        rows, place = self.rows_of(users)
        if keep is not None:
            rows, place = rows[keep[rows]], place[keep[rows]]
        return SufficientStatistics.collect(
            place, columns[self.item[rows]], self.residual[rows], len(users)
        )

    def rows_of(self, users: Ints) -> tuple[Ints, Ints]:
        """Return the rows of some users (places in `users`), and each one's place among them."""
        first, last = (np.searchsorted(self.user, users, side=side) for side in ("left", "right"))
        count = last - first
        place = np.repeat(np.arange(len(users)), count)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return first[place] + within, place

    def of_users(self, users: Ints) -> Self:
        """Return the rows of some users alone, over the same pictures."""
        if len(users) == len(self.users):
            return self
        rows, place = self.rows_of(users)
        return replace(
            self,
            users=self.users[users],
            user=place,
            item=self.item[rows],
            rating=self.rating[rows],
            residual=self.residual[rows],
            described=self.described[users],
        )
