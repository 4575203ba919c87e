"""The part of every rating of one source in every fold, worked out chunk by chunk.

It follows from the rows and from the sides of their users and images, and is kept in the cache
under the hash of these. Beside the rows it leaves two counts (how many of each user's, and of each
image's, ratings lie in each part of each fold) and a checksum per part, which add up over sources:
so that ``splits.json`` takes no second look at the rows.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import hashing, split_rows
from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet, write_parquet
from pamela.core.hashing import Hashes, hash_ids, mix
from pamela.core.split_rows import KEPT, PART_TYPE, part_column, rows_schema
from pamela.data import partitions
from pamela.data.leakage import SIDE
from pamela.data.partitions import ChunkWriter, Part, PartCache, PartFile, manifest
from pamela.splits import assignment
from pamela.splits.assignment import PART_OF, Sides

Counts = npt.NDArray[np.int64]
Index = npt.NDArray[np.int64]
SIDES: Final = (*assignment.SIDES, s.UNUSED)
NUMBER: Final = {part: number for number, part in enumerate(s.PARTS)}
# Number of the part by the sides of user and image, in our own folds:
OWN_FOLDS: Final = np.array(
    [[NUMBER[PART_OF[user, image]] for image in SIDES] for user in assignment.SIDES], np.uint8
)
# In a release's single fold, for rows that name no part (a batch's):
LATER: Final = np.full_like(OWN_FOLDS, NUMBER[s.HELD_BACK])
LATER[SIDES.index(s.TRAIN), SIDES.index(s.TRAIN)] = NUMBER[s.TRAIN]
UNKNOWN: Final = np.iinfo(np.int64).min  # stands for a null time or position in a checksum


@dataclass(frozen=True)
class Placed:
    """Users or images: sorted ids, the number of their side per fold, and a stable hash.

    Attributes
    ----------
    key : user_id or image_id.
    ids : n sorted ids.
    sides : uint8 (folds, n), positions in `SIDES`.
    hashes : uint64 (n,).
    """

    key: str
    ids: pl.Series
    sides: npt.NDArray[np.uint8]
    hashes: Hashes

    @classmethod
    def of(cls, frame: pl.DataFrame, key: str, folds: int) -> Placed:
        """Take a frame (fold, `key`, side) that is sorted by fold and id."""
        ids = frame.filter(pl.col(s.FOLD) == 0).get_column(key)
        numbers = frame.get_column(SIDE).cast(pl.Enum(SIDES)).to_physical().to_numpy()
        table = numbers.astype(np.uint8).reshape(folds, len(ids))
        return cls(key, ids, table, hash_ids(ids.to_list(), seed=0))

    def take(self, index: Index) -> Placed:
        """Return the rows of `index`."""
        return Placed(self.key, self.ids[index], self.sides[:, index], self.hashes[index])

    def index(self, ids: pl.Series) -> Index:
        """Return the row of each id.

        Raises
        ------
        PamelaError
            If one is not there: then a table of data/validated lacks it.
        """
        table = pl.DataFrame({self.key: self.ids}).with_row_index("_at")
        found = ids.to_frame(self.key).join(table, on=self.key, how="left", maintain_order="left")
        lost = found.filter(pl.col("_at").is_null())
        if lost.height:
            raise PamelaError(
                f"data/validated/ratings.parquet: {self.key} {lost.item(0, self.key)!r} is in no "
                "other table of data/validated; run `dvc repro`"
            )
        return found.get_column("_at").to_numpy().astype(np.int64)


@dataclass(frozen=True)
class SplitPart:
    """The ratings of one source with their parts, and what they add to the totals.

    Attributes
    ----------
    file : columns of `pamela.core.split_rows.rows_schema`.
    users, images : rows of the dataset's users and images that the counts speak of.
    user_counts, image_counts : uint32 (folds, n, parts).
    checksums : uint64 (folds, parts, 2).
    """

    file: PartFile
    users: Index
    images: Index
    user_counts: npt.NDArray[np.uint32]
    image_counts: npt.NDArray[np.uint32]
    checksums: Hashes


def place_part(
    part: Part, who: Placed, what: Placed, sides: Sides, columns: int, cache: PartCache
) -> SplitPart:
    """Return the parts of a source's ratings; from the cache where nothing of it has changed.

    Parameters
    ----------
    who, what : the dataset's users and images.
    columns : how many folds the table has columns for.
    """
    ids = cache.obtain(
        partitions.key_of("ids", part.sha256, partitions.code_version(partitions)),
        lambda entry: _distinct(part, entry),
    )
    users, images = (
        side.index(read_parquet(ids / f"{side.key}.parquet").to_series()) for side in (who, what)
    )
    mine, these = who.take(users), what.take(images)
    key = partitions.key_of(
        "placed",
        part.sha256,
        columns,
        sides.own,
        [_fingerprint(mine), _fingerprint(these)],
        partitions.code_version(
            hashing, partitions, s, split_rows, assignment, sys.modules[__name__]
        ),
    )
    entry = cache.obtain(
        key, lambda folder: _place(part, mine, these, own=sides.own, columns=columns, entry=folder)
    )
    file = entry / "ratings.parquet"
    return SplitPart(
        PartFile(part.dataset, part.source, file, part.rows, manifest(entry)[file.name]),
        users,
        images,
        *(np.load(entry / f"{name}.npy") for name in ("users", "images", "checksums")),
    )


def _fingerprint(placed: Placed) -> list[str]:
    sides = hashlib.sha256(np.ascontiguousarray(placed.sides).tobytes()).hexdigest()
    return [partitions.frame_sha256(placed.ids.to_frame()), sides]


def _distinct(part: Part, entry: Path) -> None:
    for key in (s.USER, s.IMAGE):
        found = part.scan().select(key).unique().collect(engine="streaming")
        write_parquet(entry / f"{key}.parquet", found.sort(key))


def _place(part: Part, who: Placed, what: Placed, *, own: bool, columns: int, entry: Path) -> None:
    folds = len(who.sides)
    writer = ChunkWriter(entry / "ratings.parquet", rows_schema(columns))
    counts = {p.key: np.zeros((folds, len(p.ids) * len(NUMBER)), np.int64) for p in (who, what)}
    sums = np.zeros((folds, len(NUMBER), 2), np.uint64)
    for chunk in part.chunks():
        user, image = (p.index(chunk.get_column(p.key)) for p in (who, what))
        numbers = _numbers(chunk, who.sides[:, user], what.sides[:, image], own=own)
        marks = _marks(chunk, who.hashes[user], what.hashes[image])
        for fold, number in enumerate(numbers):
            for key, rows in ((s.USER, user), (s.IMAGE, image)):
                at = rows * len(NUMBER) + number
                counts[key][fold] += np.bincount(at, minlength=counts[key].shape[1])
            for one in np.unique(number):
                sums[fold, one] += marks[number == one].sum(axis=0, dtype=np.uint64)
        writer.write(_with_parts(chunk, numbers, columns))
    writer.close()
    shape = (folds, -1, len(NUMBER))
    np.save(entry / "users.npy", counts[s.USER].astype(np.uint32).reshape(shape))
    np.save(entry / "images.npy", counts[s.IMAGE].astype(np.uint32).reshape(shape))
    np.save(entry / "checksums.npy", sums)


def _numbers(
    chunk: pl.DataFrame,
    users: npt.NDArray[np.uint8],
    images: npt.NDArray[np.uint8],
    *,
    own: bool,
) -> npt.NDArray[np.uint8]:
    """Return uint8 (folds, rows): the number of each rating's part, given its sides."""
    if not own:
        return OWN_FOLDS[users, images]
    said = chunk.get_column(s.SPLIT).cast(PART_TYPE).to_physical()
    later = said.is_null().to_numpy()
    return np.where(later, LATER[users, images], said.fill_null(0).to_numpy()).astype(np.uint8)


