"""Factors of training pictures, as they are kept and while they are learned.

`pamela.models.hierarchical.factor_learning` says what they are, and learns them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats, Floats32, Ints
from pamela.models.random_effects.posterior import SMALLEST, Prior

LEAST_VARIANCE = 5e-4  # of what a factor adds to scores, points squared
SAVED = ("values", "variance", "spread")  # by their own names


@dataclass(frozen=True)
class PictureFactors:
    """Factors of the training pictures, in the order of `Consensus.keys`.

    Attributes
    ----------
    values : float32 array (m, r).
    variance : float32 array (m,), how far what they add to a score may be off.
    spread : array (r,), variances of people's weights for them: what each is worth.
    """

    values: Floats32
    variance: Floats32
    spread: Floats

    def __len__(self) -> int:
        return self.values.shape[1]

    def of(self, place: Ints) -> tuple[Floats, Floats]:
        """Return the factors (n, r) of pictures and how far they may be off, a variance (n,).

        Parameters
        ----------
        place : int64 array (n,), their places; -1 where nobody rated the picture: it has none.
        """
        known = place >= 0
        factors, variance = np.zeros((len(place), len(self))), np.zeros(len(place))
        factors[known] = self.values[place[known]]
        variance[known] = self.variance[place[known]]
        return factors, variance

    def take(self, order: Ints) -> Self:
        """Return the factors of the pictures in another order."""
        return replace(self, values=self.values[order], variance=self.variance[order])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return named arrays to save."""
        return {f"factors.{name}": getattr(self, name) for name in SAVED}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `arrays`."""
        return cls(*(arrays[f"factors.{name}"] for name in SAVED))


@dataclass
class FactorState:
    """Factors about their own scale, where people's weights for them have variance one.

    Attributes
    ----------
    mean, covariance : arrays (m, r) and (m, r, r), what is known of each picture's factors.
    spread : array (r,), their prior variances.
    prior : of people's weights for taste and factors, (k + r).
    ratio : array (n,), noise of the learners as multiples of the prior's.
    """

    mean: Floats
    covariance: Floats
    spread: Floats
    prior: Prior
    ratio: Floats

    def rescale(self, root: Floats) -> None:
        """Turn the factors so that weights of covariance ``root @ root.T`` have the identity."""
        self.mean = self.mean @ root
        self.covariance = root.T @ self.covariance @ root

    def learn(self, sums: FactorSums) -> None:
        """Set the pictures' factors to what people say of them."""
        r = len(self.spread)
        precision = sums.gram.reshape(-1, r, r) + np.diag(1.0 / self.spread)
        self.covariance = np.linalg.inv(precision).astype(np.float64)
        self.mean = np.einsum("mij,mj->mi", self.covariance, sums.moment)

    def learn_spread(self) -> None:
        """Set the prior variances to what the pictures' factors are on average."""
        own = np.einsum("mii->mi", self.covariance)
        self.spread = np.maximum((self.mean**2 + own).mean(axis=0), SMALLEST)

    def drop_worthless(self, taste: int) -> None:
        """Drop factors that nothing speaks for; there are `taste` weights before theirs."""
        kept = np.flatnonzero(self.spread > LEAST_VARIANCE)
        place = np.concatenate([np.arange(taste), taste + kept])
        self.mean, self.spread = self.mean[:, kept], self.spread[kept]
        self.covariance = self.covariance[:, kept[:, None], kept]
        self.prior = replace(
            self.prior,
            regression=self.prior.regression[:, place],
            covariance=self.prior.covariance[np.ix_(place, place)],
        )

    def scaled(self, taste: int) -> tuple[PictureFactors, Prior]:
        """Return the factors, of variance one, and the prior to match.

        Parameters
        ----------
        taste : how many weights stand before theirs.
        """
        scale = np.sqrt(self.spread)
        every = np.concatenate([np.ones(taste), scale])
        prior = replace(
            self.prior,
            regression=self.prior.regression * every,
            covariance=self.prior.covariance * np.outer(every, every),
        )
        unsure = np.einsum("mii->m", self.covariance).astype(np.float32)
        return PictureFactors((self.mean / scale).astype(np.float32), unsure, self.spread), prior


@dataclass
class FactorSums:
    """What people's weights say of pictures' factors: normal equations, summed over rows."""

    gram: Floats
    moment: Floats

    @classmethod
    def zeros(cls, pictures: int, factors: int) -> Self:
        """Return the sums over no rows."""
        return cls(np.zeros((pictures, factors * factors)), np.zeros((pictures, factors)))
