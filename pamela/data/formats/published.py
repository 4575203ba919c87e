"""What the readers of published releases share: users and images out of the rows that name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import base, files
from pamela.data.formats.files import shown


def read_rows(
    path: Path,
    root: Path,
    required: Sequence[str],
    *,
    optional: Sequence[str] = (),
    separator: str = ",",
    latin1: bool = False,
) -> tuple[pl.DataFrame, list[str]]:
    """Return the rows of a release's table with all its cells as text, and its other columns.

    Those of `optional` are kept where they are there. A name that is there in another case only is
    taken for the same.

    Raises
    ------
    PamelaError
        If the file cannot be read, lacks a column of `required`, or has no rows.
    """
    rows = files.read_table(path, root, separator=separator, latin1=latin1)
    rows = rows.rename(_other_case(rows.columns, (*required, *optional)))
    files.require_columns(rows, required, path, root)
    if not rows.height:
        raise PamelaError(f"{shown(path, root)}: the table has no rows; copy it again")
    others = [c for c in rows.columns if c not in (*required, *optional, *base.SOURCE)]
    return rows.drop(others), others


def _other_case(there: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Return {column: its published name} of those that are there in another case, once each."""
    lower = [column.lower() for column in there]
    return {
        there[lower.index(name.lower())]: name
        for name in wanted
        if name not in there and lower.count(name.lower()) == 1
    }


def number_as_id(column: str) -> pl.Expr:
    """Return ids that a release has as whole numbers; tools that hold an empty cell write 71.0."""
    return s.identifier(column).str.replace(r"^(\d+)\.0+$", "$1")


def ratings_of(
    rows: pl.DataFrame, name: str, columns: Mapping[str, str], *, numbered: bool = False
) -> pl.DataFrame:
    """Return rating rows in `pamela.core.schema.RATINGS_SCHEMA`.

    Parameters
    ----------
    rows : the release's rows, with source_file and source_row.
    name : the dataset.
    columns : the release's column for user_id, image_id and rating.
    numbered : whether its image_ids are `number_as_id`.
    """
    user, image, rating = columns[s.USER], columns[s.IMAGE], columns[s.RATING]
    named = rows.select(
        pl.lit(name).alias(s.DATASET),
        s.identifier(user).alias(s.USER),
        (number_as_id(image) if numbered else s.identifier(image)).alias(s.IMAGE),
        base.number(rating).alias(s.RATING),
        *base.SOURCE,
    )
    return base.conform(named, s.RATINGS_SCHEMA)


def users_of(
    rows: pl.DataFrame, name: str, demographics: Sequence[str]
) -> tuple[pl.DataFrame, list[str]]:
    """Return one row per user with its most frequent known demographics, and notes on conflicts.

    Parameters
    ----------
    rows : DataFrame with user_id, the `demographics` as categories, source_file and source_row;
        rows without a user are left out, and values that differ in case only are one.
    name : the dataset.
    demographics : names of the demographic columns.
    """
    listed = base.unify_case(rows.drop_nulls(s.USER), demographics)
    users = (
        listed.group_by(s.USER, maintain_order=True)
        .agg(*(base.most_frequent(c) for c in demographics), pl.col(*base.SOURCE).first())
        .select(pl.lit(name).alias(s.DATASET), s.USER, *demographics, *base.SOURCE)
        .sort(s.USER)
    )
    return users, _conflicts(listed, s.USER, demographics)


def images_of(
    rows: pl.DataFrame, name: str, metadata: Sequence[str] = ()
) -> tuple[pl.DataFrame, list[str]]:
    """Return one row per image in `pamela.core.schema.IMAGES_SCHEMA`, and notes on conflicts.

    Parameters
    ----------
    rows : DataFrame with image_id, file (the end of the picture's path), the `metadata`,
        source_file and source_row; rows without an image are left out.
    name : the dataset.
    metadata : of each, the most frequent known value counts; values that differ in case only are
        one.

    Raises
    ------
    PamelaError
        If an image has two files.
    """
    listed = base.unify_case(rows.drop_nulls(s.IMAGE), metadata)
    reject_two_files(listed)
    images = (
        listed.group_by(s.IMAGE, maintain_order=True)
        .agg(
            pl.col(s.FILE).drop_nulls().first(),
            *(base.most_frequent(c) for c in metadata),
            pl.col(*base.SOURCE).first(),
        )
        .with_columns(pl.lit(name).alias(s.DATASET))
        .sort(s.IMAGE)
    )
    return base.conform(images, s.IMAGES_SCHEMA, base.SOURCE), _conflicts(listed, s.IMAGE, metadata)


def reject_two_files(rows: pl.DataFrame) -> None:
    """Raise on the first row whose ``file`` is not that of its image_id's other rows."""
    first = pl.col(s.FILE).drop_nulls().first().over(s.IMAGE)
    other = rows.with_columns(_first=first).filter(pl.col(s.FILE) != pl.col("_first"))
    if other.height:
        row = other.row(0, named=True)
        raise PamelaError(
            f"{row[s.SOURCE_FILE]} row {row[s.SOURCE_ROW]}: image_id {row[s.IMAGE]!r} is repeated "
            f"with two paths ({row['_first']}, {row[s.FILE]}); one picture per id"
        )


def _conflicts(rows: pl.DataFrame, key: str, columns: Sequence[str]) -> list[str]:
    """Return a note per column of which some ids have several known values."""
    if not columns:
        return []
    counts = rows.group_by(key).agg(pl.col(c).drop_nulls().n_unique() for c in columns)
    several = counts.select((pl.col(c) > 1).sum() for c in columns).row(0, named=True)
    return [
        f"{column} of {n:,} {key}s that have several (the most frequent counts)"
        for column, n in several.items()
        if n
    ]
