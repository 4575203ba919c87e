"""Who and what is held out: users x images, as files with a hash.

Run by ``python -m flows.split``. A release's own splits are used as they are, as one fold. A
dataset without any gets ``split.folds`` folds: the side of a user, and of a prompt_id with all its
near-duplicates, is a hash of (seed, dataset, id), so that appended rows never move anyone. Every
user is unseen in exactly one fold and every prompt_id is test in exactly one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from pamela import schema as s
from pamela.errors import PamelaError
from pamela.io import read_parquet
from pamela.params import SplitParams
from pamela.project import Project

# Sides of a user or an image within a fold.
SIDE: Final = "side"
VAL: Final = "val"
TEST: Final = "test"
SIDES: Final = (s.TRAIN, VAL, TEST)
USER_SIDE: Final = "user_side"
IMAGE_SIDE: Final = "image_side"

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
}
COLUMNS: Final = (
    s.DATASET,
    s.FOLD,
    s.USER,
    s.IMAGE,
    s.RATING,
    s.RATED_AT,
    s.POSITION,
    s.PART,
)
ORDER: Final = (s.USER, s.IMAGE, s.RATED_AT, s.POSITION, s.RATING)  # not the order of the files


@dataclass(frozen=True)
class Split:
    """The folds of one dataset.

    Attributes
    ----------
    name : the dataset.
    own : whether these are the release's own splits.
    users : DataFrame (dataset, fold, user_id, side).
    images : DataFrame (dataset, fold, image_id, side).
    ratings : DataFrame of `COLUMNS`, every rating once per fold.
    """

    name: str
    own: bool
    users: pl.DataFrame
    images: pl.DataFrame
    ratings: pl.DataFrame

    @property
    def folds(self) -> int:
        """The number of folds."""
        return int(self.ratings.get_column(s.FOLD).n_unique())


def split_dataset(project: Project, name: str, params: SplitParams) -> Split:
    """Split the validated dataset `name`.

    Raises
    ------
    PamelaError
        If a part that training or evaluation needs is empty in a fold.
    """
    own = pl.col(s.DATASET) == name
    ratings, users, images = (
        read_parquet(project.validated / f"{table}.parquet").filter(own)
        for table in ("ratings", "users", "images")
    )
    released = ratings.get_column(s.SPLIT).null_count() < ratings.height
    build = split_as_released if released else split_by_hash
    split = build(name, ratings, users, images, params)
    _require_parts(split)
    return split


def dataset_names(project: Project) -> list[str]:
    """Return the names of the validated datasets."""
    column = read_parquet(project.validated / "ratings.parquet", columns=[s.DATASET])
    return sorted(column.get_column(s.DATASET).unique().to_list())


# --- our own folds --------------------------------------------------------------------------------
def split_by_hash(
    name: str,
    ratings: pl.DataFrame,
    users: pl.DataFrame,
    images: pl.DataFrame,
    params: SplitParams,
) -> Split:
    """Return ``params.folds`` folds whose sides are functions of (seed, dataset, id)."""
    group = pl.coalesce(s.PROMPT_ID, s.IMAGE)
    grouped = images.select(s.DATASET, s.IMAGE, group.alias(s.PROMPT_ID))
    prompts = grouped.get_column(s.PROMPT_ID).unique().sort()
    prompt_sides = hash_sides(name, "prompt", prompts, params).rename({"id": s.PROMPT_ID})
    user_ids = users.get_column(s.USER).unique().sort()
    user_sides = hash_sides(name, "user", user_ids, params).rename({"id": s.USER})
    image_sides = grouped.join(prompt_sides, on=s.PROMPT_ID).drop(s.PROMPT_ID)
    parts = pl.DataFrame(
        [(user, image, part) for (user, image), part in PART_OF.items()],
        schema=[USER_SIDE, IMAGE_SIDE, s.PART],
        orient="row",
    )
    rows = (
        ratings.join(user_sides.rename({SIDE: USER_SIDE}), on=s.USER)
        .join(image_sides.drop(s.DATASET).rename({SIDE: IMAGE_SIDE}), on=[s.IMAGE, s.FOLD])
        .join(parts, on=[USER_SIDE, IMAGE_SIDE])
    )
    user_sides = user_sides.with_columns(pl.lit(name).alias(s.DATASET))
    return _sorted(name, False, user_sides, image_sides, rows)


def hash_sides(
    dataset: str, kind: str, ids: Sequence[str] | pl.Series, params: SplitParams
) -> pl.DataFrame:
    """Return (id, fold, side) of every id in every fold.

    An id is on the test side in the fold ``hash mod folds``; in each other fold a hash of its own
    puts it on the validation side with probability ``val_share``. `kind` (user or prompt) keeps a
    user and a prompt of the same name apart.
    """
    keys = pl.Series("id", ids, dtype=pl.String)
    folds = pl.DataFrame({s.FOLD: range(params.folds)}, schema={s.FOLD: pl.Int64})
    stem = f"{params.seed}/{dataset}/{kind}"
    home = [stable_hash(f"{stem}/{key}") % params.folds for key in keys]
    draws = [
        stable_hash(f"{stem}/val{f}/{key}") / 2**64 for key in keys for f in range(params.folds)
    ]
    return (
        pl.DataFrame({"id": keys, "_home": pl.Series(home, dtype=pl.Int64)})
        .join(folds, how="cross", maintain_order="left_right")
        .with_columns(_draw=pl.Series(draws, dtype=pl.Float64))
        .select(
            "id",
            s.FOLD,
            pl.when(pl.col("_home") == pl.col(s.FOLD))
            .then(pl.lit(TEST))
            .when(pl.col("_draw") < params.val_share)
            .then(pl.lit(VAL))
            .otherwise(pl.lit(s.TRAIN))
            .alias(SIDE),
        )
    )


def stable_hash(text: str) -> int:
    """Return 64 bits of BLAKE2b of `text`: the same on every machine and in every version."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


