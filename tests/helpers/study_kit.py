"""A study without a model: pictures of one colour, answers by plain calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pamela.core.paths import Project
from pamela.study.participant import LEFT, Choose, Participant, Rate
from pamela.study.pictures import PictureStore
from pamela.study.plan import Shown
from pamela.study.settings import Settings, StartPrompt, begin
from pamela.study.study import PICTURES, Study

ARMS = ("none", "other", "population", "self")
PROMPTS = ("a red barn", "a lighthouse")
CONSENT = "# Consent\n\nYou rate and choose. <script>alert(1)</script>\n"


def settings(**other: Any) -> Settings:
    """Return the settings of a small study."""
    said: dict[str, Any] = {
        "name": "pilot",
        "dataset": "synthetic",
        "scale": [1.0, 5.0],
        "model_version": "hierarchical-12345678",
        "ratings": 3,
        "repeats": 2,
        "seed": 0,
        "prompts": [StartPrompt(prompt_id=p, prompt=p, seed=0, group="g") for p in PROMPTS],
        "pictures": None,
        "steering": "made up",
        "consent": "",
    }
    return Settings.model_validate(said | other)


class MadeUpDrawer:
    """Every arm of every prompt is a colour of its own; `none` and `other` are alike."""

    def __init__(self, store: PictureStore) -> None:
        self.store, self.others = store, list[str]()
        self.fault: Exception | None = None

    def other(self, person: Participant, rated: Sequence[Participant]) -> str:
        """Return somebody."""
        return next((one.id for one in rated if one.id != person.id), "synthetic/p001")

    def run(
        self,
        person: Participant,
        other: str,
        people: Mapping[str, Participant],
        advance: Callable[[int], None],
    ) -> list[Shown]:
        """Return the pictures."""
        advance(1)
        self.others.append(other)
        if self.fault is not None:
            raise self.fault
        mine = int(person.id[1:3], 16)
        return [
            Shown(prompt, arm, self._colour(mine, i, arm), f"{prompt}, {arm}")
            for i, prompt in enumerate(PROMPTS)
            for arm in ARMS
        ]

    def _colour(self, red: int, green: int, arm: str) -> str:
        blue = ARMS.index("none" if arm == "other" else arm)
        return self.store.add(np.full((8, 8, 3), (red, green, blue), np.uint8), "a colour")


def make_study(root: Path, **other: Any) -> Study:
    """Return a study in the project `root`, begun or gone on with."""
    project = Project(root)
    said = settings(**other)
    folder = project.studies / said.name
    begin(folder, said, CONSENT)
    store = PictureStore(folder / PICTURES)
    rated = {}
    for number in range(said.ratings):
        sha = store.add(np.full((8, 8, 3), 200 + number, np.uint8), "a picture")
        rated[f"i{number}"] = store.path(sha)
    return Study(project, folder, said, b"secret", rated, drawer=MadeUpDrawer(store))


def rate_all(study: Study, person: Participant, rating: float = 4.0) -> None:
    """Rate all that is asked."""
    while isinstance(step := person.step, Rate):
        assert study.rate(person, step.number, rating, 900)


def choose_all(study: Study, person: Participant, answer: str = LEFT) -> None:
    """Compare all that is asked, in one way."""
    while isinstance(step := person.step, Choose):
        assert study.choose(person, step.number, answer, 900)


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for what another thread does."""
    import time

    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.01)
