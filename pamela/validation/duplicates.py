"""Several ratings of one image by one user: which one counts, and why the others do not.

Where dataset.yaml says ``repeats:``, each rating is a measure and counts; only a row that gives the
same rating at the same time and position again is the same row twice. Where it does not, that holds
in the dataset's own table, not in its batches, for ratings of which each has its own time (else its
own position).

Elsewhere, within one source an exact repeat counts once, its first row. Of different ratings the
latest counts where every one of them has its own time (else its own position); otherwise none does,
as nothing says which is meant. Across sources (a batch that comes later) an equal rating is the
same row delivered again; a different one is what the person says now: it counts as well, and takes
nothing from what was accepted before, so that the release's figures never change.
``expectations/repeats.json`` holds the rows to the three marks that are set here.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.split_rows import rows_of_shared_pairs as find_candidates
from pamela.data.repeats import FAULTS, Repeats

__all__ = ["find_candidates", "mark_repeats"]

REPEATED: Final = "repeated"
SUPERSEDED: Final = "superseded"
CONTRADICTED: Final = "contradicted"
PAIR: Final = (s.USER, s.IMAGE)
MEASURE: Final = "_measure"
SOURCE: Final = "source"  # 0-based place of a row's source; an earlier one takes precedence
_IMPORTED: Final = pl.col(SOURCE) == 0  # the dataset's own table, not a batch
# What is looked at; everything else of a row does not matter here.
COLUMNS: Final = (*PAIR, s.RATING, s.RATED_AT, s.POSITION)


def mark_repeats(rows: pl.DataFrame, repeats: Repeats = FAULTS) -> pl.DataFrame:
    """Return the marks of ratings of any sources.

    Parameters
    ----------
    rows : DataFrame of `COLUMNS` and source, each source in its own order; faultless otherwise.
    repeats : what several ratings of one image by one user are.

    Returns
    -------
    DataFrame (repeated, superseded, contradicted) of booleans, row by row.
    """
    pair, when = (SOURCE, *PAIR), (s.RATED_AT, s.POSITION)
    several = pl.len().over(pair) > 1
    differ = pl.col(s.RATING).n_unique().over(pair) > 1
    first = pl.int_range(pl.len()).over(pair) == 0
    # the same rating at the same time and position: not a second measure
    copy = pl.any_horizontal(pl.col(when).is_not_null()) & (
        pl.int_range(pl.len()).over(*pair, s.RATING, *when) > 0
    )
    here = pl.lit(repeats.declared) if repeats.mode is None or repeats.declared else _IMPORTED
    of = ~(here & copy)
    order = pl.coalesce(_own(pl.col(s.RATED_AT).to_physical(), of), _own(pl.col(s.POSITION), of))
    latest = (order == order.max().over(pair)).fill_null(False)
    measure = here & (pl.lit(repeats.declared) | order.is_not_null())
    within = rows.select(
        *COLUMNS,
        SOURCE,
        pl.when(measure).then(copy).otherwise(several & ~differ & ~first).alias(REPEATED),
        (~measure & differ & order.is_not_null() & ~latest).alias(SUPERSEDED),
        (~measure & differ & order.is_null()).alias(CONTRADICTED),
        measure.alias(MEASURE),
    )
    counts = ~pl.any_horizontal(REPEATED, SUPERSEDED, CONTRADICTED)
    earlier, same = pl.col(SOURCE).filter(counts).min(), (*PAIR, s.RATING)
    first_source = pl.when(MEASURE).then(earlier.over(*same, *when)).otherwise(earlier.over(*same))
    said_before = counts & (pl.col(SOURCE) > first_source)
    return within.select(pl.col(REPEATED) | said_before, SUPERSEDED, CONTRADICTED)


def _own(value: pl.Expr, of: pl.Expr) -> pl.Expr:
    """Return `value` where all rows `of` the pair have one of their own, else null."""
    pair = (SOURCE, *PAIR)
    told = value.filter(of)
    distinct = (told.n_unique().over(pair) == of.sum().over(pair)) & (
        told.null_count().over(pair) == 0
    )
    return pl.when(distinct).then(value)
