"""Accuracy by demographic group, and the gap between the best and the worst served.

Groups are the values of each demographic column; those of at least `MIN_GROUP_USERS` users count,
and a column needs two. A group's accuracy is the mean over its users. The gap is the best group's
mean less the worst one's; its interval resamples users within the two groups. The largest of
several noisy means always lies above the smallest: what chance alone gives is the gap after the
users' groups are permuted, and ``p_value`` is how often that is at least as large.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics.bootstrap import LEVEL as CONFIDENCE
from pamela.evaluation.metrics.bootstrap import (
    Estimate,
    function_estimates,
    make_draws,
    resampled_means,
)
from pamela.evaluation.metrics.grouping import group_slice
from pamela.evaluation.metrics.image_slices import COLUMN, FIRST_SLICES, LEVEL
from pamela.evaluation.metrics.schema import (
    INTERVAL,
    MODEL,
    NEW_PICTURES,
    PICTURES,
    POPULATION,
    SHOTS,
    SLICE,
)
from pamela.params import EvaluateParams

MIN_GROUP_USERS: Final = 10
CELLS: Final = 1 << 21  # permuted users held at once
TIE: Final = 1e-12  # of a gap: sums in another order differ by less

GROUPS = pl.Schema(
    {
        **SLICE,
        COLUMN: pl.String,
        LEVEL: pl.String,
        "metric": pl.String,
        **INTERVAL,
        "n_users": pl.Int64,
        PICTURES: pl.String,
    }
)
GAPS = pl.Schema(
    {
        **SLICE,
        COLUMN: pl.String,
        "metric": pl.String,
        "best": pl.String,
        "worst": pl.String,
        **INTERVAL,
        "by_chance": pl.Float64,
        "by_chance_95": pl.Float64,
        "p_value": pl.Float64,
        "n_groups": pl.Int64,
        "n_users": pl.Int64,
        PICTURES: pl.String,
    }
)


def demographic_gaps(
    predictions: pl.DataFrame,
    users: pl.DataFrame,
    models: Sequence[str],
    params: EvaluateParams,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return every group's accuracy and every column's gap, frames `GROUPS` and `GAPS`.

    Parameters
    ----------
    predictions : rows of `pamela.evaluation.metrics.schema.PREDICTIONS`.
    users : the users table; all columns but its keys are demographic.
    models : for whom; those that were not predicted are left out.
    """
    groups, gaps = [GROUPS.to_frame()], [GAPS.to_frame()]
    new = pl.col(PICTURES) == NEW_PICTURES
    asked = predictions.filter(pl.col(MODEL).is_in(models), new)
    for dataset in asked[s.DATASET].unique(maintain_order=True):
        people = users.filter(pl.col(s.DATASET) == dataset)
        for population, shots in FIRST_SLICES:
            rows = asked.filter(
                (pl.col(s.DATASET) == dataset)
                & (pl.col(POPULATION) == population)
                & pl.col(SHOTS).eq_missing(shots)
            )
            if rows.is_empty():
                continue
            where = {
                s.DATASET: dataset,
                POPULATION: population,
                SHOTS: shots,
                PICTURES: NEW_PICTURES,
            }
            for column, found, gap in _slice(rows, people, params, f"{dataset}/{population}"):
                groups.append(pl.DataFrame([{**where, COLUMN: column, **r} for r in found], GROUPS))
                gaps.append(pl.DataFrame([{**where, COLUMN: column, **r} for r in gap], GAPS))
    return pl.concat(groups), pl.concat(gaps)


Rows = list[dict[str, Any]]


