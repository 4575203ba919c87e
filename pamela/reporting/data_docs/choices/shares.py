"""Shares with 95 % bootstrap intervals over people, or over whatever is resampled."""

from __future__ import annotations

from typing import Final

import numpy as np

from pamela.core.arrays import Floats
from pamela.evaluation.metrics.bootstrap import Estimate, make_draws, ratio_estimates
from pamela.reporting.data_docs.agreement import in_groups

DRAWS: Final = 1000
SEED: Final = 0
UNITS: Final = 5000


def shares(top: Floats, bottom: Floats) -> list[Estimate]:
    """Return the sums of `top` over those of `bottom`, each column a share, and their intervals.

    Parameters
    ----------
    top, bottom : (units, shares), or (units,) for one. More units than `UNITS` are resampled in
        so many random groups: every sum is additive, so the spread of the draws is the same.

    Returns
    -------
    One estimate per share; `n` counts the units whose bottom is above 0.
    """
    top, bottom = (np.atleast_2d(np.asarray(x, np.float64).T).T for x in (top, bottom))
    n = (bottom > 0).sum(axis=0)
    if len(top) > UNITS:
        both = in_groups(np.hstack([top, bottom]), UNITS, np.random.default_rng(SEED))
        top, bottom = np.hsplit(both, 2)
    found = ratio_estimates(top, bottom, make_draws(len(top), DRAWS, SEED))
    return [Estimate(e.value, e.ci_low, e.ci_high, int(k)) for e, k in zip(found, n, strict=True)]
