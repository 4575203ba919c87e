"""Ratings to zero mean and unit spread and back, each dataset by its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Items, Pairs
from pamela.models.preprocessing import Datasets

SMALLEST = 1e-3  # floor of a spread


@dataclass(frozen=True)
class Standard:
    """Mean and spread of training ratings.

    Attributes
    ----------
    mean, scale : over all rows: what a dataset that training did not hold gets.
    own : ``{dataset: (mean, scale)}`` where there are several datasets.
    """

    mean: float
    scale: float
    own: dict[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def fit(cls, pairs: Pairs, datasets: Datasets) -> Self:
        """Measure the ratings of `pairs`."""
        mean, scale = _moments(pairs)
        if len(datasets) < 2:
            return cls(mean, scale)
        code = datasets.code[pairs.item]
        own = {name: _moments(pairs.take(code == k)) for k, name in enumerate(datasets.names)}
        return cls(mean, scale, own)

    def of(self, items: Items, pairs: Pairs) -> tuple[Floats | float, Floats | float]:
        """Return mean and scale, of every pair where datasets differ."""
        if not self.own:
            return self.mean, self.scale
        names, code = np.unique(items.frame[s.DATASET].to_numpy().astype(str), return_inverse=True)
        table = np.array([self.own.get(str(name), (self.mean, self.scale)) for name in names])
        both = table.reshape(-1, 2)[code][pairs.item]
        return both[:, 0], both[:, 1]

    def apply(self, items: Items, pairs: Pairs) -> Pairs:
        """Return `pairs` with standardised ratings."""
        mean, scale = self.of(items, pairs)
        return Pairs(pairs.user, pairs.item, ((pairs.rating - mean) / scale).astype(np.float32))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        own = {name: list(both) for name, both in self.own.items()}
        return {"mean": self.mean, "scale": self.scale, "standard": own}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """Rebuild from `to_json`."""
        own = {name: (both[0], both[1]) for name, both in saved.get("standard", {}).items()}
        return cls(saved["mean"], saved["scale"], own)


def _moments(pairs: Pairs) -> tuple[float, float]:
    return float(pairs.rating.mean()), max(float(pairs.rating.std()), SMALLEST)
