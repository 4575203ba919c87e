"""Pictures as scoring needs them, computed once: then everybody's scores are one matrix product.

What `hierarchical` makes of a picture, its base score and its columns of taste, takes kernels
against a thousand training pictures and does not depend on the person. Kept beside the encoder's
features, it leaves one product of weights and columns for all people and pictures together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats, Floats32


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
