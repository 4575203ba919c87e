"""Each input that is switched off has no influence left; switched on, it has the planted one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.dataset import Items, Pairs, People
from pamela.evaluation.ablation import FULL, NONE, VARIANTS
from pamela.models import MODELS, model_class
from pamela.models.base import RewardModel, load_model
from pamela.models.gaussian_process.model import Population
from pamela.models.hierarchical.model import Hierarchical
from pamela.models.transformer.model import Paper
from pamela.models.transformer.selection import Configuration, SearchConfig
from pamela.params import InputParams
from tests.helpers.planted import make_world

WORLD = make_world(seed=4, own=0.9, train_items=70, test_items=30, noise=0.3)
FOLD = WORLD.fold
TRIAL = Configuration(12, 16, 1, 0.0, 1e-2, 0.01, 12)
SEEN = np.unique(FOLD[s.TRAIN].user)
COLD_START_USERS = np.unique(FOLD[s.TEST_UNSEEN].user)
TEST_ITEMS = np.unique(FOLD[s.TEST_SEEN].item)


def _paper(inputs: InputParams) -> RewardModel:
    search = SearchConfig(
        folds=2, trials=1, max_epochs=12, patience=12, batch_size=64, given=(TRIAL,)
    )
    return Paper(search, "cpu", inputs)


def _hierarchical(inputs: InputParams) -> RewardModel:
    return Hierarchical(2, Population(2, metadata=inputs.metadata), inputs)


BUILD: dict[str, Callable[[InputParams], RewardModel]] = {
    "paper": _paper,
    "hierarchical": _hierarchical,
}
SWITCHED = pytest.mark.parametrize("name", BUILD)


@cache
def fitted(name: str, variant: str) -> RewardModel:
    model = BUILD[name](VARIANTS[variant])
    model.fit(FOLD, seed=0)
    return model


def matrix(
    model: RewardModel,
    users: np.ndarray,
    *,
    items: Items = FOLD.items,
    people: People = FOLD.people,
    context: Pairs | None = None,
) -> np.ndarray:
    """Predicted ratings (users, test items)."""
    user, item = np.repeat(users, len(TEST_ITEMS)), np.tile(TEST_ITEMS, len(users))
    pairs = Pairs(user, item, np.full(len(user), 3, np.float32))
    mean = model.predict(items, people, pairs, context).mean
    return mean.reshape(len(users), -1).astype(np.float64)


def truth(users: np.ndarray) -> np.ndarray:
    return WORLD.truth[np.ix_(users, TEST_ITEMS)]


def fit_to_truth(model: RewardModel, users: np.ndarray, context: Pairs | None = None) -> float:
    """Mean over users of the correlation with their noise-free opinion."""
    found = zip(matrix(model, users, context=context), truth(users), strict=True)
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in found]))


def other_people() -> People:
    """The same people who say the opposite of themselves."""
    turned = pl.col("gender").replace({"f": "m", "m": "f"})
    return People(FOLD.people.frame.with_columns(turned))


def other_metadata() -> Items:
    """The same pictures under the next one's type, group and style."""
    frame = FOLD.items.frame
    moved = {name: frame[name].gather((np.arange(frame.height) + 1) % frame.height)
             for name in s.METADATA}  # fmt: skip
    return replace(FOLD.items, frame=frame.with_columns(**moved))


def context_of_cold_start_users() -> Pairs:
    return FOLD[s.CONTEXT_UNSEEN]


# --- user -----------------------------------------------------------------------------------------


@SWITCHED
def test_without_user_people_who_say_the_same_are_one(name: str) -> None:
    gender = FOLD.people.frame["gender"].to_numpy()
    for variant, alike in ((FULL, False), ("no_user", True)):
        scores = matrix(fitted(name, variant), SEEN)
        spread = max(float(np.ptp(scores[gender[SEEN] == told], axis=0).max()) for told in "fm")
        assert (spread < 1e-5) == alike, variant
        assert not np.allclose(scores[gender[SEEN] == "f"][0], scores[gender[SEEN] == "m"][0])


@SWITCHED
def test_without_user_the_planted_taste_of_odd_people_is_lost(name: str) -> None:
    """Those whose gender misleads are known by their ratings alone."""
    shown = WORLD.truth - WORLD.shared
    camp = np.sign(shown[:, TEST_ITEMS[0]] - np.median(shown[:, TEST_ITEMS[0]]))
    gender = FOLD.people.frame["gender"].to_numpy() == "f"
    side = np.sign(camp[SEEN] @ np.where(gender[SEEN], 1, -1))
    odd = SEEN[np.where(gender[SEEN], 1, -1) * side != camp[SEEN]]
    assert 3 <= len(odd) <= 10
    full, without = (fit_to_truth(fitted(name, v), odd) for v in (FULL, "no_user"))
    assert full > without + 0.15


