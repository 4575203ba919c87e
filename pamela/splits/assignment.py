"""Who and what is held out: users x images, as files with a hash.

Run by ``python -m flows.split``. A release's own splits are used as they are, as one fold. A
dataset without any gets ``split.folds`` folds: the side of a user, and of a prompt_id with all its
near-duplicates and equal pictures (`pamela.splits.near_duplicates`), is a hash of (seed, dataset,
id), so that appended rows never move anyone. Every user is unseen in exactly one fold and every
prompt_id is test in exactly one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.files import read_parquet
from pamela.core.paths import Project
from pamela.data.leakage import SIDE, TEST, VAL, _side, released_image_sides
from pamela.params import SplitParams
from pamela.splits import near_duplicates

SIDES: Final = (s.TRAIN, VAL, TEST)

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
    **{(side, s.UNUSED): s.UNUSED for side in SIDES},  # an image of two groups on two sides
}


@dataclass(frozen=True)
class Sides:
    """Who and what is held out in the folds of one dataset.

    Attributes
    ----------
    name : the dataset.
    own : whether these are the release's own splits.
    folds : their number.
    users : DataFrame (dataset, fold, user_id, side), sorted by fold and id.
    images : DataFrame (dataset, fold, image_id, side), sorted by fold and id.
    """

    name: str
    own: bool
    folds: int
    users: pl.DataFrame
    images: pl.DataFrame


def find_sides(project: Project, name: str, ratings: pl.LazyFrame, params: SplitParams) -> Sides:
    """Put every user and image of the validated dataset `name` on its side in every fold.

    `ratings` are the dataset's.
    """
    own = pl.col(s.DATASET) == name
    users, images = (
        read_parquet(project.validated / f"{table}.parquet").filter(own)
        for table in ("users", "images")
    )
    released = {key: _released(ratings, key) for key in (s.USER, s.IMAGE)}
    if released[s.USER].height:
        return sides_as_released(name, users, images, released)
    return sides_by_hash(name, users, _group_keys(project, name, images), params)


def _released(ratings: pl.LazyFrame, key: str) -> pl.DataFrame:
    """Return the distinct (`key`, split) of the rows that name their part."""
    rows = ratings.select(key, s.SPLIT).drop_nulls(s.SPLIT)
    return rows.unique().collect(engine="streaming")


def _group_keys(project: Project, name: str, images: pl.DataFrame) -> pl.DataFrame:
    """Return (image_id, key) of `near_duplicates`; who came first matters only to ties."""
    keyed = near_duplicates.prompt_keys(images)
    if not near_duplicates.across_prompts(keyed).height:
        return keyed.select(s.IMAGE, near_duplicates.KEY)
    origins = read_parquet(project.tables / "sources.parquet").filter(table="images", dataset=name)
    return near_duplicates.group_keys(
        keyed, near_duplicates.arrival_order(origins.rename({"id": s.IMAGE}))
    )


# --- our own folds --------------------------------------------------------------------------------
def sides_by_hash(name: str, users: pl.DataFrame, keys: pl.DataFrame, params: SplitParams) -> Sides:
    """Return ``params.folds`` folds whose sides are functions of (seed, dataset, id).

    `keys` are the groups that each image belongs to (`pamela.splits.near_duplicates`).
    """
    user_ids = users.get_column(s.USER).unique().sort()
    user_sides = hash_sides(name, "user", user_ids, params).rename({"id": s.USER})
    return _sorted(name, False, params.folds, user_sides, _image_sides(name, keys, params))


def _image_sides(name: str, keys: pl.DataFrame, params: SplitParams) -> pl.DataFrame:
    """Return (image_id, fold, side): unused where an image's groups lie on different sides."""
    groups = keys.get_column(near_duplicates.KEY).unique().sort()
    drawn = hash_sides(name, "prompt", groups, params)
    sides = keys.join(drawn.rename({"id": near_duplicates.KEY}), on=near_duplicates.KEY).drop(
        near_duplicates.KEY
    )
    tied = sides.filter(pl.struct(s.IMAGE, s.FOLD).is_duplicated())
    if not tied.height:
        return sides
    agree = pl.col(SIDE).n_unique() == 1
    settled = tied.group_by(s.IMAGE, s.FOLD).agg(
        pl.when(agree).then(pl.col(SIDE).first()).otherwise(pl.lit(s.UNUSED))
    )
    alone = sides.join(tied, on=[s.IMAGE, s.FOLD], how="anti")
    return pl.concat([alone, settled])


