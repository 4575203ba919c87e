"""What `hierarchical` learns from: training rows, less what all people think of each picture.

Everybody's rows come a shard at a time: `pamela.models.hierarchical.sharded.training_data`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import numpy as np

from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.dataset import Items
from pamela.models.choices.taste_posterior import Sites, posterior_with_choices, settle
from pamela.models.choices.taste_prior import fit_prior_with_choices
from pamela.models.hierarchical.features.item_features import FIXED, Sizes, TasteFeatures
from pamela.models.hierarchical.training_choices import TrainingChoices
from pamela.models.random_effects.noise import START
from pamela.models.random_effects.posterior import (
    USERS_AT_ONCE,
    Posterior,
    Prior,
    SufficientStatistics,
)
from pamela.models.random_effects.prior_fitting import fit_prior
from pamela.models.repeats import NO_REPEATS, weighted


@dataclass(frozen=True)
class TrainingConfig:
    """How a network learns columns: its seed, and ``auto``, ``cpu`` or ``gpu``."""

    seed: int
    device: str


class Kept(NamedTuple):
    """Which ratings (rows,) and which choices (c,) count."""

    ratings: Bools
    choices: Bools


@dataclass(frozen=True)
class Fitting:
    """The training rows of some people, sorted by user, with what all raters think taken off.

    Attributes
    ----------
    items : the m rated training pictures.
    users : int64 array (n,), rows of the people who rated.
    user, item : int64 arrays (rows,), places in `users` and `items`.
    rating, residual : arrays (rows,), the rating, and the rating less the picture's consensus.
    score : array (m,), the population's held-out score of each picture.
    item_variance : variance of the item effect, a picture's true mean about its score.
    described : array (n, q), what is known of each person.
    choices : theirs between these pictures.
    stable : how much of a rating's variance the person would repeat (`pamela.models.repeats`).
    weight : array (rows,), how many ratings a row is worth that is the mean of several; None: one.
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
    choices: TrainingChoices = field(default_factory=TrainingChoices.none)
    stable: float = NO_REPEATS
    weight: Floats | None = None

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
        # Lightning: only where it is used
        from pamela.models.hierarchical.features.meta_learning import REGIMES, learn_taste

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

    def worth(self, rows: Ints) -> Floats:
        """Return how many ratings each of these rows is worth."""
        return np.ones(len(rows)) if self.weight is None else self.weight[rows]

    def collect(
        self, columns: Floats, users: Ints, keep: Bools | None = None
    ) -> SufficientStatistics:
        """Return the statistics of some users' ratings.

        Parameters
        ----------
        columns : array (m, k).
        users : int64 array (a,), places in `users`, sorted.
        keep : bool array (rows,), which rows count; all where not given.
        """
        rows, place = self.rows_of(users)
        if keep is not None:
            rows, place = rows[keep[rows]], place[keep[rows]]
        features, residual = columns[self.item[rows]], self.residual[rows]
        if self.weight is not None:
            features, residual = weighted(features, residual, self.worth(rows))
        return SufficientStatistics.collect(place, features, residual, len(users))

    def collect_all(self, columns: Floats, users: Ints) -> SufficientStatistics:
        """Return the statistics of some users' ratings and, once `settled`, of their choices."""
        found = self.collect(columns, users)
        if self.choices.sites is None:
            return found
        return found.with_choices(self.choices.of_users(users).statistics(columns, len(users)))

    def fit_prior(
        self,
        columns: Floats,
        users: Ints,
        statistics: SufficientStatistics,
        start: Floats,
        *,
        rank: int,
        iterations: int,
        keep: Bools | None = None,
    ) -> tuple[Self, Prior, list[float]]:
        """Fit the prior of weights, and how people choose.

        Parameters
        ----------
        statistics : of the ratings of `users` that count.
        start, rank, iterations : as of `pamela.models.random_effects.prior_fitting.fit_prior`.
        keep : which choices count; all where not given.

        Returns
        -------
        The data that know how people choose, the prior, and the noise after every iteration.
        """
        choices = self.choices.of_users(users, keep)
        described = self.described[users]
        if not len(choices):
            prior, course = fit_prior(
                statistics, described, start, rank=rank, iterations=iterations, degrees=START
            )
            return self, prior, course
        prior, choosing, course = fit_prior_with_choices(
            statistics, choices.rows(columns), described, start,
            rank=rank, iterations=iterations, degrees=START,
        )  # fmt: skip
        return replace(self, choices=replace(self.choices, choosing=choosing)), prior, course

    def settled(self, prior: Prior, columns: Floats) -> Self:
        """Return the same with what each choice says of its user's weights for `columns`."""
        if not len(self.choices):
            return self
        found = []
        for begin in range(0, len(self.users), USERS_AT_ONCE):
            some = np.arange(begin, min(begin + USERS_AT_ONCE, len(self.users)))
            rows = self.choices.of_users(some).rows(columns)
            ratings = self.collect(columns, some)
            found.append(settle(prior, self.described[some], ratings, rows)[1])
        sites = Sites(
            np.concatenate([one.precision for one in found]),
            np.concatenate([one.moment for one in found]),
        )
        return replace(self, choices=replace(self.choices, sites=sites))

    def condition(
        self,
        prior: Prior,
        columns: Floats,
        users: Ints,
        keep: Kept | None = None,
        statistics: SufficientStatistics | None = None,
    ) -> Posterior:
        """Return some users' weights given their ratings and choices.

        Parameters
        ----------
        keep : which of them count; all where not given.
        statistics : of their ratings, where they were collected already.
        """
        rows, chosen = (None, None) if keep is None else (keep.ratings, keep.choices)
        if statistics is None:
            statistics = self.collect(columns, users, rows)
        choices = self.choices.of_users(users, chosen).rows(columns)
        return posterior_with_choices(prior, self.described[users], statistics, choices)

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
            choices=self.choices.of_users(users),
            weight=None if self.weight is None else self.weight[rows],
        )
