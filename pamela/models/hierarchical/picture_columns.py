"""Pictures as scoring needs them, computed once: then everybody's scores are one matrix product.

What `hierarchical` makes of a picture, its base score and its columns of taste, takes kernels
against a thousand training pictures and does not depend on the person. Kept beside the encoder's
features, it leaves one product of weights and columns for all people and pictures together.

Where only some pairs are wanted, people's weights and pictures' columns are held along the prior's
axes, in which a variance is a sum of squares: a pair then is two rows and two short sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats, Floats32, Ints
from pamela.models.base import Prediction

AT_ONCE: Final = 512  # pairs: what is gathered for them stays in the processor's cache
# ratings of these means (n,), off by these variances (n,), by people so well known (n,)
Predicted = Callable[[Floats, Floats, Floats], Prediction]


@dataclass(frozen=True)
class PictureColumns:
    """n pictures with k columns of taste each.

    Attributes
    ----------
    table : float32 array (n, k + 1): the columns, then the base score, whose weight is one for
        everybody: adding it within the product saves a second pass over all scores.
    """

    table: Floats32

    @classmethod
    def make(cls, base: Floats, columns: Floats) -> Self:
        """Pack base scores (n,) and columns (n, k)."""
        table = np.empty((len(columns), columns.shape[1] + 1), np.float32)
        table[:, :-1], table[:, -1] = columns, base
        return cls(table)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def base(self) -> Floats32:
        """Scores (n,) without a person."""
        return self.table[:, -1]

    @property
    def columns(self) -> Floats32:
        """Columns of taste (n, k)."""
        return self.table[:, :-1]

    def scores(self, weights: npt.ArrayLike) -> Floats32:
        """Return the score (people, n) of every picture for people with these weights (people, k).

        Not bent to the scale: order and differences are what counts.
        """
        people = np.asarray(weights)
        if people.ndim != 2 or people.shape[1] != self.table.shape[1] - 1:
            raise ValueError(
                f"weights of shape {people.shape}; the pictures have {self.table.shape[1] - 1} "
                "columns: they are of another model"
            )
        packed = np.ones((len(people), self.table.shape[1]), np.float32)
        packed[:, :-1] = people
        return packed @ self.table.T


@dataclass(frozen=True)
class PairScores:
    """m people and n pictures of a model, ready to be paired.

    Attributes
    ----------
    base, variance : arrays (n,), scores without a person, and how far they may be off.
    columns : array (n, k), of taste, along the axes.
    weights, spread : arrays (m, k), people's weights and their variances, along the axes.
    unsure : array (m,), the sum of a person's variances for pictures that nobody rated.
    predicted : makes predictions of what was summed.
    """

    base: Floats
    variance: Floats
    columns: Floats
    weights: Floats
    spread: Floats
    unsure: Floats
    predicted: Predicted

    def predict(self, person: Ints, picture: Ints) -> Prediction:
        """Predict what person i (rows,) thinks of picture i (rows,)."""
        mean, variance = np.empty(len(person)), np.empty(len(person))
        for begin in range(0, len(person), AT_ONCE):
            some = slice(begin, begin + AT_ONCE)
            who, columns = person[some], self.columns[picture[some]]
            np.einsum("ij,ij->i", columns, self.weights[who], out=mean[some])
            np.multiply(columns, columns, out=columns)
            np.einsum("ij,ij->i", columns, self.spread[who], out=variance[some])
        mean += self.base[picture]
        variance += self.variance[picture]
        return self.predicted(mean, variance, self.unsure[person])

    def with_people(self, others: PairScores) -> Self:
        """Return the same with the people of `others` behind these."""
        return replace(
            self,
            weights=np.concatenate([self.weights, others.weights]),
            spread=np.concatenate([self.spread, others.spread]),
            unsure=np.concatenate([self.unsure, others.unsure]),
        )
