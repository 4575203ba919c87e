"""THE definitions of pairwise accuracy, margins, correlations, error and calibration.

Training, evaluation, the gate and the report all ask here. Ratings and predictions are on the
internal 1..5 scale. Every function takes `GroupedPredictions` of M models and returns one value per
user and model, NaN for a user the metric is not defined for; `pamela.evaluation.metrics.bootstrap`
averages them and gives intervals. Conflict pairs are in `pamela.evaluation.metrics.conflicts`.

Where a user was rated in several folds (a seen user of an unsplit dataset), pairs and ranks are
formed within each fold; pair counts add up over the folds and correlations are averaged with
the number of ratings as weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core.arrays import Bools, Floats, Ints
from pamela.evaluation.metrics.grouping import (
    DECIMALS,
    GroupedPredictions,
    group_predictions,
    group_sum,
    run_starts,
)

PAIRWISE_ACCURACY = "pairwise_accuracy"
SROCC = "srocc"
PLCC = "plcc"
RMSE = "rmse"
COVERAGE_90 = "coverage_90"
CONFLICT_BOTH = "conflict_both"
CONFLICT_SIDE = "conflict_side"

TOLERANCE = 1e-6  # of a rating difference, on the 1..5 scale
MANY_STEPS = 1000  # a scale with more distinct ratings is taken as continuous
Z_90 = 1.6448536269514722  # a normal's central 90 %


@dataclass(frozen=True)
class PairCounts:
    """Pairs a metric was formed from, by group (user or row) and margin.

    Attributes
    ----------
    right : float array (groups, K, M), rightly ordered pairs; a tied prediction counts one half.
    count : float array (groups, K), all pairs whose ratings differ by the margin.
    """

    right: Floats
    count: Floats


def pair_counts(
    j: GroupedPredictions, margins: Sequence[float], *, by_row: bool = False
) -> PairCounts:
    """Count right and all pairs of images of the same user (and fold), at each margin.

    Parameters
    ----------
    margins : K margins on the 1..5 scale; at 0 the two ratings only have to differ.
    by_row : count each pair under both of its rows instead of under its user.
    """
    order = np.lexsort((j.rating, j.unit))
    begin, lower, upper, end = _reached(j.rating[order], j.unit, margins)
    bounds = [begin[None], lower, *([upper, end[None]] if by_row else [])]
    places, which = _distinct(np.concatenate(bounds).astype(np.int32))
    k, groups = len(margins), len(j) if by_row else j.n_users

    def grouped(rows: npt.NDArray[Any]) -> Floats:
        """Bring numbers of the ordered rows (K, n) into (groups, K)."""
        if not by_row:
            return group_sum(rows.T, j.user, groups)
        back = np.empty((groups, k))
        back[order] = rows.T
        return back

    right = np.zeros((groups, k, j.n_models))
    for m, mean in enumerate(j.mean.T):
        rank = _ranks(mean, j.unit, "dense").astype(np.int32) - 1
        halves = _halves_below(rank[order], places)[which]
        won = halves[1 : k + 1] - halves[0]
        if by_row:
            won += 2 * (end - upper) - (halves[-1] - halves[k + 1 : -1])
        right[:, :, m] = 0.5 * grouped(won)
    return PairCounts(right, grouped(lower - begin + (end - upper if by_row else 0)))


def _reached(rating: Floats, unit: Ints, margins: Sequence[float]) -> tuple[Ints, Ints, Ints, Ints]:
    """Return where rows of the same unit lie, sorted by rating: places (n,) and (K, n).

    A row's unit begins at the first and ends before the last; below the second the ratings are
    lower by the margin, from the third on they are higher by it.
    """
    starts = run_starts(unit)
    begin, end = (places[unit] for places in (starts, np.r_[starts[1:], len(unit)]))
    key = rating + unit * (1.0 + rating.max(initial=0.0) - rating.min(initial=0.0))
    lower, upper = [], []
    for margin in margins:
        # at margin 0 ratings only have to differ: those at the tolerance do not
        least, strict = max(margin - TOLERANCE, TOLERANCE), margin <= 2 * TOLERANCE
        lower.append(np.searchsorted(key, key - least, side="left" if strict else "right"))
        upper.append(np.searchsorted(key, key + least, side="right" if strict else "left"))
    return begin, np.maximum(lower, begin), np.minimum(upper, end), end


def _distinct(rows: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int32], Ints]:
    """Return `rows` without those that equal the one before, and where each is among the rest."""
    new = np.array([True, *((a != b).any() for a, b in pairwise(rows))])
    return rows[new], np.cumsum(new) - 1


def _halves_below(
    rank: npt.NDArray[np.int32], places: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """Count rows before a place that have a smaller rank, as two halves, and equal ones as one.

    A wavelet matrix (Claude, Navarro & Ordóñez 2015): rows are parted by one bit of their ranks
    after the other, and places follow the row whose rank is asked for. All pairs are never formed.

    Parameters
    ----------
    rank : (n,), from 0.
    places : (Q, n), for each row the places before which is counted.

    Returns
    -------
    (Q, n). Each row's counts are too high by a number of its own: differences are counts.
    """
    found, level = np.zeros_like(places), rank
    before = np.zeros(len(rank) + 1, np.int32)
    for bit in reversed(range(int(rank.max(initial=0)).bit_length())):
        low = (level >> bit) & 1 == 0
        np.cumsum(low, out=before[1:])
        lows, own = before[places], (rank >> bit) & 1
        found += 2 * own * lows
        places = lows + own * (before[-1] + places - 2 * lows)
        level = np.concatenate([level[low], level[~low]])
    return found + places


def accuracy_of(counts: PairCounts, min_pairs: int) -> Floats:
    """Return right / all, (groups, K, M); NaN where a group has fewer than `min_pairs`."""
    enough = counts.count >= max(min_pairs, 1)
    share = counts.right / np.maximum(counts.count, 1.0)[:, :, None]
    return np.where(enough[:, :, None], share, np.nan)


def pairwise_accuracy(j: GroupedPredictions, margins: Sequence[float], min_pairs: int) -> Floats:
    """Return each user's share of rightly ordered pairs, shape (U, K, M).

    Over the user's pairs of test images whose ratings differ (margin 0) or differ by at least
    the margin (tolerance `TOLERANCE`); a tied prediction counts one half; users with at least
    `min_pairs` such pairs.
    """
    return accuracy_of(pair_counts(j, margins), min_pairs)


def srocc(j: GroupedPredictions) -> Floats:
    """Return each user's Spearman correlation (average ranks for ties), shape (U, M).

    A constant prediction counts 0. Where all ratings of a user in a fold are equal, no order is
    asked for: the fold is left out, and a user without any other fold is NaN.
    """
    return over_units(j, unit_correlation(j, ranked(j)))


def plcc(j: GroupedPredictions) -> Floats:
    """Return each user's Pearson correlation, shape (U, M); constants as for `srocc`."""
    return over_units(j, unit_correlation(j, j))


