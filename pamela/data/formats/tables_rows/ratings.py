"""Ratings in the tables format: from a file of any size to canonical rows, read when used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.counts import Aggregate, count_by_rater
from pamela.data.formats import base, files
from pamela.data.formats.base import Words
from pamela.data.formats.files import shown
from pamela.data.formats.tables_rows import cells

REQUIRED: Final = (s.USER, s.IMAGE, s.RATING)
OPTIONAL: Final = (s.RATED_AT, s.POSITION, s.SPLIT)
WANTED: Final = {
    s.SPLIT: f"one of {', '.join(s.RELEASE_PARTS)}",
    s.POSITION: cells.WHOLE,
    s.RATED_AT: cells.A_TIME,
}
WORD: Final = "_word"  # a rating's cell that is no number
N_WORDS: Final = "_n_words"


@dataclass(frozen=True)
class Ratings:
    """A ratings file as canonical rows.

    Attributes
    ----------
    rows : LazyFrame with `pamela.core.schema.RATINGS_SCHEMA`.
    dropped : columns that were not taken over.
    counted : `pamela.data.counts.count_by_rater` of the rows.
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
    examples = (
        counted.get_column(WORD).drop_nulls().unique(maintain_order=True).head(base.WORD_EXAMPLES)
    )
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
    canonical = cells.read_values(frame, values, s.RATED_AT).with_columns(
        pl.lit(name).alias(s.DATASET),
        s.identifier(s.USER),
        s.identifier(s.IMAGE),
        base.number(s.RATING),
        pl.when(base.number(s.RATING).is_null()).then(base.text(s.RATING)).alias(WORD),
        *cells.checked_cells(values),
    )
    marks = [cells.UNREADABLE + c for c in values]
    return base.conform(canonical, s.RATINGS_SCHEMA, [WORD, *marks])


def _values(schema: pl.Schema) -> dict[str, pl.Expr]:
    """Return how the optional columns are read; a cell that cannot be read is null."""
    split = base.text(s.SPLIT)
    return {
        s.SPLIT: pl.when(split.is_in(s.RELEASE_PARTS)).then(split),
        s.POSITION: cells.whole_number(s.POSITION),
        s.RATED_AT: cells.time(s.RATED_AT, schema.get(s.RATED_AT)),
    }


# --- the pass over the file -------------------------------------------------------------------
def _read_through(marked: pl.LazyFrame, path: Path, root: Path) -> pl.DataFrame:
    """Read all rows and return `counts.count_by_rater`; raise at the first unreadable cell."""
    words = (
        Aggregate.first(WORD, pl.col(WORD)),
        Aggregate.total(N_WORDS, pl.col(WORD).count()),
    )
    with files.reading(path, root):  # every cell is read, counted or not
        counted = count_by_rater(marked, *cells.first_marks(marked), *words)
    if not counted.height:
        raise PamelaError(f"{shown(path, root)}: the table has no rows; give at least one rating")
    cells.reject_unreadable(counted, path, root, WANTED)
    return counted
