"""A choice as two ratings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Choices, Fold, Items, Pairs, People
from pamela.models.choices.as_ratings import (
    STEP,
    as_ratings,
    choices_as_ratings,
    rows_to_learn_from,
)

ITEMS = Items(
    pl.DataFrame({s.DATASET: ["rated"] * 3 + ["chosen"] * 2, s.IMAGE: list("abcde")}),
    np.zeros((5, 1), np.float32),
    np.zeros((5, 0), np.float32),
)
PEOPLE = People(pl.DataFrame({s.DATASET: ["rated", "chosen"], s.USER: ["u", "v"]}))
RATED = Pairs(np.zeros(2, np.int64), np.array([0, 1]), np.array([4.0, 5.0], np.float32))
CHOSEN = Choices(
    np.array([0, 1, 1]),
    np.array([1, 3, 4]),
    np.array([2, 4, 3]),
    np.array([1.0, 0.0, 0.5], np.float32),
)
FOLD = Fold(0, ITEMS, PEOPLE, {s.TRAIN: RATED}, {s.TRAIN: CHOSEN, s.TEST_SEEN: CHOSEN})


def test_what_was_chosen_lies_above_the_middle_and_a_tie_at_it() -> None:
    found = as_ratings(CHOSEN, np.array([4.5, 3.0, 3.0]))
    assert found.user.tolist() == [0, 1, 1, 0, 1, 1]
    assert found.item.tolist() == [1, 3, 4, 2, 4, 3]
    expected = [4.5 + STEP, 3 - STEP, 3.0, 4.5 - STEP, 3 + STEP, 3.0]
    assert found.rating.tolist() == expected


def test_a_fold_is_told_in_ratings_about_the_mean_of_its_dataset() -> None:
    found = choices_as_ratings(FOLD)
    assert found[s.TRAIN].rating.tolist()[2:5] == [4.5 + STEP, 3 - STEP, 3.0]
    assert not found.choices
    assert not len(found[s.TEST_SEEN])  # nobody learns from it
    plain = replace(FOLD, choices={})
    assert choices_as_ratings(plain) is plain


def test_only_datasets_without_ratings_are_ordered_by_their_choices() -> None:
    assert rows_to_learn_from(FOLD).read().item.tolist() == [0, 1, 3, 4, 4, 3]
    assert rows_to_learn_from(replace(FOLD, choices={})).read() is RATED
