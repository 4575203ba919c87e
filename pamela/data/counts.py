"""How many ratings, and choices, each person gave: one pass over tables of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from pamela.core import schema as s

N_RATINGS: Final = "n_ratings"
N_CHOICES: Final = "n_choices"
OWN_SPLITS: Final = "own_splits"
ORDERED: Final = "ordered"
AT_ONCE: Final = 1 << 20  # rows that are grouped at once


@dataclass(frozen=True)
class Aggregate:
    """A figure of the rows of a group that is found in parts and put together.

    Attributes
    ----------
    name : of the column.
    of : the figure of some rows.
    together : the figure of all, from the column of those of some.
    """

    name: str
    of: pl.Expr
    together: pl.Expr

    @classmethod
    def total(cls, name: str, of: pl.Expr) -> Aggregate:
        """Return a count, which is added up."""
        return cls(name, of, pl.col(name).sum())

    @classmethod
    def least(cls, name: str, of: pl.Expr) -> Aggregate:
        """Return the least of what `of` is, per row; null where there is none."""
        return cls(name, of.min(), pl.col(name).min())

    @classmethod
    def first(cls, name: str, of: pl.Expr) -> Aggregate:
        """Return the first of what `of` is, per row; null where there is none."""
        return cls(name, of.drop_nulls().first(), pl.col(name).drop_nulls().first())

    @classmethod
    def any(cls, name: str, of: pl.Expr) -> Aggregate:
        """Return whether `of` holds of any row."""
        return cls(name, of.any(), pl.col(name).any())


def group_rows(
    rows: pl.LazyFrame, keys: Sequence[str], aggregates: Sequence[Aggregate]
) -> pl.DataFrame:
    """Return a row per group, in memory that its groups take and not its rows.

    Polars' own streaming `group_by` keeps what it has of rows whose groups do not recur soon: of
    70 million rows by 700,000 people in no order that was 9 GiB.
    """
    parts, waiting = [], 0
    for batch in rows.collect_batches(chunk_size=AT_ONCE, maintain_order=True, engine="streaming"):
        part = batch.group_by(keys, maintain_order=True).agg(a.of.alias(a.name) for a in aggregates)
        parts.append(part)
        waiting += part.height
        if waiting > AT_ONCE:  # now and then, so that groups do not pile up
            parts = [_together(parts, keys, aggregates)]
            waiting = 0
    if not parts:
        nothing = pl.DataFrame(schema=rows.collect_schema())
        return nothing.group_by(keys).agg(a.of.alias(a.name) for a in aggregates)
    return _together(parts, keys, aggregates)


def _together(
    parts: Sequence[pl.DataFrame], keys: Sequence[str], aggregates: Sequence[Aggregate]
) -> pl.DataFrame:
    every = pl.concat(parts)
    return every.group_by(keys, maintain_order=True).agg(
        a.together.alias(a.name) for a in aggregates
    )


def count_by_rater(ratings: pl.LazyFrame, *more: Aggregate) -> pl.DataFrame:
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
    when = pl.any_horizontal(pl.col(s.RATED_AT, s.POSITION).is_not_null())
    return _count(
        ratings,
        Aggregate.total(N_RATINGS, pl.len()),
        Aggregate.any(OWN_SPLITS, pl.col(s.SPLIT).is_not_null()),
        Aggregate.any(ORDERED, when),
        *more,
    )


def count_by_chooser(choices: pl.LazyFrame, *more: Aggregate) -> pl.DataFrame:
    """Return a row per chooser and source file, with n_choices, as `count_by_rater` does.

    Parameters
    ----------
    choices : LazyFrame with `pamela.core.schema.CHOICES_SCHEMA`.
    more : further aggregates.
    """
    return _count(choices, Aggregate.total(N_CHOICES, pl.len()), *more)


def _count(rows: pl.LazyFrame, *more: Aggregate) -> pl.DataFrame:
    first = (Aggregate.least(name, pl.col(name)) for name in ("first", s.SOURCE_ROW))
    keys = [*s.USERS_KEYS, s.SOURCE_FILE]
    return group_rows(rows.with_row_index("first"), keys, [*first, *more]).sort("first")
