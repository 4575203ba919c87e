"""Two planted datasets, `few` and `many`, whose raters share one world of tastes or do not.

`few` has a handful of ratings on a scale of whole numbers, and its raters tell their gender; `many`
has plenty, on a fine scale, from other raters about other pictures, and knows no gender. Where the
two are related, what people like about a picture is the same linear function of its features in
both; where they are not, `many` has one of its own, drawn apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats, Floats32, Ints
from pamela.core.dataset import Fold, Items, Pairs, People

FEW, MANY = "few", "many"
DIM = 16


@dataclass(frozen=True)
class Size:
    """How much of one dataset there is; the last quarter of its raters is never trained on."""

    users: int
    train_pictures: int
    test_pictures: int
    train_ratings: int  # of each rater, drawn among the training pictures
    steps: int  # of the rating scale


SIZES = {FEW: Size(16, 32, 40, 8, 5), MANY: Size(48, 240, 60, 60, 101)}


@dataclass(frozen=True)
class _Rated:
    image: Floats32
    rating: Floats32  # (users, pictures), on 1..5
    shown: Bools  # (users, pictures)
    camp: Ints


def make_pair(seed: int, *, related: bool, sizes: dict[str, Size] | None = None) -> Fold:
    """Plant both datasets and return them as one fold.

    Parameters
    ----------
    related : whether `many` has the taste of `few`.
    sizes : by default `SIZES`.
    """
    rng = np.random.default_rng(seed)
    sizes = sizes or SIZES
    tastes = [_direction(rng) for _ in range(3)]
    camp_taste = tastes[1]
    rated = {
        FEW: _rate(rng, sizes[FEW], tastes[0], camp_taste),
        MANY: _rate(rng, sizes[MANY], tastes[0] if related else tastes[2], camp_taste),
    }
    items, people, parts = [], [], []
    user0 = item0 = 0
    for name, one in rated.items():
        items.append(_items(name, len(one.image)))
        people.append(_people(name, one.camp, seed))
        parts.append(_parts(one, sizes[name], user0, item0))
        user0, item0 = user0 + len(one.camp), item0 + len(one.image)
    image = np.concatenate([one.image for one in rated.values()])
    joined = {part: Pairs.concat(*(mine[part] for mine in parts)) for part in parts[0]}
    return Fold(
        0,
        Items(pl.concat(items), image, np.zeros((len(image), 0), np.float32)),
        People(pl.concat(people)),
        joined,
    )


def _direction(rng: np.random.Generator) -> Floats:
    drawn = rng.normal(size=DIM)
    direction: Floats = drawn / np.linalg.norm(drawn)
    return direction


def _rate(
    rng: np.random.Generator,
    size: Size,
    taste: Floats,
    camp_taste: Floats,
) -> _Rated:
    pictures = size.train_pictures + size.test_pictures
    image = rng.normal(size=(pictures, DIM)) + 0.5 * rng.normal(size=DIM)
    camp = rng.integers(0, 2, size.users)
    own = 0.3 * np.outer(2 * camp - 1, image @ camp_taste)
    bias = 0.4 * rng.normal(size=(size.users, 1))
    opinion = 3 + 0.7 * (image - image.mean(axis=0)) @ taste + own + bias
    opinion = opinion + 0.6 * rng.normal(size=opinion.shape)
    step = 4 / (size.steps - 1)
    rating = np.clip(1 + np.rint((opinion - 1) / step) * step, 1, 5)
    shown = np.ones(rating.shape, np.bool_)
    for user in range(size.users):
        drawn = rng.permutation(size.train_pictures)[size.train_ratings :]
        shown[user, drawn] = False
    return _Rated(image.astype(np.float32), rating.astype(np.float32), shown, camp)


def _items(name: str, count: int) -> pl.DataFrame:
    ids = [f"{name}-{k}" for k in range(count)]
    nothing = pl.lit(None, pl.String)
    return pl.DataFrame({s.DATASET: [name] * count, s.IMAGE: ids}).with_columns(
        nothing.alias(s.PROMPT),
        nothing.alias(s.TYPE),
        nothing.alias(s.GROUP),
        nothing.alias(s.STYLE),
        pl.col(s.IMAGE).alias(s.PROMPT_ID),
    )


def _people(name: str, camp: Ints, world: int) -> pl.DataFrame:
    gender = ["f" if c else "m" for c in camp] if name == FEW else [None] * len(camp)
    ids = [f"{world}-{k}" for k in range(len(camp))]  # in both: the dataset tells them apart
    return pl.DataFrame(
        {s.DATASET: [name] * len(camp), s.USER: ids, "gender": gender},
        schema={s.DATASET: pl.String, s.USER: pl.String, "gender": pl.String},
    )


def _parts(one: _Rated, size: Size, user0: int, item0: int) -> dict[str, Pairs]:
    user, item = np.nonzero(one.shown)
    pairs = Pairs(user + user0, item + item0, one.rating[user, item])
    seen = user < size.users - size.users // 4
    test = item >= size.train_pictures
    val = ~test & (item >= size.train_pictures - max(size.train_pictures // 8, 2))
    return {
        s.TRAIN: pairs.take(seen & ~test & ~val),
        s.VAL_SEEN: pairs.take(seen & val),
        s.TEST_SEEN: pairs.take(seen & test),
        s.TEST_UNSEEN: pairs.take(~seen & test),
        s.CONTEXT_UNSEEN: pairs.take(~seen & ~test),
    }
