"""Ratings in the tables format: from a file of any size to canonical rows, read when used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import base, files
from pamela.data.formats.base import Words
from pamela.data.formats.files import shown

REQUIRED: Final = (s.USER, s.IMAGE, s.RATING)
OPTIONAL: Final = (s.RATED_AT, s.POSITION, s.SPLIT)
TIME_FORMATS: Final = ("%F %T%.f", "%F %H:%M", "%F", "%F %T%.f%#z")
WANTED: Final = {
    s.SPLIT: f"one of {', '.join(s.RELEASE_PARTS)}",
    s.POSITION: "a whole number",
    s.RATED_AT: "a time such as 2026-01-31T12:00:00",
}
READ: Final = "_read_"  # prefix of a column of values that were read
WORD: Final = "_word"  # a rating's cell that is no number
N_WORDS: Final = "_n_words"
EXAMPLES: Final = 3  # of them that are kept
UNREADABLE: Final = "_unreadable_"  # prefix of a column that marks cells


@dataclass(frozen=True)
class Ratings:
    """A ratings file as canonical rows.

    Attributes
    ----------
    rows : LazyFrame with `pamela.core.schema.RATINGS_SCHEMA`.
    dropped : columns that were not taken over.
    counted : `base.count_by_rater` of the rows.
    words : cells of the rating that are no numbers: how many, and the first of some raters.
    """

    rows: pl.LazyFrame
    dropped: list[str]
    counted: pl.DataFrame
    words: Words


def read_ratings(
    path: Path, name: str, root: Path, scale: tuple[float, float], *, batch: bool
) -> Ratings:
    """Read ``ratings.csv`` or ``.parquet`` as the ratings of dataset `name`.

    The whole file is read once, to know that it can be. True and False are 1 and 0 on the `scale`
    [0, 1]; on any other they are no ratings.

    Raises
    ------
    PamelaError
        If the file cannot be read, lacks a column or has no rows, or at the first cell of rated_at,
        position or split that cannot be read.
    """
    frame = files.scan_table(path, root)
    files.require_columns(frame, REQUIRED, path, root)
    known = (*REQUIRED, *OPTIONAL)
    files.require_cells(frame, known, path, root)
    dropped = [c for c in frame.collect_schema() if c not in (*known, *base.SOURCE)]
    if batch and s.SPLIT in frame.collect_schema():
        frame = frame.drop(s.SPLIT)  # a batch's rows follow from who and what the dataset holds out
        dropped.append(s.SPLIT)
    if scale == (0.0, 1.0):
        frame = frame.with_columns(_truth_as_number())
    marked = _marked(frame, name, path, root)
    counted = _read_through(marked, path, root)
    examples = counted.get_column(WORD).drop_nulls().unique(maintain_order=True).head(EXAMPLES)
    words = Words(int(counted.get_column(N_WORDS).sum()), tuple(examples))
    return Ratings(marked.select(s.RATINGS_SCHEMA.names()), dropped, counted, words)


# --- from cells to values ---------------------------------------------------------------------
def _truth_as_number() -> pl.Expr:
    """Return the rating as text, where the words (or the type) of a truth value are 1 and 0."""
    cell = pl.col(s.RATING).cast(pl.String)
    word = cell.str.strip_chars().str.to_lowercase()
    return (
        pl.when(word == "true")
        .then(pl.lit("1"))
        .when(word == "false")
        .then(pl.lit("0"))
        .otherwise(cell)
        .alias(s.RATING)
    )


def _marked(frame: pl.LazyFrame, name: str, path: Path, root: Path) -> pl.LazyFrame:
    """Return canonical rows, and for each optional column a mark at the cells it cannot read."""
    with files.reading(path, root):
        frame = base.whole_floats_as_integers(frame, [s.USER, s.IMAGE])
    schema = frame.collect_schema()
    values = {c: value for c, value in _values(schema).items() if c in schema}
    # in steps, so that what a cell reads as is worked out once
    read = frame.with_columns(value.alias(READ + c) for c, value in values.items())
    if read.collect_schema().get(READ + s.RATED_AT) == pl.String:
        read = _parse_times(read)
    canonical = read.with_columns(
        pl.lit(name).alias(s.DATASET),
        s.identifier(s.USER),
        s.identifier(s.IMAGE),
        base.number(s.RATING),
        pl.when(base.number(s.RATING).is_null()).then(base.text(s.RATING)).alias(WORD),
        *(pl.col(READ + c).alias(c) for c in values),
        *(
            (base.text(c).is_not_null() & pl.col(READ + c).is_null()).alias(UNREADABLE + c)
            for c in values
        ),
    )
    return base.conform(canonical, s.RATINGS_SCHEMA, [WORD, *(UNREADABLE + c for c in values)])


def _values(schema: pl.Schema) -> dict[str, pl.Expr]:
    """Return how the optional columns are read; a cell that cannot be read is null."""
    split, position = base.text(s.SPLIT), base.number(s.POSITION)
    whole = (position % 1 == 0) & (position.abs() < 2**63)
    return {
        s.SPLIT: pl.when(split.is_in(s.RELEASE_PARTS)).then(split),
        s.POSITION: pl.when(whole).then(position).cast(pl.Int64, strict=False),
        s.RATED_AT: _time(schema.get(s.RATED_AT, pl.String())),
    }


def _time(dtype: pl.DataType) -> pl.Expr:
    """Return ``rated_at`` as a time, or as text for `_parse_times`.

    A zoned time becomes UTC, one without a zone stays as it is.
    """
    column = pl.col(s.RATED_AT)
    if isinstance(dtype, pl.Datetime):
        utc = column.dt.convert_time_zone("UTC")
        return utc.dt.replace_time_zone(None).dt.cast_time_unit("us")
    if dtype == pl.Date:
        return column.cast(pl.Datetime("us"))
    return base.text(s.RATED_AT).str.strip_chars()


def _parse_times(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Turn rated_at, read as text, into times: a format sees what the ones before could not read.

    Step by step: in a single expression every format would read all cells.
    """
    column = READ + s.RATED_AT
    text = pl.col(column).str.replace("T", " ", literal=True)
    frame = frame.with_columns(pl.lit(None, pl.Datetime("us")).alias(column), _text=text)
    for form in TIME_FORMATS:
        left = pl.when(pl.col(column).is_null()).then(pl.col("_text"))
        times = left.str.to_datetime(form, time_unit="us", strict=False)
        utc = times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        frame = frame.with_columns(pl.coalesce(column, utc))
    return frame


