"""load, score, adapt: who is asked, what is answered, and what is loud."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from io import BytesIO, StringIO

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

import pamela
from pamela.core.dataset import Pairs
from pamela.core.errors import PamelaError, PromptWarning
from pamela.serving.api import Reward
from pamela.serving.types import CatalogImage, Suggestion
from tests.helpers.two_scales import make_reward


@pytest.fixture(scope="module")
def reward(pictures) -> Reward:
    return make_reward(pictures, "group_mean")


def test_scores_are_on_the_datasets_scale_in_the_order_given(reward, pictures):
    scores = reward.score(user="wide/ann", images=pictures)
    ratings = [score.rating for score in scores]
    assert all(0 <= r <= 100 for r in ratings)
    assert min(ratings[::2]) > max(ratings[1::2])  # even pictures are liked
    assert [x.rating for x in reward.score(user="wide/ann", images=pictures[::-1])] == ratings[::-1]
    assert all(score.std > 0 for score in scores)
    assert scores[0].percentile > 50 > scores[1].percentile


def test_a_standard_deviation_is_on_the_datasets_scale(reward, pictures):
    bundle, n = reward.bundle, len(pictures)
    pairs = Pairs(np.zeros(n, int), np.arange(n), np.zeros(n, np.float32))
    internal = bundle.model.predict(bundle.items, bundle.people, pairs)  # on 1..5
    found = [score.std for score in reward.score(user="wide/ann", images=pictures)]
    np.testing.assert_allclose(found, 25 * internal.std, rtol=1e-6)


def test_a_standard_deviation_is_one_of_ratings_on_the_scale(reward, pictures, monkeypatch):
    contexts = type(reward.user_contexts)
    predict, wide = contexts.predict, {"std": np.full(len(pictures), 9)}
    monkeypatch.setattr(
        contexts, "predict", lambda *asked, **how: replace(predict(*asked, **how), **wide)
    )
    for score in reward.score(user="wide/ann", images=pictures):
        assert score.std == pytest.approx(np.sqrt(score.rating * (100 - score.rating)), rel=1e-4)


def test_any_batch_gives_the_same_numbers(reward, pictures):
    together = reward.score(user="bob", images=pictures)
    assert together == [reward.score(user="bob", images=[p])[0] for p in pictures]


def test_source_says_what_was_known(pictures):
    reward = make_reward(pictures, "user_mean")

    def source(user, **more):
        return reward.score(user=user, images=pictures[:1], **more)[0].source

    assert source("bob") == "seen"
    assert source("new") == "population"  # this model reads no demographics
    assert source(None, dataset="wide") == "population"
    assert source(reward.adapt(ratings=[], dataset="wide")) == "population"


@pytest.mark.parametrize(
    ("user", "says"),
    [("nobody", "unknown user 'nobody'"), ("bop", "did you mean bob"), ("ann", "several datasets")],
)
def test_an_unclear_user_is_loud(reward, pictures, user, says):
    with pytest.raises(PamelaError, match=says):
        reward.score(user=user, images=pictures[:1])


def test_a_missing_picture_is_named(reward, pictures):
    with pytest.raises(PamelaError, match=r"image 2 \(gone.png\)"):
        reward.score(user="bob", images=[pictures[0], "gone.png", pictures[1]])


def test_a_new_picture_needs_an_encoder(reward, tmp_path):
    path = tmp_path / "new.png"
    Image.new("RGB", (8, 8), (1, 2, 3)).save(path)
    with pytest.raises(PamelaError, match=r"new.png\): .*precomputed features"):
        reward.score(user="bob", images=[path])


def test_a_prompt_that_a_model_does_not_read_is_told(reward, pictures):
    with pytest.warns(PromptWarning, match="precomputed features, without prompts"):
        reward.score(user="bob", images=pictures[:1], prompt="a red barn")


def test_one_picture_alone_is_a_list_of_one(reward, pictures):
    content = pictures[0].read_bytes()
    suggested = Suggestion(pictures[0], None, None, None, 1.0, 1.0)
    (expected,) = reward.score(user="bob", images=[pictures[0]])
    for one in (pictures[0], str(pictures[0]), content, bytearray(content), BytesIO(content),
                pictures[0].open("rb"), CatalogImage("wide", "0"), suggested):  # fmt: skip
        assert reward.score(user="bob", images=one) == [expected]


@pytest.mark.parametrize(
    "kind",
    [tuple, iter, np.array, pl.Series, pd.Series, dict.fromkeys, lambda x: dict.fromkeys(x).keys()],
)
def test_any_sequence_is_a_list(reward, pictures, kind):
    paths = [str(path) for path in pictures[:3]]
    given = kind(paths)
    expected = reward.score(user="bob", images=paths)
    if isinstance(given, dict):
        with pytest.raises(PamelaError, match="give a list of pictures"):
            reward.score(user="bob", images=given)
    else:
        assert reward.score(user="bob", images=given) == expected


def test_a_stream_is_read_from_its_beginning(reward, pictures, tmp_path):
    stream = BytesIO(pictures[1].read_bytes())
    stream.read()  # and stands at its end now
    expected = reward.score(user="bob", images=[pictures[1]])
    assert reward.score(user="bob", images=[stream]) == expected
    with pytest.raises(PamelaError, match="opened as text"):
        reward.score(user="bob", images=[StringIO("text")])
    writing = (tmp_path / "new").open("wb")
    with writing, pytest.raises(PamelaError, match="not opened for reading"):
        reward.score(user="bob", images=writing)


def test_a_dataset_that_is_not_the_users_is_not_ignored(reward, pictures):
    one = pictures[:1]
    with pytest.raises(PamelaError, match="dataset 'zzz': give one of wide, other"):
        reward.score(user="bob", images=one, dataset="zzz")
    with pytest.raises(PamelaError, match="the user is one of dataset wide"):
        reward.score(user="wide/bob", images=one, dataset="other")
    bare = reward.score(user="ann", images=one, dataset="wide")  # which of the two is said
    assert bare == reward.score(user="wide/ann", images=one)


@pytest.mark.filterwarnings("ignore::pamela.core.errors.PromptWarning")
@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame, lambda rows: pl.LazyFrame(rows)])
def test_a_table_of_ratings_is_the_same_as_pairs(pictures, make):
    reward = make_reward(pictures, "user_mean")
    rows = {
        "image": [str(pictures[0]), None],
        "image_id": [None, "1"],
        "rating": [80, 30],
        "prompt": [None, "a lake"],
        "seconds": [1.5, 2.5],  # not read
    }
    table = reward.adapt(ratings=make(rows), dataset="wide")
    known = CatalogImage("wide", "1")
    pairs = reward.adapt(ratings=[(pictures[0], 80), (known, "a lake", 30)], dataset="wide")
    assert table.ratings == pairs.ratings
    assert table.context.frame.equals(pairs.context.frame)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"image": ["0.png"], "stars": [5]}, "ratings: no column rating; there are image, stars"),
        ({"file": ["0.png"], "rating": [5]}, "neither a column image .* nor image_id"),
        ({"image_id": ["0", "1"], "rating": [5, None]}, "ratings row 2: has no rating"),
        ({"image_id": ["0", "1"], "rating": ["5", "good"]}, "row 2: rating 'good' is not a number"),
        ({"image_id": ["0", "9"], "rating": [5, 5]}, r"ratings row 2 \(9\): no picture '9'"),
        (
            {"image_id": ["0", "0"], "rating": [5, 6]},
            r"row 2 \(0\): the same picture as in .* row 1",
        ),
        ({"image_id": ["0"], "rating": [True]}, "rating 'true' is not a number"),
        ({"image_id": [["0"]], "rating": [5]}, "column image_id holds List"),
        ({"image_id": [], "rating": []}, "no rows"),
    ],
)
def test_a_faulty_table_of_ratings_names_its_row(pictures, rows, says):
    with pytest.raises(PamelaError, match=says):
        make_reward(pictures, "user_mean").adapt(ratings=pl.DataFrame(rows), dataset="wide")


def test_a_column_of_mixed_types_is_named(pictures):
    mixed = pd.DataFrame({"image_id": ["0", "1"], "rating": ["5", 5]})
    with pytest.raises(PamelaError, match="of mixed types: rating"):
        make_reward(pictures, "user_mean").adapt(ratings=mixed, dataset="wide")


@pytest.mark.filterwarnings("ignore::pamela.core.errors.PromptWarning")
def test_a_picture_is_rated_once(pictures):
    reward = make_reward(pictures, "user_mean")
    same = [(pictures[0], 10), (CatalogImage("wide", "0"), 90)]
    with pytest.raises(PamelaError, match=r"rating 2 \(wide/0\): the same picture as in rating 1"):
        reward.adapt(ratings=same, dataset="wide")
    for whole in (Decimal(10), Fraction(10), np.float32(10)):
        user = reward.adapt(ratings={pictures[0]: whole}.items(), dataset="wide")
        assert user.ratings == (1.4,)
    other_prompt = [(pictures[0], 10), (pictures[0], "at night", 90)]
    assert reward.adapt(ratings=other_prompt, dataset="wide").ratings == (1.4, 4.6)


def test_arguments_are_keyword_only(reward, pictures):
    with pytest.raises(TypeError):
        reward.score("bob", pictures)


def test_a_model_that_cannot_adapt_says_so(reward, pictures):
    with pytest.raises(PamelaError, match="cannot learn from a new user's ratings"):
        reward.adapt(ratings=[(pictures[0], 80)], dataset="wide")


def test_adapt_shows_the_ratings_to_a_model_that_can(pictures):
    reward = make_reward(pictures, "user_mean")
    high = reward.adapt(ratings=[(p, 100) for p in pictures[:4]], dataset="wide")
    low = reward.adapt(ratings=[(p, f"picture {i}", 0) for i, p in enumerate(pictures[:4])],
                       dataset="wide")  # fmt: skip
    up, down = (reward.score(user=u, images=pictures[4:5])[0] for u in (high, low))
    nobody = reward.score(user=None, dataset="wide", images=pictures[4:5])[0]
    assert up.source == down.source == "adapted"
    assert down.rating < nobody.rating < up.rating


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"ratings": [], "dataset": None}, "give one of wide, other"),
        ({"ratings": [], "dataset": "wide", "demographics": {"shoe": "42"}}, "demographic 'shoe'"),
    ],
)
def test_adapt_checks_what_it_is_told(reward, kwargs, says):
    with pytest.raises(PamelaError, match=says):
        reward.adapt(**kwargs)


def test_a_rating_off_the_scale_is_refused(pictures):
    with pytest.raises(PamelaError, match=r"rating 101 is off the scale 0\.\.100 of wide"):
        make_reward(pictures, "user_mean").adapt(ratings=[(pictures[0], 101)], dataset="wide")


def test_load_names_a_folder_that_is_none(tmp_path):
    with pytest.raises(PamelaError, match="no such folder"):
        pamela.load(tmp_path / "gone")
    with pytest.raises(PamelaError, match=r"no bundle.json"):
        pamela.load(tmp_path)
