"""What a fitted `hierarchical` keeps, what it knows of people and pictures, how it is saved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats, Floats32, Ints
from pamela.core.dataset import Items, Pairs, People
from pamela.models.base import Prediction, on_scale, without_prefix
from pamela.models.blas_threads import small_matrices, small_numpy_matrices
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.gaussian_process.model import Population
from pamela.models.hierarchical.interval_calibration import Widening
from pamela.models.hierarchical.item_features import TasteFeatures
from pamela.models.hierarchical.user_covariates import PeopleColumns
from pamela.models.preprocessing import UserIndex, canonical
from pamela.models.random_effects import (
    USERS_AT_ONCE,
    Posterior,
    Prior,
    SufficientStatistics,
    posterior,
    posterior_of_one,
)

POPULATION = "population."  # before the names of its arrays


@dataclass(frozen=True)
class FittedHierarchical:
    """All that prediction needs.

    Attributes
    ----------
    weights : float32 array (users, k), posterior means of the training users.
    variances : float32 array (users, k), posterior variances along `axes`.
    axes : array (k, k), eigenvectors of the prior covariance, in columns.
    widening : factors on the predictive standard deviation, from cross-validation.
    """

    population: Population
    consensus: Consensus
    features: TasteFeatures
    people: PeopleColumns
    users: UserIndex
    prior: Prior
    weights: Floats32
    variances: Floats32
    axes: Floats
    widening: Widening

    @cached_property
    def spread(self) -> Floats:
        """The prior's variances (k,) along `axes`."""
        return along(self.prior.covariance[None], self.axes)[0]

    def columns(self, items: Items) -> tuple[Floats, Floats, Floats]:
        """Return the population's score (n,), its variance (n,) and taste columns (n, k)."""
        mean, variance, score = self.consensus.of(items, self.population)
        return mean, variance, self.features.transform(items, score)

    @small_numpy_matrices
    def weights_of(
        self, people: People, items: Items | None, context: Pairs | None
    ) -> tuple[Floats, Floats]:
        """Return weights (n, k) of `people` and their variances (n, k) along `axes`.

        Training users get what training learned, others the posterior given their rows of
        `context` (pairs over `items`), or the prior.
        """
        described = self.people.transform(people)
        place = self.users.encode(people)
        seen = place >= 0
        mean = described @ self.prior.regression
        variance = np.tile(self.spread, (len(people), 1))
        mean[seen], variance[seen] = self.weights[place[seen]], self.variances[place[seen]]
        if items is not None and context is not None:
            shown = canonical(context.take(~seen[context.user]))
            if len(shown):
                self._learn_from(shown, items, described, mean, variance)
        return mean, variance

    @small_matrices
    def _learn_from(
        self, shown: Pairs, items: Items, described: Floats, mean: Floats, variance: Floats
    ) -> None:
        """Put the posterior of everybody with rows in `shown` into `mean` and `variance`."""
        new, user = np.unique(shown.user, return_inverse=True)
        used, row = np.unique(shown.item, return_inverse=True)
        base, _, columns = self.columns(items.take(used))
        residual = shown.rating.astype(np.float64) - base[row]
        for begin in range(0, len(new), USERS_AT_ONCE):
            some = slice(begin, begin + USERS_AT_ONCE)
            first, last = np.searchsorted(user, [begin, min(begin + USERS_AT_ONCE, len(new))])
            rows = slice(first, last)
            found = self._condition(
                described[new[some]], user[rows] - begin, columns[row[rows]], residual[rows]
            )
            mean[new[some]], variance[new[some]] = found.mean, along(found.covariance, self.axes)

    def _condition(self, described: Floats, user: Ints, rows: Floats, y: Floats) -> Posterior:
        """Return the posterior of people who all have rows; `user` (rows,) is sorted, from 0."""
        people = len(described)
        if people == 1 and len(rows) < rows.shape[1]:
            return posterior_of_one(self.prior, described, rows, y)
        statistics = SufficientStatistics.collect(user, rows, y, people)
        return posterior(self.prior, described, statistics)

    def predicted(self, mean: Floats, variance: Floats, spread: Floats | float) -> Prediction:
        """Return ratings of expectation `mean` (n,), which is off by `variance` (n,).

        Parameters
        ----------
        spread : sum of the variances of the weights of whoever rates, (n,) or of one.
        """
        widening = self.widening.of(spread / np.trace(self.prior.covariance))
        std = widening * np.sqrt(variance + self.prior.noise)
        return Prediction(on_scale(mean), std.astype(np.float32))

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        config, arrays = self.population.state()
        return (
            {
                "population": config,
                "features": self.features.to_json(),
                "people": self.people.to_json(),
                "users": list(self.users.keys),
                "noise": self.prior.noise,
                "widening": self.widening.to_json(),
            },
            {
                **{POPULATION + key: value for key, value in arrays.items()},
                **self.features.arrays(),
                **self.consensus.arrays(),
                "regression": self.prior.regression,
                "covariance": self.prior.covariance,
                "weights": self.weights,
                "variances": self.variances,
                "axes": self.axes,
            },
        )

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `state`."""
        return cls(
            Population.from_state(config["population"], without_prefix(arrays, POPULATION)),
            Consensus.from_arrays(arrays),
            TasteFeatures.from_saved(config["features"], arrays),
            PeopleColumns.from_json(config["people"]),
            UserIndex(tuple(config["users"])),
            Prior(arrays["regression"], arrays["covariance"], config["noise"]),
            arrays["weights"],
            arrays["variances"],
            arrays["axes"],
            Widening.from_json(config["widening"]),
        )


def along(covariance: Floats, axes: Floats) -> Floats:
    """Return the variances (n, k) of covariances (n, k, k) along the columns of `axes`."""
    return np.einsum("nij,ij->nj", covariance @ axes, axes)
