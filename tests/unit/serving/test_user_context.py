"""What is kept of a person says what the model says, and is worked out once."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.dataset import Pairs
from pamela.models.base import std_on_scale
from pamela.models.preprocessing import FEW, Codes
from pamela.serving import user_context
from pamela.serving.api import Reward
from pamela.serving.types import CatalogImage, Score
from pamela.training.bundle import load_bundle


@pytest.fixture
def reward(small_template):
    return Reward(load_bundle(small_template.models / "bundle"), project=small_template)


def rated(reward, count: int = 8):
    rng = np.random.default_rng(0)
    return reward.adapt(
        ratings=[
            (CatalogImage("synthetic", f"i{n:02d}"), int(rng.integers(1, 6))) for n in range(count)
        ],
        demographics={"gender": "male"},
    )


def test_the_kept_posterior_predicts_what_the_model_does(reward):
    me, items, model = rated(reward), reward.bundle.items, reward.bundle.model
    n, k = len(items), len(me.ratings)
    asked = Pairs(np.zeros(n, np.int64), np.arange(n), np.zeros(n, np.float32))
    shown = Pairs(np.zeros(k, np.int64), np.arange(k), np.array(me.ratings, np.float32))
    person = reward.user_contexts.users.cold_start_user("synthetic", {"gender": "male"})
    for known, context in (
        (reward.user_contexts.adapted(me), shown),
        (reward.user_context("p003"), None),
    ):
        people = person if context is not None else known.person
        direct = model.predict(items, people, asked, context)
        kept = reward.user_contexts.predict(known, items)
        np.testing.assert_allclose(kept.mean, direct.mean, rtol=1e-6)
        np.testing.assert_allclose(kept.std, direct.std, rtol=1e-6)


def test_the_percentile_is_the_share_of_training_pictures_liked_less(reward):
    me = rated(reward)
    everything = [
        CatalogImage("synthetic", i)
        for i in reward.user_contexts.catalogue("synthetic").items.frame[s.IMAGE]
    ]
    scores = reward.score(user=me, images=everything)
    ratings = np.array([score.rating for score in scores])
    for score in scores:
        below, same = (ratings < score.rating).mean(), (ratings == score.rating).mean()
        assert score.percentile == pytest.approx(100 * (below + same / 2))


def test_an_adapted_user_is_worked_out_once(reward, monkeypatch):
    model = reward.bundle.model
    calls = {"weights_of": 0, "columns": 0}
    for name in calls:
        real = getattr(model, name)

        def counted(*words, _name=name, _real=real, **more):
            calls[_name] += 1
            return _real(*words, **more)

        monkeypatch.setattr(model, name, counted)
    me = rated(reward)
    image = [CatalogImage("synthetic", "i20")]
    first = reward.score(user=me, images=image)
    worked = calls["weights_of"]
    before = calls["columns"]
    assert worked == 1
    assert reward.score(user=me, images=image) == first
    assert calls["weights_of"] == worked
    assert calls["columns"] == before + 1  # of the one picture asked about


def test_what_is_kept_goes_with_the_user(reward):
    me = rated(reward)
    gone = weakref.ref(reward.user_contexts.adapted(me))
    del me
    gc.collect()
    assert gone() is None


def test_at_most_so_many_people_are_kept(reward, monkeypatch):
    monkeypatch.setattr(user_context, "MOST_KEPT", 3)
    image = [CatalogImage("synthetic", "i20")]
    first = reward.score(user="p000", images=image)
    for number in range(6):
        reward.score(user=f"p{number:03d}", images=image)
    assert len(reward.user_contexts._named) == 3
    assert reward.score(user="p000", images=image) == first


text = st.one_of(st.none(), st.sampled_from(["", "a", "b", "\u00e9", "a\x1fb"]))


@given(st.lists(st.tuples(text, text), min_size=1, max_size=FEW + 20), st.booleans())
@settings(max_examples=60, deadline=None)
def test_few_rows_are_coded_as_many_are(rows, lacks_a_column):
    import polars as pl

    frame = pl.DataFrame(
        {
            s.DATASET: ["d"] * len(rows),
            "one": [row[0] for row in rows],
            "two": [row[1] for row in rows],
        },
        schema={s.DATASET: pl.String, "one": pl.String, "two": pl.String},
    )
    codes = Codes.fit(frame[: len(rows) // 2 + 1], ["one", "two"])
    asked = frame.drop("two") if lacks_a_column else frame
    many = codes.encode(pl.concat([asked] * (FEW // len(rows) + 2)))[: len(rows)]
    np.testing.assert_array_equal(codes.encode(asked[:FEW]), many[:FEW])


@pytest.mark.parametrize("scale", [(0.0, 1.0), (-3.0, 3.0), (1.0, 5.0)])
def test_a_predictive_interval_ends_with_the_scale(scale):
    low, high = scale
    middle, unit = (low + high) / 2, (high - low) / 4
    wide = Score(high - 0.1 * unit, 2 * unit, 90.0, "seen", "m").interval(scale)
    assert wide == pytest.approx((high - 0.1 * unit - 1.6449 * 2 * unit, high), abs=1e-3 * unit)
    narrow = Score(middle, 0.1 * unit, 50.0, "seen", "m").interval(scale, level=0.5)
    assert narrow == pytest.approx((middle - 0.06745 * unit, middle + 0.06745 * unit), abs=1e-4)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.floats(0.0, 3.0))
def test_no_standard_deviation_is_more_than_ratings_on_the_scale_have(ratings, std):
    """Of likes it is theirs: what a mean between two values says all of."""
    mean = np.array([np.mean(ratings)])
    bounded = std_on_scale(mean, np.array([std]))
    assert bounded <= std
    assert bounded >= min(std, np.std(ratings)) - 1e-6
    likes = np.array([np.mean(np.array(ratings) > 3) * 4 + 1])
    np.testing.assert_allclose(
        std_on_scale(likes, np.array([9.0])), 4 * np.std(np.array(ratings) > 3), atol=1e-6
    )
