"""What to rate next, by a loaded model."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from pamela.core import schema as s
from pamela.core.dataset import Pairs
from pamela.core.errors import PamelaError
from pamela.serving.api import Reward
from pamela.serving.types import CatalogImage
from pamela.training.bundle import load_bundle
from tests.helpers.pair_variances import after, pair_variance
from tests.helpers.small_model import NEW, PICTURES, UNSEEN, USERS


@pytest.fixture(scope="module")
def reward(small_template):
    return Reward(load_bundle(small_template.models / "bundle"), project=small_template)


def rated_by(reward, user: int) -> set[str]:
    learned, others = reward.bundle.rated_by(f"synthetic/p{user:03d}")
    return set(reward.bundle.items.frame[s.IMAGE][np.concatenate([learned, others])])


@pytest.mark.parametrize("user", [0, 7, USERS - UNSEEN - 1])
def test_known_people_are_not_asked_what_they_have_rated(reward, user):
    found = reward.suggest(user=f"p{user:03d}", n=PICTURES)
    asked = {one.image_id for one in found}
    trained = set(reward.bundle.items.frame.filter(reward.bundle.in_train_items)[s.IMAGE])
    assert asked == trained - rated_by(reward, user)
    assert len(rated_by(reward, user)) > 20
    assert all(a.left >= b.left for a, b in pairwise(found))
    assert found[0].before >= found[0].left


def test_a_seen_users_uncertainty_is_that_of_the_posterior(reward):
    """The pair variance before any suggestion, worked out from the training rows directly."""
    model = reward.bundle.model
    learned, _ = reward.bundle.rated_by("synthetic/p000")
    columns = model.as_of_new(reward.user_contexts.catalogue("synthetic").columns[2])
    rows = model.as_of_new(model.columns(reward.bundle.items.take(learned))[2])
    covariance = after(model.prior.covariance, model.prior.rating_variance, rows)
    found = reward.suggest(user="p000", n=1)[0]
    assert found.before**2 == pytest.approx(pair_variance(columns, covariance), rel=1e-5)


def test_a_person_is_not_asked_again_and_knows_more_with_every_rating(reward):
    first = reward.suggest(user=None, n=4)
    same = reward.suggest(user=reward.adapt(ratings=[]), n=4)
    assert [one.image_id for one in first] == [one.image_id for one in same]
    me = reward.adapt(ratings=[(one.image, 3) for one in first])
    then = reward.suggest(user=me, n=4)
    assert not {one.image_id for one in first} & {one.image_id for one in then}
    assert then[0].before == pytest.approx(first[-1].left, rel=1e-6)
    assert first[0].file.is_file()


def test_the_suggested_ratings_narrow_what_the_model_says(reward):
    """`left` is about the posterior that `adapt` really makes, not one of its own."""
    model, items = reward.bundle.model, reward.user_contexts.catalogue("synthetic").items
    someone = reward.user_contexts.users.cold_start_user("synthetic", {})
    columns = model.columns(items)[2]
    ones = np.ones(len(items))

    def spread(images) -> float:
        me = reward.adapt(ratings=[(image, 3) for image in images])
        shown = Pairs(
            np.zeros(len(me.ratings), np.int64), np.arange(len(me.ratings)), np.array(me.ratings)
        )
        left = model.weights_of(someone, me.context, shown)[1][0]
        return float(
            ((columns - columns.mean(axis=0)) @ model.state()[1]["axes"]) ** 2 @ left @ ones
        )

    suggested = [one.image for one in reward.suggest(user=None, n=6)]
    ids = sorted(items.frame[s.IMAGE])
    rng = np.random.default_rng(1)
    random = [
        spread([CatalogImage("synthetic", i) for i in rng.choice(ids, 6, replace=False)])
        for _ in range(8)
    ]
    assert spread(suggested) < min(random)


def test_a_candidate_is_given_once_whatever_its_form(reward, small_template):
    path = small_template.root / "barn.png"
    with Image.open(path) as opened:
        forms = [path, path.read_bytes(), opened.convert("RGB")]
    for again in forms:
        with pytest.raises(PamelaError, match=r"candidate 2.*: the same picture as in candidate 1"):
            reward.suggest(user=None, candidates=[path, again])
    with pytest.raises(PamelaError, match=r"candidate 1 \(/nowhere\): No such file"):
        reward.suggest(user=None, candidates=["/nowhere"])


def test_candidates_may_be_any_pictures(reward, small_template):
    pictures = [small_template.root / name for name in NEW]
    found = reward.suggest(user="p000", n=99, candidates=pictures)
    assert sorted(one.image for one in found) == sorted(pictures)
    assert found[0].image_id is None


def test_a_model_without_linear_taste_says_so(reward):
    from tests.helpers.two_scales import make_reward

    plain = make_reward(_pictures(reward), "user_mean")
    with pytest.raises(PamelaError, match="'user_mean' cannot tell which ratings"):
        plain.suggest(user=None, dataset="wide")
    with pytest.raises(PamelaError, match="at least 1"):
        reward.suggest(user=None, n=0)


def _pictures(reward):
    root = reward.people.root
    return [root / file for file in reward.bundle.items.frame[s.FILE][:8]]


def test_an_older_bundle_without_its_rated_pairs_is_named(reward, tmp_path):
    from dataclasses import replace

    bare = Reward(replace(reward.bundle, folder=tmp_path))
    with pytest.raises(PamelaError, match=r"no rated\.parquet.*synthetic/p000"):
        bare.suggest(user="p000")


def test_the_benchmark_counts_the_ratings_it_takes():
    """Planted curves of 40 people: the bar of 20 random ratings is reached at the fifth."""
    from benchmarks.suggest import METRICS, MOST, entries

    rng = np.random.default_rng(0)
    person = rng.normal(size=(40, 1)) * 0.1
    rise = np.minimum(np.arange(MOST + 1), 8)[:, None, None] * 0.02
    curve = 0.3 + rise + person + np.zeros((1, 1, 2))
    random = curve[5] - 0.001
    rows = entries(curve, random)
    assert len(rows) == 2 * len(METRICS)
    reached = [row for row in rows if row["unit"] == "ratings"]
    for row in reached:
        assert (row["value"], row["ci_low"], row["ci_high"]) == (5.0, 5.0, 5.0)
    gaps = [row["value"] for row in rows if row["unit"] == ""]
    assert gaps == pytest.approx([0.061, 0.061])
    never = entries(curve - 1.0, random)
    assert never[0]["value"] == MOST + 1