# --- a release's own splits -----------------------------------------------------------------------
def split_as_released(
    name: str,
    ratings: pl.DataFrame,
    users: pl.DataFrame,
    images: pl.DataFrame,
    params: SplitParams,
) -> Split:
    """Return the release's parts as they are, as one fold.

    Rows without a part (a batch's) are trained on where both their user and their image are
    training ones or new, and held back otherwise. `params` does not matter here.
    """
    part = pl.col(s.SPLIT)
    released = ratings.drop_nulls(s.SPLIT)
    known = part.is_in([s.TRAIN, s.VAL_SEEN, s.TEST_SEEN]).any()
    trained = part.is_in([s.TRAIN, s.CONTEXT_UNSEEN]).any()
    tested_users = part.is_in([s.TEST_UNSEEN, s.CONTEXT_UNSEEN]).any()
    tested_images = part.is_in([s.TEST_SEEN, s.TEST_UNSEEN]).any()
    user_sides = users.join(
        released.group_by(s.USER).agg(_side(known, tested_users)), on=s.USER, how="left"
    )
    image_sides = images.join(
        released.group_by(s.IMAGE).agg(_side(trained, tested_images)), on=s.IMAGE, how="left"
    )
    fold = pl.lit(0, pl.Int64).alias(s.FOLD)
    new = pl.col(SIDE).fill_null(s.TRAIN)
    user_sides = user_sides.select(s.DATASET, fold, s.USER, new)
    image_sides = image_sides.select(s.DATASET, fold, s.IMAGE, new)
    both_train = (pl.col(USER_SIDE) == s.TRAIN) & (pl.col(IMAGE_SIDE) == s.TRAIN)
    later = pl.when(both_train).then(pl.lit(s.TRAIN)).otherwise(pl.lit(s.HELD_BACK))
    rows = (
        ratings.join(user_sides.select(s.USER, pl.col(SIDE).alias(USER_SIDE)), on=s.USER)
        .join(image_sides.select(s.IMAGE, pl.col(SIDE).alias(IMAGE_SIDE)), on=s.IMAGE)
        .with_columns(fold, pl.coalesce(part, later).alias(s.PART))
    )
    return _sorted(name, True, user_sides, image_sides, rows)


def _side(train: pl.Expr, test: pl.Expr) -> pl.Expr:
    """Return the side of a group of released rows: train wins over test, test over val."""
    side = pl.when(train).then(pl.lit(s.TRAIN)).when(test).then(pl.lit(TEST))
    return side.otherwise(pl.lit(VAL)).alias(SIDE)


# --- what is common -------------------------------------------------------------------------------
def _sorted(
    name: str, own: bool, users: pl.DataFrame, images: pl.DataFrame, rows: pl.DataFrame
) -> Split:
    return Split(
        name,
        own,
        users.select(s.DATASET, s.FOLD, s.USER, SIDE).sort(s.FOLD, s.USER),
        images.select(s.DATASET, s.FOLD, s.IMAGE, SIDE).sort(s.FOLD, s.IMAGE),
        rows.select(COLUMNS).sort(s.FOLD, *ORDER),
    )


def _require_parts(split: Split) -> None:
    """Raise if a fold has nothing to train on or nothing to test on.

    A release may leave out one of its test parts, as its splits are not ours to mend.
    """
    tests = [(s.TEST_SEEN, s.TEST_UNSEEN)] if split.own else [(s.TEST_SEEN,), (s.TEST_UNSEEN,)]
    needs: list[tuple[str, ...]] = [(s.TRAIN,), *tests]
    per_fold = split.ratings.group_by(s.FOLD).agg(pl.col(s.PART).unique()).sort(s.FOLD)
    for fold, parts in per_fold.iter_rows():
        for anyone in needs:
            if not set(anyone) & set(parts):
                users = split.users.get_column(s.USER).n_unique()
                images = split.images.get_column(s.IMAGE).n_unique()
                advice = (
                    "the release's own splits leave it out"
                    if split.own
                    else "bring more users or images, lower split.folds or change split.seed"
                )
                raise PamelaError(
                    f"{split.name}: part {' and '.join(anyone)} of fold {fold} is empty "
                    f"({users:,} users, {images:,} images); {advice}"
                )
