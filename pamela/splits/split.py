"""Every rating's part in every fold, and what ``splits.json`` says of them.

Run by ``python -m flows.split``, after `pamela.splits.assignment` has put everyone on a side. The
parts follow from the sides of a rating's user and image, as whole-column operations on small
integers: what is held of each rating in memory is some 100 bytes, however long its ids are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Ints
from pamela.core.errors import PamelaError
from pamela.core.files import atomic_folder, read_parquet, sink_parquet, write_json, write_parquet
from pamela.core.hashing import Hashes, hash_ids, mix
from pamela.core.paths import Project
from pamela.core.split_rows import KEPT, PART_TYPE, part_column
from pamela.data.leakage import SIDE, overlaps_of
from pamela.params import SplitParams
from pamela.splits import assignment
from pamela.splits.assignment import PART_OF, Sides, find_sides

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
class Split:
    """The folds of one dataset.

    Attributes
    ----------
    sides : who and what is held out.
    ratings : the dataset's validated ratings (a LazyFrame).
    parts : uint8 (folds, ratings): number of each rating's part, in `pamela.core.schema.PARTS`.
    user_counts, image_counts : int64 (folds, n, parts): how many ratings of each user, and of each
        image, by id, lie in each part.
    checksums : uint64 (folds, parts, 2), sums over the rows of a part, whatever their order.
    """

    sides: Sides
    ratings: pl.LazyFrame
    parts: npt.NDArray[np.uint8]
    user_counts: Ints
    image_counts: Ints
    checksums: Hashes

    @property
    def rows(self) -> pl.LazyFrame:
        """The ratings with their part in every fold, in the order of the sources."""
        columns = (
            pl.Series(part_column(fold), numbers).cat.to(PART_TYPE)
            for fold, numbers in enumerate(self.parts)
        )
        return pl.concat([self.ratings.select(KEPT), pl.LazyFrame(columns)], how="horizontal")

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


# --- splitting a dataset ----------------------------------------------------------------------
def validated_datasets(project: Project) -> list[str]:
    """Return the names of the validated datasets."""
    images = read_parquet(project.validated / "images.parquet", [s.DATASET])
    return images.get_column(s.DATASET).unique().sort().to_list()


def split_dataset(project: Project, name: str, params: SplitParams) -> Split:
    """Split the validated dataset `name`.

    Raises
    ------
    PamelaError
        If there is too little to hold out, or a part that training or evaluation needs is empty in
        a fold.
    """
    every = pl.scan_parquet(project.validated / "ratings.parquet", glob=False)
    ratings = every.filter(pl.col(s.DATASET) == name)
    sides = find_sides(project, name, ratings, params)
    split = _place(ratings, sides)
    _require_parts(split)
    return split


def _place(ratings: pl.LazyFrame, sides: Sides) -> Split:
    users, images = _ids(sides.users, s.USER), _ids(sides.images, s.IMAGE)
    values = (s.SPLIT, s.RATING, s.RATED_AT, s.POSITION)
    rows = (
        ratings.select(s.USER, s.IMAGE, pl.col(s.SPLIT).cast(PART_TYPE), *values[1:])
        .join(_numbered(users).lazy(), on=s.USER, how="left", maintain_order="left")
        .join(_numbered(images).lazy(), on=s.IMAGE, how="left", maintain_order="left")
        .select("user_id_number", "image_id_number", *values)
        .collect(engine="streaming")
    )
    user, image = (_found(rows, ratings, key) for key in (s.USER, s.IMAGE))
    parts = np.stack(
        [
            _parts(rows, of_users[user], of_images[image], own=sides.own)
            for of_users, of_images in zip(
                _side_numbers(sides, sides.users),
                _side_numbers(sides, sides.images),
                strict=True,
            )
        ]
    )
    marks = _marks(rows, hash_ids(users, seed=0)[user], hash_ids(images, seed=0)[image])
    return Split(
        sides,
        ratings,
        parts,
        np.stack([_count(user, part, len(users)) for part in parts]),
        np.stack([_count(image, part, len(images)) for part in parts]),
        np.stack([_sums(marks, part) for part in parts]),
    )


def _ids(frame: pl.DataFrame, key: str) -> pl.Series:
    """Return the ids of a frame of sides, which is sorted by fold and id."""
    return frame.filter(pl.col(s.FOLD) == 0).get_column(key)


def _numbered(ids: pl.Series) -> pl.DataFrame:
    return ids.to_frame().with_row_index(f"{ids.name}_number")


def _side_numbers(sides: Sides, frame: pl.DataFrame) -> npt.NDArray[np.uint8]:
    """Return uint8 (folds, ids): positions in `SIDES`."""
    numbers = frame.get_column(SIDE).cast(pl.Enum(SIDES)).to_physical().to_numpy()
    return numbers.astype(np.uint8).reshape(sides.folds, -1)


def _found(rows: pl.DataFrame, ratings: pl.LazyFrame, key: str) -> npt.NDArray[np.uint32]:
    """Return the number of each rating's user or image.

    Raises
    ------
    PamelaError
        If one is not there: then a table of data/validated lacks it.
    """
    numbers = rows.get_column(f"{key}_number")
    if numbers.null_count():
        row = numbers.is_null().arg_max()
        lost = ratings.select(key).slice(row or 0, 1).collect().item()
        raise PamelaError(
            f"data/validated/ratings.parquet: {key} {lost!r} is in no other table of "
            "data/validated; run `dvc repro`"
        )
    return numbers.to_numpy()


def _parts(
    rows: pl.DataFrame, users: npt.NDArray[np.uint8], images: npt.NDArray[np.uint8], *, own: bool
) -> npt.NDArray[np.uint8]:
    """Return uint8 (rows,): the number of each rating's part, given its sides."""
    if not own:
        return OWN_FOLDS[users, images]
    said = rows.get_column(s.SPLIT).to_physical()
    later = said.is_null().to_numpy()
    return np.where(later, LATER[users, images], said.fill_null(0).to_numpy()).astype(np.uint8)


