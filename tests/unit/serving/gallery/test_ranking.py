"""What a person likes best: the order, what comes last, and that it agrees with the scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.serving.api import Reward
from pamela.serving.gallery.ranking import order_of
from pamela.serving.types import CatalogImage
from pamela.training.bundle import load_bundle
from tests.helpers.small_model import NEW, PICTURES


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=30))
def test_the_best_comes_first_what_is_last_after_it_and_ties_by_name(pictures):
    mean = np.array([value for value, _ in pictures], np.float32)
    last = np.array([later for _, later in pictures])
    name = np.random.default_rng(0).permutation(len(pictures))
    rows = order_of(mean, last, name).tolist()
    assert rows == sorted(range(len(pictures)), key=lambda r: (last[r], -mean[r], name[r]))


@pytest.fixture(scope="module")
def reward(small_template):
    return Reward(load_bundle(small_template.models / "bundle"), project=small_template)


def rated(reward, user: str) -> set[str]:
    learned, others = reward.bundle.rated_by(user)
    return set(reward.bundle.items.frame[s.IMAGE][np.concatenate([learned, others])])


def test_the_catalog_is_ranked_as_it_is_scored_and_rated_pictures_come_last(reward):
    found = reward.rank(user="p003")
    known = rated(reward, "synthetic/p003")
    ids = [one.image_id for one in found]
    assert sorted(ids) == sorted(reward.bundle.items.frame[s.IMAGE])  # held-out ones too
    assert len(ids) == PICTURES
    new = PICTURES - len(known)
    assert set(ids[new:]) == known == {one.image_id for one in found if one.rated}
    for part in (found[:new], found[new:]):
        ratings = [one.score.rating for one in part]
        assert ratings == sorted(ratings, reverse=True)
    told = reward.score(user="p003", images=[one.image for one in found])
    assert [one.score.rating for one in found] == pytest.approx([one.rating for one in told])
    assert [one.score.percentile for one in found] == pytest.approx([o.percentile for o in told])
    assert found[0].file.is_file()
    assert [one.image_id for one in reward.rank(user="p003", n=4)] == ids[:4]


def test_adapted_people_and_nobody_have_a_ranking(reward):
    shown = [one.image for one in reward.rank(user=None, n=3)]
    assert not any(one.rated for one in reward.rank(user=None))
    me = reward.adapt(ratings=[(image, 1) for image in shown])
    found = reward.rank(user=me)
    assert {one.image_id for one in found if one.rated} == {image.image_id for image in shown}
    assert {one.image_id for one in found[-3:]} == {image.image_id for image in shown}
    assert found[0].score.source == "adapted"


def test_pictures_of_ones_own_are_ranked_by_liking_alone(reward, small_template):
    own = [small_template.root / name for name in NEW]
    known = sorted(rated(reward, "synthetic/p000"))[0]
    given_ones = [*own, CatalogImage("synthetic", known)]
    found = reward.rank(user="p000", images=given_ones, prompt=[*NEW, None])
    ratings = [one.score.rating for one in found]
    assert ratings == sorted(ratings, reverse=True)
    assert {one.image for one in found if one.rated} == {given_ones[-1]}
    told = reward.score(user="p000", images=given_ones, prompt=[*NEW, None])
    assert sorted(one.rating for one in told) == pytest.approx(ratings[::-1])
    assert found[0].prompt in (*NEW, reward.bundle.items.frame.filter(image_id=known)[s.PROMPT][0])


def test_a_model_that_is_not_linear_ranks_too(small_template):
    from tests.helpers.two_scales import make_reward

    plain = make_reward(sorted((small_template.root / "data/pictures").iterdir())[:8], "user_mean")
    found = plain.rank(user=None, dataset="wide", n=3)
    assert [one.image_id for one in found] == sorted(one.image_id for one in found)  # all tied


def test_what_cannot_be_ranked_is_told(reward):
    with pytest.raises(PamelaError, match="unknown user 'nobody'"):
        reward.rank(user="nobody")
    with pytest.raises(PamelaError, match="prompt: a known picture has its own"):
        reward.rank(user=None, prompt="a barn")
    with pytest.raises(PamelaError, match="n 0: give at least 1"):
        reward.rank(user=None, n=0)
