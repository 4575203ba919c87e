"""Two linear models and a small fold, for what the gate says of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools
from pamela.core.dataset import Choices, Fold, Items, Pairs, People
from pamela.models.base import Prediction, Progress, RewardModel, silent
from pamela.retraining.gate.holdout import NEWEST, PARTS, Holdout
from pamela.training.bundle import Bundle

USERS, ITEMS, D = 24, 80, 4
SEEN, TRAIN_ITEMS = 16, 40


class Linear(RewardModel):
    """Predicts ``image @ weights + noise``: as good as its noise is small."""

    name = "linear"
    personal = False

    def __init__(self, weights: npt.NDArray[Any], noise: float = 0.0, std: float = 1.0) -> None:
        self.weights, self.noise, self.std = weights, noise, std

    def _fit(self, fold: Fold, *, seed: int, progress: Progress = silent) -> pl.DataFrame:
        raise NotImplementedError

    def predict(
        self,
        items: Items,
        people: People,
        pairs: Pairs,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> Prediction:
        rng = np.random.default_rng(3)
        noise = self.noise * rng.normal(size=len(items))
        mean = (3 + items.image @ self.weights + noise)[pairs.item].astype(np.float32)
        return Prediction(mean, np.full_like(mean, self.std))

    def knows(self, people: People) -> Bools:
        return np.ones(len(people), bool)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        return {"noise": self.noise}, {"weights": self.weights}

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        return cls(arrays["weights"], config["noise"])


TASTE = np.array([1.0, -1.0, 0.5, 0.0])


def make_fold() -> Fold:
    """Return people who share one taste, a third of them unseen, with a demographic column."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            s.DATASET: ["d"] * ITEMS,
            s.IMAGE: [f"i{k}" for k in range(ITEMS)],
            s.SHA256: [None] * ITEMS,
            s.PROMPT: ["p"] * ITEMS,
            s.TYPE: ["art" if k % 2 else "photo" for k in range(ITEMS)],
            s.GROUP: [None] * ITEMS,
            s.STYLE: [None] * ITEMS,
            s.PROMPT_ID: [f"p{k}" for k in range(ITEMS)],
        }
    )
    image = rng.normal(size=(ITEMS, D)).astype(np.float32)
    items = Items(frame, image, np.zeros((ITEMS, 0), np.float32))
    people = People(
        pl.DataFrame(
            {
                s.DATASET: ["d"] * USERS,
                s.USER: [f"u{k}" for k in range(USERS)],
                "country": ["here" if k % 2 else "there" for k in range(USERS)],
            }
        )
    )

    def rate(users: range, pictures: range, count: int) -> Pairs:
        user = np.repeat(np.array(users), count)
        item = np.concatenate([rng.choice(np.array(pictures), count, False) for _ in users])
        rating = np.clip(np.round(3 + image[item] @ TASTE + rng.normal(size=len(item))), 1, 5)
        return Pairs(user, item, rating.astype(np.float32))

    return Fold(
        0,
        items,
        people,
        {
            s.TRAIN: rate(range(SEEN), range(TRAIN_ITEMS), 20),
            s.TEST_SEEN: rate(range(SEEN), range(TRAIN_ITEMS, ITEMS), 12),
            s.TEST_UNSEEN: rate(range(SEEN, USERS), range(TRAIN_ITEMS, ITEMS), 12),
        },
    )


def with_choices(fold: Fold, *, noise: float = 0.3) -> Fold:
    """Return the same people and pictures with choices in place of the ratings."""
    rng = np.random.default_rng(1)

    def choose(pairs: Pairs) -> Choices:
        b = rng.permutation(pairs.item)
        apart = pairs.item != b
        user, a, b = pairs.user[apart], pairs.item[apart], b[apart]
        gap = (fold.items.image[a] - fold.items.image[b]) @ TASTE + noise * rng.normal(size=len(a))
        outcome = np.where(gap > 0.2, 1, np.where(gap < -0.2, 0, 0.5)).astype(np.float32)
        return Choices(user, a, b, outcome)

    choices = {part: choose(pairs) for part, pairs in fold.parts.items()}
    return replace(fold, parts={}, choices=choices)


def make_holdout(
    fold: Fold, newest: Pairs | None = None, newest_choices: Choices | None = None
) -> Holdout:
    """Return all test rows of `fold` as the frozen hold-out, and the newest ones."""
    parts = {**fold.parts, NEWEST: newest or Pairs.empty()}
    choices = {**fold.choices, NEWEST: newest_choices or Choices.empty()}
    return Holdout(
        replace(fold, parts=parts, choices=choices),
        {part: fold[part] for part in PARTS},
        {part: fold.choices_of(part) for part in PARTS},
    )


def bundle(fold: Fold, model: RewardModel, version: str = "linear-0") -> Bundle:
    """Return a bundle of `model`, trained on the first pictures and people of `fold`."""
    return Bundle(
        model=model,
        items=fold.items,
        people=fold.people,
        in_train_items=np.arange(ITEMS) < TRAIN_ITEMS,
        in_train_people=np.arange(USERS) < SEEN,
        scales={"d": (1.0, 5.0)},
        encoder={"encoder": "precomputed", "fingerprint": "abc", "image_dim": D, "prompt_dim": 0},
        version=version,
    )