def _marks(rows: pl.DataFrame, users: Hashes, images: Hashes) -> Hashes:
    """Return uint64 (rows, 2): two hashes of each rating, the same wherever it stands."""
    mark = mix(mix(users) ^ images)
    for value in (
        (rows.get_column(s.RATING).to_numpy() + 0.0).view(np.int64),  # -0.0 is 0.0
        rows.get_column(s.RATED_AT).to_physical().fill_null(UNKNOWN).to_numpy(),
        rows.get_column(s.POSITION).fill_null(UNKNOWN).to_numpy(),
    ):
        mark = mix(mark ^ value.view(np.uint64))
    return np.stack([mark, mix(~mark)], axis=1)


def _count(index: npt.NDArray[np.uint32], part: npt.NDArray[np.uint8], n: int) -> Ints:
    """Return int64 (n, parts): how many rows of each index lie in each part."""
    cells = index.astype(np.int64) * len(NUMBER) + part
    return np.bincount(cells, minlength=n * len(NUMBER)).reshape(n, len(NUMBER))


def _sums(marks: Hashes, part: npt.NDArray[np.uint8]) -> Hashes:
    """Return uint64 (parts, 2): the marks of each part's rows, added up."""
    return np.stack([marks[part == n].sum(axis=0, dtype=np.uint64) for n in NUMBER.values()])


