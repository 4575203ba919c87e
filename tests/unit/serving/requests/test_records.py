"""What a client may say: every wrong type, key and empty text is named in one line."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pamela.core.errors import PamelaError
from pamela.serving.http.bodies import AdaptBody, ExplainBody, ScoreBody, SuggestBody
from pamela.serving.requests.records import check, without_nulls

KNOWN = {"image_id": "i03"}
SOUND = {"user": "synthetic/p001", "images": [KNOWN]}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"user": 1}, "user: should be a text (got 1)"),
        ({"user": True}, "user: should be a text (got True)"),
        ({"user": ["a"]}, "user: should be a text (got ['a'])"),
        ({"user": ""}, "user: should not be empty (got '')"),
        ({"user": "  "}, "user: should not be empty (got '  ')"),
        ({"user": "a\ud800"}, "user: is not valid Unicode"),
        ({"usr": "p001"}, "unknown key 'usr'; there are user, dataset, ratings"),
        ({"str": "p001"}, "unknown key 'str'; there are user, dataset, ratings"),
        ({"dataset": 7}, "dataset: should be a text (got 7)"),
        ({"prompt": 1984}, "prompt: should be a text (got 1984)"),
        ({"images": KNOWN}, "images: is not a list"),
        ({"images": []}, "images: List should have at least 1 item"),
        ({"images": ["i03"]}, "image 1: is not an object (got 'i03')"),
        ({"images": [KNOWN, {"image_id": 1}]}, "image 2 image_id: should be a text (got 1)"),
        ({"images": [KNOWN, {"image": 1}]}, "image 2 image: should be a text (got 1)"),
        ({"images": [KNOWN, {"image": ""}]}, "image 2 image: should not be empty"),
        ({"images": [{}]}, "image 1: give either image or image_id"),
        ({"images": [KNOWN | {"image": "a"}]}, "image 1: give either image or image_id"),
        (
            {"images": [KNOWN | {"promt": "x"}]},
            "image 1: unknown key 'promt'; there are image, image_id, prompt",
        ),
        ({"ratings": [KNOWN | {"rating": 3}]}, "has both user and ratings"),
        ({"user": None, "ratings": "good"}, "ratings: is not a list (got 'good')"),
        ({"user": None, "ratings": []}, "ratings: List should have at least 1 item"),
        ({"user": None, "ratings": [KNOWN]}, "rating 1: missing key 'rating'"),
        (
            {"user": None, "ratings": [KNOWN | {"rating": "5"}]},
            "rating 1 rating: is not a number (got '5')",
        ),
        ({"user": None, "ratings": [KNOWN | {"rating": True}]}, "rating 1 rating: is not a number"),
        (
            {"user": None, "ratings": [KNOWN | {"rating": float("nan")}]},
            "rating 1 rating: is not a finite number",
        ),
        ({"user": None, "demographics": ["female"]}, "demographics: is not an object"),
        (
            {"user": None, "demographics": {"gender": 1}},
            "demographics gender: should be a text (got 1)",
        ),
        ({"user": None, "demographics": {"": "x"}}, "demographics '': should not be empty"),
    ],
)
def test_a_fault_is_one_line_that_names_its_place(body, says):
    with pytest.raises(PamelaError, match=re.escape(says)) as caught:
        check(ScoreBody, SOUND | body)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        (ScoreBody, {"images": [KNOWN]}, "names no user"),
        (ScoreBody, {"user": "p001"}, "missing key 'images'; there are user"),
        (ScoreBody, [], "is not an object"),
        (ScoreBody, None, "is not an object"),
        (
            AdaptBody,
            {"dataset": "synthetic"},
            "give ratings, choices, demographics",
        ),
        (SuggestBody, {"user": "p001", "n": 2.5}, "n: is not a whole number (got 2.5)"),
        (SuggestBody, {"user": "p001", "n": True}, "n: is not a whole number (got True)"),
        (SuggestBody, {"user": "p001", "n": 0}, "n: Input should be greater than or equal to 1"),
        (
            SuggestBody,
            {"user": "p001", "candidates": [KNOWN | {"prompt": "x"}]},
            "candidate 1: unknown key 'prompt'; there are image, image_id",
        ),
        (ExplainBody, {"user": "p001", "n": 1}, "unknown key 'n'"),
    ],
)
def test_every_body_is_strict(kind, body, says):
    with pytest.raises(PamelaError, match=re.escape(says)):
        check(kind, body)


def test_people_in_general_are_asked_for_on_purpose():
    assert check(ScoreBody, {"user": None, "images": [KNOWN]}).user is None
    assert check(ScoreBody, {"dataset": "synthetic", "images": [KNOWN]}).user is None


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(PamelaError) as caught:
        check(ScoreBody, SOUND | {"x" * 10_000: 1})
    assert len(str(caught.value)) < 300


WORDS = st.sampled_from(["", " ", "user", "image", "bytes", "é", "a\nb", "\x85", "\ud800", "[key]"])
JSON = st.recursive(
    st.sampled_from([None, True, 0, -3, 10**400, 1.5, float("nan"), float("inf")]) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
KEYS = WORDS | st.sampled_from(["dataset", "ratings", "demographics", "images", "prompt", "n"])


def fault_or_keys(kind, body) -> str | set[str]:
    try:
        return check(kind, body).model_fields_set
    except PamelaError as error:
        return str(error)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(KEYS, JSON, max_size=5))
def test_whatever_is_sent_is_an_object_or_one_line(body):
    for kind in (ScoreBody, AdaptBody, SuggestBody, ExplainBody):
        found = fault_or_keys(kind, body)
        assert found == set(body) if isinstance(found, set) else len(found.splitlines()) == 1


def test_empty_cells_of_a_table_are_keys_that_were_not_given():
    row = {"user": float("nan"), "image_id": "i03", "prompt": None, "rating": 0}
    assert without_nulls(row) == {"image_id": "i03", "rating": 0}
