"""The attacks on the gate: what a batch holds, and one seed of each kind with real fits."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import poison
from benchmarks.poison import Attack, Found
from benchmarks.poison_gate import Retraining
from benchmarks.poison_world import Attacked, draw_batch, make_attacked
from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.params import load_params
from tests.helpers.gate_kit import make_fold
from tests.paths import ROOT

PARAMS = load_params(ROOT / "params.yaml")


@pytest.fixture
def world() -> Attacked:
    fold = make_fold()
    train = fold[s.TRAIN]
    half = np.arange(len(train)) % 2 == 0
    kept = Fold(0, Items(fold.items.frame, fold.items.image, fold.items.prompt),
                People(fold.people.frame), {**fold.parts, s.TRAIN: train.take(half)})  # fmt: skip
    return Attacked(kept, train.take(~half), Pairs(train.user + 16, train.item, train.rating))


def test_a_batch_is_of_the_people_and_the_kind_that_was_asked_for(world: Attacked) -> None:
    honest, flipped, fives, shuffled = (
        draw_batch(world, kind, "new", 5, 6, first=2)
        for kind in ("honest", "flipped", "fives", "shuffled")
    )
    assert np.unique(honest.user).tolist() == [18, 19, 20, 21, 22]
    assert (np.bincount(honest.user)[18:] == 6).all()
    np.testing.assert_array_equal(flipped.rating, 6 - honest.rating)
    assert set(fives.rating) == {5.0}
    assert not np.array_equal(shuffled.rating, honest.rating)
    np.testing.assert_array_equal(np.sort(shuffled.rating), np.sort(honest.rating))
    assert draw_batch(world, "honest", "known", 99, 6).user.max() < 16


def test_goals_that_are_missed() -> None:
    assert not Found("one", "", 0, [], lost=0.004).missed
    assert Found("one", "", 0, [], lost=0.006).missed
    assert not Found("slow", "", 0, [], lost=0.006).missed
    assert Found("slow", "", 0, [], lost=0.011).missed
    assert Found("held", "", 0, [], lost=0.0, late=1).missed


@pytest.mark.slow
def test_one_seed_of_poison_leaves_the_champion_where_it_is() -> None:
    start = Retraining.start(PARAMS, make_attacked(PARAMS, 0))
    attacks = [Attack("flipped", "new", 1.0, 20), Attack("fives", "known", 1.0, 100)]
    found = list(poison.attack_once(start, 0, attacks))
    assert [one.outcomes for one in found] == [["REJECT"], ["REJECT"]]
    assert not any(one.missed for one in found)
