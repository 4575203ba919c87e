"""Whom a study begins with: users and images of which the dataset itself has ratings or choices.

In small studies they are assigned to the folds in turn (`pamela.splits.draws`), and how many folds
there are follows from their number. Batches come later and change neither; where a dataset by
itself has too little to be split, its first batches count as its beginning, as many as it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.data.counts import Aggregate, group_rows
from pamela.splits.near_duplicates import BATCH, KEY, SOURCE

ROW: Final = "_row"


@dataclass(frozen=True)
class Founders:
    """Whom a study begins with, each in the order in which they are named first.

    Attributes
    ----------
    users : user_ids.
    images : image_ids.
    groups : keys of the groups that the images belong to (`pamela.splits.near_duplicates`).
    """

    users: pl.Series
    images: pl.Series
    groups: pl.Series


def find_founders(ratings: pl.LazyFrame, choices: pl.LazyFrame, keys: pl.DataFrame) -> Founders:
    """Find whom the study of these `ratings` and `choices`, each source by source, begins with.

    `keys` are the groups (image_id, key) that each image belongs to.
    """
    users = first_named((ratings, [s.USER]), (choices, [s.USER]))
    images = first_named((ratings, [s.IMAGE]), (choices, [s.IMAGE_A, s.IMAGE_B]))
    sources = pl.concat([users, images]).get_column(SOURCE).unique().sort().to_list()
    for last in sources:
        found = _until(users, images, keys, last)
        if min(len(found.users), len(found.groups)) >= 2:
            return found
    return _until(users, images, keys, max(sources, default=""))


def first_named(*tables: tuple[pl.LazyFrame, Sequence[str]]) -> pl.DataFrame:
    """Return (id, source) of everyone, or every image, in the order in which they are named.

    A source names them in the order of the `tables`, row by row, in a row column by column.

    Parameters
    ----------
    tables : tables with the columns of theirs that hold ids.
    """
    found = [
        _first_rows(table, column).with_columns(
            pl.lit(number).alias("table"), pl.lit(place).alias("place")
        )
        for number, (table, columns) in enumerate(tables)
        for place, column in enumerate(columns)
    ]
    order = [SOURCE, "table", ROW, "place"]
    return (
        pl.concat(found)
        .sort(order)
        .unique("id", keep="first", maintain_order=True)
        .select("id", SOURCE)
    )


def _first_rows(table: pl.LazyFrame, column: str) -> pl.DataFrame:
    """Return (id, source, row): the first row of every id in every source."""
    source = pl.col(s.SOURCE_FILE).str.extract(BATCH).fill_null("")
    rows = table.select(pl.col(column).alias("id"), source.alias(SOURCE)).with_row_index(ROW)
    return group_rows(rows, ["id", SOURCE], [Aggregate.least(ROW, pl.col(ROW))])


def _until(users: pl.DataFrame, images: pl.DataFrame, keys: pl.DataFrame, last: str) -> Founders:
    """Return who was there when the source `last` had come."""
    rated = images.filter(pl.col(SOURCE) <= last)
    groups = rated.join(keys, left_on="id", right_on=s.IMAGE, maintain_order="left")
    return Founders(
        users.filter(pl.col(SOURCE) <= last).get_column("id"),
        rated.get_column("id"),
        groups.get_column(KEY).unique(maintain_order=True),
    )
