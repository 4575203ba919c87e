"""Several ratings of one image by one user: which one counts, and why the others do not.

Within one source an exact repeat counts once, its first row. Of different ratings the latest counts
where every one of them has its own time (else its own position); otherwise none does, as nothing
says which is meant. Across sources (a batch that comes later) an equal rating is the same row
delivered again; a different one is what the person says now: it counts as well, and takes nothing
from what was accepted before, so that the release's figures never change.
``expectations/repeats.json`` holds the rows to the three marks that are set here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from pamela.core import schema as s

REPEATED: Final = "repeated"
SUPERSEDED: Final = "superseded"
CONTRADICTED: Final = "contradicted"
PAIR: Final = (s.USER, s.IMAGE)
SOURCE: Final = "source"  # 0-based place of a row's source; an earlier one takes precedence
# What is looked at; everything else of a row does not matter here.
COLUMNS: Final = (*PAIR, s.RATING, s.RATED_AT, s.POSITION)


def find_candidates(rows: pl.LazyFrame, columns: Sequence[str] = PAIR) -> pl.DataFrame:
    """Return those rows whose `columns` another row may share: few, whatever the table's size.

    What is held of each row is 64 bits of hash of user and image; so a pair by chance of equal
    hashes is a candidate too, which `mark_repeats` tells apart.
    """
    pair = rows.select(pl.struct(columns).hash()).collect(engine="streaming").to_series()
    shared = pair.is_duplicated().alias("_shared").to_frame().lazy()
    both = pl.concat([rows, shared], how="horizontal")
    return both.filter("_shared").drop("_shared").collect(engine="streaming")


def mark_repeats(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the marks of ratings of any sources.

    Parameters
    ----------
    rows : DataFrame of `COLUMNS` and source, each source in its own order; faultless otherwise.

    Returns
    -------
    DataFrame (repeated, superseded, contradicted) of booleans, row by row.
    """
    pair = (SOURCE, *PAIR)
    several = pl.len().over(pair) > 1
    differ = pl.col(s.RATING).n_unique().over(pair) > 1
    first = pl.int_range(pl.len()).over(pair) == 0
    order = pl.coalesce(_own(pl.col(s.RATED_AT).to_physical()), _own(pl.col(s.POSITION)))
    latest = (order == order.max().over(pair)).fill_null(False)
    within = rows.select(
        *PAIR,
        s.RATING,
        SOURCE,
        (several & ~differ & ~first).alias(REPEATED),
        (differ & order.is_not_null() & ~latest).alias(SUPERSEDED),
        (differ & order.is_null()).alias(CONTRADICTED),
    )
    counts = ~pl.any_horizontal(REPEATED, SUPERSEDED, CONTRADICTED)
    first_source = pl.col(SOURCE).filter(counts).min().over(*PAIR, s.RATING)
    said_before = counts & (pl.col(SOURCE) > first_source)
    return within.select(pl.col(REPEATED) | said_before, SUPERSEDED, CONTRADICTED)


def _own(value: pl.Expr) -> pl.Expr:
    """Return `value` where every row of the pair has one of its own, else null."""
    pair = (SOURCE, *PAIR)
    distinct = (value.n_unique().over(pair) == pl.len().over(pair)) & (
        value.null_count().over(pair) == 0
    )
    return pl.when(distinct).then(value)
