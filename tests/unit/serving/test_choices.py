"""Choices that teach a model of a new person: Python, the shell, HTTP's records, saved people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import pamela
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, write_json
from pamela.core.schema import STANDARD_SCALE
from pamela.serving.requests.answers import AdaptedPeople, Answers
from pamela.serving.requests.pictures import PictureDoor
from pamela.serving.requests.records import DescribedRecord, check
from pamela.serving.types import CatalogImage
from pamela.training.bundle_files import write_sums
from tests.helpers.people_commands import adapt, fault, pamela_command, ratings_of
from tests.helpers.small_model import NEW

CHOSEN = [
    ("barn.png", "lake.png", "a"),
    ("barn.png", CatalogImage("synthetic", "i03"), "a"),
    (CatalogImage("synthetic", "i03"), "lake.png", "tie"),
    ("lake.png", "barn.png", "a"),  # who contradicts themselves is taken at their word
]
ROWS = (
    "image_a,file_a,image_b,file_b,choice\n"
    ",barn.png,,lake.png,a\n,barn.png,i03,,a\ni03,,,lake.png,tie\n,lake.png,,barn.png,a\n"
)


def scores(reward, user) -> list[float]:
    return [one.rating for one in reward.score(user=user, images=list(NEW))]


def test_a_person_is_learned_from_choices_alike_in_python_in_a_table_and_over_http(small_project):
    reward = pamela.load("models/bundle")
    me = reward.adapt(choices=CHOSEN)
    assert reward.user_context(me).source == "adapted"
    expected = scores(reward, me)
    assert expected != pytest.approx(scores(reward, None), abs=0.01)
    frame = pl.read_csv(ROWS.encode())
    assert scores(reward, reward.adapt(choices=frame)) == pytest.approx(expected, abs=1e-5)
    sides = {"barn.png": {"image": "barn.png"}, "lake.png": {"image": "lake.png"}}
    body = {
        "choices": [
            {
                side: sides[one] if isinstance(one, str) else {"image_id": one.image_id}
                for side, one in zip("ab", row[:2], strict=True)
            }
            | {"choice": row[2]}
            for row in CHOSEN
        ]
    }
    answers = Answers(reward, PictureDoor(Path.cwd()), AdaptedPeople())
    name, user = answers.adapt(check(DescribedRecord, body))
    assert scores(reward, user) == pytest.approx(expected, abs=1e-5)
    assert answers.adapt(check(DescribedRecord, body))[0] == name
    assert answers.adapt(check(DescribedRecord, {"choices": body["choices"][:2]}))[0] != name


def test_choices_join_ratings_and_teach_what_is_preferred(small_project):
    reward = pamela.load("models/bundle")
    rated = [("barn.png", 5), (CatalogImage("synthetic", "i07"), 2)]
    plain, both = (
        reward.adapt(ratings=rated, choices=choices)
        for choices in (None, [("apple.png", "boat.png", "a")] * 3)
    )
    assert len(both.context) == 4
    assert both.ratings == plain.ratings
    apple, boat = NEW.index("apple.png"), NEW.index("boat.png")
    before, after = scores(reward, plain), scores(reward, both)
    assert after[apple] - after[boat] > before[apple] - before[boat]
    assert np.std(np.subtract(after, before)) > 0
    told = {one.image_id for one in reward.suggest(user=both, n=60)}
    assert "i07" not in told


def test_a_saved_person_keeps_choices_and_adds_to_them(small_project):
    Path("chosen.csv").write_text(ROWS)
    (learned,) = pamela_command("adapt", "--choices", "chosen.csv", "--name", "anna")
    assert (learned["ratings"], learned["choices"], learned["mean"]) == (0, 4, None)
    reward = pamela.load("models/bundle")
    assert ratings_of("anna") == pytest.approx(
        scores(reward, reward.adapt(choices=CHOSEN)), abs=1e-4
    )
    more = adapt("image_id,rating\ni05,5\n", "anna", "--add", "--choices", "chosen.csv")
    assert (more["ratings"], more["choices"]) == (1, 8)
    both = reward.adapt(ratings=[(CatalogImage("synthetic", "i05"), 5)], choices=CHOSEN * 2)
    assert ratings_of("anna") == pytest.approx(scores(reward, both), abs=1e-4)
    adapt("image_id,rating\ni05,5\n", "ben")
    assert "choices" not in read_json(small_project.people / "ben.json")


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ([("barn.png", "lake.png")], "choice 1: .* is none; give"),
        ([("barn.png", "lake.png", "A")], "choice 1: 'A' .*is no choice; give a or b or tie"),
        ([("barn.png", "barn.png", "a")], "choice 1: a picture against itself"),
        ([("barn.png", "gone.png", "a")], "choice 1: image_b.*gone.png"),
        (pl.DataFrame({"image_a": ["i01"], "image_b": ["i02"]}), "no column choice"),
        (pl.DataFrame({"image_a": ["i01"], "choice": ["a"]}), "neither a column image_b"),
        (
            pl.DataFrame({"image_a": ["i01"], "image_b": [None], "choice": ["a"]}),
            "choices row 1: names no picture",
        ),
        (
            pl.DataFrame({"image_a": ["i01"], "image_b": ["i02"], "choice": [None]}),
            "choices row 1: '' is no choice",
        ),
    ],
)
def test_faults_name_the_choice(small_project, choices, said):
    with pytest.raises(PamelaError, match=said):
        pamela.load("models/bundle").adapt(choices=choices)


def test_a_score_of_a_dataset_that_nobody_rated_says_so(small_project):
    assert not pamela.load("models/bundle").score(user=None, images=["barn.png"])[0].standardised
    path = small_project.models / "bundle" / "bundle.json"
    meta = read_json(path)
    meta["datasets"]["synthetic"] = {"scale": list(STANDARD_SCALE), "standardised": True}
    write_json(path, meta)
    write_sums(path.parent)
    (score,) = pamela.load("models/bundle").score(user=None, images=["barn.png"])
    assert score.standardised
    assert -4 <= score.rating <= 4


def test_the_shell_wants_something_to_learn_from(small_project):
    assert "give --ratings FILE, --choices FILE or both" in fault("adapt", "--name", "bob")
