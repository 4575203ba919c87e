"""How much lower a model's error is than a baseline's: RMSE with all rows in one pool, relative.

``rmse_pooled_relative`` = RMSE of the model / RMSE of the baseline - 1 over the same rows: -0.02 is
two per cent lower. The number of rows cancels, so that users (and prompts, where they are few) are
resampled through their sums of squared errors alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pamela.evaluation.metrics.bootstrap import Draws, Estimate, function_estimates
from pamela.evaluation.metrics.grouping import Floats, Judgments, group_sum

RMSE_POOLED_RELATIVE: Final = "rmse_pooled_relative"


def relative_rmse(
    j: Judgments, draws: Draws, comparisons: Sequence[tuple[int, int]]
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


def _resampled_sums(squared: Floats, j: Judgments, draws: Draws) -> Floats:
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
