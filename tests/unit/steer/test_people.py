"""Which ratings the rewards of the benchmark know: cold-start users' few, the independent one's."""

from __future__ import annotations

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.core.paths import Project
from pamela.models.gaussian_process.model import Population
from pamela.models.random_effects.posterior import Prior
from pamela.params import load_params
from pamela.steer import people
from tests.paths import ROOT


def _pairs(user, items):
    return Pairs(
        np.full(len(items), user), np.array(items, np.int64), np.ones(len(items), np.float32)
    )


def _fold(names=("synthetic", "synthetic", "other")):
    """User 0 was in training; 1 and 2 were not."""
    none = np.zeros((100, 0), np.float32)
    frame = pl.DataFrame({s.DATASET: ["synthetic"] * 100, s.IMAGE: [f"i{i}" for i in range(100)]})
    parts = {
        s.TRAIN: _pairs(0, range(40)),
        s.TEST_SEEN: _pairs(0, range(60, 80)),
        s.TEST_UNSEEN: Pairs.concat(_pairs(1, range(60, 80)), _pairs(2, range(60, 80))),
        s.CONTEXT_UNSEEN: Pairs.concat(_pairs(1, range(30)), _pairs(2, range(30))),
        s.VAL_UNSEEN: Pairs.empty(),
    }
    users = pl.DataFrame({s.DATASET: list(names), s.USER: ["a", "b", "c"]})
    return Fold(0, Items(frame, none, none), People(users), parts)


PARAMS = load_params(ROOT / "params.yaml")


class Linear:
    """Whose columns say how much a rating of a picture tells: the more, the later it stands."""

    prior = Prior(np.zeros(1), np.eye(1), 1.0)
    parts = ()
    axes = np.eye(1)

    def as_of_new(self, columns):
        return columns

    def columns(self, items):
        number = items.frame[s.IMAGE].str.slice(1).cast(pl.Float64).to_numpy()
        return number, number, np.where(number % 2, number, -number)[:, None]

    def weights_of(self, *_): ...

    def opinion(self, *_): ...

    def pair_scores(self, *_): ...


def test_cold_start_users_are_known_by_twenty_ratings_of_their_dataset(capsys):
    told = people.shown_ratings(_fold(), PARAMS, "synthetic", Population(2))
    assert "the champion suggests none" in capsys.readouterr().out
    assert told.user.tolist() == [1] * 20
    assert len(set(told.item.tolist())) == 20
    assert told.item.max() < 30  # of the context, never what is asked


def test_cold_start_users_rate_what_the_champion_suggests():
    told = people.shown_ratings(_fold(), PARAMS, "synthetic", Linear())
    assert told.user.tolist() == [1] * 20
    assert sorted(told.item.tolist()) == list(range(10, 30))  # what tells most, of the context


def test_the_independent_reward_sees_no_rating_that_another_saw(monkeypatch, tmp_path):
    fitted = {}

    class Spy:
        @classmethod
        def from_params(cls, params):
            return cls()

        def fit(self, fold, *, seed):
            fitted["fold"] = fold

    monkeypatch.setattr(people, "model_class", lambda name: Spy)
    train = PARAMS.train.model_copy(update={"models": ["population", "hierarchical"]})
    fold = _fold()
    told = people.shown_ratings(fold, PARAMS, "synthetic", Population(2))
    params = PARAMS.model_copy(update={"train": train})
    people.fit_independent(Project(tmp_path), params, fold, told)

    def keys(pairs):
        return set(zip(pairs.user.tolist(), pairs.item.tolist(), strict=True))

    seen = keys(fitted["fold"][s.TRAIN])
    assert not seen & (keys(fold[s.TRAIN]) | keys(told))
    assert seen == (keys(fold[s.TEST_SEEN]) | keys(fold[s.TEST_UNSEEN])) | (
        keys(fold[s.CONTEXT_UNSEEN]) - keys(told)
    )