def test_without_user_shots_teach_nothing() -> None:
    shown = context_of_cold_start_users()
    for variant, adapts in ((FULL, True), ("no_user", False), (NONE, False)):
        model = fitted("hierarchical", variant)
        assert model.adapts == adapts
        plain, told = (matrix(model, COLD_START_USERS, context=c) for c in (None, shown))
        assert np.array_equal(plain, told) != adapts
    gain = [fit_to_truth(fitted("hierarchical", FULL), COLD_START_USERS, c) for c in (None, shown)]
    assert gain[1] > gain[0] + 0.1


@SWITCHED
def test_without_user_nobody_is_known(name: str) -> None:
    for variant, inputs in VARIANTS.items():
        known = fitted(name, variant).knows(FOLD.people)
        assert np.array_equal(np.flatnonzero(known), SEEN if inputs.user else [])


# --- demographics ---------------------------------------------------------------------------------


@SWITCHED
def test_without_demographics_what_people_say_changes_nothing(name: str) -> None:
    turned = other_people()
    for variant, inputs in VARIANTS.items():
        model = fitted(name, variant)
        before, after = (matrix(model, COLD_START_USERS, people=p) for p in (FOLD.people, turned))
        assert np.array_equal(before, after) != inputs.demographics, variant
        assert model.uses_demographics == inputs.demographics


@SWITCHED
def test_without_demographics_cold_start_users_are_alike_and_the_planted_gain_is_lost(
    name: str,
) -> None:
    full, without = fitted(name, FULL), fitted(name, "no_demographics")
    assert np.ptp(matrix(without, COLD_START_USERS), axis=0).max() < 1e-5
    assert fit_to_truth(full, COLD_START_USERS) > fit_to_truth(without, COLD_START_USERS) + 0.05


# --- metadata -------------------------------------------------------------------------------------


@SWITCHED
def test_without_metadata_type_group_and_style_change_nothing(name: str) -> None:
    moved = other_metadata()
    for variant, inputs in VARIANTS.items():
        model = fitted(name, variant)
        before, after = (matrix(model, SEEN, items=i) for i in (FOLD.items, moved))
        assert np.array_equal(before, after) != inputs.metadata, variant


@SWITCHED
def test_without_metadata_the_planted_group_effect_is_lost(name: str) -> None:
    """Groups have means of their own that no feature tells."""
    group = FOLD.items.frame["group"].to_numpy()[TEST_ITEMS]
    true = truth(SEEN).mean(axis=0)

    def explained(variant: str) -> float:
        error = true - matrix(fitted(name, variant), SEEN).mean(axis=0)
        means = [error[group == one].mean() for one in np.unique(group)]
        return float(np.std(means))

    assert explained("no_metadata") > 2 * explained(FULL)


def test_population_honours_the_metadata_switch() -> None:
    moved = other_metadata()
    for metadata in (True, False):
        model = Population(2, metadata=metadata)
        model.fit(FOLD, seed=0)
        before, after = (matrix(model, SEEN[:1], items=i) for i in (FOLD.items, moved))
        assert np.array_equal(before, after) != metadata


# --- all ------------------------------------------------------------------------------------------


@SWITCHED
def test_without_anything_everybody_is_one(name: str) -> None:
    model = fitted(name, NONE)
    assert np.ptp(matrix(model, np.concatenate([SEEN, COLD_START_USERS])), axis=0).max() < 1e-5
    assert not model.personal


@SWITCHED
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_saved_variant_scores_the_same_and_keeps_its_switches(
    name: str, variant: str, tmp_path
) -> None:
    model = fitted(name, variant)
    model.save(tmp_path)
    again = load_model(tmp_path)
    everybody = np.concatenate([SEEN, COLD_START_USERS])
    context = context_of_cold_start_users()
    assert np.array_equal(
        matrix(again, everybody, context=context), matrix(model, everybody, context=context)
    )
    told = ("personal", "adapts", "uses_demographics")
    assert [getattr(again, key) for key in told] == [getattr(model, key) for key in told]
    assert again.inputs == VARIANTS[variant]  # type: ignore[attr-defined]


def test_every_model_names_the_switches_that_there_are() -> None:
    for name in MODELS:
        assert model_class(name).switches <= set(InputParams.model_fields)
    for name in BUILD:
        assert model_class(name).switches == set(InputParams.model_fields)
