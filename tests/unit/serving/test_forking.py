"""A process forked from one with a model would hang in Polars: it is told what to do instead."""

from __future__ import annotations

import multiprocessing
import pickle
from typing import Any

import polars as pl
import pytest

import pamela
from pamela.core.errors import PamelaError
from pamela.serving import forking
from tests.conftest import must
from tests.paths import ROOT

PATIENCE_S = 60  # a hang is for ever; a refusal takes milliseconds


def _tell(connection: Any, call: Any) -> None:
    try:
        connection.send(repr(call()))
    except PamelaError as error:
        connection.send(f"PamelaError: {error}")


def in_a_fork(call: Any) -> str:
    """Return what a forked child says; one that hangs is ended and fails the test."""
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe()
    child = context.Process(target=_tell, args=(its, call))
    child.start()
    try:
        assert mine.poll(PATIENCE_S), "the child hangs"
        return str(mine.recv())
    finally:
        child.kill()
        child.join()


@pytest.mark.parametrize("method", ["score", "adapt", "suggest", "explain", "person", "load"])
def test_every_call_in_a_forked_child_is_refused_at_once(small_project, method):
    reward = pamela.load("models/bundle")
    assert reward.score(user="p001", images="data/pictures/i01.png")  # Polars' threads are there
    call = {
        "score": lambda: reward.score(user="p001", images="data/pictures/i01.png"),
        "adapt": lambda: reward.adapt(ratings=[("data/pictures/i01.png", 3)]),
        "suggest": lambda: reward.suggest(user="p001", n=1),
        "explain": lambda: reward.explain(user="p001"),
        "person": lambda: reward.person("anna"),
        "load": lambda: pamela.load("models/bundle"),
    }[method]
    said = in_a_fork(call)
    assert said.startswith("PamelaError: this process was forked from one that had loaded a model")
    assert 'get_context("spawn")' in said


def test_a_child_of_a_process_that_used_polars_by_itself_is_refused(small_project, monkeypatch):
    pl.Series([2, 1]).sort()  # starts the pool
    monkeypatch.setattr(forking, "_used", False)
    monkeypatch.setattr(forking, "PATIENCE_S", 2.0)
    said = in_a_fork(lambda: pamela.load("models/bundle"))
    assert "forked from one that had loaded a model or used Polars" in said


def test_a_model_is_copied_by_loading_it_again(small_project):
    reward = pamela.load("models/bundle")
    copy = pickle.loads(pickle.dumps(reward))  # noqa: S301, its own
    assert copy.users == reward.users
    one = "data/pictures/i01.png"
    assert copy.score(user="p001", images=one) == reward.score(user="p001", images=one)


SPAWN = """
import multiprocessing
import pamela

def rating(path):
    return pamela.load("models/bundle").score(user="p001", images=path)[0].rating

if __name__ == "__main__":
    here = rating("data/pictures/i01.png")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(rating, ["data/pictures/i01.png"]) == [here]
    print("as said")
"""


def test_a_spawned_process_scores_as_the_message_says(small_project):
    (small_project.root / "spawned.py").write_text(SPAWN)
    assert must(small_project.root, "python", "spawned.py", PYTHONPATH=str(ROOT)) == "as said\n"
