"""How far raters agree: the intraclass correlation (ICC) of one rating and of a picture's mean.

ICC(1), one-way random effects (Shrout and Fleiss 1979), with the variance components of an
unbalanced one-way analysis of variance (Searle, Casella and McCulloch 1992): the share of a
rating's variance that lies between pictures. What is peculiar to a rater, the own level included,
counts as disagreement. The interval resamples pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pamela.core.arrays import Floats
from pamela.evaluation.metrics.bootstrap import Estimate, interval, multinomial_weights

DRAWS: Final = 1000
SEED: Final = 0
UNITS: Final = 5000


@dataclass(frozen=True)
class Agreement:
    """What raters of the same picture have in common.

    Attributes
    ----------
    single : ICC of one rating; its value is None where it is undefined (no picture was rated
        twice, fewer than two pictures, or all ratings equal). May be slightly below 0.
    mean : ICC of the mean of `per_image` ratings (Spearman-Brown, from `single` cut at 0).
    images : rated pictures, which are what the interval resamples.
    per_image : mean number of ratings per rated picture.
    """

    single: Estimate
    mean: Estimate
    images: int
    per_image: float


def agreement(
    images: pl.DataFrame, *, draws: int = DRAWS, seed: int = SEED, units: int = UNITS
) -> Agreement:
    """Return the agreement of raters with 95 % bootstrap intervals over pictures.

    Parameters
    ----------
    images : one row per rated picture: n, total, squares (number, sum and sum of squares of its
        ratings, around any origin and in any unit).
    draws, seed : of the bootstrap.
    units : more pictures than this are put into so many random groups, which are resampled in
        their stead: every sum is additive, so the spread of the draws is the same.
    """
    sums = _sums(images)
    a = len(sums)
    point = float(icc(sums.sum(axis=0)[None, :])[0])
    if np.isnan(point):
        nothing = Estimate(None, None, None, a)
        return Agreement(nothing, nothing, a, float(sums[:, 1].mean()) if a else 0.0)
    rng = np.random.default_rng(seed)
    blocks = in_groups(sums, units, rng) if a > units else sums
    weights = multinomial_weights(len(blocks), draws, rng)
    resampled = weights @ blocks
    low, high = (float(end) for end in interval(icc(resampled)))
    k = float(sums[:, 1].mean())
    single = Estimate(point, low, high, a)
    value, ends = spearman_brown(point, k), (spearman_brown(low, k), spearman_brown(high, k))
    mean = Estimate(value, *ends, a)
    return Agreement(single, mean, a, k)


def in_groups(sums: Floats, groups: int, rng: np.random.Generator) -> Floats:
    """Return the sums of `groups` random groups of pictures, which differ in size by at most 1."""
    starts = np.arange(groups) * len(sums) // groups
    return np.asarray(np.add.reduceat(sums[rng.permutation(len(sums))], starts, axis=0))


def _sums(images: pl.DataFrame) -> Floats:
    """Return what the ICC adds up over pictures, (a, 6): 1, n, n^2, sum, sum^2 / n, squares."""
    n, total, squares = (images[c].to_numpy().astype(np.float64) for c in ("n", "total", "squares"))
    spread = np.sqrt(squares.sum() / max(n.sum(), 1)) or 1.0  # a unit near 1: no lost digits
    total, squares = total / spread, squares / spread**2
    return np.stack([np.ones_like(n), n, n**2, total, total**2 / np.maximum(n, 1), squares], axis=1)


def icc(sums: Floats) -> Floats:
    """Return ICC(1) of every row of `sums` (B, 6), see `_sums`; NaN where it is undefined."""
    a, n, n2, total, between, squares = sums.T
    with np.errstate(all="ignore"):
        ms_between = (between - total**2 / n) / (a - 1)
        ms_within = np.maximum(squares - between, 0.0) / (n - a)
        per_image = (n - n2 / n) / (a - 1)
        variance = ms_between + (per_image - 1) * ms_within
        value = (ms_between - ms_within) / variance
        undefined = (a < 2) | (n <= a) | (variance < 1e-12)
    return np.where(undefined, np.nan, value)


def spearman_brown(single: float, k: float) -> float:
    """Return the ICC of the mean of `k` ratings from that of one, which is cut at 0."""
    single = max(single, 0.0)
    return k * single / (1 + (k - 1) * single)
