"""How many ratings, and choices, each person gave: one pass over tables of any size."""

from __future__ import annotations

from typing import Final

import polars as pl

from pamela.core import schema as s

N_RATINGS: Final = "n_ratings"
N_CHOICES: Final = "n_choices"
OWN_SPLITS: Final = "own_splits"
ORDERED: Final = "ordered"


def count_by_rater(ratings: pl.LazyFrame, *more: pl.Expr) -> pl.DataFrame:
    """Return a row per rater and source file, in the order of their first ratings: one pass.

    Parameters
    ----------
    ratings : LazyFrame with `pamela.core.schema.RATINGS_SCHEMA`.
    more : further aggregates.

    Returns
    -------
    DataFrame (dataset, user_id, source_file, first, source_row, n_ratings, own_splits, ordered,
    ...): the first row, in the table and in its file; whether a rating has a part of its own, and
    a time or position; rows that name no user are counted too.
    """
    own_splits = pl.col(s.SPLIT).is_not_null().any().alias(OWN_SPLITS)
    when = pl.any_horizontal(pl.col(s.RATED_AT, s.POSITION).is_not_null())
    ordered = when.any().alias(ORDERED)
    return _count(ratings, pl.len().alias(N_RATINGS), own_splits, ordered, *more)


def count_by_chooser(choices: pl.LazyFrame, *more: pl.Expr) -> pl.DataFrame:
    """Return a row per chooser and source file, with n_choices, as `count_by_rater` does.

    Parameters
    ----------
    choices : LazyFrame with `pamela.core.schema.CHOICES_SCHEMA`.
    more : further aggregates.
    """
    return _count(choices, pl.len().alias(N_CHOICES), *more)


def _count(rows: pl.LazyFrame, *aggregates: pl.Expr) -> pl.DataFrame:
    return (
        rows.with_row_index("first")
        .group_by(*s.USERS_KEYS, s.SOURCE_FILE)
        .agg(pl.col("first", s.SOURCE_ROW).min(), *aggregates)
        .collect(engine="streaming")
        .sort("first")
    )
