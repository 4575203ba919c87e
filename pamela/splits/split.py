"""A dataset's split: the parts of all its sources together, and what ``splits.json`` says of them.

Run by ``python -m flows.split``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.hashing import Hashes
from pamela.core.paths import Project
from pamela.core.split_rows import KEPT, part_column
from pamela.data.partitions import PartCache, PartFile, read_parts
from pamela.params import SplitParams
from pamela.splits.assignment import Sides, find_sides
from pamela.splits.partition_split import NUMBER, Counts, Placed, SplitPart, place_part


@dataclass(frozen=True)
class Split:
    """The folds of one dataset.

    Attributes
    ----------
    sides : who and what is held out.
    files : the ratings with their parts, per source.
    user_ids, image_ids : everyone and everything, sorted.
    user_counts, image_counts : int64 (folds, n, parts): the ratings of each user, and of each
        image, in each part; parts in the order of `pamela.core.schema.PARTS`.
    checksums : uint64 (folds, parts, 2), sums over the rows of a part, whatever their order.
    """

    sides: Sides
    files: tuple[PartFile, ...]
    user_ids: pl.Series
    image_ids: pl.Series
    user_counts: Counts
    image_counts: Counts
    checksums: Hashes

    @property
    def name(self) -> str:
        """The dataset."""
        return self.sides.name

    @property
    def own(self) -> bool:
        """Whether these are the release's own splits."""
        return self.sides.own

    @property
    def folds(self) -> int:
        """The number of folds."""
        return self.sides.folds

    @property
    def users(self) -> pl.DataFrame:
        """(dataset, fold, user_id, side)."""
        return self.sides.users

    @property
    def images(self) -> pl.DataFrame:
        """(dataset, fold, image_id, side)."""
        return self.sides.images

    def rows(self, fold: int) -> pl.DataFrame:
        """Return the ratings with their part in `fold`, in the order of the sources."""
        scans = [pl.scan_parquet(file.file, glob=False) for file in self.files]
        part = pl.col(part_column(fold)).cast(pl.String).alias(s.PART)
        return pl.concat(scans).select(*KEPT, part).collect()

    def part_counts(self, fold: int) -> dict[str, dict[str, int | str]]:
        """Return rows, users, images and checksum of every part that `fold` has rows in."""
        rows = self.user_counts[fold].sum(axis=0)
        users, images = (
            (counts[fold] > 0).sum(axis=0) for counts in (self.user_counts, self.image_counts)
        )
        return {
            part: {
                "rows": int(rows[n]),
                "users": int(users[n]),
                "images": int(images[n]),
                "sha256": _sha256(int(rows[n]), self.checksums[fold, n]),
            }
            for part, n in NUMBER.items()
            if rows[n]
        }


def _sha256(rows: int, sums: Hashes) -> str:
    return hashlib.sha256(f"{rows}:{sums[0]}:{sums[1]}".encode()).hexdigest()


def split_cache(project: Project) -> PartCache:
    """Return where the parts of unchanged ratings are kept."""
    return PartCache(project.part_cache / "split")


def dataset_names(project: Project) -> list[str]:
    """Return the names of the validated datasets."""
    return sorted({part.dataset for part in read_parts(project.validated / "ratings.parquet")})


def split_dataset(project: Project, name: str, params: SplitParams) -> Split:
    """Split the validated dataset `name`.

    Raises
    ------
    PamelaError
        If a part that training or evaluation needs is empty in a fold.
    """
    found = [p for p in read_parts(project.validated / "ratings.parquet") if p.dataset == name]
    cache = split_cache(project)
    sides = find_sides(project, name, found, params, cache)
    who = Placed.of(sides.users, s.USER, sides.folds)
    what = Placed.of(sides.images, s.IMAGE, sides.folds)
    placed = [place_part(part, who, what, sides, params.folds, cache) for part in found]
    split = _add_up(sides, who, what, placed)
    _require_parts(split)
    return split


def _add_up(sides: Sides, who: Placed, what: Placed, placed: Sequence[SplitPart]) -> Split:
    users = np.zeros((sides.folds, len(who.ids), len(NUMBER)), np.int64)
    images = np.zeros((sides.folds, len(what.ids), len(NUMBER)), np.int64)
    checksums = np.zeros((sides.folds, len(NUMBER), 2), np.uint64)
    for one in placed:
        for fold in range(sides.folds):
            users[fold, one.users] += one.user_counts[fold]
            images[fold, one.images] += one.image_counts[fold]
        checksums += one.checksums
    files = tuple(one.file for one in placed)
    return Split(sides, files, who.ids, what.ids, users, images, checksums)


def _require_parts(split: Split) -> None:
    """Raise if a fold has nothing to train on or nothing to test on.

    A release may leave out one of its test parts, as its splits are not ours to mend.
    """
    tests = [(s.TEST_SEEN, s.TEST_UNSEEN)] if split.own else [(s.TEST_SEEN,), (s.TEST_UNSEEN,)]
    needs: list[tuple[str, ...]] = [(s.TRAIN,), *tests]
    for fold in range(split.folds):
        there = set(split.part_counts(fold))
        for anyone in needs:
            if not set(anyone) & there:
                advice = (
                    "the release's own splits leave it out"
                    if split.own
                    else "bring more users or images, lower split.folds or change split.seed"
                )
                raise PamelaError(
                    f"{split.name}: part {' and '.join(anyone)} of fold {fold} is empty "
                    f"({len(split.user_ids):,} users, {len(split.image_ids):,} images); {advice}"
                )
