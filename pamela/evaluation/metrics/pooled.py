"""The metrics with all users' pairs or rows in one pool; intervals resample users.

``rmse_pooled_relative`` = RMSE of the model / RMSE of the baseline - 1 over the same rows: -0.02 is
two per cent lower. The number of rows cancels, so that users (and prompts, where they are few) are
resampled through their sums of squared errors alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from pamela.core.arrays import Floats
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics.bootstrap import Draws, Estimate, function_estimates, ratio_estimates
from pamela.evaluation.metrics.grouping import GroupedPredictions, group_sum

Pooled = tuple[str, float | None, list[Estimate], int]  # metric, margin, by model, pairs or rows
RMSE_POOLED_RELATIVE: Final = "rmse_pooled_relative"


def pooled_estimates(
    j: GroupedPredictions, margins: Sequence[float], draws: Draws, counts: m.PairCounts
) -> Iterator[Pooled]:
    """Yield pairwise accuracy at each margin, the correlations, RMSE and coverage.

    Parameters
    ----------
    j : predictions of M models for the same rows.
    draws : resamples of the users.
    counts : `metrics.pair_counts` of `j` at `margins`, by user.
    """
    for k, margin in enumerate(margins):
        count = counts.count[:, k]
        bottom = np.repeat(count[:, None], j.n_models, axis=1)
        shares = ratio_estimates(counts.right[:, k], bottom, draws)
        yield m.PAIRWISE_ACCURACY, float(margin), shares, int(count.sum())
    whole = np.zeros(len(j), np.int64)
    ranks = np.stack([m.average_ranks(column, whole) for column in j.mean.T], axis=1)
    rows = np.repeat(np.bincount(j.user, minlength=j.n_users)[:, None], j.n_models, axis=1)
    inside = group_sum(m.covered(j), j.user, j.n_users)
    squared = group_sum((j.mean - j.rating[:, None]) ** 2, j.user, j.n_users)
    ratings = m.average_ranks(j.rating, whole)
    yield m.SROCC, None, _pooled_correlation(j, ratings, ranks, draws), len(j)
    yield m.PLCC, None, _pooled_correlation(j, j.rating, j.mean, draws), len(j)
    bottom = rows.astype(np.float64)
    yield m.RMSE, None, [root(e) for e in ratio_estimates(squared, bottom, draws)], len(j)
    yield m.COVERAGE_90, None, ratio_estimates(inside, bottom, draws), len(j)


def root(e: Estimate) -> Estimate:
    """Return the square root of a mean square and of its interval."""
    value, low, high = (None if v is None else v**0.5 for v in (e.value, e.ci_low, e.ci_high))
    return Estimate(value, low, high, e.n)


def _pooled_correlation(
    j: GroupedPredictions, y: Floats, x: Floats, draws: Draws
) -> list[Estimate]:
    """Correlate all rows; users are resampled through their sums (ranks stay those of the data)."""
    y, x = y[:, None] - y.mean(), x - x.mean(axis=0)
    sums = [
        group_sum(np.broadcast_to(v, x.shape), j.user, j.n_users)
        for v in (np.ones_like(x), y, x, y * y, x * x, y * x)
    ]
    point = _correlation(*(v.sum(axis=0) for v in sums))
    resampled = _correlation(*(draws.users @ v for v in sums))
    return function_estimates(point, resampled, j.n_users)


def _correlation(n: Floats, y: Floats, x: Floats, yy: Floats, xx: Floats, xy: Floats) -> Floats:
    """Return Pearson's r from sums: 0 for a constant prediction, NaN for constant ratings."""
    vy, vx = yy / n - (y / n) ** 2, xx / n - (x / n) ** 2
    scale = np.sqrt(np.maximum(vy, 0.0) * np.maximum(vx, 0.0))
    r = np.divide(xy / n - x * y / n**2, scale, out=np.zeros_like(scale), where=scale > 1e-12)
    return np.where(vy > 1e-12, np.clip(r, -1.0, 1.0), np.nan)


def relative_rmse(
    j: GroupedPredictions, draws: Draws, comparisons: Sequence[tuple[int, int]]
) -> list[Estimate]:
    """Return RMSE(model) / RMSE(baseline) - 1 of every (model, baseline), paired.

    Parameters
    ----------
    j : predictions of M models for the same rows.
    draws : resamples of the users, and of the prompts where they are few.
    comparisons : places among the models.

    Returns
    -------
    One estimate per comparison; null against a baseline without any error.
    """
    if not comparisons:
        return []
    squared = (j.mean - j.rating[:, None]) ** 2
    resampled = _resampled_sums(squared, j, draws)
    a, b = (np.array(side) for side in zip(*comparisons, strict=True))
    whole = squared.sum(axis=0)
    return function_estimates(
        _relative(whole[a], whole[b]), _relative(resampled[:, a], resampled[:, b]), j.n_users
    )


def _resampled_sums(squared: Floats, j: GroupedPredictions, draws: Draws) -> Floats:
    """Return every model's sum of squared errors in every resample, (B, M)."""
    if draws.prompts is None:
        return draws.users @ group_sum(squared, j.user, j.n_users)
    cell = j.user * j.n_clusters + j.cluster
    sums = group_sum(squared, cell, j.n_users * j.n_clusters)
    by_model = sums.reshape(j.n_users, j.n_clusters, j.n_models)
    columns = [
        np.einsum("bp,bp->b", draws.users @ by_model[:, :, m], draws.prompts)
        for m in range(j.n_models)
    ]
    return np.stack(columns, axis=1)


def _relative(top: Floats, bottom: Floats) -> Floats:
    share = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
    return np.sqrt(share) - 1.0
