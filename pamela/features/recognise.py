"""Which known picture has the features of another: the same pixels give the same features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from pamela.core.arrays import Floats32, Ints

# The features of one picture agree to this share of their length, in whatever batch it is encoded.
SAME: Final = 1e-4
COMPARED: Final = 1 << 23  # pairs of pictures that are compared at once
NONE: Final = -1


@dataclass(frozen=True)
class KnownPictures:
    """The features (m, d) of known pictures, to find one of them again."""

    features: Floats32

    @cached_property
    def _squares(self) -> Floats32:
        found: Floats32 = np.einsum("ij,ij->i", self.features, self.features)
        return found

    def rows_of(self, features: Floats32) -> Ints:
        """Return, for each of `features` (n, d), the row of the known picture that is the same.

        Returns
        -------
        int64 array (n,), -1 where there is none; of several equal ones, the first.
        """
        found = np.full(len(features), NONE, np.int64)
        if not len(self.features):
            return found
        step = max(1, COMPARED // len(self.features))
        for start in range(0, len(features), step):
            some = features[start : start + step]
            closeness = some @ self.features.T
            closeness *= 2.0
            closeness -= self._squares
            nearest = np.argmax(closeness, axis=1)
            gap = np.linalg.norm(some - self.features[nearest], axis=1)
            same = gap <= SAME * np.sqrt(self._squares[nearest])
            found[start : start + step] = np.where(same, nearest, NONE)
        return found