def _require_parts(split: Split) -> None:
    """Raise if a fold has nothing to train on or nothing to test on.

    A release may leave out one of its test parts, as its splits are not ours to mend.
    """
    sides = split.sides
    tests = [(s.TEST_SEEN, s.TEST_UNSEEN)] if sides.own else [(s.TEST_SEEN,), (s.TEST_UNSEEN,)]
    needs: list[tuple[str, ...]] = [(s.TRAIN,), *tests]
    _, n_users, _ = split.user_counts.shape
    _, n_images, _ = split.image_counts.shape
    for fold in range(sides.folds):
        there = set(split.part_counts(fold))
        for anyone in needs:
            if not set(anyone) & there:
                raise PamelaError(
                    f"{sides.name}: part {' and '.join(anyone)} of fold {fold} is empty "
                    f"({n_users:,} users, {n_images:,} images{_grouped(sides)}); "
                    f"{_advice(sides, anyone, there)}"
                )


def _advice(sides: Sides, lacking: tuple[str, ...], there: set[str]) -> str:
    if sides.own:
        return (
            "the dataset's own splits leave it out: add rows of that part, or take the splits out "
            "and folds are made"
        )
    if s.TRAIN in lacking and there & {s.VAL_SEEN, s.VAL_UNSEEN}:  # validation took them all
        return "lower split.val_share"
    return "bring more ratings, lower split.folds or change split.seed"


def _grouped(sides: Sides) -> str:
    """Return how few groups the images lie in, where they do."""
    return f" in {sides.groups:,} groups by prompt_id" if sides.groups is not None else ""


# --- the files --------------------------------------------------------------------------------
def describe(split: Split, images: pl.DataFrame) -> dict[str, Any]:
    """Return the record of one dataset in ``splits.json``: parts with hashes, and overlaps.

    ``overlaps`` counts, per fold, what lies on two sides (`pamela.data.leakage`).
    """
    folds = range(split.sides.folds)
    fewer = {"fewer_folds": split.sides.fewer} if split.sides.fewer else {}
    return {
        "folds": split.sides.folds,
        "own": split.sides.own,
        **fewer,
        "parts": {str(fold): split.part_counts(fold) for fold in folds},
        "overlaps": {str(fold): _overlaps(split, images, fold) for fold in folds},
    }


def _overlaps(split: Split, images: pl.DataFrame, fold: int) -> dict[str, int]:
    sides = split.sides.images.filter(pl.col(s.FOLD) == fold)
    return overlaps_of(split.user_counts[fold], split.image_counts[fold], sides, images)


def write_splits(project: Project, splits: Sequence[Split]) -> dict[str, Any]:
    """Write ``data/splits/`` as a whole and return ``splits.json``."""
    ordered = sorted(splits, key=lambda split: split.sides.name)
    images = read_parquet(project.validated / "images.parquet")
    record = {
        "folds": max(split.sides.folds for split in ordered),
        "datasets": {
            split.sides.name: describe(split, images.filter(pl.col(s.DATASET) == split.sides.name))
            for split in ordered
        },
    }
    with atomic_folder(project.splits) as folder:
        for table in ("users", "images"):
            frames = [getattr(split.sides, table) for split in ordered]
            write_parquet(folder / f"{table}.parquet", pl.concat(frames))
        rows = pl.concat([split.rows for split in ordered], how="diagonal")
        sink_parquet(folder / "ratings.parquet", rows)
        write_json(folder / "splits.json", record)
    return record


def counts(record: Mapping[str, Any]) -> str:
    """Return the parts of every dataset's first fold, for people."""
    lines = []
    for name, dataset in record["datasets"].items():
        parts = ", ".join(f"{part} {p['rows']:,}" for part, p in dataset["parts"]["0"].items())
        kind = "the release's own splits" if dataset["own"] else f"{dataset['folds']} folds"
        if fewer := dataset.get("fewer_folds"):
            kind += f" (fewer than split.folds: {fewer})"
        twice = sum(o["same_content_on_two_sides"] for o in dataset["overlaps"].values())
        warning = f"; WARNING: {twice} pictures lie on two sides under two ids" if twice else ""
        lines.append(f"{name}: {kind}; fold 0: {parts}{warning}")
    return "\n".join(lines)
