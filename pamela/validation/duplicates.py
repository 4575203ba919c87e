"""Several ratings of one image by one user: which one counts, and why the others do not.

Within one source an exact repeat counts once, its first row. Of different ratings the latest counts
where every one of them has its own time (else its own position); otherwise none does, as nothing
says which is meant. Across sources (a batch that comes later) an equal rating is the same row
delivered again; a different one is what the person says now: it counts as well, and takes nothing
from what stood before, so that the release's figures never change. ``expectations/repeats.json``
holds the rows to the three marks that are set here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.hashing import Hashes, mix

REPEATED: Final = "repeated"
SUPERSEDED: Final = "superseded"
CONTRADICTED: Final = "contradicted"
PAIR: Final = (s.USER, s.IMAGE)
# What is looked at; everything else of a row does not matter here.
COLUMNS: Final = (*PAIR, s.RATING, s.RATED_AT, s.POSITION)
PIECE: Final = 1 << 21  # rows of repeated pairs that are compared at once
Rows = npt.NDArray[np.int64]


def pair_hashes(rows: pl.DataFrame) -> Hashes:
    """Return 64 bits of each row's (user_id, image_id); equal pairs have equal hashes.

    Good for finding candidates within one version of Polars, never for a verdict.
    """
    user, image = (rows.get_column(c).hash(seed).to_numpy() for seed, c in enumerate(PAIR))
    return mix(mix(user) ^ image)


def candidates(order: Rows, hashes: Hashes) -> Iterator[Rows]:
    """Yield the rows whose hash another row shares, in pieces that keep equal hashes together.

    Parameters
    ----------
    order : rows in the order of their hashes.
    hashes : their hashes, sorted.
    """
    same = hashes[1:] == hashes[:-1]
    shared = np.zeros(len(hashes), bool)
    shared[1:] = same
    shared[:-1] |= same
    rows, values = order[shared], hashes[shared]
    start = 0
    while start < len(rows):
        stop = min(start + PIECE, len(rows))
        stop = int(np.searchsorted(values, values[stop - 1], side="right"))
        yield np.sort(rows[start:stop])
        start = stop


def mark_within(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the marks of rows of one source.

    Parameters
    ----------
    rows : DataFrame of `COLUMNS`, in the order of the source; faultless otherwise.

    Returns
    -------
    DataFrame (repeated, superseded, contradicted) of booleans, row by row.
    """
    several = pl.len().over(PAIR) > 1
    differ = pl.col(s.RATING).n_unique().over(PAIR) > 1
    first = pl.int_range(pl.len()).over(PAIR) == 0
    order = pl.coalesce(_own(pl.col(s.RATED_AT).to_physical()), _own(pl.col(s.POSITION)))
    latest = (order == order.max().over(PAIR)).fill_null(False)
    return rows.select(
        (several & ~differ & ~first).alias(REPEATED),
        (differ & order.is_not_null() & ~latest).alias(SUPERSEDED),
        (differ & order.is_null()).alias(CONTRADICTED),
    )


def _own(value: pl.Expr) -> pl.Expr:
    """Return `value` where every row of the pair has one of its own, else null."""
    distinct = (value.n_unique().over(PAIR) == pl.len().over(PAIR)) & (
        value.null_count().over(PAIR) == 0
    )
    return pl.when(distinct).then(value)


def mark_across(rows: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """Return the marks of rows of a later source against `standing` (user_id, image_id, rating).

    The marks are those of `mark_within`; only an equal rating is marked, as repeated.
    """
    said = [*PAIR, s.RATING]
    known = standing.select(said).unique().with_columns(pl.lit(True).alias(REPEATED))
    return rows.join(known, on=said, how="left", maintain_order="left").select(
        pl.col(REPEATED).fill_null(False),
        pl.lit(False).alias(SUPERSEDED),
        pl.lit(False).alias(CONTRADICTED),
    )
