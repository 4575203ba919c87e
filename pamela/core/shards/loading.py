"""A fold read into shards: what `pamela.core.dataset.load_fold` returns, never held as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import (
    Items,
    People,
    choices_by_part,
    load_items,
    load_people,
    load_repeats,
    load_scales,
)
from pamela.core.paths import Project
from pamela.core.shards.fold import ITEM, ROWS, USER, ShardedFold, ShardedParts
from pamela.core.shards.writing import write_shards
from pamela.core.split_rows import (
    CHOICES,
    RATINGS,
    hold_out,
    pictures_to_hold_out,
    read_fold_choices,
    reduce_repeats,
    reject_lost,
    scan_fold_rows,
    with_indices,
)

TESTS: Final = (s.TEST_SEEN, s.TEST_UNSEEN)
PLACE: Final = "place"  # of a row in the split's order


def load_sharded_fold(project: Project, number: int, folder: Path, size: int = ROWS) -> ShardedFold:
    """Return fold `number` with its ratings as shards of about `size` rows in `folder`.

    As `load_fold` does: the same rows in the same parts, on the internal scale.
    """
    items, people = load_items(project), load_people(project)
    rows = scan_fold_rows(project, number)
    images = [s.IMAGE_A, s.IMAGE_B]
    choices = read_fold_choices(project, number)
    choices = with_indices(choices, CHOICES, images, items.frame, people.frame)
    held = _held(rows, choices, items)
    counts = write_shards(
        folder,
        _numbered(rows, items, people),
        size,
        finish=_Finish(load_repeats(project), load_scales(project), held),
    )
    chosen = choices_by_part(hold_out(choices, images, held))
    return ShardedFold(number, items, people, chosen, parts=ShardedParts(folder, counts))


def _held(rows: pl.LazyFrame, choices: pl.DataFrame, items: Items) -> pl.DataFrame:
    """Return (dataset, image_id) of the pictures that another dataset tests on."""
    hashes = items.frame.select(s.DATASET, s.IMAGE, s.SHA256)
    datasets = items.frame.select(pl.col(s.DATASET).unique())
    if datasets.height < 2:
        return hashes.select(s.DATASET, s.IMAGE).clear()
    tests = rows.filter(pl.col(s.PART).is_in(TESTS)).select(s.DATASET, s.IMAGE, s.PART)
    tested = tests.unique().collect(engine="streaming")
    # a dataset without tests counts as one as well
    named = datasets.with_columns(
        pl.lit(None, pl.String).alias(s.IMAGE), pl.lit(s.TRAIN).alias(s.PART)
    )
    return pictures_to_hold_out(pl.concat([tested, named]), choices, hashes)


def _numbered(rows: pl.LazyFrame, items: Items, people: People) -> pl.LazyFrame:
    """Return the rows with the numbers of people and pictures beside the pictures' ids."""
    users = people.frame.select(*s.USERS_KEYS).with_row_index(USER).lazy()
    pictures = items.frame.select(s.DATASET, s.IMAGE).with_row_index(ITEM).lazy()
    joined = (
        rows.with_row_index(PLACE)
        .join(users, on=list(s.USERS_KEYS), how="left")
        .join(pictures, on=[s.DATASET, s.IMAGE], how="left")
    )
    lost = joined.filter(pl.any_horizontal(pl.col(USER, ITEM).is_null()))
    reject_lost(lost.collect(engine="streaming"), RATINGS, [s.IMAGE])
    return joined


@dataclass(frozen=True)
class _Finish:
    """What is left to be done when all rows of a person are together.

    Attributes
    ----------
    repeats : how several ratings of one picture by one person count, by dataset.
    scales : lowest and highest rating, by dataset.
    held : (dataset, image_id) of pictures that another dataset tests on.
    """

    repeats: Mapping[str, str | None]
    scales: Mapping[str, tuple[float, float]]
    held: pl.DataFrame

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of a shard as models see them."""
        kept = rows.sort(PLACE)
        kept = hold_out(reduce_repeats(kept, self.repeats), [s.IMAGE], self.held)
        low, high = (
            pl.col(s.DATASET).replace_strict(
                {name: scale[end] for name, scale in self.scales.items()}, return_dtype=pl.Float64
            )
            for end in (0, 1)
        )
        return kept.with_columns(s.to_internal(pl.col(s.RATING), low, high))
