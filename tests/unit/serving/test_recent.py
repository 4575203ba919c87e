"""What was scored is not encoded again: the second call finds it by its content."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

import pamela
from pamela.core.errors import PromptWarning
from pamela.models.hierarchical.model import Hierarchical
from pamela.serving.recent_columns import LAYOUT
from tests.helpers.small_model import NEW

PROMPT = "a red barn at dusk"
LONG = "a red barn at dusk, " * 12


def test_a_second_call_encodes_nothing(small_project):
    first = pamela.load("models/bundle")
    asked = {"user": "p001", "images": list(NEW), "prompt": PROMPT}
    scores = first.score(**asked)
    assert first.pictures.encodes
    for name in NEW[:2]:  # found by content, not by name
        shutil.move(name, f"moved-{name}")
    images = [*(f"moved-{name}" for name in NEW[:2]), *NEW[2:]]
    second = pamela.load("models/bundle")
    assert second.score(user="p001", images=images, prompt=PROMPT) == scores
    assert second.score(user="p001", images=Path(NEW[3]).read_bytes(), prompt=PROMPT) == scores[3:4]
    second.score(user="p002", images=NEW[3])  # without a prompt
    assert not second.pictures.encodes
    shutil.rmtree(small_project.score_cache)
    assert pamela.load("models/bundle").score(**asked | {"images": images}) == scores


def test_a_prompt_that_is_cut_is_told_every_time(small_project):
    for _ in range(2):
        with pytest.warns(PromptWarning, match="1 of 1 new prompts is longer"):
            (score,) = pamela.load("models/bundle").score(
                user="p001", images="barn.png", prompt=LONG
            )
        assert score.prompt_cut


def test_pixels_are_not_kept(small_project):
    from PIL import Image

    reward = pamela.load("models/bundle")
    reward.score(user=None, images=Image.open("barn.png"))
    (folder,) = small_project.score_cache.iterdir()  # the training pictures, for percentiles
    assert folder.name == f"{reward.version}-{LAYOUT}"
    assert pl.read_parquet(folder).height == reward.bundle.in_train_items.sum()


def test_what_the_model_makes_of_pictures_is_worked_out_once_for_all(small_project, monkeypatch):
    asked = {"images": list(NEW), "prompt": PROMPT}
    reward = pamela.load("models/bundle")
    reward.score(user="p001", **asked)
    expected = reward.score(user="p002", **asked)
    with monkeypatch.context() as patch:
        patch.setattr(Hierarchical, "columns", lambda *_: pytest.fail("worked out again"))
        assert pamela.load("models/bundle").score(user="p002", **asked) == expected
        with pytest.raises(pytest.fail.Exception):  # with another prompt they are others
            pamela.load("models/bundle").score(user="p002", images=list(NEW), prompt="a cat")
    shutil.rmtree(small_project.score_cache)
    assert pamela.load("models/bundle").score(user="p002", **asked) == expected