def hash_sides(
    dataset: str, kind: str, ids: Sequence[str] | pl.Series, params: SplitParams
) -> pl.DataFrame:
    """Return (id, fold, side) of every id in every fold.

    An id is on the test side in the fold ``hash mod folds``; in each other fold a hash of its own
    puts it on the validation side with probability ``val_share``. `kind` (user or prompt) keeps a
    user and a prompt of the same name apart.
    """
    keys = pl.Series("id", ids, dtype=pl.String).to_list()
    stem = f"{params.seed}/{dataset}/{kind}"
    home = (stable_hashes(f"{stem}/", keys) % np.uint64(params.folds)).astype(np.int64)
    draws = [stable_hashes(f"{stem}/val{fold}/", keys) for fold in range(params.folds)]
    return pl.concat(
        pl.DataFrame({"id": keys, "_home": home, "_draw": draw / 2**64}).select(
            pl.col("id").cast(pl.String),
            pl.lit(fold, pl.Int64).alias(s.FOLD),
            pl.when(pl.col("_home") == fold)
            .then(pl.lit(TEST))
            .when(pl.col("_draw") < params.val_share)
            .then(pl.lit(VAL))
            .otherwise(pl.lit(s.TRAIN))
            .alias(SIDE),
        )
        for fold, draw in enumerate(draws)
    )


def stable_hashes(prefix: str, keys: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Return 64 bits of BLAKE2b of ``prefix + key``: the same everywhere and in every version."""
    start = hashlib.blake2b(prefix.encode(), digest_size=8)
    digests: list[bytes] = []
    for key in keys:
        one = start.copy()
        one.update(key.encode())
        digests.append(one.digest())
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


# --- a release's own splits -----------------------------------------------------------------------
def sides_as_released(
    name: str,
    users: pl.DataFrame,
    images: pl.DataFrame,
    released: Mapping[str, pl.DataFrame],
) -> Sides:
    """Return the sides that follow from the release's parts, as one fold.

    Who and what only later rows (a batch's) name is a training user or image.

    Parameters
    ----------
    released : by user_id and by image_id, the parts (split) that the release's rows put it in.
    """
    part = pl.col(s.SPLIT)
    known = part.is_in([s.TRAIN, s.VAL_SEEN, s.TEST_SEEN]).any()
    tested_users = part.is_in([s.TEST_UNSEEN, s.CONTEXT_UNSEEN]).any()
    of_users = released[s.USER].group_by(s.USER).agg(_side(known, tested_users))
    of_images = released_image_sides(released[s.IMAGE])
    fold, side = pl.lit(0, pl.Int64).alias(s.FOLD), pl.col(SIDE).fill_null(s.TRAIN)
    user_sides = users.join(of_users, on=s.USER, how="left").select(s.USER, fold, side)
    image_sides = images.join(of_images, on=s.IMAGE, how="left").select(s.IMAGE, fold, side)
    return _sorted(name, True, 1, user_sides, image_sides)


def _sorted(name: str, own: bool, folds: int, users: pl.DataFrame, images: pl.DataFrame) -> Sides:
    dataset = pl.lit(name).alias(s.DATASET)
    return Sides(
        name,
        own,
        folds,
        users.select(dataset, s.FOLD, s.USER, SIDE).sort(s.FOLD, s.USER),
        images.select(dataset, s.FOLD, s.IMAGE, SIDE).sort(s.FOLD, s.IMAGE),
    )
