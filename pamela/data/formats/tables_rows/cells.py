"""Optional cells of ratings and choices: how they are read, and where the first faulty one is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.counts import Aggregate
from pamela.data.formats import base, files
from pamela.data.formats.files import shown

TIME_FORMATS: Final = ("%F %T%.f", "%F %H:%M", "%F", "%F %T%.f%#z")
A_TIME: Final = "a time such as 2026-01-31T12:00:00"
WHOLE: Final = "a whole number"
READ: Final = "_read_"  # prefix of a column of values that were read
UNREADABLE: Final = "_unreadable_"  # prefix of a column that marks cells


def whole_number(column: str) -> pl.Expr:
    """Return a column as whole numbers; what is none is null."""
    value = base.number(column)
    whole = (value % 1 == 0) & (value.abs() < 2**63)
    return pl.when(whole).then(value).cast(pl.Int64, strict=False)


def time(column: str, dtype: pl.DataType | None) -> pl.Expr:
    """Return a column of `dtype` as times, or as text, which `read_values` parses.

    A zoned time becomes UTC, one without a zone stays as it is.
    """
    if isinstance(dtype, pl.Datetime):
        utc = pl.col(column).dt.convert_time_zone("UTC")
        return utc.dt.replace_time_zone(None).dt.cast_time_unit("us")
    if dtype == pl.Date:
        return pl.col(column).cast(pl.Datetime("us"))
    return base.text(column).str.strip_chars()


def read_values(frame: pl.LazyFrame, values: Mapping[str, pl.Expr], when: str) -> pl.LazyFrame:
    """Return `frame` with the `values` of optional columns, for `checked_cells`.

    Parameters
    ----------
    when : the column of times.
    """
    # in steps, so that what a cell reads as is worked out once
    read = frame.with_columns(value.alias(READ + c) for c, value in values.items())
    if read.collect_schema().get(READ + when) == pl.String:
        read = _parse_times(read, READ + when)
    return read


def checked_cells(values: Mapping[str, pl.Expr]) -> list[pl.Expr]:
    """Return the columns of `read_values`, and a mark for each at the cells it cannot read."""
    read = [pl.col(READ + c).alias(c) for c in values]
    marks = (base.text(c).is_not_null() & pl.col(READ + c).is_null() for c in values)
    return [*read, *(mark.alias(UNREADABLE + c) for c, mark in zip(values, marks, strict=True))]


def _parse_times(frame: pl.LazyFrame, column: str) -> pl.LazyFrame:
    """Turn a column of text into times: a format sees what the ones before could not read.

    Step by step: in a single expression every format would read all cells.
    """
    text = pl.col(column).str.replace("T", " ", literal=True)
    frame = frame.with_columns(pl.lit(None, pl.Datetime("us")).alias(column), _text=text)
    for form in TIME_FORMATS:
        left = pl.when(pl.col(column).is_null()).then(pl.col("_text"))
        times = left.str.to_datetime(form, time_unit="us", strict=False)
        utc = times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        frame = frame.with_columns(pl.coalesce(column, utc))
    return frame


def first_marks(marked: pl.LazyFrame) -> list[Aggregate]:
    """Return, for each column of marks, the first row that has one."""
    marks = [c for c in marked.collect_schema() if c.startswith(UNREADABLE)]
    return [Aggregate.least(mark, pl.col(s.SOURCE_ROW).filter(pl.col(mark))) for mark in marks]


def reject_unreadable(
    counted: pl.DataFrame, path: Path, root: Path, wanted: Mapping[str, str]
) -> None:
    """Raise at the first cell that cannot be read.

    Parameters
    ----------
    counted : DataFrame with a column of each of `first_marks`.
    path : the file they are of.
    wanted : what should stand in each column.
    """
    marks = [c for c in counted.columns if c.startswith(UNREADABLE)]
    unreadable = [(counted.get_column(mark).min(), mark) for mark in marks]
    faults = [(int(row), mark) for row, mark in unreadable if isinstance(row, int)]
    if not faults:
        return
    row, mark = min(faults, key=lambda fault: fault[0])
    column = mark.removeprefix(UNREADABLE)
    cells = files.scan_table(path, root).filter(pl.col(s.SOURCE_ROW) == row).select(column)
    raise PamelaError(
        f"{shown(path, root)} row {row}: {column} {cells.collect().item()!r} is not "
        f"{wanted[column]}; correct the cell"
    )
