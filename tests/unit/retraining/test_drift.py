"""Drift: equal ratings raise no alarm, planted shifts are found, too few people say nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from pamela.core.dataset import Pairs
from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.data.partitions import partition_name
from pamela.params import load_params
from pamela.registry.sqlite_reader import Version
from pamela.retraining import triggers
from pamela.retraining.drift.calibration import measure_calibration
from pamela.retraining.drift.measure import Measure, line, metrics
from pamela.retraining.drift.people import Ratings, measure_people
from pamela.retraining.drift.pictures import measure_pictures
from pamela.retraining.drift.tables import BATCHES_TAG, champion_batches
from pamela.retraining.gate.decision import Data
from pamela.retraining.triggers import NewData, fired
from tests.helpers.gate_kit import TASTE, Linear, make_fold
from tests.paths import ROOT

ASKED = load_params(ROOT / "params.yaml").retrain.drift
DRAWN = 60  # equal batches


def ratings(
    rng: np.random.Generator, first: int, people: int, each: int, shift: float = 0.0, old: int = 5
) -> Ratings:
    """Return ratings of people who differ in level; `old` of ten are old."""
    level = rng.normal(3 + shift, 0.5, size=people)
    names = [f"u{first + k}" for k in range(people)]
    rating = np.clip(np.round(np.repeat(level, each) + rng.normal(size=people * each)), 1, 5)
    image = rng.integers(200, size=len(rating))
    rows = pl.DataFrame(
        {
            "user_id": np.repeat(names, each),
            "image_id": [f"i{k}" for k in image],
            "rating": rating,
        }
    )
    ages = ["old" if one < old else "young" for one in rng.integers(10, size=people)]
    return Ratings(rows, pl.DataFrame({"user_id": names, "age": ages}))


def found(measures: list[Measure], result: str = "drifted") -> set[str]:
    return {one.kind for one in measures if one.result == result}


def test_equal_batches_are_no_drift_and_their_people_are_what_differs_by_chance() -> None:
    rng = np.random.default_rng(2)
    alarms, beyond = 0, 0
    for _ in range(DRAWN):
        old, new = ratings(rng, 0, 100, 30), ratings(rng, 500, 10, 60)
        measures = list(measure_people("d", old, new, ASKED))
        alarms += bool(found(measures))
        shift, chance = measures[0].shift, measures[0].chance
        assert shift is not None
        assert chance is not None
        beyond += shift > chance
    assert alarms <= 0.05 * DRAWN
    assert beyond <= 0.08 * DRAWN, "600 ratings of ten people are ten, not 600"


@pytest.mark.parametrize(
    ("planted", "kinds"),
    [({"shift": 1.0}, {"ratings"}), ({"old": 10}, {"raters"}), ({"shift": -1.5}, {"ratings"})],
)
def test_planted_shifts_are_found_and_named(planted: dict[str, float], kinds: set[str]) -> None:
    rng = np.random.default_rng(3)
    old, new = ratings(rng, 0, 100, 30), ratings(rng, 500, 25, 10, **planted)  # type: ignore[arg-type]
    measures = list(measure_people("d", old, new, ASKED))
    assert found(measures) == kinds
    (one,) = [m for m in measures if m.result == "drifted"]
    assert one.title in line(measures)
    assert metrics(measures)[f"drift_{one.kind}"] == one.shift


def test_few_people_are_shown_and_no_alarm() -> None:
    rng = np.random.default_rng(4)
    old, new = ratings(rng, 0, 100, 30), ratings(rng, 500, ASKED.min_people - 1, 300, 1.9, 10)
    measures = list(measure_people("d", old, new, ASKED))
    assert found(measures, "shown") == {"ratings", "raters", "new_people"}
    assert line(measures).startswith("drift: none")


def test_other_pictures_are_told_from_more_of_the_same() -> None:
    rng = np.random.default_rng(5)

    def auc(shift: float, n: int = 60) -> Measure:
        old = rng.normal(size=(400, 8)).astype(np.float32)
        new = (rng.normal(size=(n, 8)) + shift).astype(np.float32)
        return measure_pictures("d", old, new, np.arange(400 + n), ASKED).measure

    assert auc(0.0).result == "steady"
    assert auc(1.0).result == "drifted"
    assert auc(1.0, ASKED.min_pictures - 1).result == "shown"


def test_what_the_champion_foresees_badly_is_found_before_it_is_learned() -> None:
    fold = make_fold()
    model, old = Linear(TASTE), Pairs.concat(fold["test_seen"], fold["test_unseen"])
    new = fold["train"]

    def measured(rating: np.ndarray) -> set[str]:
        pairs = Pairs(new.user, new.item, rating.astype(np.float32))
        return found(list(measure_calibration("d", model, fold, old, pairs, ASKED)))

    assert measured(new.rating) == set()
    assert {"srocc", "rmse", "coverage"} <= measured(6 - new.rating)
    assert "bias" in measured(np.minimum(new.rating + 1, 5))


def test_a_champions_batches_are_those_of_its_tags() -> None:
    version = Version.__new__(Version)
    object.__setattr__(version, "tags", {"batches": "d/a (12ab), d/b (34cd)"})
    assert champion_batches(version) == ["d/a", "d/b"]
    object.__setattr__(version, "tags", {"batches": ""})
    assert champion_batches(version) == []


@pytest.mark.parametrize(("shift", "fires"), [(1.0, True), (0.0, False)])
def test_a_small_batch_that_has_drifted_starts_a_cycle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: float, fires: bool
) -> None:
    """The batch lies below every other trigger, on a scale of its own dataset."""
    project, rng = Project(tmp_path), np.random.default_rng(5)
    champion = SimpleNamespace(tags={BATCHES_TAG: ""})
    monkeypatch.setattr(triggers.versions, "champion", lambda *_: champion)
    old, new = ratings(rng, 0, 100, 30), ratings(rng, 0, 25, 10, shift)
    home = project.validated / "ratings.parquet"
    home.mkdir(parents=True)
    on_scale = pl.col("rating") * 10 - 10  # 0 to 40
    old.rows.with_columns(on_scale).write_parquet(home / partition_name("d"))
    old.users.select(pl.lit("d").alias("dataset"), pl.all()).write_parquet(
        project.validated / "users.parquet"
    )
    write_json(project.tables / "datasets.json", {"d": {"scale": [0, 40]}})
    batch = project.batches / "d" / "week1"
    batch.mkdir(parents=True)
    new.rows.with_columns(on_scale).unique(["user_id", "image_id"]).write_csv(batch / "ratings.csv")
    (batch / "dataset.yaml").write_text("name: d\nscale: [0, 40]\n")
    params = load_params(ROOT / "params.yaml")
    few = params.retrain.triggers.model_copy(update={"new_ratings": 10**6, "new_users": 10**6})
    retrain = params.retrain.model_copy(update={"triggers": few})
    params = params.model_copy(update={"retrain": retrain})
    found = NewData(Data(), {"added": ["d/week1"]}, False)
    reasons = fired(project, params, found, now=dt.datetime(2026, 11, 29, tzinfo=dt.UTC))
    assert len(reasons) == fires
    assert all("ratings" in one and one.endswith(" in d/week1") for one in reasons)
    never = few.model_copy(update={"drift": False})
    quiet = params.model_copy(update={"retrain": retrain.model_copy(update={"triggers": never})})
    assert fired(project, quiet, found, now=dt.datetime(2026, 11, 29, tzinfo=dt.UTC)) == []


def test_choices_tell_who_chose_and_between_what() -> None:
    rng = np.random.default_rng(6)
    old, new = ratings(rng, 0, 100, 30), ratings(rng, 500, 25, 10, old=10)
    chosen = (replace(one, rows=one.rows.drop("rating")) for one in (old, new))
    measures = list(measure_people("d", *chosen, ASKED))
    assert {one.kind for one in measures} == {"raters", "new_people"}
    assert found(measures) == {"raters"}
