"""What lies on two sides of a split: pictures, users and images that leak from one part to another.

One definition, used on import (a release's own splits) and by the split stage, which records the
counts per fold in ``data/splits/splits.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Ints

SIDE: Final = "side"
SEEN: Final = (s.TRAIN, s.VAL_SEEN, s.TEST_SEEN)
UNSEEN: Final = (s.VAL_UNSEEN, s.TEST_UNSEEN)
VAL_PARTS: Final = (s.VAL_SEEN, s.VAL_UNSEEN)
TEST_PARTS: Final = (s.TEST_SEEN, s.TEST_UNSEEN)

# What each count means, for people: (singular, plural)
MEANING: Final[Mapping[str, str]] = {
    "same_content_on_two_sides": "picture contents that lie on two sides under two ids",
    "unseen_rows_on_train_images": "rows of unseen users that touch training images",
    "images_in_val_and_test": "images that validation and test share",
    "unseen_users_in_val_and_test": "unseen users that validation and test share",
    "unseen_users_with_seen_rows": "users said to be unseen that have rows of a seen user",
}


def count_overlaps(
    rows: pl.DataFrame, image_sides: pl.DataFrame, contents: pl.DataFrame
) -> dict[str, int]:
    """Return the counts of `MEANING` for one fold.

    Parameters
    ----------
    rows : the fold's ratings: user_id, image_id, part.
    image_sides, contents : see `overlaps_of`.
    """
    users, images = (_counts(rows, key) for key in (s.USER, s.IMAGE))
    return overlaps_of(users, images, image_sides, contents)


def overlaps_of(
    users: Ints, images: Ints, image_sides: pl.DataFrame, contents: pl.DataFrame
) -> dict[str, int]:
    """Return the counts of `MEANING` for one fold.

    Parameters
    ----------
    users, images : int64 (n, parts): how many of each user's, and of each image's, ratings lie in
        each part, parts in the order of `pamela.core.schema.PARTS`.
    image_sides : image_id, side (train, val, test; unused is none).
    contents : image_id, sha256; images without a hash do not take part.
    """
    hashed = contents.select(s.IMAGE, s.SHA256).drop_nulls().join(image_sides, on=s.IMAGE)
    hashed = hashed.filter(pl.col(SIDE) != s.UNUSED)
    sides = hashed.group_by(s.SHA256).agg(pl.col(SIDE).n_unique())
    return {
        "same_content_on_two_sides": sides.filter(pl.col(SIDE) > 1).height,
        "unseen_rows_on_train_images": int(
            _within(images, UNSEEN)[_within(images, (s.TRAIN,)) > 0].sum()
        ),
        "images_in_val_and_test": _in_both(images, VAL_PARTS, TEST_PARTS),
        "unseen_users_in_val_and_test": _in_both(users, (s.VAL_UNSEEN,), (s.TEST_UNSEEN,)),
        "unseen_users_with_seen_rows": _in_both(users, UNSEEN, SEEN),
    }


def describe_overlaps(counts: Mapping[str, int]) -> list[str]:
    """Return one line per kind of overlap that is there, for people."""
    return [f"{counts[key]:,} {meaning}" for key, meaning in MEANING.items() if counts[key]]


def _counts(rows: pl.DataFrame, key: str) -> Ints:
    """Return how many rows of each distinct `key` lie in each part."""
    order = pl.DataFrame({s.PART: s.PARTS}).with_row_index("_part")
    cells = (
        rows.select(key, pl.col(s.PART).cast(pl.String))
        .join(order, on=s.PART)
        .select(pl.col(key).rank("dense") - 1, "_part")
        .group_by(key, "_part")
        .len()
    )
    counts = np.zeros((rows.get_column(key).n_unique(), len(s.PARTS)), np.int64)
    counts[cells[key].to_numpy(), cells["_part"].to_numpy()] = cells["len"].to_numpy()
    return counts


def _within(counts: Ints, parts: Sequence[str]) -> Ints:
    """Return how many rows of each lie in any of `parts`."""
    summed: Ints = counts[:, [s.PARTS.index(part) for part in parts]].sum(axis=1)
    return summed


def _in_both(counts: Ints, one: Sequence[str], other: Sequence[str]) -> int:
    return int(((_within(counts, one) > 0) & (_within(counts, other) > 0)).sum())


def released_image_sides(released: pl.DataFrame) -> pl.DataFrame:
    """Return (image_id, side) of the images of a release's rows (image_id, split)."""
    trained = pl.col(s.SPLIT).is_in([s.TRAIN, s.CONTEXT_UNSEEN]).any()
    tested = pl.col(s.SPLIT).is_in([s.TEST_SEEN, s.TEST_UNSEEN]).any()
    return released.group_by(s.IMAGE).agg(_side(trained, tested))


def _side(train: pl.Expr, test: pl.Expr) -> pl.Expr:
    """Return the side of a group of released rows: train wins over test, test over val."""
    side = pl.when(train).then(pl.lit(s.TRAIN)).when(test).then(pl.lit(TEST))
    return side.otherwise(pl.lit(VAL)).alias(SIDE)


# Sides of a user or an image within a fold.
VAL: Final = "val"


TEST: Final = "test"
