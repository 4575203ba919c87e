"""Choices between two pictures in the tables format: canonical rows, read when used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.counts import Aggregate, count_by_chooser
from pamela.data.formats import base, files
from pamela.data.formats.base import Words
from pamela.data.formats.files import shown
from pamela.data.formats.tables_rows import cells

IDS: Final = (s.USER, s.IMAGE_A, s.IMAGE_B)
REQUIRED: Final = (*IDS, s.CHOICE)
OPTIONAL: Final = (s.CHOSEN_AT, s.POSITION)
WANTED: Final = {s.POSITION: cells.WHOLE, s.CHOSEN_AT: cells.A_TIME}
# Other words that can mean one thing only; left and right, 1 and 2, 0 and 1 could mean two.
SPELLINGS: Final = {
    s.IMAGE_A: s.CHOSE_A,
    s.IMAGE_B: s.CHOSE_B,
    "tied": s.TIE,
    "draw": s.TIE,
    "equal": s.TIE,
}
OTHER: Final = "_other"  # a cell that says none of a, b and tie
N_OTHER: Final = "_n_other"


@dataclass(frozen=True)
class Choices:
    """A choices file as canonical rows.

    Attributes
    ----------
    rows : LazyFrame with `pamela.core.schema.CHOICES_SCHEMA`; a cell that says none of a, b and
        tie stays as it is.
    dropped : columns that were not taken over.
    counted : `pamela.data.counts.count_by_chooser` of the rows.
    words : such cells: how many, and the first of some people.
    """

    rows: pl.LazyFrame
    dropped: list[str]
    counted: pl.DataFrame
    words: Words


def read_choices(path: Path, name: str, root: Path) -> Choices:
    """Read ``choices.csv`` or ``.parquet`` as the choices of dataset `name`.

    The whole file is read once, to know that it can be.

    Raises
    ------
    PamelaError
        If the file cannot be read, lacks a column or has no rows, or at the first cell of chosen_at
        or position that cannot be read.
    """
    frame = files.scan_table(path, root)
    files.require_columns(frame, REQUIRED, path, root)
    known = (*REQUIRED, *OPTIONAL)
    files.require_cells(frame, known, path, root)
    dropped = [c for c in frame.collect_schema() if c not in (*known, *base.SOURCE)]
    marked = _marked(frame, name, path, root)
    counted = _read_through(marked, path, root)
    examples = (
        counted.get_column(OTHER).drop_nulls().unique(maintain_order=True).head(base.WORD_EXAMPLES)
    )
    words = Words(int(counted.get_column(N_OTHER).sum()), tuple(examples))
    return Choices(marked.select(s.CHOICES_SCHEMA.names()), dropped, counted, words)


def said() -> pl.Expr:
    """Return the choice as a, b or tie, from these words or the id of the chosen image.

    Other cells stay as they are.
    """
    word, a, b = (s.identifier(column) for column in (s.CHOICE, s.IMAGE_A, s.IMAGE_B))
    plain = word.str.to_lowercase().replace(SPELLINGS)
    return (
        pl.when(plain.is_in(list(s.OUTCOMES)))
        .then(plain)
        .when((word == a) & (word != b))
        .then(pl.lit(s.CHOSE_A))
        .when((word == b) & (word != a))
        .then(pl.lit(s.CHOSE_B))
        .otherwise(word)
        .alias(s.CHOICE)
    )


def _marked(frame: pl.LazyFrame, name: str, path: Path, root: Path) -> pl.LazyFrame:
    """Return canonical rows, and for each optional column a mark at the cells it cannot read."""
    with files.reading(path, root):
        frame = base.whole_floats_as_integers(frame, (*IDS, s.CHOICE))
    schema = frame.collect_schema()
    values = {
        s.POSITION: cells.whole_number(s.POSITION),
        s.CHOSEN_AT: cells.time(s.CHOSEN_AT, schema.get(s.CHOSEN_AT)),
    }
    values = {c: value for c, value in values.items() if c in schema}
    choice = said()
    canonical = cells.read_values(frame, values, s.CHOSEN_AT).with_columns(
        pl.lit(name).alias(s.DATASET),
        *map(s.identifier, IDS),
        choice,
        pl.when(~choice.is_in(list(s.OUTCOMES))).then(choice).alias(OTHER),
        *cells.checked_cells(values),
    )
    marks = [cells.UNREADABLE + c for c in values]
    return base.conform(canonical, s.CHOICES_SCHEMA, [OTHER, *marks])


def _read_through(marked: pl.LazyFrame, path: Path, root: Path) -> pl.DataFrame:
    """Read all rows and return `counts.count_by_chooser`; raise at the first unreadable cell."""
    others = (
        Aggregate.first(OTHER, pl.col(OTHER)),
        Aggregate.total(N_OTHER, pl.col(OTHER).count()),
    )
    with files.reading(path, root):  # every cell is read, counted or not
        counted = count_by_chooser(marked, *cells.first_marks(marked), *others)
    if not counted.height:
        raise PamelaError(f"{shown(path, root)}: the table has no rows; give at least one choice")
    cells.reject_unreadable(counted, path, root, WANTED)
    return counted
