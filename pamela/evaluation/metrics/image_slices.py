"""Accuracy by kind of picture: ``reports/slices.parquet``, by type, group and style, every model.

A slice holds the test rows on pictures of one level of a column. A person has few ratings there, so
pairs are pooled: of all pairs of pictures of this level that one person rated differently, the
share ordered rightly; and RMSE with all rows in one pool. Intervals resample users. Seen users, and
unseen ones at 0 shots, on pictures nobody trained on.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics.bootstrap import Draws, Estimate, make_draws, ratio_estimates
from pamela.evaluation.metrics.grouping import (
    GroupedPredictions,
    group_slice,
    group_sum,
    part_users,
)
from pamela.evaluation.metrics.intervals import POOLED
from pamela.evaluation.metrics.pooled import root
from pamela.evaluation.metrics.schema import (
    MODEL,
    NEW_PICTURES,
    NUMBER,
    PICTURES,
    POPULATION,
    SEEN,
    SHOTS,
    SLICE,
    UNSEEN,
)
from pamela.params import EvaluateParams

COLUMN: Final = "column"
LEVEL: Final = "level"
MAX_LEVELS: Final = 60  # of one column, those with the most rows
FIRST_SLICES: Final = ((SEEN, None), (UNSEEN, 0))

SLICES = pl.Schema({**SLICE, COLUMN: pl.String, LEVEL: pl.String, **NUMBER, PICTURES: pl.String})


def picture_slices(
    predictions: pl.DataFrame, images: pl.DataFrame, params: EvaluateParams
) -> pl.DataFrame:
    """Return `SLICES` of every dataset and model, by each column of the pictures' metadata.

    Parameters
    ----------
    predictions : rows of `pamela.evaluation.metrics.schema.PREDICTIONS`.
    images : the images table.
    """
    levels = levels_of(images)
    frames = [SLICES.to_frame()]
    predictions = predictions.filter(pl.col(PICTURES) == NEW_PICTURES)
    for dataset in predictions[s.DATASET].unique(maintain_order=True):
        rows = predictions.filter(pl.col(s.DATASET) == dataset)
        models = rows[MODEL].unique(maintain_order=True).to_list()
        for population, shots in FIRST_SLICES:
            here = rows.filter((pl.col(POPULATION) == population) & pl.col(SHOTS).eq_missing(shots))
            if here.is_empty():
                continue
            where = {s.DATASET: dataset, POPULATION: population, SHOTS: shots}
            j = group_slice(here, models)
            ids = here.select(s.IMAGE).unique().sort(s.IMAGE)  # in the order of their codes
            known = ids.join(
                levels.filter(pl.col(s.DATASET) == dataset), on=s.IMAGE, how="left",
                maintain_order="left",
            )  # fmt: skip
            for column in s.METADATA:
                if known[column].null_count() < known.height:
                    stream = f"{dataset}/{population}/{column}"
                    estimates = _by_level(j, known[column], models, params, stream)
                    frames.append(_frame(estimates, {**where, COLUMN: column}))
    return pl.concat(frames)


def levels_of(images: pl.DataFrame) -> pl.DataFrame:
    """Return (dataset, image_id, type, group, style) with names that say which pictures are meant.

    A group that occurs under several types stands for different pictures in each: it is named with
    its type.
    """
    shared = pl.col(s.TYPE).drop_nulls().n_unique().over(s.DATASET, s.GROUP) > 1
    named = pl.concat_str(pl.col(s.GROUP), pl.lit(" ("), pl.col(s.TYPE), pl.lit(")"))
    group = pl.when(shared & pl.col(s.TYPE).is_not_null()).then(named).otherwise(pl.col(s.GROUP))
    return images.select(s.DATASET, s.IMAGE, s.TYPE, group.alias(s.GROUP), s.STYLE)


@dataclass(frozen=True)
class _Cells:
    """Which user and level each (user, level) that is judged stands for.

    Attributes
    ----------
    user, level : int64 arrays (cells,).
    """

    user: Ints
    level: Ints
    users: int
    levels: int

    def estimates(self, top: Floats, bottom: Floats, draws: Draws) -> list[Estimate]:
        """Return sums of `top` (cells, M) over sums of `bottom` (cells,), by level, then model."""
        models = top.shape[1]
        above = np.zeros((self.users, self.levels, models))
        below = np.zeros((self.users, self.levels, models))
        above[self.user, self.level] = top
        below[self.user, self.level] = bottom[:, None]
        shape = (self.users, self.levels * models)
        return ratio_estimates(above.reshape(shape), below.reshape(shape), draws)

    def totals(self, count: Floats) -> Floats:
        """Return the sum of `count` (cells,) by level."""
        return np.bincount(self.level, count, self.levels).astype(np.float64)


Found = tuple[str, str, str, float | None, Estimate, int]  # level, model, metric, margin, ..., rows


def _by_level(
    j: GroupedPredictions,
    level_of: pl.Series,
    models: Sequence[str],
    params: EvaluateParams,
    stream: str,
) -> list[Found]:
    """Return pooled accuracy and RMSE at every level of a column.

    Parameters
    ----------
    level_of : of every picture, by its code; null where it has none.
    """
    rows = np.bincount(j.image, minlength=len(level_of))
    count = pl.DataFrame({LEVEL: level_of, "rows": rows}).drop_nulls().group_by(LEVEL).sum()
    most = count.sort(["rows", LEVEL], descending=[True, False])[LEVEL].head(MAX_LEVELS)
    names = most.sort().to_list()
    place = (
        level_of.replace_strict(names, np.arange(len(names)), default=-1).fill_null(-1).to_numpy()
    )
    j = part_users(j, place[j.image], len(names))
    people, user = np.unique(j.users // len(names), return_inverse=True)
    cell = _Cells(user, j.users % len(names), len(people), len(names))
    draws = make_draws(len(people), params.bootstrap, [params.seed, zlib.crc32(stream.encode())])
    margin = float(params.margins[0])
    pairs = m.pair_counts(j, [margin])
    squared = group_sum((j.mean - j.rating[:, None]) ** 2, j.user, j.n_users)
    ones = np.bincount(j.user, minlength=j.n_users).astype(np.float64)
    accuracy = cell.estimates(pairs.right[:, 0], pairs.count[:, 0], draws)
    error = [root(e) for e in cell.estimates(squared, ones, draws)]
    found: list[Found] = []
    for metric, at, estimates, sizes in (
        (m.PAIRWISE_ACCURACY, margin, accuracy, cell.totals(pairs.count[:, 0])),
        (m.RMSE, None, error, cell.totals(ones)),
    ):
        places = ((level, model) for level in range(len(names)) for model in range(len(models)))
        for (level, model), e in zip(places, estimates, strict=True):
            found.append((names[level], models[model], metric, at, e, int(sizes[level])))
    return found


def _frame(found: Sequence[Found], where: dict[str, Any]) -> pl.DataFrame:
    rows = [
        {
            **where,
            MODEL: model,
            LEVEL: level,
            "metric": metric,
            "aggregation": POOLED,
            "margin": margin,
            **e.to_row(),
            "n_pairs": n_pairs,
            PICTURES: NEW_PICTURES,
        }
        for level, model, metric, margin, e, n_pairs in found
    ]
    return pl.DataFrame(rows, schema=SLICES)
