"""The part of every rating and every choice in every fold, by the sides of its user and images.

Whole-column operations on small integers: what is held of each row in memory is some 100 bytes,
however long its ids are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Ints
from pamela.core.errors import PamelaError
from pamela.core.hashing import Hashes, hash_ids, mix
from pamela.core.split_rows import CHOICES, CHOICES_KEPT, KEPT, PART_TYPE, RATINGS, part_column
from pamela.data.leakage import SIDE, TEST, VAL
from pamela.splits import assignment
from pamela.splits.assignment import Sides
from pamela.splits.near_duplicates import BATCH

# The part of a rating in our own folds, by the sides of its user and its image.
PART_OF: Final[Mapping[tuple[str, str], str]] = {
    (s.TRAIN, s.TRAIN): s.TRAIN,
    (s.TRAIN, VAL): s.VAL_SEEN,
    (s.TRAIN, TEST): s.TEST_SEEN,
    (VAL, s.TRAIN): s.CONTEXT_VAL,
    (VAL, VAL): s.VAL_UNSEEN,
    (VAL, TEST): s.UNUSED,
    (TEST, s.TRAIN): s.CONTEXT_UNSEEN,
    (TEST, VAL): s.UNUSED,
    (TEST, TEST): s.TEST_UNSEEN,
    # an image of two groups on two sides; a choice between images on two sides
    **{(side, s.UNUSED): s.UNUSED for side in assignment.SIDES},
}
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
Numbers = npt.NDArray[np.uint32]
SideNumbers = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Placed:
    """The ratings, or the choices, of one dataset with their parts.

    Attributes
    ----------
    kept : LazyFrame, the columns of the rows that ``data/splits/`` keeps.
    parts : uint8 (folds, rows): number of each row's part, in `pamela.core.schema.PARTS`.
    user_counts, image_counts : int64 (folds, n, parts): how many rows of each user, and of each
        image, by id, lie in each part.
    checksums : uint64 (folds, parts, 2), sums over the rows of a part, whatever their order.
    """

    kept: pl.LazyFrame
    parts: npt.NDArray[np.uint8]
    user_counts: Ints
    image_counts: Ints
    checksums: Hashes

    @property
    def rows(self) -> pl.LazyFrame:
        """The rows with their part in every fold, in the order of the sources."""
        columns = (
            pl.Series(part_column(fold), numbers).cat.to(PART_TYPE)
            for fold, numbers in enumerate(self.parts)
        )
        return pl.concat([self.kept, pl.LazyFrame(columns)], how="horizontal")

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


# --- ratings and choices ----------------------------------------------------------------------
def place_ratings(ratings: pl.LazyFrame, sides: Sides) -> Placed:
    """Return the parts of the validated `ratings` of a dataset."""
    values = (s.SPLIT, s.RATING, s.RATED_AT, s.POSITION)
    columns = ratings.with_columns(pl.col(s.SPLIT).cast(PART_TYPE))
    found = _Found.of(columns, RATINGS, {s.USER: s.USER, s.IMAGE: s.IMAGE}, values, sides)
    user, image = found.numbers
    said = found.values.get_column(s.SPLIT).to_physical()
    later = said.is_null().to_numpy()
    parts = []
    for of_users, of_images in found.sides_by_fold():
        part = OWN_FOLDS[of_users[user], of_images[image]]
        if sides.own:
            batch = LATER[of_users[user], of_images[image]]
            part = np.where(later, batch, said.fill_null(0).to_numpy()).astype(np.uint8)
        parts.append(part)
    marked = (found.values.get_column(s.RATING).to_numpy() + 0.0).view(np.int64)  # -0.0 is 0.0
    return found.placed(ratings.select(KEPT), parts, marked, s.RATED_AT)


def place_choices(choices: pl.LazyFrame, sides: Sides) -> Placed:
    """Return the parts of the validated `choices` of a dataset: both images lie on the part's side.

    In a release's own splits, too, they follow from the sides; a batch's choices there are as its
    ratings are.
    """
    batch = pl.col(s.SOURCE_FILE).str.contains(BATCH).alias("batch")
    values = (s.CHOICE, s.CHOSEN_AT, s.POSITION, "batch")
    ids = {s.USER: s.USER, s.IMAGE_A: s.IMAGE, s.IMAGE_B: s.IMAGE}
    columns = choices.with_columns(batch, pl.col(s.CHOICE).cast(pl.Enum(list(s.OUTCOMES))))
    found = _Found.of(columns, CHOICES, ids, values, sides)
    user, a, b = found.numbers
    later = found.values.get_column("batch").to_numpy()
    parts = []
    for of_users, of_images in found.sides_by_fold():
        both = np.where(of_images[a] == of_images[b], of_images[a], SIDES.index(s.UNUSED))
        part = OWN_FOLDS[of_users[user], both]
        if sides.own:
            part = np.where(later, LATER[of_users[user], both], part)
        parts.append(part)
    marked = found.values.get_column(s.CHOICE).to_physical().cast(pl.Int64).to_numpy()
    return found.placed(choices.select(CHOICES_KEPT), parts, marked, s.CHOSEN_AT)


@dataclass(frozen=True)
class _Found:
    """Rows whose ids are numbers.

    Attributes
    ----------
    sides : who and what is held out.
    users, images : every id, in the order of their numbers.
    numbers : of each row's user, then of its image or images.
    values : the rows' other columns.
    """

    sides: Sides
    users: pl.Series
    images: pl.Series
    numbers: list[Numbers]
    values: pl.DataFrame

    @classmethod
    def of(
        cls,
        rows: pl.LazyFrame,
        table: str,
        ids: Mapping[str, str],
        values: Sequence[str],
        sides: Sides,
    ) -> _Found:
        """Return `rows` of `table` with the columns `ids`, each of user_ids or of image_ids."""
        known = {s.USER: _ids(sides.users, s.USER), s.IMAGE: _ids(sides.images, s.IMAGE)}
        joined = rows.select(*ids, *values)
        for column, key in ids.items():
            numbered = known[key].alias(column).to_frame().with_row_index(f"{column}_number")
            joined = joined.join(numbered.lazy(), on=column, how="left", maintain_order="left")
        numbers = [f"{column}_number" for column in ids]
        found = joined.select(*numbers, *values).collect(engine="streaming")
        for column in ids:
            _require_known(found, rows, table, column)
        arrays = [found.get_column(column).to_numpy() for column in numbers]
        return cls(sides, known[s.USER], known[s.IMAGE], arrays, found.select(values))

    def sides_by_fold(self) -> list[tuple[SideNumbers, SideNumbers]]:
        """Return, for each fold, the sides of all users and of all images."""
        users, images = (
            _side_numbers(self.sides, frame) for frame in (self.sides.users, self.sides.images)
        )
        return list(zip(users, images, strict=True))

    def placed(
        self, kept: pl.LazyFrame, parts: Sequence[npt.NDArray[np.uint8]], said: Ints, when: str
    ) -> Placed:
        """Return the rows with their `parts`.

        Parameters
        ----------
        said : the rating or the choice, for the checksum.
        when : the column of times.
        """
        marks = self._marks(said, when)
        user, *images = self.numbers
        return Placed(
            kept,
            np.stack(parts),
            np.stack([_count(user, part, len(self.users)) for part in parts]),
            np.stack([sum(_count(i, part, len(self.images)) for i in images) for part in parts]),
            np.stack([_sums(marks, part) for part in parts]),
        )

    def _marks(self, said: Ints, when: str) -> Hashes:
        """Return uint64 (rows, 2): two hashes of each row, the same wherever it stands."""
        user, *images = self.numbers
        of_images = hash_ids(self.images, seed=0)
        mark = mix(hash_ids(self.users, seed=0)[user])
        for image in images:
            mark = mix(mark ^ of_images[image])
        for value in (
            said,
            self.values.get_column(when).to_physical().fill_null(UNKNOWN).to_numpy(),
            self.values.get_column(s.POSITION).fill_null(UNKNOWN).to_numpy(),
        ):
            mark = mix(mark ^ value.view(np.uint64))
        return np.stack([mark, mix(~mark)], axis=1)


def _ids(frame: pl.DataFrame, key: str) -> pl.Series:
    """Return the ids of a frame of sides, which is sorted by fold and id."""
    return frame.filter(pl.col(s.FOLD) == 0).get_column(key)


def _require_known(found: pl.DataFrame, rows: pl.LazyFrame, table: str, column: str) -> None:
    """Raise if a row's id is in no other table of data/validated."""
    numbers = found.get_column(f"{column}_number")
    if numbers.null_count():
        row = numbers.is_null().arg_max()
        lost = rows.select(column).slice(row or 0, 1).collect().item()
        raise PamelaError(
            f"data/validated/{table}: {column} {lost!r} is in no other table of data/validated; "
            "run `dvc repro`"
        )


def _side_numbers(sides: Sides, frame: pl.DataFrame) -> SideNumbers:
    """Return uint8 (folds, ids): positions in `SIDES`."""
    numbers = frame.get_column(SIDE).cast(pl.Enum(SIDES)).to_physical().to_numpy()
    return numbers.astype(np.uint8).reshape(sides.folds, -1)


def _count(index: Numbers, part: npt.NDArray[np.uint8], n: int) -> Ints:
    """Return int64 (n, parts): how many rows of each index lie in each part."""
    cells = index.astype(np.int64) * len(NUMBER) + part
    return np.bincount(cells, minlength=n * len(NUMBER)).reshape(n, len(NUMBER))


def _sums(marks: Hashes, part: npt.NDArray[np.uint8]) -> Hashes:
    """Return uint64 (parts, 2): the marks of each part's rows, added up."""
    return np.stack([marks[part == n].sum(axis=0, dtype=np.uint64) for n in NUMBER.values()])
