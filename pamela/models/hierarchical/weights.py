"""People's weights for one kind of picture: their prior, and what training learned of everybody.

A fitted `hierarchical` holds one for pictures that nobody rated, whose columns are those of their
features, and one for training pictures, which have factors of their own beside them
(`pamela.models.hierarchical.picture_factors`). They are learned apart: what explains ratings of
known pictures best leaves too little to the features that new ones are judged by (docs/log.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats, Floats32, Ints
from pamela.models.blas_threads import small_matrices
from pamela.models.choices.taste_posterior import (
    ChoiceRows,
    posterior_of_one_with_choices,
    posterior_with_choices,
)
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.hierarchical.factor_learning import fit_factors
from pamela.models.hierarchical.picture_factors import PictureFactors
from pamela.models.hierarchical.sharded.training_data import TrainingData
from pamela.models.hierarchical.training_rows import Fitting
from pamela.models.random_effects.noise import SAME_FOR_ALL
from pamela.models.random_effects.posterior import (
    USERS_AT_ONCE,
    Posterior,
    Prior,
    SufficientStatistics,
    posterior_of_one,
)


@dataclass(frozen=True)
class PersonalWeights:
    """A prior of weights, and the posterior of the training users.

    Attributes
    ----------
    mean : float32 array (users, k), posterior means.
    variance : float32 array (users, k), posterior variances along `axes`.
    axes : array (k, k), eigenvectors of the prior covariance, in columns.
    """

    prior: Prior
    mean: Floats32
    variance: Floats32
    axes: Floats

    @classmethod
    @small_matrices
    def fit(cls, data: TrainingData, columns: Floats, prior: Prior) -> Self:
        """Condition every training user on all of their ratings and choices, a shard at a time.

        Parameters
        ----------
        columns : array (m, k), of the training pictures.
        """
        axes = np.linalg.eigh(prior.covariance)[1]
        shape = (len(data.users), columns.shape[1])
        mean, variance = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for places, found in data.map(partial(_weights_of_all, columns, prior, axes)):
            mean[places], variance[places] = found
        return cls(prior, mean, variance, axes)

    @cached_property
    def spread(self) -> Floats:
        """The prior's variances (k,) along `axes`."""
        return along(self.prior.covariance[None], self.axes)[0]

    def of(self, described: Floats, place: Ints) -> tuple[Floats, Floats]:
        """Return weights (n, k) and their variances along `axes`, of people without own rows.

        Parameters
        ----------
        described : array (n, q), what is known of each.
        place : int64 array (n,), places among the training users; -1 for others.
        """
        seen = place >= 0
        mean = described @ self.prior.regression
        variance = np.tile(self.spread, (len(place), 1))
        mean[seen], variance[seen] = self.mean[place[seen]], self.variance[place[seen]]
        return mean, variance

    def given(
        self, described: Floats, user: Ints, rows: Floats, y: Floats, choices: ChoiceRows
    ) -> tuple[Floats, Floats]:
        """Return weights (n, k) and their variances along `axes`, of people given their rows.

        Parameters
        ----------
        described : array (n, q).
        user : int64 array (rows,), 0..n-1, sorted.
        rows, y : arrays (rows, k) and (rows,), columns and residual ratings.
        choices : of the same people.
        """
        mean, variance = [], []
        for begin in range(0, len(described), USERS_AT_ONCE):
            end = min(begin + USERS_AT_ONCE, len(described))
            some = slice(*np.searchsorted(user, [begin, end]).tolist())
            found = self._condition(
                described[begin:end],
                user[some] - begin,
                rows[some],
                y[some],
                choices.of_users(begin, end),
            )
            mean.append(found.mean)
            variance.append(along(found.covariance, self.axes))
        return np.concatenate(mean), np.concatenate(variance)

    def _condition(
        self, described: Floats, user: Ints, rows: Floats, y: Floats, choices: ChoiceRows
    ) -> Posterior:
        people = len(described)
        if people == 1 and len(rows) + len(choices) < rows.shape[1]:
            if not len(choices):
                return posterior_of_one(self.prior, described, rows, y)
            return posterior_of_one_with_choices(self.prior, described, rows, y, choices)
        statistics = SufficientStatistics.collect(user, rows, y, people)
        return posterior_with_choices(self.prior, described, statistics, choices)

    def config(self) -> dict[str, float]:
        """Return the numbers to save."""
        prior, config = self.prior, {"noise": self.prior.noise}
        if prior.mean_noise is not None:
            config |= {"degrees": prior.degrees, "mean_noise": prior.mean_noise}
        return config

    def arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Return named arrays to save."""
        return {
            f"{prefix}regression": self.prior.regression,
            f"{prefix}covariance": self.prior.covariance,
            f"{prefix}weights": self.mean,
            f"{prefix}variances": self.variance,
            f"{prefix}axes": self.axes,
        }

    @classmethod
    def from_saved(
        cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], prefix: str
    ) -> Self:
        """Rebuild from `config` and `arrays`."""
        regression, covariance, mean, variance, axes = (
            arrays[prefix + name]
            for name in ("regression", "covariance", "weights", "variances", "axes")
        )
        degrees = config.get("degrees", SAME_FOR_ALL)
        noise = config["noise"], degrees, config.get("mean_noise")
        return cls(Prior(regression, covariance, *noise), mean, variance, axes)


@small_matrices
def _weights_of_all(
    columns: Floats, prior: Prior, axes: Floats, data: Fitting
) -> tuple[Floats32, Floats32]:
    """Return everybody's weights (n, k) and their variances along `axes`, some at a time."""
    shape = (len(data.users), columns.shape[1])
    mean, variance = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for begin in range(0, len(data.users), USERS_AT_ONCE):
        some = np.arange(begin, min(begin + USERS_AT_ONCE, len(data.users)))
        found = data.condition(prior, columns, some)
        mean[some], variance[some] = found.mean, along(found.covariance, axes)
    return mean, variance


def along(covariance: Floats, axes: Floats) -> Floats:
    """Return the variances (n, k) of covariances (n, k, k) along the columns of `axes`."""
    return np.einsum("nij,ij->nj", covariance @ axes, axes)


@dataclass(frozen=True)
class KnownPictures:
    """What others' ratings say of training pictures, and people's weights for it.

    Attributes
    ----------
    weights : for the columns of taste and the factors.
    """

    factors: PictureFactors
    weights: PersonalWeights

    @classmethod
    def fit(
        cls,
        data: TrainingData,
        columns: Floats,
        prior: Prior,
        learners: Ints,
        rank: int,
        consensus: Consensus,
        seed: int,
    ) -> Self | None:
        """Learn what others' ratings say of training pictures; None where it is nothing.

        Parameters
        ----------
        columns, prior, learners, rank : as for `fit_factors`.
        """
        factors, prior = fit_factors(data, columns, prior, learners, rank=rank, seed=seed)
        if not len(factors):
            return None
        weights = PersonalWeights.fit(data, np.hstack([columns, factors.values]), prior)
        return cls(factors.take(np.argsort(consensus.place_of(data.items))), weights)
