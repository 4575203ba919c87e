"""What a fitted `hierarchical` keeps, what it knows of people and pictures, how it is saved."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pamela.core import schema as s
from pamela.core.arrays import Floats, Floats32, Ints
from pamela.core.dataset import Choices, Items, Pairs, People
from pamela.models.base import Prediction, on_scale, without_prefix
from pamela.models.blas_threads import small_matrices, small_numpy_matrices
from pamela.models.choices.taste_posterior import (
    ChoiceRows,
    posterior_of_one_with_choices,
    posterior_with_choices,
)
from pamela.models.choices.thurstone import Thurstone, usual
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.gaussian_process.model import Population
from pamela.models.hierarchical.interval_calibration import Widening
from pamela.models.hierarchical.item_features import TasteFeatures
from pamela.models.hierarchical.user_covariates import PeopleColumns
from pamela.models.preprocessing import UserIndex, canonical, canonical_choices
from pamela.models.random_effects import (
    USERS_AT_ONCE,
    Posterior,
    Prior,
    SufficientStatistics,
    posterior_of_one,
)
from pamela.models.rating_noise import SAME_FOR_ALL

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
    choosing : how people choose given their own taste, by dataset, where they did.
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
    choosing: dict[str, Thurstone] = field(default_factory=dict)

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
        self,
        people: People,
        items: Items | None,
        context: Pairs | None,
        choices: Choices | None = None,
    ) -> tuple[Floats, Floats]:
        """Return weights (n, k) of `people` and their variances (n, k) along `axes`.

        Training users get what training learned, others the posterior given their rows of
        `context` and `choices` (over `items`), or the prior.
        """
        described = self.people.transform(people)
        place = self.users.encode(people)
        seen = place >= 0
        mean = described @ self.prior.regression
        variance = np.tile(self.spread, (len(people), 1))
        mean[seen], variance[seen] = self.weights[place[seen]], self.variances[place[seen]]
        shown = Pairs.empty() if context is None else context
        chosen = Choices.empty() if choices is None else choices
        shown = canonical(shown.take(~seen[shown.user]))
        chosen = canonical_choices(chosen.take(~seen[chosen.user]))
        if items is not None and len(shown) + len(chosen):
            self._learn_from(shown, chosen, items, described, mean, variance)
        return mean, variance

    @small_matrices
    def _learn_from(
        self,
        shown: Pairs,
        chosen: Choices,
        items: Items,
        described: Floats,
        mean: Floats,
        variance: Floats,
    ) -> None:
        """Put the posterior of everybody with rows in `shown` or `chosen` into `mean` and
        `variance`.
        """
        new = np.unique(np.concatenate([shown.user, chosen.user]))
        used = np.unique(np.concatenate([shown.item, chosen.a, chosen.b]))
        some = items.take(used)
        base, _, columns = self.columns(some)
        user, row = np.searchsorted(new, shown.user), np.searchsorted(used, shown.item)
        residual = shown.rating.astype(np.float64) - base[row]
        a, b = np.searchsorted(used, chosen.a), np.searchsorted(used, chosen.b)
        chosen = Choices(np.searchsorted(new, chosen.user), a, b, chosen.outcome)
        choices = ChoiceRows.make(chosen, base, columns, *self._how_people_choose(some))
        for begin in range(0, len(new), USERS_AT_ONCE):
            end = min(begin + USERS_AT_ONCE, len(new))
            batch = new[begin:end]
            rows = slice(*np.searchsorted(user, [begin, end]).tolist())
            found = self._condition(
                described[batch],
                user[rows] - begin,
                columns[row[rows]],
                residual[rows],
                choices.of_users(begin, end),
            )
            mean[batch], variance[batch] = found.mean, along(found.covariance, self.axes)

    def _condition(
        self, described: Floats, user: Ints, rows: Floats, y: Floats, choices: ChoiceRows
    ) -> Posterior:
        """Return the posterior of people who have rows; `user` (rows,) is sorted, from 0."""
        people = len(described)
        if people == 1 and len(rows) + len(choices) < rows.shape[1]:
            if not len(choices):
                return posterior_of_one(self.prior, described, rows, y)
            return posterior_of_one_with_choices(self.prior, described, rows, y, choices)
        statistics = SufficientStatistics.collect(user, rows, y, people)
        return posterior_with_choices(self.prior, described, statistics, choices)

    def _how_people_choose(self, items: Items) -> tuple[Ints, list[Thurstone]]:
        """Return every way in which people choose, and for each picture (n,) which it is.

        Where no choices were learned from, two ratings' worth of noise.
        """
        names = {name: number for number, name in enumerate(self.choosing)}
        column = items.frame[s.DATASET].to_list()
        kinds = np.array([names.get(name, len(names)) for name in column], np.int64)
        return kinds, [
            *self.choosing.values(),
            usual(float(np.sqrt(2 * self.prior.rating_variance))),
        ]

    def predicted(self, mean: Floats, variance: Floats, spread: Floats | float) -> Prediction:
        """Return ratings of expectation `mean` (n,), which is off by `variance` (n,).

        Parameters
        ----------
        spread : sum of the variances of the weights of whoever rates, (n,) or of one.
        """
        widening = self.widening.of(spread / np.trace(self.prior.covariance))
        std = widening * np.sqrt(variance + self.prior.rating_variance)
        return Prediction(on_scale(mean), std.astype(np.float32))

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        config, arrays = self.population.state()
        choosing = {name: asdict(made) for name, made in self.choosing.items()}
        return (
            {
                "population": config,
                "features": self.features.to_json(),
                "people": self.people.to_json(),
                "users": list(self.users.keys),
                "noise": self.prior.noise,
                **({"degrees": self.prior.degrees} if np.isfinite(self.prior.degrees) else {}),
                "widening": self.widening.to_json(),
                **({"choosing": choosing} if choosing else {}),
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
        degrees = config.get("degrees", SAME_FOR_ALL)
        return cls(
            Population.from_state(config["population"], without_prefix(arrays, POPULATION)),
            Consensus.from_arrays(arrays),
            TasteFeatures.from_saved(config["features"], arrays),
            PeopleColumns.from_json(config["people"]),
            UserIndex(tuple(config["users"])),
            Prior(arrays["regression"], arrays["covariance"], config["noise"], degrees),
            arrays["weights"],
            arrays["variances"],
            arrays["axes"],
            Widening.from_json(config["widening"]),
            {name: Thurstone(**made) for name, made in config.get("choosing", {}).items()},
        )


def along(covariance: Floats, axes: Floats) -> Floats:
    """Return the variances (n, k) of covariances (n, k, k) along the columns of `axes`."""
    return np.einsum("nij,ij->nj", covariance @ axes, axes)
