"""The endpoints, on a small real model: what is answered, and what is refused in which words."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import pamela
from pamela.serving.types import CatalogImage
from tests.helpers.http_kit import client_of

USER = "synthetic/p001"
PROMPT = "a red barn at dusk"
KNOWN = {"image_id": "i03"}


@pytest.fixture(scope="module")
def client(small_template) -> Iterator[TestClient]:
    with client_of(small_template, str(small_template.models / "bundle"), small_template.root) as c:
        yield c


@pytest.fixture(scope="module")
def reward(small_template):
    return pamela.load(small_template.models / "bundle")


@pytest.fixture(scope="module")
def barn(small_template) -> bytes:
    return (small_template.root / "barn.png").read_bytes()


@pytest.fixture(scope="module")
def lake(small_template) -> bytes:
    return (small_template.root / "lake.png").read_bytes()


def fault(answer, status: int = 422) -> str:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"detail"}
    return answer.json()["detail"]


def ratings(answer) -> list[float]:
    assert answer.status_code == 200, answer.text
    return [one["rating"] for one in answer.json()["scores"]]


# --- what is answered -----------------------------------------------------------------------------
def test_scores_are_those_of_the_api_however_the_picture_comes(client, reward, barn):
    (want,) = reward.score(user=USER, prompt=PROMPT, images=[barn])
    text = base64.b64encode(barn).decode()
    images = [{"image": text}, {"image": f"data:image/png;base64,{text}"}, {"image": "barn.png"}]
    body = {"user": USER, "prompt": PROMPT, "images": images}
    assert ratings(client.post("/score", json=body)) == pytest.approx([want.rating] * 3, abs=1e-4)
    form = {"user": USER, "prompt": PROMPT}
    files = [("image", ("b.png", barn)), ("image", ("c.png", barn))]
    answer = client.post("/score", data=form, files=files)
    assert ratings(answer) == pytest.approx([want.rating] * 2, abs=1e-4)
    assert answer.json()["scores"][0]["model_version"] == want.model_version


def test_a_picture_has_its_own_prompt_or_that_of_the_request(client, reward):
    images = [KNOWN, KNOWN | {"prompt": "a lake"}, KNOWN | {"prompt": ""}]
    for said in (None, PROMPT):
        body = {"user": "p001", "images": images} | ({"prompt": said} if said else {})
        want = reward.score(
            user=USER, images=[CatalogImage("synthetic", "i03")] * 3, prompt=[said, "a lake", ""]
        )
        found = ratings(client.post("/score", json=body))
        assert found == pytest.approx([one.rating for one in want], abs=1e-4)


def test_people_in_general(client, reward):
    want = reward.score(user=None, images=[CatalogImage("synthetic", "i03")])[0]
    for who in ({"user": None}, {"dataset": "synthetic"}):
        answer = client.post("/score", json=who | {"images": [KNOWN]})
        assert ratings(answer) == pytest.approx([want.rating])
        assert answer.json()["scores"][0]["source"] == "population"


def test_somebody_new_by_name_or_in_the_request_itself(client, barn):
    rated = [KNOWN | {"rating": 5}, {"image": base64.b64encode(barn).decode(), "rating": 1}]
    who = {"ratings": rated, "demographics": {"gender": "female"}}
    answer = client.post("/adapt", json=who)
    assert answer.status_code == 200, answer.text
    learned = answer.json()
    assert (learned["source"], learned["ratings"]) == ("adapted", 2)
    by_name = client.post("/score", json={"user": learned["user"], "images": [{"image_id": "i04"}]})
    at_once = client.post("/score", json=who | {"images": [{"image_id": "i04"}]})
    assert by_name.json() == at_once.json()
    form = {"rating": ["5", "1"], "demographics": json.dumps(who["demographics"])}
    files = [("image", barn), ("image", Path(__file__).parent.name.encode())]
    assert "does not decode" in fault(client.post("/adapt", data=form, files=files))
    assert client.post("/adapt", json={"demographics": {"gender": "male"}}).json()["ratings"] == 0


def test_suggestions_and_explanations(client, reward):
    want = reward.suggest(user=USER, n=3)
    answer = client.post("/suggest", json={"user": USER, "n": 3}).json()
    assert [one["image_id"] for one in answer["suggestions"]] == [one.image_id for one in want]
    assert answer["suggestions"][0]["file"].startswith("data/pictures/")
    own = {"user": USER, "n": 2, "candidates": [KNOWN, {"image_id": "i05"}, {"image": "barn.png"}]}
    chosen = client.post("/suggest", json=own).json()["suggestions"]
    assert len({one["candidate"] for one in chosen} & {0, 1, 2}) == 2
    explained = client.post("/explain", json={"user": USER}).json()
    assert (explained["user"], explained["dataset"]) == (USER, "synthetic")
    assert explained["pictures"]


def test_health_and_model_tell_what_answers(client, reward):
    assert client.get("/health").json() == {"status": "ok", "model_version": reward.version}
    facts = client.get("/model").json()
    assert fault(client.get("/model?dataset=zz")) == "unknown parameter 'dataset' in the address"
    assert facts["model_version"] == reward.version
    assert facts["datasets"]["synthetic"]["scale"] == [1, 5]
    assert facts["reload_error"] is None


def test_the_page_needs_nothing_from_elsewhere_and_knows_every_body(client):
    page = client.get("/docs").text
    assert "https://" not in page
    assert client.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200
    told = client.get("/openapi.json").json()
    assert set(told["paths"]) == {"/score", "/adapt", "/suggest", "/explain", "/health", "/model"}
    names = set(told["components"]["schemas"])
    wanted = {word.split('"')[0] for word in json.dumps(told).split("#/components/schemas/")[1:]}
    assert wanted <= names
    assert told["components"]["schemas"]["ScoreBody"]["additionalProperties"] is False
    assert set(told["paths"]["/score"]["post"]["requestBody"]["content"]) == {
        "application/json", "multipart/form-data",
    }  # fmt: skip


# --- what is refused ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            {"user": "synthetic/p0001"},
            "unknown user 'synthetic/p0001': did you mean synthetic/p001",
        ),
        ({"user": "P001"}, "unknown user 'P001': did you mean p001"),
        ({"user": "zzz"}, "unknown user 'zzz': 24 users are known, such as p000"),
        ({"user": 5}, "user: should be a text (got 5)"),
        ({"user": "adapted/0123"}, "user 'adapted/0123' is not remembered here"),
        ({"dataset": "lapis"}, "is of dataset synthetic, not of 'lapis'"),
        ({"user": None, "dataset": "lapis"}, "lapis"),
        ({"images": [KNOWN, {"image_id": "i003"}]}, "image 2: no picture 'i003' in dataset"),
        ({"images": [KNOWN, KNOWN, {"image": "gone.png"}]}, "image 3 ('gone.png'): image is"),
        ({"images": [KNOWN, {"image": "params.yaml"}]}, "image 2 ('params.yaml')"),
        ({"user": None, "ratings": [KNOWN | {"rating": 9}]}, "9 is off the scale 1..5"),
        (
            {"user": None, "ratings": [KNOWN | {"rating": 1}, KNOWN | {"rating": 5}]},
            "rating 2: the same picture as in rating 1",
        ),
        ({"user": None, "demographics": {"gender": "x"}}, "unknown gender 'x'"),
        ({"user": None, "demographics": {"shoe": "x"}}, "unknown demographic 'shoe'"),
    ],
)
def test_a_fault_is_told_in_one_line_with_what_is_known(client, body, says):
    answer = client.post("/score", json={"user": USER, "images": [KNOWN]} | body)
    assert says in fault(answer)
    assert "\n" not in answer.json()["detail"]


BROKEN = {"image": base64.b64encode(b"\x89PNG\r\n\x1a\n broken").decode()}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([KNOWN, {"image_id": "i04"}, BROKEN], "candidate 3: does not decode"),
        ([KNOWN, {"image_id": "i04"}, KNOWN], "candidate 3: the same picture as in candidate 1"),
        ([KNOWN, {"image_id": "i99"}], "candidate 2: no picture 'i99'"),
    ],
)
def test_a_fault_of_a_candidate_is_told_by_its_place(client, given, says):
    answer = client.post("/suggest", json={"user": USER, "candidates": given})
    assert fault(answer).startswith(says)


def test_a_picture_that_does_not_decode_is_named_by_its_place(client):
    broken = BROKEN["image"]
    body = {"user": USER, "images": [KNOWN, {"image_id": "i04"}, {"image": broken}]}
    assert fault(client.post("/score", json=body)).startswith("image 3: does not decode")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"user": "a", "user": "b", "images": []}', "key 'user' is given twice"),
        ('{"user": NaN}', "NaN is not JSON"),
        ('{"user": "p001", "images": [', "the body is not valid JSON"),
        (b'{"user": "\xe9"}', "the body is not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"user": "\\ud800", "images": [{"image_id": "i03"}]}', "user: is not valid Unicode"),
        (
            '{"user": null, "images": [{"image_id": "i03"}], "prompt": "\\ud800"}',
            "prompt: is not valid Unicode",
        ),
        (
            '{"user": null, "images": [{"image_id": "i03", "prompt": "\\ud800"}]}',
            "image 1 prompt: is not valid Unicode",
        ),
        ("1" * 5000, "a number of thousands of digits"),
        ("", "the body is not valid JSON"),
        ('"p001"', "the body is not a JSON object (got 'p001')"),
    ],
)
def test_json_that_is_none_is_refused(client, content, says):
    answer = client.post("/score", content=content, headers={"Content-Type": "application/json"})
    assert says in fault(answer)


def test_other_contents_and_addresses_are_refused(client):
    assert "send JSON" in fault(client.post("/score", data={"user": USER}), 415)
    assert "got 'text/csv'" in fault(
        client.post("/score", content="a", headers={"Content-Type": "text/csv"}), 415
    )
    files = {"image": b"x"}
    assert "send JSON" in fault(client.post("/explain", data={"user": USER}, files=files), 415)
    assert "unknown parameter 'user'" in fault(client.post("/score?user=p001", json={}))
    assert "unknown parameter 'users' in the address" in fault(client.get("/model?users=9"))
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = client.post("/score", content=b"\x1f\x8b", headers=packed)
    assert fault(answer, 415) == "send the body as it is, not as 'gzip'"
    known = "POST /score, POST /adapt, POST /suggest, POST /explain, GET /health, GET /model"
    assert fault(client.get("/score"), 405) == f"no GET '/score'; there are {known}"
    assert fault(client.post("/scores", json={}), 404) == f"no POST '/scores'; there are {known}"


@pytest.mark.parametrize(
    ("form", "files", "says"),
    [
        ({"user": USER, "image": "barn.png"}, {}, "'image' is to be a file"),
        ({"user": USER}, {"images": b"x"}, "unknown key 'images'; there are image, user, dataset,"),
        ({"usr": USER}, {"image": b"x"}, "unknown key 'usr'; there are image, user, dataset,"),
        ({}, {"user": b"p001"}, "'user' is to be text, not a file"),
        ({"demographics": "gender=female"}, {"image": b"x"}, "demographics: is not JSON, such as"),
        ({"user": [USER, USER]}, {"image": b"x"}, "'user' is given 2 times"),
        ({"user": ""}, {"image": b"x"}, "user: should not be empty"),
        ({"prompt": PROMPT}, {"image": b"x"}, "names no user"),
        ({"user": USER}, {"image": b"x"}, "image 1: does not decode"),
    ],
)
def test_a_form_is_as_strict_as_json(client, form, files, says):
    sent = [
        (key, (None, one)) for key, v in form.items() for one in ([v] if isinstance(v, str) else v)
    ]
    sent += [(key, ("a.png", content)) for key, content in files.items()]
    assert says in fault(client.post("/score", files=sent))


def test_ratings_of_a_form_pair_up(client, barn):
    files = [("image", ("a.png", barn))]
    says = fault(client.post("/adapt", data={"rating": ["1", "2"]}, files=files))
    assert "1 files called image, 2 ratings" in says
    says = fault(client.post("/adapt", data={"rating": "good"}, files=files))
    assert "rating 1 rating: is not a number (got 'good')" in says
    for no_number in ("0_4", "nan", "4,5", "\u0664"):
        says = fault(client.post("/adapt", data={"rating": no_number}, files=files))
        assert says.startswith("rating 1 rating: is not a number"), no_number
    says = fault(client.post("/adapt", data={"rating": "4", "demographics": "{"}, files=files))
    assert says.startswith('demographics: is not JSON, such as {"gender": "female"}')


def test_a_form_tells_demographics_too(client, barn):
    form = {"demographics": '{"gender": "female"}'}
    answer = client.post("/score", data=form, files=[("image", ("a.png", barn))])
    body = {
        "demographics": {"gender": "female"},
        "images": [{"image": base64.b64encode(barn).decode()}],
    }
    assert answer.json() == client.post("/score", json=body).json()


def test_a_form_takes_choices_as_json_does(client, barn, lake):
    """In any number, beside ratings, each with prompts or without."""
    form = {
        "choice": ["a", "tie"], "prompt_a": [PROMPT, ""], "rating": "4", "dataset": "synthetic",
    }  # fmt: skip
    files = [("a", barn), ("b", lake), ("a", lake), ("b", barn), ("image", barn)]
    sent = [(key, ("x.png", content)) for key, content in files]
    by_form = client.post("/adapt", data=form, files=sent)
    one, other = ({"image": base64.b64encode(content).decode()} for content in (barn, lake))
    body = {
        "ratings": [one | {"rating": 4}],
        "choices": [
            {"a": one | {"prompt": PROMPT}, "b": other, "choice": "a"},
            {"a": other | {"prompt": ""}, "b": one, "choice": "tie"},
        ],
        "dataset": "synthetic",
    }
    assert by_form.json() == client.post("/adapt", json=body).json()
    assert (by_form.json()["ratings"], by_form.json()["choices"]) == (1, 2)


@pytest.mark.parametrize(
    ("form", "files", "says"),
    [
        ({"choice": "a"}, ["a"], "1 files called a, 0 called b, 1 choices: give all three"),
        ({"choice": ["a", "b"]}, ["a", "b"], "1 files called a, 1 called b, 2 choices"),
        ({"choice": "left"}, ["a", "b"], "choice 1 choice: "),
        ({"choice": "a", "prompt_b": ["x", "y"]}, ["a", "b"], "2 texts called prompt_b, 1 choices"),
        ({"choice": "a", "a": "barn.png"}, ["b"], "'a' is to be a file, as curl -F a=@barn.png"),
    ],
)
def test_choices_of_a_form_are_whole(client, barn, form, files, says):
    sent = [(key, ("x.png", barn)) for key in files]
    sent += [
        (key, (None, one)) for key, v in form.items() for one in ([v] if isinstance(v, str) else v)
    ]
    assert says in fault(client.post("/adapt", files=sent))


def test_who_is_adapted_to_has_no_name_yet(client):
    assert "give ratings, choices, demographics or several" in fault(client.post("/adapt", json={}))
    named = fault(client.post("/adapt", json={"user": USER}))
    assert named == "unknown key 'user'; there are dataset, ratings, choices, demographics"


def test_a_request_that_is_too_large_is_refused_while_it_arrives(small_template):
    with client_of(small_template, str(small_template.models / "bundle")) as client:
        service_mb = 32
        large = {"user": USER, "images": [{"image": "A" * (service_mb + 1) * 2**20}]}
        assert "larger than 32 MB" in fault(client.post("/score", json=large), 413)
        assert client.post("/score", json={"user": USER, "images": [KNOWN]}).status_code == 200


def test_an_unexpected_fault_tells_nothing_of_its_inside(client, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret /path")

    monkeypatch.setattr("pamela.serving.requests.answers.Answers.score", broken)
    answer = client.post("/score", json={"user": USER, "images": [KNOWN]})
    assert "secret" not in fault(answer, 500)
