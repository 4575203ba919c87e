"""How far a model's own standard deviation is off, learned from held-out ratings.

Intervals are too narrow where a model is wrong about somebody's taste: more for people it hardly
knows than for those it knows well. How well it knows a person is measured by how much of the
prior's variance their ratings have left (1: nothing known).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats

QUANTILE, NORMAL_QUANTILE = 0.90, 1.6449  # of |z|: the interval that is to hold 90 %
LEAST, MOST = 0.5, 2.0
FEWEST = 50  # held-out ratings that say anything of intervals


@dataclass(frozen=True)
class Widening:
    """Factors on the predictive standard deviation such that 90 % intervals hold 90 %.

    Attributes
    ----------
    left : shares of the prior's variance that were left, rising.
    factor : what fitted people of whom so much was left; between them it is interpolated.
    """

    left: tuple[float, ...]
    factor: tuple[float, ...]

    @classmethod
    def fit(cls, errors: Sequence[tuple[float, npt.NDArray[Any]]]) -> Self:
        """Fit to groups of held-out ratings.

        Parameters
        ----------
        errors : per group the share of the prior's variance left, and z values (n,): error over
            predictive standard deviation.
        """
        groups: dict[float, list[Floats]] = {}
        for left, z in errors:
            groups.setdefault(round(left, 6), []).append(np.abs(z))
        grouped = {left: np.concatenate(groups[left]) for left in sorted(groups)}
        factors = {
            left: float(np.clip(np.quantile(z, QUANTILE) / NORMAL_QUANTILE, LEAST, MOST))
            for left, z in grouped.items()
            if len(z) >= FEWEST
        }
        if not factors:
            return cls((1.0,), (1.0,))
        return cls(tuple(factors), tuple(factors.values()))

    def of(self, left: Floats | float) -> Floats:
        """Return the factor of people of whom shares `left` of the variance are left."""
        found: Floats = np.asarray(np.interp(left, self.left, self.factor), np.float64)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return {key: list(value) for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """Rebuild from `to_json`."""
        return cls(tuple(saved["left"]), tuple(saved["factor"]))
