"""The definitions of accuracy, log loss and calibration of predicted choices.

Pure functions of probabilities. ``choice_accuracy``: of the choices that are no ties, the share in
which the picture that was chosen is the more probable one; equal probabilities count one half.
``choice_log_loss``: the mean of minus the natural logarithm of the probability of what was said,
ties included. Both as the mean over people (aggregation `user`) and over all choices (`pooled`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pamela.core.arrays import Bools, Floats, Ints
from pamela.evaluation.metrics.bootstrap import (
    Draws,
    Estimate,
    function_estimates,
    resampled_means,
)
from pamela.evaluation.metrics.grouping import group_sum
from pamela.evaluation.metrics.intervals import POOLED, USER

CHOICE_ACCURACY: Final = "choice_accuracy"
CHOICE_LOG_LOSS: Final = "choice_log_loss"
CHOICE_METRICS: Final = (CHOICE_ACCURACY, CHOICE_LOG_LOSS)
AGGREGATIONS: Final = (USER, POOLED)
LEAST: Final = 1e-12  # a probability counts as this at least
DECIMALS: Final = 9  # probabilities are compared at this resolution
CELLS: Final = 1 << 22  # weights of resampled choices held at once
BINS: Final = 10  # of a calibration curve


@dataclass(frozen=True)
class PredictedChoices:
    """n choices of one slice and what M models predict for them.

    Attributes
    ----------
    user, first, second : int64 arrays (n,), codes from 0 of who chose between which pictures.
    outcome : array (n,), 1 where the first was chosen, 0 the second, .5 a tie.
    p_first, p_second, p_tie : arrays (n, M).
    """

    user: Ints
    first: Ints
    second: Ints
    outcome: Floats
    p_first: Floats
    p_second: Floats
    p_tie: Floats

    @property
    def n_users(self) -> int:
        """Number of people."""
        return int(self.user.max(initial=-1)) + 1

    @property
    def n_pictures(self) -> int:
        """Number of pictures."""
        return int(max(self.first.max(initial=-1), self.second.max(initial=-1))) + 1


def rightness(c: PredictedChoices) -> Floats:
    """Return 1 where the more probable picture was chosen, 0 where not (n, M).

    Equal probabilities are one half; a tie of the person is NaN.
    """
    gap = np.sign(np.round(c.p_first - c.p_second, DECIMALS))
    towards = np.sign(c.outcome - 0.5)[:, None]
    return np.where(towards == 0, np.nan, 0.5 + 0.5 * gap * towards)


def losses(c: PredictedChoices) -> Floats:
    """Return minus the log probability of what was said (n, M)."""
    outcome = c.outcome[:, None]
    said = np.where(outcome == 0.5, c.p_tie, np.where(outcome > 0.5, c.p_first, c.p_second))
    return -np.log(np.clip(said, LEAST, 1.0))


def values_of(c: PredictedChoices, metric: str) -> Floats:
    """Return the value of every choice by every model (n, M); NaN where it has none."""
    return rightness(c) if metric == CHOICE_ACCURACY else losses(c)


def by_user(values: Floats, c: PredictedChoices) -> Floats:
    """Return each person's mean (U, M); NaN for who has no value."""
    valid = ~np.isnan(values)
    count = group_sum(valid.astype(np.float64), c.user, c.n_users)
    total = group_sum(np.where(valid, values, 0.0), c.user, c.n_users)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def means(
    c: PredictedChoices, metric: str, aggregation: str, draws: Draws
) -> tuple[Floats, Floats, Ints]:
    """Return the models' means (M,), their resamples (B, M) and the people behind them (M,).

    Parameters
    ----------
    draws : resamples of the people; of the pictures as well where ``draws.prompts`` says so: then a
        pooled choice weighs the product of its person's and its pictures' weights.
    """
    values = values_of(c, metric)
    people = by_user(values, c)
    if aggregation == USER:
        return resampled_means(people, draws)
    kept = ~np.isnan(values[:, 0]) if values.shape[1] else np.zeros(len(values), np.bool_)
    used = values[kept]
    n = (~np.isnan(people)).sum(axis=0)
    point = used.mean(axis=0) if len(used) else np.full(values.shape[1], np.nan)
    resampled = []
    for weight in _weights(c, kept, draws):
        total = weight.sum(axis=1, keepdims=True)
        mean = np.full((len(weight), used.shape[1]), np.nan)
        resampled.append(np.divide(weight @ used, total, out=mean, where=total > 0))
    return point, np.concatenate(resampled), n


def _weights(c: PredictedChoices, kept: Bools, draws: Draws) -> Iterator[Floats]:
    """Yield the weights of the choices `kept` in some of the resamples."""
    user, first, second = c.user[kept], c.first[kept], c.second[kept]
    block = max(1, CELLS // max(len(user), 1))
    for start in range(0, len(draws.users), block):
        weight = draws.users[start : start + block, user]
        if draws.prompts is not None:
            pictures = draws.prompts[start : start + block]
            weight = weight * pictures[:, first] * pictures[:, second]
        yield weight


def estimates(
    c: PredictedChoices, metric: str, aggregation: str, draws: Draws
) -> tuple[list[Estimate], int]:
    """Return one estimate per model and the number of choices behind them."""
    point, resampled, n = means(c, metric, aggregation, draws)
    counted = int((~np.isnan(values_of(c, metric)[:, :1])).sum())
    return function_estimates(point, resampled, n), counted


def differences(
    c: PredictedChoices,
    metric: str,
    aggregation: str,
    draws: Draws,
    comparisons: Sequence[tuple[int, int]],
) -> list[Estimate]:
    """Return model minus baseline for every (model, baseline), on the same resamples."""
    if not comparisons:
        return []
    point, resampled, n = means(c, metric, aggregation, draws)
    a, b = (np.array(side) for side in zip(*comparisons, strict=True))
    return function_estimates(point[a] - point[b], resampled[:, a] - resampled[:, b], n[a])


def calibration(p_first: Floats, p_second: Floats, outcome: Floats) -> pl.DataFrame:
    """Return how often the first picture was chosen, by how probable that was; ties left out.

    Returns
    -------
    Rows of equally filled bins: `predicted` (mean of P(first | no tie)), `chosen` (share) and `n`.
    """
    decided = outcome != 0.5
    sure = np.clip(p_first + p_second, LEAST, None)
    frame = pl.DataFrame({"p": (p_first / sure)[decided], "chosen": outcome[decided] == 1.0})
    bins = max(min(BINS, frame.height), 1)
    rank = pl.col("p").rank("ordinal") - 1
    return (
        frame.with_columns(bin=rank * bins // max(frame.height, 1))
        .group_by("bin")
        .agg(predicted=pl.col("p").mean(), chosen=pl.col("chosen").mean(), n=pl.len())
        .sort("bin")
        .select("predicted", "chosen", "n")
    )