def rmse(j: GroupedPredictions) -> Floats:
    """Return each user's root mean squared error on the 1..5 scale, shape (U, M)."""
    return np.sqrt(_user_mean((j.mean - j.rating[:, None]) ** 2, j))


def coverage_90(j: GroupedPredictions) -> Floats:
    """Return each user's share of ratings inside the central 90 % predictive interval, (U, M)."""
    return _user_mean(covered(j), j)


def covered(j: GroupedPredictions) -> Floats:
    """Return 1 where the rating lies within mean +- 1.645 std, else 0; NaN without a std."""
    inside = np.abs(j.mean - j.rating[:, None]) <= Z_90 * j.std + 10.0**-DECIMALS
    return np.where(np.isnan(j.std), np.nan, inside.astype(np.float64))


def _user_mean(values: Floats, j: GroupedPredictions) -> Floats:
    rows = np.bincount(j.user, minlength=j.n_users)
    return group_sum(values, j.user, j.n_users) / rows[:, None]


# --- correlations within units --------------------------------------------------------------------
@dataclass(frozen=True)
class Values:
    """The two sides of a correlation: `rating` (n,) and `mean` (n, M), or their ranks."""

    rating: Floats
    mean: Floats


def average_ranks(values: Floats, unit: Ints) -> Floats:
    """Return the ranks 1.. of `values` (n,) within each unit, ties sharing their average."""
    return _ranks(values, unit, "average")


def _ranks(values: Floats, unit: Ints, method: Literal["average", "dense"]) -> npt.NDArray[Any]:
    ranked = pl.DataFrame({"value": values, "unit": unit}).select(
        pl.col("value").rank(method).over("unit")
    )
    return ranked.to_series().to_numpy()


