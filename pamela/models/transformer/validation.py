"""What a training run's validation rows say, and what a refit on all rows takes over from them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from pamela.core.arrays import Bools, Floats
from pamela.models.lightning_callbacks import LEAST_GAIN

BEST_EPOCH: Final = "best_epoch"  # a key of what fitting chose


class Given(NamedTuple):
    """What a refit does not choose or measure again.

    Attributes
    ----------
    chosen : configuration and best epoch of the fit with validation rows.
    std, stds : its predictive deviations, overall and by dataset.
    """

    chosen: dict[str, Any]
    std: dict[str, float]
    stds: dict[str, dict[str, float]]


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


def deviations(error: Floats, known: Bools) -> dict[str, float]:
    """Return the root mean square of `error` for seen and unseen users; all rows where none."""
    everybody = float(np.sqrt(np.mean(error**2)))
    return {
        name: float(np.sqrt(np.mean(error[mask] ** 2))) if mask.any() else everybody
        for name, mask in (("seen", known), ("unseen", ~known))
    }
