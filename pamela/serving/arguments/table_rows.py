"""What tables of ratings and of choices share: cells that hold something, faults that name rows."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import base


def filled(column: str) -> pl.Expr:
    """Return a column as text; blank is null."""
    text = base.text(column)
    return pl.when(text.str.strip_chars() != "").then(text).alias(column)


def numbered(frame: pl.DataFrame, columns: Sequence[str], ids: Sequence[str]) -> pl.DataFrame:
    """Return a table with ``source_row`` (from 1, unless it is there) and all of `columns`.

    Parameters
    ----------
    columns : those that are read; null where they are absent.
    ids : of these, what may have become numbers.
    """
    there = s.SOURCE_ROW in frame.columns
    rows = frame if there else frame.with_row_index(s.SOURCE_ROW, 1)
    rows = base.whole_floats_as_integers(rows, [c for c in ids if c in frame.columns])
    absent = [c for c in columns if c not in frame.columns]
    return rows.with_columns(pl.lit(None, pl.String).alias(c) for c in absent)


def reject_rows(rows: pl.DataFrame, name: str, faulty: pl.Expr, why: str) -> None:
    """Raise at the first faulty row of a table called `name`; `why` may name its columns."""
    found = rows.filter(faulty)
    if found.height:
        row = found.row(0, named=True)
        raise PamelaError(f"{name} row {row[s.SOURCE_ROW]}: {why.format(**row)}")


def reject_odd_types(frame: pl.DataFrame, name: str, columns: Sequence[str], wanted: str) -> None:
    """Raise at the first of `columns` that holds lists, objects or bytes."""
    for column in columns:
        dtype = frame.schema.get(column)
        if dtype is not None and (dtype.is_nested() or dtype in (pl.Binary, pl.Object)):
            raise PamelaError(f"{name}: column {column} holds {dtype}; give {wanted}")
