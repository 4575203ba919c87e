"""Means over people and prompts with intervals: true gains of one arm on another, fidelity."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.evaluation.metrics.bootstrap import interval
from pamela.steer.arms import COLD_START
from pamela.steer.judging.resampling import cell_weights
from pamela.steer.results import ARM, KEYS

LOW, HIGH = "_ci_low", "_ci_high"


class Cells:
    """One value per arm in every cell (a user on a prompt), with the resamples of the cells.

    Parameters
    ----------
    chosen : DataFrame ``user_id, prompt_id, cold_start, arm`` and `value`.
    value : the column that is averaged.
    """

    def __init__(
        self, chosen: pl.DataFrame, value: str, *, draws: int, rng: np.random.Generator
    ) -> None:
        self.wide = (
            chosen.with_columns(pl.col(ARM).cast(pl.String))
            .pivot(ARM, index=[*KEYS, COLD_START], values=value)
            .sort(*KEYS)
        )
        user, prompt = (
            self.wide[name].rank("dense").to_numpy().astype(np.int64) - 1
            for name in (s.USER, s.PROMPT_ID)
        )
        self.weights = cell_weights(user, prompt, draws=draws, rng=rng)

    def of(self, arm: str) -> Floats:
        """Return the arm's value in every cell (n_cells,)."""
        return self.wide[arm].to_numpy().astype(np.float64)

    def mean(self, name: str, values: Floats) -> dict[str, float]:
        """Return ``{name, name_ci_low, name_ci_high}`` of the mean over cells that have a value."""
        return named(name, float(np.nanmean(values)), self._resampled(values))

    def ratio(self, name: str, above: Floats, below: Floats) -> dict[str, float]:
        """Return the ratio of two means, as `mean` does."""
        value = float(above.mean() / below.mean())
        return named(name, value, self._resampled(above) / self._resampled(below))

    def _resampled(self, values: Floats) -> Floats:
        known = np.isfinite(values)
        weights = self.weights[:, known]
        return np.asarray(weights @ values[known] / weights.sum(axis=1), np.float64)


def named(name: str, value: float, resampled: Floats) -> dict[str, float]:
    """Return a value and its 95 % interval under flat names."""
    low, high = interval(resampled)
    return {name: float(value), name + LOW: float(low), name + HIGH: float(high)}


GAINS: Final = {  # name: arm and what it is compared with
    "gain_generic": ("other", "none"),
    "gain_personal_other": ("self", "other"),
    "gain_personal_population": ("self", "population"),
    "gain_self": ("self", "none"),
    "gain_self_chance": ("self", "chance"),
    "gain_self_cautious": ("self_cautious", "self"),
    "gain_truth": ("truth", "none"),
}
SHARE_OF_TRUTH: Final = "gain_self_share_of_truth"


def gain_metrics(cells: Cells) -> dict[str, float]:
    """Return true gains in utility points (1..5 scale) between arms, and `self`'s share.

    ``gain_self_share_of_truth`` is the gain of `self` on `none` over that of `truth`.
    """
    present = set(cells.wide.columns)
    metrics: dict[str, float] = {}
    for name, (arm, base) in GAINS.items():
        if {arm, base} <= present:
            metrics |= cells.mean(name, cells.of(arm) - cells.of(base))
    if "truth" in present:
        start = cells.of("none")
        metrics |= cells.ratio(SHARE_OF_TRUTH, cells.of("self") - start, cells.of("truth") - start)
    return metrics
