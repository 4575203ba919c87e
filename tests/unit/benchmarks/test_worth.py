"""What new people tell: the same pictures rated, chosen between in a ring, and liked or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.newcomers import ColdStartUsers
from benchmarks.worth import kinds_of_telling
from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.reporting.plots.worth import write_worth

NOBODY = People(pl.DataFrame({s.DATASET: ["d", "d"], s.USER: ["a", "b"]}))


def made() -> tuple[ColdStartUsers, Fold]:
    """Two people with four ratings each, and a fold whose training ratings are 1, 3, 4 and 5."""
    user, item = np.repeat([0, 1], 4), np.array([5, 6, 7, 8, 8, 7, 6, 5])
    context = Pairs(user, item, np.array([1, 2, 4, 5, 5, 4, 2, 1], np.float32))
    again = np.array([1.2, 3.1, 2.9, 5.0, 0.5, 0.4, 0.6, 9.0])
    users = ColdStartUsers(NOBODY, Pairs.empty(), context, np.tile(np.arange(4), 2), again)
    rated = Pairs(np.zeros(4, np.int64), np.arange(4), np.array([1, 3, 4, 5], np.float32))
    nothing = np.zeros((0, 0), np.float32)
    items = Items(pl.DataFrame({s.DATASET: []}), nothing, nothing)
    return users, Fold(0, items, NOBODY, {s.TRAIN: rated})


def test_each_of_the_first_pictures_is_compared_with_the_next_and_the_last_with_the_first() -> None:
    choices = kinds_of_telling(*made(), 3)["choices"].choices
    assert choices is not None
    assert choices.user.tolist() == [0, 0, 0, 1, 1, 1]
    assert choices.a.tolist() == [5, 6, 7, 8, 7, 6]
    assert choices.b.tolist() == [6, 7, 5, 7, 6, 8]
    assert choices.outcome.tolist() == [0, 1, 1, 1, 0, 1]  # by the second impression


def test_a_like_is_worth_what_such_ratings_are_on_average_in_training() -> None:
    told = kinds_of_telling(*made(), 4)["likes"].ratings
    assert told is not None
    assert told.rating.tolist() == [2.0, 2.0, 4.5, 4.5, 4.5, 4.5, 2.0, 2.0]


def test_with_nothing_told_all_kinds_are_the_same() -> None:
    for told in kinds_of_telling(*made(), 0).values():
        assert told.ratings is None
        assert told.choices is None


@pytest.mark.parametrize("shots", [[0], [0, 20]])
def test_the_curves_are_drawn(tmp_path: Path, shots: list[int]) -> None:
    rows = [
        {"kind": kind, "shots": k, "value": 0.5, "ci_low": 0.4, "ci_high": 0.6}
        for kind in ("ratings", "choices", "likes")
        for k in shots
    ]
    write_worth(pl.DataFrame(rows), tmp_path / "worth.png")
    assert (tmp_path / "worth.png").stat().st_size > 5000
