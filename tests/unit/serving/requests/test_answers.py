"""Requests answered together: one pass over the encoder, and a fault that is nobody else's."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

import pamela
from pamela.core.errors import PamelaError
from pamela.serving.http.bodies import AdaptBody, ScoreBody
from pamela.serving.requests.answers import AdaptedPeople, Answers, ScoreRequest
from pamela.serving.requests.pictures import PictureDoor
from pamela.serving.requests.records import check
from tests.helpers.small_model import NEW


@pytest.fixture
def answers(small_template) -> Answers:
    reward = pamela.load(small_template.models / "bundle")
    return Answers(reward, PictureDoor(small_template.root), AdaptedPeople())


def request(user: str | None, *images: dict) -> ScoreRequest:
    body = check(ScoreBody, {"user": user, "images": list(images)})
    return ScoreRequest(body, body.images, [f"image {i + 1}" for i in range(len(images))])


def test_requests_of_several_people_are_encoded_in_one_pass(answers, monkeypatch):
    requests = [
        request(f"p00{i}", {"image": name}, {"image_id": "i03"}) for i, name in enumerate(NEW)
    ]
    alone = [answers.score([one])[0] for one in requests]
    encoder, calls = answers.reward.pictures.encoder(), []
    encode = encoder.encode_images

    def counted(pictures, *more):
        calls.append(len(pictures))
        return encode(pictures, *more)

    monkeypatch.setattr(encoder, "encode_images", counted)
    together = answers.score(requests)
    assert calls == [len(NEW)]
    for one, same in zip(alone, together, strict=True):
        assert [x.rating for x in one] == pytest.approx([x.rating for x in same], abs=1e-4)


def test_a_fault_is_the_answer_to_its_own_request_alone(answers):
    broken = base64.b64encode(b"RIFF....WEBPbroken").decode()
    known = {"image_id": "i03"}
    asked = [("p001", known), ("p002", known, {"image": broken}), ("nobody", known), (None, known)]
    found = answers.score([request(*one) for one in asked])
    assert [isinstance(one, PamelaError) for one in found] == [False, True, True, False]
    assert str(found[1]).startswith("image 2: does not decode")


def test_one_person_is_learned_once_and_the_same_in_any_order_of_keys(answers, small_template):
    barn = base64.b64encode((small_template.root / "barn.png").read_bytes()).decode()
    rated = [{"image_id": "i03", "rating": 5}, {"image": barn, "rating": 1}]
    name, user = answers.adapt(check(AdaptBody, {"ratings": rated}))
    as_file = [{"rating": 5.0, "image_id": "i03"}, {"image": "barn.png", "rating": 1}]
    assert answers.adapt(check(AdaptBody, {"ratings": as_file})) == (name, user)
    assert answers.user(check(ScoreBody, {"user": name, "images": [{"image_id": "i01"}]})) is user
    other = answers.adapt(check(AdaptBody, {"ratings": rated, "demographics": {"gender": "male"}}))
    assert other[0] != name


def test_a_picture_is_not_rated_twice_however_it_is_named(answers, small_template):
    known = Path("data/pictures/i03.png")
    content = base64.b64encode((small_template.root / known).read_bytes()).decode()
    for other in (
        {"image": str(known)},
        {"image": content},
        {"image_id": "i03", "prompt": "a portrait number 3"},
    ):
        rated = [{"image_id": "i03", "rating": 5}, other | {"rating": 1}]
        with pytest.raises(PamelaError, match=r"rating 2.*the same picture as in rating 1"):
            answers.adapt(check(AdaptBody, {"ratings": rated}))
