"""What a training run's validation rows say, and what a refit on all rows takes over from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core.arrays import Bools, Floats
from pamela.models.base import LEAST_GAIN

BEST_EPOCH: Final = "best_epoch"  # a key of what fitting chose


@dataclass(frozen=True)
class Deviations:
    """Predictive standard deviations, from the residuals of validation rows.

    Attributes
    ----------
    overall : of seen and unseen users.
    by_dataset : the same by dataset, where there are several.
    """

    overall: dict[str, float] = field(default_factory=lambda: {"seen": 1.0, "unseen": 1.0})
    by_dataset: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def measure(cls, error: Floats, known: Bools, datasets: dict[str, Bools]) -> Self:
        """Take them from errors (n,); `datasets` says which rows are whose."""
        return cls(
            _root_mean_squares(error, known),
            {
                name: _root_mean_squares(error[mask], known[mask])
                for name, mask in datasets.items()
                if mask.any()
            },
        )

    def of(self, known: Bools, dataset: npt.NDArray[np.object_]) -> Floats:
        """Return one per row, of a known or unknown user and a picture of `dataset`."""
        std = np.where(known, self.overall["seen"], self.overall["unseen"])
        for name, own in self.by_dataset.items():
            std = np.where(dataset == name, np.where(known, own["seen"], own["unseen"]), std)
        return std


class Given(NamedTuple):
    """What a refit does not choose or measure again.

    Attributes
    ----------
    chosen : configuration and best epoch of the fit with validation rows.
    deviations : its predictive deviations.
    """

    chosen: dict[str, Any]
    deviations: Deviations


def best_correlation(history: pl.DataFrame) -> float:
    """Return the best validation correlation of a training run."""
    best = history["val_correlation"].max()
    return float(best) if isinstance(best, float) else 0.0


def best_epoch(history: pl.DataFrame) -> int:
    """Return the epoch whose weights were kept: the last that was better by the least gain."""
    kept, best = 1, -np.inf
    for epoch, value in history.select("step", "val_correlation").iter_rows():
        if value > best + LEAST_GAIN:
            kept, best = int(epoch), value
    return kept


def _root_mean_squares(error: Floats, known: Bools) -> dict[str, float]:
    """Return the root mean square of `error` for seen and unseen users; all rows where none."""
    everybody = float(np.sqrt(np.mean(error**2)))
    return {
        name: float(np.sqrt(np.mean(error[mask] ** 2))) if mask.any() else everybody
        for name, mask in (("seen", known), ("unseen", ~known))
    }
