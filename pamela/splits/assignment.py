"""Who and what is held out: users x images, as files with a hash.

Run by ``python -m flows.split``. A release's own splits are used as they are, as one fold. A
dataset without any gets ``split.folds`` folds, or fewer where it has fewer users or prompts: the
side of a user, and of a prompt_id with all its near-duplicates and equal pictures
(`pamela.splits.near_duplicates`), is drawn so that appended rows never move anyone
(`pamela.splits.draws`). Every user is unseen in exactly one fold and every prompt_id is test in
exactly one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet
from pamela.core.paths import Project
from pamela.data.counts import group_rows
from pamela.data.leakage import SIDE, TEST, VAL, _side, released_image_sides
from pamela.params import SplitParams
from pamela.splits import near_duplicates
from pamela.splits.draws import draw_sides
from pamela.splits.founders import Founders, find_founders

SIDES: Final = (s.TRAIN, VAL, TEST)


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
    groups : of near-duplicates, where there are fewer of them than images; else None.
    fewer : why there are fewer folds than ``split.folds``; else empty.
    """

    name: str
    own: bool
    folds: int
    users: pl.DataFrame
    images: pl.DataFrame
    groups: int | None = None
    fewer: str = ""


def find_sides(
    project: Project,
    name: str,
    ratings: pl.LazyFrame,
    choices: pl.LazyFrame,
    params: SplitParams,
) -> Sides:
    """Put every user and image of the validated dataset `name` on its side in every fold.

    `ratings` and `choices` are the dataset's.
    """
    own = pl.col(s.DATASET) == name
    users, images = (
        read_parquet(project.validated / f"{table}.parquet").filter(own)
        for table in ("users", "images")
    )
    released = {key: _released(ratings, key) for key in (s.USER, s.IMAGE)}
    if released[s.USER].height:
        return sides_as_released(name, users, images, released)
    keys = _group_keys(project, name, images)
    founders = find_founders(ratings, choices, keys)
    return sides_in_folds(name, users, images, keys, founders, params)


def _released(ratings: pl.LazyFrame, key: str) -> pl.DataFrame:
    """Return the distinct (`key`, split) of the rows that name their part."""
    return group_rows(ratings.select(key, s.SPLIT).drop_nulls(s.SPLIT), [key, s.SPLIT], [])


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
def sides_in_folds(
    name: str,
    users: pl.DataFrame,
    images: pl.DataFrame,
    keys: pl.DataFrame,
    founders: Founders,
    params: SplitParams,
) -> Sides:
    """Return folds in which everyone's side is drawn (`pamela.splits.draws`).

    There are ``params.folds``, or as few as the founders whose number is least.

    Parameters
    ----------
    keys : the groups that each image belongs to (`pamela.splits.near_duplicates`).

    Raises
    ------
    PamelaError
        If nobody, or nothing, can be held out from the others.
    """
    _require_two(name, images, founders)
    fewer = _why_fewer(founders, params.folds)
    folds = min(params.folds, len(founders.users), len(founders.groups))
    params = params.model_copy(update={"folds": folds})
    user_ids = users.get_column(s.USER).unique().sort()
    user_sides = draw_sides(name, "user", user_ids, founders.users, params).rename({"id": s.USER})
    image_sides = _image_sides(name, keys, founders.groups, params)
    sides = _sorted(name, False, folds, user_sides, image_sides)
    grouped = len(founders.groups) < len(founders.images)
    return replace(sides, groups=len(founders.groups) if grouped else None, fewer=fewer)


def _why_fewer(founders: Founders, asked: int) -> str:
    """Return why a study cannot have the folds that are `asked` for; empty where it can."""
    users, groups = len(founders.users), len(founders.groups)
    if min(users, groups) >= asked:
        return ""
    if users <= groups:
        return f"{users} users have ratings"
    if groups == len(founders.images):
        return f"{groups} images are rated"
    return (
        f"by prompt_id the rated images are {groups} groups, which stay together; leave prompt_id "
        "empty where they are no variants of one picture"
    )


def _require_two(name: str, images: pl.DataFrame, founders: Founders) -> None:
    """Raise unless there are two users, and two groups of images, to hold out in turn."""
    if len(founders.users) < 2:
        raise PamelaError(
            f"{name}: {len(founders.users)} user has ratings, and nobody can be held out from the "
            "others; bring ratings by more users"
        )
    if len(founders.groups) < 2:
        rated = images.filter(pl.col(s.IMAGE).is_in(founders.images.implode()))
        prompts = rated.get_column(s.PROMPT_ID).drop_nulls().unique().to_list()
        if rated.height < 2:
            why, advice = "1 image is rated", "bring ratings of more images"
        elif len(prompts) == 1 and not rated.get_column(s.PROMPT_ID).null_count():
            why = f"all {rated.height:,} rated images have prompt_id {prompts[0]!r}"
            advice = (
                "images of one prompt_id count as near-duplicates and stay together: leave "
                "prompt_id empty where they are not variants of one picture"
            )
        else:
            why = f"all {rated.height:,} rated images are tied by equal contents and prompt_ids"
            advice = "bring other images, or leave prompt_id empty where they are no variants"
        raise PamelaError(f"{name}: {why}, and none can be held out from the others; {advice}")


def _image_sides(
    name: str, keys: pl.DataFrame, founders: pl.Series, params: SplitParams
) -> pl.DataFrame:
    """Return (image_id, fold, side): unused where an image's groups lie on different sides."""
    groups = keys.get_column(near_duplicates.KEY).unique().sort()
    drawn = draw_sides(name, "prompt", groups, founders, params)
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
