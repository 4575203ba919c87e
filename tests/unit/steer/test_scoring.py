"""Pictures that are drawn while others are scored are those that are drawn before."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from pamela.core.errors import PamelaError
from pamela.steer.generators.base import Candidate
from pamela.steer.search.loop import Search
from pamela.steer.search.scoring import score_trials
from pamela.steer.search.store import MemoryStore
from pamela.steer.search.trials import proposed


class Drawer:
    """Draws the length of a prompt as grey."""

    fingerprint = "lengths"
    at_once = 2

    def __init__(self, *, beside: bool, fails_at: str = "") -> None:
        self.beside, self.fails_at = beside, fails_at
        self.threads: set[threading.Thread] = set()

    def generate(self, prompts, seeds):
        self.threads.add(threading.current_thread())
        if self.fails_at in prompts:
            raise PamelaError("no more paint")
        return [np.full((2, 2, 3), len(prompt), np.uint8) for prompt in prompts]


class Grey:
    """Likes bright pictures."""

    fingerprint, personal = "grey", False

    def score(self, users, candidates, images):
        return np.array([image.mean() for image in images], float)


PROMPTS = ["a" * n for n in (3, 9, 1, 7, 5, 9, 2)]
SEARCH = Search("grey", None, Candidate("p", "a", 0))


def score(drawer: Drawer) -> tuple[list[float], MemoryStore]:
    store = MemoryStore()
    trials = proposed([SEARCH], 1, [PROMPTS])
    found = score_trials(
        trials, [SEARCH], generator=drawer, rewards={"grey": Grey()}, store=store,
        advance=lambda _: None,
    )  # fmt: skip
    return found.tolist(), store


@pytest.mark.parametrize("beside", [False, True])
def test_each_trial_gets_the_score_of_its_own_picture(beside):
    drawer = Drawer(beside=beside)
    found, store = score(drawer)
    assert found == [float(len(prompt)) for prompt in PROMPTS]
    assert (store.counts.asked, store.counts.drawn) == (7, 6)
    assert (threading.current_thread() in drawer.threads) is not beside


def test_a_fault_of_what_is_drawn_ahead_is_told():
    with pytest.raises(PamelaError, match="no more paint"):
        score(Drawer(beside=True, fails_at="a" * 5))
