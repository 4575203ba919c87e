"""What the benchmarks measure with: simulated ratings and users, clocks; not the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import evaluation, growth, newcomers, scoring, timing, training
from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.core.shards.fold import shards_of
from pamela.evaluation.metrics.bootstrap import make_draws
from pamela.evaluation.metrics.schema import PREDICTIONS
from pamela.evaluation.observers import FEATURE_OBSERVER, IDEAL_OBSERVER, IDEAL_POPULATION
from pamela.models.base import Prediction
from tests.helpers.world_kit import MIDDLING, Made, fold_of, make

SMALL = growth.Size(people=12, pictures=900)


# --- growth ---------------------------------------------------------------------------------------
def test_simulated_ratings_are_on_the_scale_and_never_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "AT_ONCE", 5)
    fold = growth.simulate(SMALL, tmp_path / "one")
    assert len(shards_of(fold, s.TRAIN)) == 3
    train = fold[s.TRAIN]
    assert len(train) == SMALL.ratings
    assert set(np.unique(train.rating)) == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert (np.bincount(train.user) == growth.EACH).all()
    pairs = train.user * SMALL.pictures + train.item
    assert len(np.unique(pairs)) == len(pairs)
    assert train.item.max() < len(fold.items)
    again = growth.simulate(SMALL, tmp_path / "again")[s.TRAIN]
    np.testing.assert_array_equal(train.rating, again.rating)
    other = growth.simulate(SMALL, tmp_path / "other", seed=1)[s.TRAIN]
    assert not np.array_equal(train.rating, other.rating)


def test_simulated_people_differ_beyond_noise(tmp_path: Path) -> None:
    """Two people who rate the same pictures disagree by more than two noisy ratings of one."""
    fold = growth.simulate(growth.Size(people=40, pictures=growth.EACH), tmp_path)
    by_person = np.zeros((40, growth.EACH))
    by_person[fold[s.TRAIN].user, fold[s.TRAIN].item] = fold[s.TRAIN].rating
    own = by_person - by_person.mean(axis=0) - by_person.mean(axis=1, keepdims=True)
    assert own.var() > growth.NOISE**2 + 1 / 12 + 0.2


# --- evaluation -----------------------------------------------------------------------------------
def test_simulated_predictions_are_of_everybody_and_better_with_the_persons_taste() -> None:
    rows, images, users = evaluation.simulate(evaluation.Size(people=40, each=30))
    assert rows.schema == PREDICTIONS
    assert (users.height, images.height) == (40, evaluation.IMAGES)
    for _, slice_ in rows.group_by("model", "population", "shots"):
        assert slice_.select(s.USER, s.IMAGE).is_unique().all()
    seen = rows.filter(population="seen")
    assert seen.height == 3 * 36 * 30
    error = (pl.col("mean") - pl.col(s.RATING)).pow(2).mean()
    errors = dict(seen.group_by("model").agg(error).iter_rows())
    assert errors["hierarchical"] < errors["paper"] < errors["population"]


# --- cold-start users -----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def made() -> Made:
    return make(**MIDDLING)


@pytest.fixture(scope="module")
def cold_start_users(made: Made, tmp_path_factory: pytest.TempPathFactory):
    project = Project(tmp_path_factory.mktemp("world"))
    made.world.save(project.truth)
    made.images.write_parquet(project.truth / "images.parquet")
    fold = fold_of(made)
    return newcomers.draw_cold_start_users(project, fold, 30), fold, project


def test_cold_start_users_rate_training_pictures_and_are_asked_about_others(
    cold_start_users,
) -> None:
    drawn, fold, _ = cold_start_users
    trained = np.unique(fold[s.TRAIN].item)
    assert np.isin(drawn.context.item, trained).all()
    assert not np.isin(drawn.query.item, trained).any()
    assert (np.bincount(drawn.query.user) == newcomers.ASKED).all()
    assert drawn.people.frame.columns == fold.people.frame.columns
    assert not set(drawn.people.keys) & set(fold.people.keys)


def test_shots_are_nested_and_none_are_none(cold_start_users) -> None:
    drawn, _, _ = cold_start_users
    assert drawn.shown(0) is None
    few, many = drawn.shown(5), drawn.shown(20)
    assert len(few) == 5 * 30
    keys = [set(zip(p.user.tolist(), p.item.tolist(), strict=True)) for p in (few, many)]
    assert keys[0] < keys[1]


class Knowing:
    """Predicts the rating itself for the people it knows, and the opposite for the others."""

    def __init__(self, known: int) -> None:
        self.known = known

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        sign = np.where(pairs.user < self.known, 1.0, -1.0)
        return Prediction((sign * pairs.rating).astype(np.float32), np.ones(len(pairs), np.float32))


def test_accuracy_is_of_each_person_and_the_share_of_the_gains(cold_start_users) -> None:
    drawn, fold, _ = cold_start_users
    models = {
        newcomers.MODEL: Knowing(20),
        newcomers.POPULATION: Knowing(10),
        IDEAL_POPULATION: Knowing(5),
        IDEAL_OBSERVER: Knowing(30),
        FEATURE_OBSERVER: Knowing(5),
    }
    values = newcomers.accuracies(models, fold, drawn, 5, min_pairs=5)
    names = list(models)
    np.testing.assert_array_equal(values[:20, 0], 1.0)
    np.testing.assert_array_equal(values[20:, 0], 0.0)
    draws = make_draws(30, 50, 0)
    found = newcomers.share(values, names, IDEAL_OBSERVER, draws)
    assert found.value == pytest.approx(10 / 25)
    undefined = newcomers.share(values, names, FEATURE_OBSERVER, draws)
    row = newcomers._row("newcomers, 0 shots, share of it", undefined, 0.65)
    assert row["value"] is None
    assert row["ratio"] is None


def test_no_world_is_said_in_one_line(made: Made, tmp_path: Path) -> None:
    with pytest.raises(PamelaError, match="no embedded world"):
        newcomers.draw_cold_start_users(Project(tmp_path), fold_of(made), 3)


# --- times ----------------------------------------------------------------------------------------
class Slow:
    """Moves the clock by a known time to prepare and per pair."""

    def __init__(self) -> None:
        self.now = 0.0

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        self.now += 0.5 + 3e-5 * len(pairs)
        return Prediction(pairs.rating, pairs.rating)


def test_a_pair_costs_what_more_pairs_cost_without_the_preparation(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: slow.now)
    per_pair = scoring.seconds_per_pair(slow, fold_of(made))  # type: ignore[arg-type]
    assert per_pair == pytest.approx(3e-5)


def test_a_model_that_was_not_fitted_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        PamelaError, match="hierarchical/fold_0: no fitted model; name hierarchical"
    ):
        timing.fitted(Project(tmp_path), "hierarchical")


def test_validation_score_is_over_both_parts_and_needs_some(made: Made) -> None:
    fold = fold_of(made)
    rows = fold[s.TRAIN].take(np.arange(400))
    halves = {s.VAL_SEEN: rows.take(np.arange(200)), s.VAL_UNSEEN: rows.take(np.arange(200, 400))}
    asked = Fold(0, fold.items, fold.people, halves)

    class Echo(Knowing):
        def predict(self, items, people, pairs, context=None):
            assert len(pairs) == 400
            return super().predict(items, people, pairs, context)

    assert training.validation_srocc(Echo(10**6), asked) == pytest.approx(1.0)  # type: ignore[arg-type]
    with pytest.raises(PamelaError, match="no validation rows"):
        training.validation_srocc(Echo(1), replace(asked, parts={}))  # type: ignore[arg-type]


def test_project_run_is_asked_for_pictures_it_has(tmp_path: Path) -> None:
    from benchmarks.encoding import world_files

    project = Project(tmp_path)
    project.validated.mkdir(parents=True)
    pl.DataFrame({s.FILE: ["a.png", None, "b.png"]}).write_parquet(
        project.validated / "images.parquet"
    )
    assert world_files(project, 2) == [tmp_path / "a.png", tmp_path / "b.png"]
    with pytest.raises(PamelaError, match="2 pictures, 3 are wanted"):
        world_files(project, 3)
