"""Columns of taste that a small network learns, where many people rated many pictures.

``columns @ linear + gelu(columns @ first) @ second`` of the columns that need no learning: what
most tells people's tastes apart, rather than what most tells pictures apart. Here is what a trained
network says of pictures; `pamela.models.hierarchical.features.meta_learning` trains it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy

from pamela.core.arrays import Floats, Floats32
from pamela.models.preprocessing import mean_length

INPUT_SCALE = 4.0  # brings a block of columns, of mean squared length one, near one per column
CHUNK = 8192
PREFIX = "taste.learned."


@dataclass(frozen=True)
class LearnedTaste:
    """A network of one hidden layer beside a linear map; d columns in, k out.

    Attributes
    ----------
    linear : float32 array (d, k).
    first, first_bias : float32 arrays (d, h) and (h,).
    second : float32 array (h, k).
    offset, scale : what is taken off the output (k,) and what it is divided by (1,), so that it has
        mean zero and mean squared length one over training pictures.
    """

    linear: Floats32
    first: Floats32
    first_bias: Floats32
    second: Floats32
    offset: Floats32
    scale: Floats32

    def __len__(self) -> int:
        return self.linear.shape[1]

    def transform(self, columns: Floats) -> Floats:
        """Return the learned columns (n, k) of pictures with `columns` (n, d)."""
        out = np.zeros((len(columns), len(self)))
        for begin in range(0, len(columns), CHUNK):
            rows = INPUT_SCALE * columns[begin : begin + CHUNK]
            hidden = rows @ self.first + self.first_bias
            bent = (hidden * scipy.special.ndtr(hidden)) @ self.second
            out[begin : begin + CHUNK] = (rows @ self.linear + bent - self.offset) / self.scale
        return out

    def scaled(self, columns: Floats) -> Self:
        """Return the same with offset and scale from training pictures' `columns` (m, d)."""
        k = len(self)
        plain = replace(self, offset=np.zeros(k, np.float32), scale=np.ones(1, np.float32))
        found = plain.transform(columns)
        offset = found.mean(axis=0)
        scale = np.array([mean_length(found - offset)], np.float32)
        return replace(self, offset=offset.astype(np.float32), scale=scale)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return named arrays to save."""
        return {PREFIX + field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Self | None:
        """Rebuild from `arrays`; None if they hold none."""
        if PREFIX + "linear" not in arrays:
            return None
        return cls(**{field.name: arrays[PREFIX + field.name] for field in fields(cls)})
