"""Whom a study begins with: the users and images that the dataset itself has ratings of.

In small studies they are assigned to the folds in turn (`pamela.splits.draws`), and how many folds
there are follows from their number. Batches come later and change neither; where a dataset by
itself has too little to be split, its first batches count as its beginning, as many as it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.splits.near_duplicates import BATCH, KEY, SOURCE

ROW: Final = "_row"


@dataclass(frozen=True)
class Founders:
    """Whom a study begins with, each in the order of their first ratings.

    Attributes
    ----------
    users : user_ids.
    images : image_ids.
    groups : keys of the groups that the images belong to (`pamela.splits.near_duplicates`).
    """

    users: pl.Series
    images: pl.Series
    groups: pl.Series


def find_founders(ratings: pl.LazyFrame, keys: pl.DataFrame) -> Founders:
    """Find whom the study of these `ratings`, in the order of its sources, begins with.

    `keys` are the groups (image_id, key) that each image belongs to.
    """
    users, images = first_ratings(ratings, s.USER), first_ratings(ratings, s.IMAGE)
    sources = pl.concat([users, images]).get_column(SOURCE).unique().sort().to_list()
    for last in sources:
        found = _until(users, images, keys, last)
        if min(len(found.users), len(found.groups)) >= 2:
            return found
    return _until(users, images, keys, max(sources, default=""))


def first_ratings(ratings: pl.LazyFrame, key: str) -> pl.DataFrame:
    """Return (id, source, row) of everyone's, or every image's, first rating, in their order."""
    source = pl.col(s.SOURCE_FILE).str.extract(BATCH).fill_null("")
    return (
        ratings.with_row_index(ROW)
        .group_by(pl.col(key).alias("id"))
        .agg(source.min().alias(SOURCE), pl.col(ROW).min())
        .collect(engine="streaming")
        .sort(ROW)
    )


def _until(users: pl.DataFrame, images: pl.DataFrame, keys: pl.DataFrame, last: str) -> Founders:
    """Return who was there when the source `last` had come."""
    rated = images.filter(pl.col(SOURCE) <= last)
    groups = rated.join(keys, left_on="id", right_on=s.IMAGE, maintain_order="left")
    return Founders(
        users.filter(pl.col(SOURCE) <= last).get_column("id"),
        rated.get_column("id"),
        groups.get_column(KEY).unique(maintain_order=True),
    )
