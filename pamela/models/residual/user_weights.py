"""The ridge weights of the training people, and of new ones from k ratings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats, Floats32, Ints
from pamela.models.preprocessing import UserIndex
from pamela.models.random_effects.posterior import (
    USERS_AT_ONCE,
    Prior,
    SufficientStatistics,
    posterior,
)
from pamela.models.residual.tuning import ResidualRows, Tuned, diagonals, nearest, ridge_prior


@dataclass(frozen=True)
class RidgePeople:
    """Posterior weights of every training person.

    Attributes
    ----------
    users : who they are.
    level, noise : variances of a person's level and of a rating.
    tuned : strength and widening by number of ratings.
    counts : int64 array (users,), training ratings of each person.
    weights, variances : float32 arrays (users, k), posterior means and variances.
    """

    users: UserIndex
    level: float
    noise: float
    tuned: tuple[Tuned, ...]
    counts: Ints
    weights: Floats32
    variances: Floats32

    @classmethod
    def fit(
        cls, rows: ResidualRows, columns: Floats, users: UserIndex, tuned: tuple[Tuned, ...]
    ) -> Self:
        """Condition every training person on all of their rows, some people at a time.

        Parameters
        ----------
        columns : array (m, k) of the training pictures.
        """
        shape = (rows.users, columns.shape[1])
        weights, variances = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        people = cls(users, rows.level, rows.noise, tuned, rows.counts, weights, variances)
        for begin in range(0, rows.users, USERS_AT_ONCE):
            span = np.arange(begin, min(begin + USERS_AT_ONCE, rows.users))
            some = rows.of_users(span)
            statistics = SufficientStatistics.collect(
                some.user, columns[some.item], some.residual, some.users
            )
            weights[span], variances[span] = people.ridges(statistics)
        return people

    def prior(self, place: int) -> Prior:
        """Return the prior of the people whom ``tuned[place]`` is for."""
        columns = self.weights.shape[1]
        return ridge_prior(self.level, self.noise, self.tuned[place].strength, columns)

    def ridges(self, statistics: SufficientStatistics) -> tuple[Floats, Floats]:
        """Return weights (n, k) and variances (n, k) given rows, each with their own strength."""
        mean, variance = np.zeros(statistics.moment.shape), np.zeros(statistics.moment.shape)
        group = nearest(self.tuned, statistics.count)
        for place in np.unique(group):
            mine = np.flatnonzero(group == place)
            described = np.ones((len(mine), 1))
            found = posterior(self.prior(int(place)), described, statistics.take(mine))
            mean[mine], variance[mine] = found.mean, diagonals(found.covariance)
        return mean, variance

    def widening(self, counts: Ints, dataset: npt.NDArray[Any]) -> Floats:
        """Return the factor on the deviation per row.

        Parameters
        ----------
        counts : int64 array (n,), ratings of the row's person.
        dataset : array of text (n,); one that training did not hold gets the others' mean.
        """
        names, code = np.unique(dataset.astype(str), return_inverse=True)
        table = []
        for one in self.tuned:
            usual = float(np.mean(list(one.widening.values()))) if one.widening else 1.0
            table.append([one.widening.get(str(name), usual) for name in names])
        return np.array(table)[nearest(self.tuned, counts), code]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON-able part."""
        return {
            "users": list(self.users.keys),
            "level": self.level,
            "noise": self.noise,
            "tuned": [asdict(one) for one in self.tuned],
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return named arrays to save."""
        return {"counts": self.counts, "weights": self.weights, "variances": self.variances}

    @classmethod
    def from_saved(cls, saved: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `to_json` and `arrays`."""
        return cls(
            UserIndex(tuple(saved["users"])),
            saved["level"],
            saved["noise"],
            tuple(Tuned(**one) for one in saved["tuned"]),
            arrays["counts"],
            arrays["weights"],
            arrays["variances"],
        )
