"""A fitted model as a reward: the penalty on what it is unsure of, and people who told it more."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.dataset import Choices, Items, Pairs, People
from pamela.models.base import Prediction
from pamela.steer.generators.base import Candidate
from pamela.steer.rewards.models import ModelReward, RenderFeatures, Shown

CANDIDATES = [Candidate("p", f"a barn {n}", n) for n in range(3)]
IMAGES = [np.full((2, 2, 3), 10 * n, np.uint8) for n in range(3)]


class Echo:
    """Rates a picture by its brightness, and higher by what its user rated and chose before."""

    name, personal = "echo", True

    def predict(self, items, people, pairs, context=None, choices=None):
        told = np.zeros(len(people))
        if context is not None:
            np.add.at(told, context.user, context.rating * items.image[context.item, 0])
            np.add.at(told, choices.user, items.image[choices.a, 0] - items.image[choices.b, 0])
        mean = items.image[pairs.item, 0] + told[pairs.user]
        return Prediction(mean.astype(np.float32), (1.0 + items.image[pairs.item, 0]))


def reward(**more):
    encoder = SimpleNamespace(
        fingerprint="brightness",
        context_length=99,
        encode_images=lambda images: np.array([[i.mean()] for i in images], np.float32),
        encode_prompts=lambda prompts: np.zeros((len(prompts), 1), np.float32),
        prompt_lengths=lambda prompts: [1] * len(prompts),
        unread=lambda prompts: [False] * len(prompts),
    )
    people = People(pl.DataFrame({s.DATASET: ["d"] * 2, s.USER: ["ann", "bob"]}))
    prompts = pl.DataFrame({s.PROMPT_ID: ["p"], s.TYPE: "Art", s.GROUP: "g", s.STYLE: "x"})
    return ModelReward(Echo(), people, prompts, RenderFeatures(encoder), "d", "digest", **more)


def scores(of, user="ann"):
    return of.score([user] * 3, CANDIDATES, IMAGES).tolist()


def test_a_penalty_takes_off_standard_deviations():
    assert scores(reward()) == [0, 10, 20]
    assert scores(reward(penalty=0.5)) == [-0.5, 4.5, 9.5]
    assert len({reward().fingerprint, reward(penalty=0.5).fingerprint}) == 2


def test_prompts_that_are_not_read_whole_are_told_once():
    encoder = SimpleNamespace(
        name="short",
        context_length=3,
        encode_prompts=lambda prompts: np.zeros((len(prompts), 1), np.float32),
        prompt_lengths=lambda prompts: [len(prompt.split()) for prompt in prompts],
        unread=lambda prompts: [False] * len(prompts),
    )
    features = RenderFeatures(encoder)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        features.of_prompts(["a red barn"])
        features.of_prompts(["a red barn at dusk"])
        features.of_prompts(["a red barn at night"])
    assert [str(one.message).partition(":")[0] for one in told] == [
        "some prompts are longer than the 3 tokens that the encoder 'short' reads"
    ]


def test_what_people_told_counts_for_them_alone():
    frame = pl.DataFrame({s.DATASET: ["d"] * 2, s.IMAGE: ["i", "j"], s.PROMPT: ["x", "y"]})
    items = Items(frame, np.array([[2.0], [5.0]], np.float32), np.zeros((2, 1), np.float32))
    user, item = np.array([1, 1]), np.array([0, 1])
    shown = Shown(
        items,
        Pairs(user, item, np.array([3, 1], np.float32)),
        Choices(user[:1], item[1:], item[:1], np.ones(1, np.float32)),
    )
    told = reward(shown=shown)
    assert scores(told, "ann") == [0, 10, 20]
    assert scores(told, "bob") == pytest.approx([14, 24, 34])  # 3 x 2 + 1 x 5, and 5 - 2
    fewer = Shown(items, shown.ratings.take(np.array([0])), shown.choices)
    assert len({x.fingerprint for x in (reward(), told, reward(shown=fewer))}) == 3
