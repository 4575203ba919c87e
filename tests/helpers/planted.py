"""Data with a known answer: shared taste, own taste, own use of the scale, ratings 1..5."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, People

DATASET = "planted"


@dataclass(frozen=True)
class World:
    """A planted fold and its noise-free opinions.

    Attributes
    ----------
    truth : float array (people, items), expected rating before rounding.
    shared : float array (items,), the part of the truth that everybody shares.
    """

    fold: Fold
    truth: np.ndarray
    shared: np.ndarray


def make_world(
    *,
    seed: int = 0,
    seen: int = 30,
    unseen: int = 8,
    train_items: int = 90,
    test_items: int = 40,
    image_dim: int = 12,
    prompt_dim: int = 5,
    shared: float = 0.7,
    own: float = 0.0,
    noise: float = 0.4,
    share_rated: float = 0.7,
) -> World:
    """Plant a world: opinion = 3 + shared taste + own taste + bias + noise.

    Own taste is one direction of the image features that half the users like and half dislike;
    gender says which half, apart from one user in five.
    """
    rng = np.random.default_rng(seed)
    users, items = seen + unseen, train_items + test_items
    image = rng.normal(size=(items, image_dim)).astype(np.float32)
    prompt = rng.normal(size=(items, prompt_dim)).astype(np.float32)
    group = rng.integers(0, 4, items)
    common = image @ _direction(rng, image_dim) + 0.5 * prompt @ _direction(rng, prompt_dim)
    common = shared * (common + np.array([-0.6, -0.2, 0.2, 0.6])[group])
    camp = rng.permutation(np.arange(users) % 2)
    told = np.where(rng.random(users) < 0.2, 1 - camp, camp)
    personal = own * np.outer(2 * camp - 1, image @ _direction(rng, image_dim))
    bias = 0.4 * rng.normal(size=users)
    truth = 3 + common + personal + bias[:, None]
    ratings = np.clip(np.rint(truth + noise * rng.normal(size=truth.shape)), 1, 5)
    rated = rng.random(truth.shape) < share_rated
    fold = Fold(
        0,
        Items(_item_frame(items, group), image, prompt),
        People(_people_frame(users, told)),
        _parts(ratings, rated, seen, train_items),
    )
    return World(fold, truth, common)


def _direction(rng: np.random.Generator, size: int) -> np.ndarray:
    direction = rng.normal(size=size)
    return direction / np.linalg.norm(direction)


def _item_frame(items: int, group: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {
            s.DATASET: [DATASET] * items,
            s.IMAGE: [f"i{k}" for k in range(items)],
            s.PROMPT: [f"prompt {k // 2}" for k in range(items)],
            s.TYPE: ["Art" if g < 2 else "Photorealism" for g in group],
            s.GROUP: [f"g{g}" for g in group],
            s.STYLE: ["cubism" if g == 0 else None for g in group],
            s.PROMPT_ID: [f"p{k // 2}" for k in range(items)],
        }
    )


def _people_frame(users: int, told: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {
            s.DATASET: [DATASET] * users,
            s.USER: [f"u{k}" for k in range(users)],
            "gender": ["f" if t else "m" for t in told],
        }
    )


def _parts(ratings: np.ndarray, rated: np.ndarray, seen: int, train_items: int) -> dict[str, Pairs]:
    user, item = np.nonzero(rated)
    pairs = Pairs(
        user.astype(np.int64), item.astype(np.int64), ratings[user, item].astype(np.float32)
    )
    val_items = train_items - max(train_items // 8, 2)
    is_seen = user < seen
    is_train, is_val = item < val_items, (item >= val_items) & (item < train_items)
    is_test = item >= train_items
    return {
        s.TRAIN: pairs.take(is_seen & is_train),
        s.VAL_SEEN: pairs.take(is_seen & is_val),
        s.TEST_SEEN: pairs.take(is_seen & is_test),
        s.TEST_UNSEEN: pairs.take(~is_seen & is_test),
        s.CONTEXT_UNSEEN: pairs.take(~is_seen & is_train),
    }


def with_part(fold: Fold, part: str, pairs: Pairs) -> Fold:
    """Return the fold with one part replaced."""
    return Fold(fold.number, fold.items, fold.people, {**fold.parts, part: pairs})
