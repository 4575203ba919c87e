"""A small embedded world, drawn, encoded, rated and learned for real, with one planted taste."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs
from pamela.features.factory import get_encoder
from pamela.models import create_model
from pamela.params import load_params
from pamela.serving.api import Reward
from pamela.synthetic.rendering.render import render
from pamela.training.bundle import Bundle
from tests.helpers.world_kit import Made, fold_of, make
from tests.paths import ROOT

SIDE = 96


@dataclass(frozen=True)
class Small:
    """The world, a reward learned from it, its training raters, and who loves dark pictures."""

    made: Made
    reward: Reward
    raters: list[str]
    lover_of_dark: str


def small_world() -> Small:
    """Return the world; the ratings of one rater are replaced by a love of dark pictures."""
    made = make(train_users=40, unseen_users=4, train_images=400, heldout_images=40, ratings=9000)
    encoder = get_encoder("embedded", device="cpu", batch_size=64, workers=0)
    pictures = [render(item.prompt, item.seed, SIDE) for item in made.items]
    fold = fold_of(made, encoder.encode_images(pictures))
    raters = np.unique(fold[s.TRAIN].user)
    counts = np.bincount(fold[s.TRAIN].user)
    lover = int(np.argsort(-counts)[1])
    fold = _plant(fold, lover, made.images["key"].fill_null(0.0).to_numpy())
    frame = fold.items.frame.with_columns(pl.lit(None, pl.String).alias(s.SHA256))
    items = Items(frame, fold.items.image, fold.items.prompt)
    params = load_params(ROOT / "params.yaml").train.model_copy(update={"cv_folds": 2})
    model = create_model("hierarchical", params)
    model.fit(Fold(0, items, fold.people, fold.parts), seed=0)
    bundle = Bundle(
        model=model,
        items=items,
        people=fold.people,
        in_train_items=np.isin(np.arange(len(items)), fold[s.TRAIN].item),
        in_train_people=np.isin(np.arange(len(fold.people)), raters),
        scales={"synthetic": (1.0, 5.0)},
        encoder={"encoder": "embedded", "fingerprint": encoder.fingerprint},
        version="test-0",
    )
    names = fold.people.frame[s.USER]
    others = [names[int(r)] for r in raters if r != lover]
    return Small(made, Reward(bundle, device="cpu", workers=0), others, names[lover])


def _plant(fold: Fold, user: int, key: np.ndarray) -> Fold:
    """Let `user` rate by darkness alone."""
    train = fold[s.TRAIN]
    rng = np.random.default_rng(0)
    dark = np.clip(np.rint(3 - 2 * key[train.item] + 0.5 * rng.normal(size=len(train))), 1, 5)
    rating = np.where(train.user == user, dark, train.rating).astype(np.float32)
    parts = {**fold.parts, s.TRAIN: Pairs(train.user, train.item, rating)}
    return Fold(fold.number, fold.items, fold.people, parts)