def _marks(chunk: pl.DataFrame, users: Hashes, images: Hashes) -> Hashes:
    """Return uint64 (rows, 2): two hashes of each rating, the same wherever it stands."""
    values: Mapping[str, npt.NDArray[np.int64]] = {
        s.RATING: (chunk.get_column(s.RATING).to_numpy() + 0.0).view(np.int64),  # -0.0 is 0.0
        s.RATED_AT: chunk.get_column(s.RATED_AT).to_physical().fill_null(UNKNOWN).to_numpy(),
        s.POSITION: chunk.get_column(s.POSITION).fill_null(UNKNOWN).to_numpy(),
    }
    mark = mix(mix(users) ^ images)
    for value in values.values():
        mark = mix(mark ^ value.view(np.uint64))
    return np.stack([mark, mix(~mark)], axis=1)


def _with_parts(chunk: pl.DataFrame, numbers: npt.NDArray[np.uint8], columns: int) -> pl.DataFrame:
    of_folds = [
        pl.Series(part_column(fold), number).cat.to(PART_TYPE)
        for fold, number in enumerate(numbers)
    ]
    absent = (pl.lit(None, PART_TYPE).alias(part_column(n)) for n in range(len(numbers), columns))
    return chunk.select(KEPT).with_columns(*of_folds, *absent)
