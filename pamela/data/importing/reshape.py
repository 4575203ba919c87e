"""From the columns that people have to those of the tables format: names, wide tables, numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.csv_faults import TableFault
from pamela.data.formats import base, tables
from pamela.data.importing.options import ColumnName, TableOptions

IDS: Final = (s.USER, s.IMAGE)
ABOUT_IMAGES: Final = (s.FILE, s.PROMPT, *tables.IMAGES_OPTIONAL)
TEXTS: Final = (
    *(*IDS, s.IMAGE_A, s.IMAGE_B, s.CHOICE, s.FILE, s.PROMPT, s.PROMPT_ID),
    *(s.RATED_AT, s.CHOSEN_AT),
)  # never numbers
DECIMAL_COMMA: Final = r"^(\s*[+-]?\d+),(\d+\s*)$"
Opened = Mapping[str, pl.LazyFrame]  # by table: ratings, choices, users, images


def rename(opened: Opened, options: TableOptions, names: Mapping[str, str]) -> Opened:
    """Return the tables under our column names, without the columns to leave out.

    Parameters
    ----------
    names : what each table is called in messages.

    Raises
    ------
    PamelaError
        If a column that an option names is in no table, or a new name is taken.
    """
    renamed = dict(opened)
    used: set[str] = set()
    for table, frame in opened.items():
        columns = frame.collect_schema().names()
        mine = [c for c in options.columns if c.table in (None, table) and c.theirs in columns]
        used |= {str(entry) for entry in mine}
        gone = {entry.theirs for entry in mine} | set(options.drop)
        rest = [c for c in columns if c not in gone]
        _reject_taken(mine, rest, names[table])
        renamed[table] = frame.select(*(pl.col(c.theirs).alias(c.ours) for c in mine), *rest)
    there = {c for frame in opened.values() for c in frame.collect_schema().names()}
    for entry in options.columns:
        if str(entry) not in used:
            turned = "; is it the other way round, OURS=THEIRS?" if entry.ours in there else ""
            table = entry.table or next(iter(opened))
            fault = _no_such_column(f"--map {entry}", table, opened, names)
            raise PamelaError(f"{fault}{turned}")
    for column in options.drop:
        if column not in there:
            raise _no_such_column(f"--drop {column}", next(iter(opened)), opened, names)
    return renamed


def _reject_taken(mine: Sequence[ColumnName], rest: Sequence[str], name: str) -> None:
    ours = [entry.ours for entry in mine]
    for entry in mine:
        if entry.ours in rest:
            raise PamelaError(
                f"--map {entry}: {name} has a column {entry.ours} already; leave that one out "
                f"with --drop {entry.ours}, or map it too"
            )
        if ours.count(entry.ours) > 1:
            raise PamelaError(f"--map {entry}: {entry.ours} is named twice; give it once")


def _no_such_column(said: str, table: str, opened: Opened, names: Mapping[str, str]) -> PamelaError:
    if table not in opened:
        return PamelaError(f"{said}: there is no {table} table; {', '.join(names.values())} is")
    columns = [c for c in opened[table].collect_schema().names() if c not in base.SOURCE]
    return PamelaError(f"{said}: no such column; {names[table]} has {', '.join(columns)}")


def lengthen(ratings: pl.LazyFrame, options: TableOptions, name: str) -> pl.LazyFrame:
    """Return a wide table, a column per rater (or per image), with a row per rating.

    An empty cell is no rating. What is known of the image or asked of the user stays beside it.

    Raises
    ------
    PamelaError
        If neither or both ids are columns, or a column holds no number at all.
    """
    columns = ratings.collect_schema().names()
    ids = [c for c in IDS if c in columns]
    if len(ids) != 1:
        found = " and ".join(ids) if ids else "neither image_id nor user_id"
        raise TableFault(
            f"{name}: --wide, and the columns hold {found}; one of them names the row, the other "
            "stands in the header",
            "say which column it is: --map image_id=COLUMN",
        )
    other = IDS[1 - IDS.index(ids[0])]
    kept = [*ids, *options.demographics, *(ABOUT_IMAGES if ids[0] == s.IMAGE else ())]
    index = [c for c in columns if c in kept]
    values = [c for c in columns if c not in (*index, *base.SOURCE)]
    if "" in values:
        raise PamelaError(
            f"{name}: --wide, and column {columns.index('') + 1} has no name; an index is nobody's "
            "rating: save the table without it"
        )
    _reject_without_numbers(ratings, values, options, name)
    long = ratings.with_columns(pl.col(values).cast(pl.String)).unpivot(
        on=values, index=[*index, *base.SOURCE], variable_name=other, value_name=s.RATING
    )
    given = ~pl.col(s.RATING).str.strip_chars().str.to_lowercase().is_in(base.NOTHING)
    return long.filter(given)


def _reject_without_numbers(
    ratings: pl.LazyFrame, columns: Sequence[str], options: TableOptions, name: str
) -> None:
    """Raise on a column of words: no rater wrote it."""
    if not columns:
        raise PamelaError(f"{name}: --wide, and there is no column of ratings")
    with_points = points(ratings, columns) if options.decimal_comma else ratings
    found = with_points.select(base.number(c).is_not_null().any() for c in columns)
    row = found.collect(engine="streaming").row(0, named=True)
    words = [c for c in columns if not row[c]]
    if words:
        raise PamelaError(
            f"{name}: --wide, and column {words[0]} holds no number; leave it out with --drop "
            f"{','.join(words)}"[:500]
        )


def points(frame: pl.LazyFrame, columns: Sequence[str] | None = None) -> pl.LazyFrame:
    """Return `frame` with decimal points for decimal commas, in all its columns of numbers."""
    schema = frame.collect_schema()
    named = columns if columns is not None else [c for c in schema if c not in TEXTS]
    texts = [c for c in named if schema[c] == pl.String and c not in base.SOURCE]
    return frame.with_columns(pl.col(texts).str.replace(DECIMAL_COMMA, "$1.$2")) if texts else frame
