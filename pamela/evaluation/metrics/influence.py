"""What each rated row adds to a user's metric: first derivatives in the row's weight.

With weights v on the rows (1 each in the data), a user's value is m(v) = m + sum_a (v_a - 1)
psi_a + ...; psi is the empirical influence function. Summed over the rows of a prompt it tells how
the value moves when a bootstrap draws that prompt v times, without computing the metric again.
The intervals against image means, and those over prompts where images are few, rest on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pamela.core.arrays import Floats, Ints
from pamela.evaluation.metrics.definitions import (
    PairCounts,
    UnitCorrelation,
    covered,
    over_units,
    pair_counts,
    ranked,
    unit_correlation,
)
from pamela.evaluation.metrics.grouping import GroupedPredictions, group_sum


def by_prompt(rows: Floats, j: GroupedPredictions) -> Floats:
    """Sum rows' influence (n, C) into (U, P, C) over each user's rows of each prompt."""
    key = j.user * j.n_clusters + j.cluster
    summed = group_sum(rows, key, j.n_users * j.n_clusters)
    return summed.reshape(j.n_users, j.n_clusters, rows.shape[1])


def pairwise_influence(
    j: GroupedPredictions, margins: Sequence[float], users: PairCounts
) -> Floats:
    """Return the influence on `metrics.pairwise_accuracy`, (n, K, M).

    Parameters
    ----------
    users : `metrics.pair_counts` of `j` by user, at these margins.
    """
    rows = pair_counts(j, margins, by_row=True)
    pairs = np.maximum(users.count, 1.0)[:, :, None]
    value = users.right / pairs
    return (rows.right - value[j.user] * rows.count[:, :, None]) / pairs[j.user]


def plcc_influence(j: GroupedPredictions) -> Floats:
    """Return the influence on `metrics.plcc`, (n, M)."""
    c = unit_correlation(j, j)
    return _averaged(j, c, _pearson(j, c))


def srocc_influence(j: GroupedPredictions) -> Floats:
    """Return the influence on `metrics.srocc`, (n, M).

    A row also moves the ranks of the rows above it: the second and third term.
    """
    c = unit_correlation(j, ranked(j))
    y, rho, unit = c.z_rating[:, None], c.value[j.unit], j.unit
    slope_mean = (y - rho * c.z_mean) / c.sd_mean[unit]
    slope_rating = (c.z_mean - rho * y) / c.sd_rating[unit][:, None]
    moved = [
        _sum_above(slope_mean[:, m], j.mean[:, m], unit)
        + _sum_above(slope_rating[:, m], j.rating, unit)
        for m in range(j.n_models)
    ]
    return _averaged(j, c, _pearson(j, c) + np.stack(moved, axis=1))


def rmse_influence(j: GroupedPredictions) -> Floats:
    """Return the influence on `metrics.rmse`, (n, M)."""
    squared = (j.mean - j.rating[:, None]) ** 2
    rows = np.bincount(j.user, minlength=j.n_users)[:, None]
    mse = group_sum(squared, j.user, j.n_users) / rows
    scale = np.where(mse > 0, 2.0 * np.sqrt(mse) * rows, 1.0)
    return (squared - mse[j.user]) / scale[j.user]


def coverage_influence(j: GroupedPredictions) -> Floats:
    """Return the influence on `metrics.coverage_90`, (n, M)."""
    inside = covered(j)
    rows = np.bincount(j.user, minlength=j.n_users)[:, None]
    share = group_sum(inside, j.user, j.n_users) / rows
    return (inside - share[j.user]) / rows[j.user]


def _pearson(j: GroupedPredictions, c: UnitCorrelation) -> Floats:
    y = c.z_rating[:, None]
    return y * c.z_mean - 0.5 * c.value[j.unit] * (y**2 + c.z_mean**2)


def _averaged(j: GroupedPredictions, c: UnitCorrelation, inside: Floats) -> Floats:
    """Carry influence inside a unit over to the user's average over units."""
    valid = c.valid[j.unit]
    rows = np.bincount(j.user, weights=valid.astype(np.float64), minlength=j.n_users)
    value = np.nan_to_num(over_units(j, c))
    psi = (c.value[j.unit] - value[j.user] + inside) / np.maximum(rows, 1.0)[j.user][:, None]
    return np.where(valid[:, None], psi, 0.0)


def _sum_above(g: Floats, x: Floats, unit: Ints) -> Floats:
    """Return per row the sum of `g` over rows of its unit with larger `x`, ties counted half."""
    order = np.lexsort((-x, unit))
    gs, xs, us = g[order], x[order], unit[order]
    tie = np.flatnonzero(np.r_[True, (xs[1:] != xs[:-1]) | (us[1:] != us[:-1])])
    size = np.diff(np.r_[tie, len(xs)])
    tied = np.add.reduceat(gs, tie)
    before = np.cumsum(tied) - tied  # over all units so far: g sums to 0 within each
    above = np.empty(len(x))
    above[order] = np.repeat(before + 0.5 * tied, size)
    return above