def ranked(j: GroupedPredictions) -> Values:
    """Return ratings and predictions as average ranks within their units."""
    columns = [average_ranks(column, j.unit) for column in j.mean.T]
    return Values(average_ranks(j.rating, j.unit), np.stack(columns, axis=1))


@dataclass(frozen=True)
class UnitCorrelation:
    """Pearson correlation in every unit.

    Attributes
    ----------
    value : float array (units, M); 0 where the prediction is constant.
    valid : bool array (units,); False where the ratings are constant.
    z_rating, z_mean : standardised values (n,) and (n, M), 0 where constant.
    sd_rating, sd_mean : standard deviations (units,) and (units, M), 1 where constant.
    """

    value: Floats
    valid: Bools
    z_rating: Floats
    z_mean: Floats
    sd_rating: Floats
    sd_mean: Floats


def unit_correlation(j: GroupedPredictions, values: Values | GroupedPredictions) -> UnitCorrelation:
    """Correlate ratings with every model's predictions within each unit of `j`."""
    units = len(j.starts)
    z_y, sd_y, varies = _standardised(values.rating[:, None], j)
    z_x, sd_x, _ = _standardised(values.mean, j)
    rows = np.maximum(np.bincount(j.unit, minlength=units), 1)[:, None]
    value = np.clip(group_sum(z_x * z_y, j.unit, units) / rows, -1.0, 1.0)
    return UnitCorrelation(value, varies[:, 0], z_y[:, 0], z_x, sd_y[:, 0], sd_x)


def _standardised(x: Floats, j: GroupedPredictions) -> tuple[Floats, Floats, Bools]:
    """Return z scores, standard deviations and whether the values vary, within units."""
    starts, units = j.starts, len(j.starts)
    if units == 0:
        empty = np.zeros((0, x.shape[1]))
        return empty, empty, empty.astype(bool)
    rows = np.bincount(j.unit)[:, None]
    # exact, where a variance of equal floats might come out as 1e-32
    varies = np.maximum.reduceat(x, starts) > np.minimum.reduceat(x, starts)
    centred = x - (group_sum(x, j.unit, units) / rows)[j.unit]
    sd = np.sqrt(group_sum(centred**2, j.unit, units) / rows)
    sd = np.where(varies, sd, 1.0)
    return np.where(varies[j.unit], centred / sd[j.unit], 0.0), sd, varies


def over_units(j: GroupedPredictions, c: UnitCorrelation) -> Floats:
    """Average unit correlations over each user's folds, weighted by rows; (U, M)."""
    rows = np.bincount(j.unit, minlength=len(c.valid)) * c.valid
    owner = j.user[j.starts]
    weight = np.bincount(owner, weights=rows, minlength=j.n_users)
    total = group_sum(c.value * rows[:, None], owner, j.n_users)
    mean = total / np.maximum(weight, 1.0)[:, None]
    return np.where(weight[:, None] > 0, mean, np.nan)


# --- helpers for others ---------------------------------------------------------------------------
def mean_srocc(user: npt.ArrayLike, rating: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Return the mean over users of `srocc` for one model, e.g. to stop training early.

    Parameters
    ----------
    user, rating, prediction : shape (n,). NaN if no user has ratings that differ.
    """
    n = len(np.asarray(rating))
    values = srocc(group_predictions(user, np.arange(n), rating, prediction))
    valid = ~np.isnan(values)
    return float(values[valid].mean()) if valid.any() else float("nan")


def coinciding_margins(ratings: npt.ArrayLike, margins: Sequence[float]) -> list[list[float]]:
    """Group margins that select the same pairs, because of the steps of the rating scale.

    Parameters
    ----------
    ratings : ratings on the 1..5 scale (any shape); only the distinct values matter. With
        integers 1..5: ``[[0, 0.5, 1], [1.5, 2], [3]]``.
    """
    # a scale mapped to 1..5 in single precision has noise far above TOLERANCE / 10
    values = np.unique(np.round(np.asarray(ratings, dtype=np.float64), DECIMALS - 1))
    if len(values) > MANY_STEPS:
        return [[float(margin)] for margin in sorted(margins)]
    gaps = np.unique(np.round(np.abs(values[:, None] - values), DECIMALS - 1))
    gaps = gaps[gaps > TOLERANCE]
    groups: dict[int, list[float]] = {}
    for margin in sorted(margins):
        first = int(np.searchsorted(gaps + 2 * 10.0 ** (1 - DECIMALS), margin))
        groups.setdefault(first, []).append(float(margin))
    return list(groups.values())