# --- the pass over the file -------------------------------------------------------------------
def _read_through(marked: pl.LazyFrame, path: Path, root: Path) -> pl.DataFrame:
    """Read all rows and return `base.count_by_rater`; raise at the first unreadable cell."""
    marks = [c for c in marked.collect_schema() if c.startswith(UNREADABLE)]
    first_rows = (pl.col(s.SOURCE_ROW).filter(pl.col(mark)).min().alias(mark) for mark in marks)
    words = (pl.col(WORD).drop_nulls().first(), pl.col(WORD).count().alias(N_WORDS))
    other_cells = pl.col(s.IMAGE, s.RATING, s.RATED_AT, s.POSITION).count()  # read them as well
    with files.reading(path, root):
        counted = base.count_by_rater(marked, *first_rows, *words, other_cells)
    if not counted.height:
        raise PamelaError(f"{shown(path, root)}: the table has no rows; give at least one rating")
    unreadable = [(counted.get_column(mark).min(), mark) for mark in marks]
    faults = [(int(row), mark) for row, mark in unreadable if isinstance(row, int)]
    if faults:
        row, mark = min(faults, key=lambda fault: fault[0])
        column = mark.removeprefix(UNREADABLE)
        cells = files.scan_table(path, root).filter(pl.col(s.SOURCE_ROW) == row).select(column)
        raise PamelaError(
            f"{shown(path, root)} row {row}: {column} {cells.collect().item()!r} is not "
            f"{WANTED[column]}; correct the cell"
        )
    return counted