def _slice(
    rows: pl.DataFrame, people: pl.DataFrame, params: EvaluateParams, stream: str
) -> Iterator[tuple[str, Rows, Rows]]:
    """Yield (column, rows of `GROUPS`, rows of `GAPS`) of one slice."""
    names = rows[MODEL].unique(maintain_order=True).to_list()
    j = group_slice(rows, names)
    ids = rows[s.USER].unique().sort().to_frame()  # a user's code is the place of the id
    known = ids.join(people, on=s.USER, how="left", maintain_order="left")
    values = {
        m.SROCC: m.srocc(j),
        m.PAIRWISE_ACCURACY: m.pairwise_accuracy(j, params.margins[:1], params.min_pairs)[:, 0],
    }
    for column in (c for c in people.columns if c not in s.USERS_KEYS):
        labels = known[column].cast(pl.String)
        for metric, by_user in values.items():
            valid = ~np.isnan(by_user[:, 0])
            levels = _large_enough(labels.filter(pl.Series(valid)))
            if len(levels) < 2:
                continue
            inside = valid & labels.is_in(levels).fill_null(False).to_numpy()
            kept = labels.filter(pl.Series(inside))
            code = kept.replace_strict(levels, np.arange(len(levels))).to_numpy()
            seed = [params.seed, zlib.crc32(f"{stream}/{column}/{metric}".encode())]
            found = gaps_between(by_user[inside], code, params.bootstrap, seed)
            group_rows = [
                {MODEL: names[model], LEVEL: levels[level], "metric": metric, **e.to_row()}
                for model, one in enumerate(found)
                for level, e in enumerate(one.groups)
            ]
            gap_rows = [
                {
                    MODEL: names[model],
                    "metric": metric,
                    "best": levels[one.best],
                    "worst": levels[one.worst],
                    **one.gap.to_row(),
                    "by_chance": one.by_chance,
                    "by_chance_95": one.by_chance_95,
                    "p_value": one.p_value,
                    "n_groups": len(levels),
                    "n_users": len(code),
                }
                for model, one in enumerate(found)
            ]
            yield column, group_rows, gap_rows


def _large_enough(labels: pl.Series) -> list[str]:
    count = labels.drop_nulls().value_counts().rename({labels.name: LEVEL})
    return count.filter(pl.col("count") >= MIN_GROUP_USERS)[LEVEL].sort().to_list()


@dataclass(frozen=True)
class Gap:
    """The groups of one column under one model.

    Attributes
    ----------
    groups : mean over the users of each group.
    best, worst : places of the groups with the highest and the lowest mean.
    gap : best minus worst, resampling users within both.
    by_chance, by_chance_95 : mean and 95th percentile of the gap after permuting the groups.
    p_value : share of such permutations with at least this gap.
    """

    groups: list[Estimate]
    best: int
    worst: int
    gap: Estimate
    by_chance: float
    by_chance_95: float
    p_value: float


def gaps_between(values: Floats, group: Ints, draws: int, seed: list[int]) -> list[Gap]:
    """Compare the means of groups of users by every model, on the same draws.

    Parameters
    ----------
    values : (n, M), one row per user, none undefined.
    group : (n,), codes from 0; every code occurs.
    draws : number of resamples, and of permutations.
    seed : of both.
    """
    count = np.bincount(group)
    points, resampled = [], []
    for one in range(len(count)):
        mine = values[group == one]
        point, again, _ = resampled_means(mine, make_draws(len(mine), draws, [*seed, one]))
        points.append(point)
        resampled.append(again)
    mean, means = np.stack(points), np.stack(resampled, axis=1)  # (groups, M), (B, groups, M)
    chance = np.concatenate(
        [np.ptp(one, axis=1) for one in _permuted_means(values, group, draws, [*seed, len(count)])]
    )
    return [
        _gap(mean[:, model], means[:, :, model], chance[:, model], count)
        for model in range(values.shape[1])
    ]


def _permuted_means(values: Floats, group: Ints, draws: int, seed: list[int]) -> Iterator[Floats]:
    """Yield the groups' means (b, groups, M) after permuting the users, some draws at a time."""
    rng = np.random.default_rng(seed)
    count = np.bincount(group)
    member = np.eye(len(count))[group] / count  # (n, groups)
    block = max(1, CELLS // len(group))
    for begin in range(0, draws, block):
        users = np.tile(np.arange(len(group)), (min(block, draws - begin), 1))
        order = rng.permuted(users, axis=1)
        yield np.stack([column[order] @ member for column in values.T], axis=2)


def _gap(mean: Floats, means: Floats, chance: Floats, count: Ints) -> Gap:
    """Return the gap of one model: means of the groups, resampled ones, and gaps by chance."""
    best, worst = int(mean.argmax()), int(mean.argmin())
    gap = float(mean[best] - mean[worst])
    between = function_estimates(
        np.array([gap]),
        (means[:, best] - means[:, worst])[:, None],
        int(count[[best, worst]].sum()),
    )
    return Gap(
        function_estimates(mean, means, count),
        best,
        worst,
        between[0],
        float(chance.mean()),
        float(np.quantile(chance, CONFIDENCE)),
        float((1 + (chance >= gap - TIE).sum()) / (1 + len(chance))),
    )
