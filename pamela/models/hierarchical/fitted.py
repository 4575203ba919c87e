"""What a fitted `hierarchical` keeps, and how it is saved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats, Floats32
from pamela.models.base import without_prefix
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.gaussian_process.model import Population
from pamela.models.hierarchical.interval_calibration import Widening
from pamela.models.hierarchical.item_features import TasteFeatures
from pamela.models.hierarchical.user_covariates import PeopleColumns
from pamela.models.preprocessing import UserIndex
from pamela.models.random_effects import Prior

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
