"""A small fold whose ratings follow one taste of everybody's, and models that know it."""

from __future__ import annotations

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.models.base import Prediction, RewardModel

SEEN_USERS, UNSEEN_USERS, IMAGES, TEST_IMAGES = 12, 8, 90, 40
ROWS = 32  # of an unseen user on test images: 25 are asked, 7 may be shown


def make_fold(*, context: bool = False, dataset: str = "synthetic", number: int = 0) -> Fold:
    """Return a fold whose ratings follow a taste of the image's and one of the user's own."""
    rng = np.random.default_rng(number)
    taste = rng.normal(0, 1, IMAGES)
    n_users = SEEN_USERS + UNSEEN_USERS
    bias = np.linspace(-1, 1, n_users)

    def pairs(users: range, images: range, per_user: int) -> Pairs:
        user = np.repeat(np.array(users), per_user)
        item = np.concatenate([rng.permutation(np.array(images))[:per_user] for _ in users])
        own = 0.7 * np.sin(7.0 * user + 3.0 * item)
        rating = np.clip(np.rint(3 + taste[item] + own + bias[user]), 1, 5)
        return Pairs(user, item, rating.astype(np.float32))

    seen, unseen = range(SEEN_USERS), range(SEEN_USERS, n_users)
    test, train = range(TEST_IMAGES), range(TEST_IMAGES, IMAGES)
    parts = {
        s.TRAIN: pairs(seen, train, 30),
        s.TEST_SEEN: pairs(seen, test, 20),
        s.TEST_UNSEEN: pairs(unseen, test, ROWS),
    }
    if context:
        parts[s.CONTEXT_UNSEEN] = pairs(unseen, train, 22)
    items = pl.DataFrame(
        {
            s.DATASET: dataset,
            s.IMAGE: [f"i{k}" for k in range(IMAGES)],
            s.PROMPT_ID: [f"p{k // 2}" for k in range(IMAGES)],
        }
    )
    people = pl.DataFrame({s.DATASET: dataset, s.USER: [f"u{k}" for k in range(n_users)]})
    image = np.stack([taste, rng.normal(size=IMAGES)], axis=1).astype(np.float32)
    return Fold(
        number, Items(items, image, np.zeros((IMAGES, 0), np.float32)), People(people), parts
    )


class Taste(RewardModel):
    """The first image feature; with `adapts`, plus the mean rating of the context."""

    name, personal = "taste", False

    def __init__(self, skill: float = 1.0, adapts: bool = False) -> None:
        self.skill, self.adapts, self.asked = skill, adapts, 0  # type: ignore[misc]

    def _fit(self, fold, *, seed, progress=None, workdir=None):
        raise NotImplementedError

    def predict(self, items, people, pairs, context=None, choices=None):
        self.asked += 1
        mean = 3 + self.skill * items.image[pairs.item, 0]
        if self.adapts and context is not None and len(context):
            count = np.bincount(context.user, minlength=len(people))
            total = np.bincount(context.user, context.rating, minlength=len(people))
            mean = mean + (total / np.maximum(count, 1))[pairs.user]
        return Prediction(mean.astype(np.float32), np.ones(len(pairs), np.float32))

    def knows(self, people):
        return np.arange(len(people)) < SEEN_USERS

    def state(self):
        raise NotImplementedError

    @classmethod
    def from_state(cls, config, arrays):
        raise NotImplementedError


MODELS = {"group_mean": Taste(0.0), "population": Taste(1.0), "paper": Taste(-1.0)}
