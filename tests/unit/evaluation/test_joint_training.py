"""Joint training: what is shared, what stays each dataset's own, and that nothing leaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import joint as bench
from benchmarks.planted_pair import FEW, MANY, Size, make_pair
from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, load_fold
from pamela.core.errors import PamelaError
from pamela.core.files import write_json, write_parquet
from pamela.core.paths import Project
from pamela.evaluation import joint_training
from pamela.evaluation.metrics.bootstrap import Estimate
from pamela.evaluation.results import Results
from pamela.models.base import RewardModel
from pamela.models.preprocessing import Datasets
from pamela.models.transformer.model import Paper
from pamela.models.transformer.selection import Configuration, SearchConfig
from pamela.params import TrainParams, load_params
from pamela.reporting.sections.joint_training import held_out_note, joint_table
from pamela.retraining.gate import judgement as gate
from pamela.retraining.gate.holdout import PARTS
from pamela.training.bundle import Bundle
from pamela.training.train import _rows
from pamela.training.user_lookup import UserLookup
from tests.conftest import ROOT
from tests.helpers.folders import write_split
from tests.helpers.gate_kit import make_holdout
from tests.helpers.made_up import make_project, params_of

SMALL = {FEW: Size(12, 24, 20, 8, 5), MANY: Size(20, 60, 24, 30, 101)}
PAIR = make_pair(1, related=True, sizes=SMALL)
TRAIN = PAIR[s.TRAIN]
BOTH = Datasets.of(PAIR.items, TRAIN)
EVALUATE = load_params(ROOT / "params.yaml").evaluate.model_copy(
    update={"bootstrap": 100, "seed": 0}
)
TRIAL = Configuration(12, 16, 1, 0.0, 5e-3, 0.01, 6)


def paper(**changes: object) -> Paper:
    base = {"folds": 2, "trials": 1, "max_epochs": 6, "patience": 6, "batch_size": 32}
    return Paper(SearchConfig(**{**base, "given": (TRIAL,), **changes}), "cpu")  # type: ignore[arg-type]


# --- scales ---------------------------------------------------------------------------------------


@given(
    low=st.floats(-100, 100),
    width=st.floats(0.5, 200),
    place=st.lists(st.floats(0, 1), min_size=1, max_size=8),
)
@settings(max_examples=40, deadline=None)
def test_ratings_become_1_to_5_under_their_own_name(
    low: float, width: float, place: list[float]
) -> None:
    frame = pl.DataFrame({s.RATING: [low + p * width for p in place]})
    inside = frame.with_columns(s.to_internal(pl.col(s.RATING), low, low + width))
    assert inside.columns == [s.RATING]
    np.testing.assert_allclose(inside[s.RATING].to_numpy(), 1 + 4 * np.array(place), atol=1e-6)


# --- nothing leaks --------------------------------------------------------------------------------


def _write(project: Project, rows: pl.DataFrame, images: pl.DataFrame) -> None:
    write_json(project.tables / "datasets.json", {"a": {"scale": [1, 5]}, "b": {"scale": [0, 100]}})
    users = rows.select(s.DATASET, s.USER).unique().sort(s.DATASET, s.USER)
    write_parquet(project.validated / "users.parquet", users)
    write_parquet(project.validated / "images.parquet", images)
    write_parquet(project.features / "index.parquet", images.select(s.DATASET, s.IMAGE, s.SHA256))
    project.features.mkdir(exist_ok=True)
    np.save(project.features / "image.npy", np.zeros((images.height, 2), np.float32))
    np.save(project.features / "prompt.npy", np.zeros((images.height, 0), np.float32))
    write_split(project, rows)


def test_no_dataset_learns_from_a_picture_that_another_tests_on(tmp_path: Path) -> None:
    project = Project(tmp_path)
    ids = [("a", "x", "h1"), ("a", "y", "h2"), ("b", "x", "h2"), ("b", "z", "h3"), ("b", "w", None)]
    images = pl.DataFrame(ids, schema=[s.DATASET, s.IMAGE, s.SHA256], orient="row")
    rows = [
        ("a", 0, "u", "x", 5.0, s.TRAIN),
        ("a", 0, "u", "y", 4.0, s.TEST_SEEN),
        ("a", 1, "u", "x", 5.0, s.TEST_SEEN),
        ("a", 1, "u", "y", 4.0, s.TRAIN),
        ("b", 0, "u", "x", 50.0, s.TRAIN),  # the content of a's y
        ("b", 0, "v", "x", 60.0, s.CONTEXT_UNSEEN),
        ("b", 0, "u", "z", 100.0, s.TRAIN),
        ("b", 0, "u", "w", 0.0, s.TEST_SEEN),  # content unknown: nobody's twin
    ]
    columns = [s.DATASET, s.FOLD, s.USER, s.IMAGE, s.RATING, s.PART]
    _write(project, pl.DataFrame(rows, schema=columns, orient="row"), images)
    first, second = load_fold(project, 0), load_fold(project, 1)
    elsewhere = first[s.HELD_OUT_ELSEWHERE]
    assert elsewhere.rating.tolist() == [3.0]  # 50 of 0..100
    assert sorted(first[s.TRAIN].rating.tolist()) == [5.0, 5.0]
    assert len(first[s.CONTEXT_UNSEEN]) == 1
    assert _rows(first)[s.HELD_OUT_ELSEWHERE] == 1
    assert not len(second[s.HELD_OUT_ELSEWHERE])  # there y is trained on in both
    assert s.HELD_OUT_ELSEWHERE not in _rows(second)
    assert len(second[s.TRAIN]) == 3  # b's one fold stands in for the second


# --- the gate, people, the record -----------------------------------------------------------------


class Told(RewardModel):
    """Predicts a number per picture."""

    name = "told"
    personal = False

    def __init__(self, score: np.ndarray) -> None:
        self.score = score.astype(np.float32)

    def _fit(self, fold, *, seed, progress=None, workdir=None):
        raise NotImplementedError

    def predict(self, items, people, pairs, context=None, choices=None):
        from pamela.models.base import Prediction

        mean = self.score[pairs.item]
        return Prediction(mean, np.ones_like(mean))

    def knows(self, people):
        return np.zeros(len(people), bool)

    def state(self):
        return {}, {}

    @classmethod
    def from_state(cls, config, arrays):
        return cls(np.zeros(0))


def bundle(score: np.ndarray) -> Bundle:
    mask = np.zeros(len(PAIR.items), bool)
    encoder = {"encoder": "none", "fingerprint": "f"}
    scales = {FEW: (1.0, 5.0), MANY: (0.0, 100.0)}
    people = np.zeros(len(PAIR.people), bool)
    return Bundle(Told(score), PAIR.items, PAIR.people, mask, people, scales, encoder, "told-0")


def judge(champion: Bundle, challenger: Bundle, fold: Fold) -> gate.Judgement:
    """Judge by the order of pictures alone."""
    params = load_params(ROOT / "params.yaml")
    order_only = {"min_slice_users": 2, "slice_floor": 1e9, "calibration_tolerance": 1e9}
    retrain = params.retrain.model_copy(update=order_only)
    asked = params.model_copy(update={"retrain": retrain})
    return gate.judge(champion, challenger, make_holdout(fold), asked)


def by_dataset(found: gate.Judgement) -> dict[str, gate.Check]:
    return {check.row.dataset: check for check in found.checks if check.kind == "hold-out"}


def test_a_gain_for_many_pays_for_no_loss_of_few() -> None:
    truth = np.zeros(len(PAIR.items))
    for part in PARTS:
        np.add.at(truth, PAIR[part].item, PAIR[part].rating)
    noise = np.random.default_rng(0).normal(size=len(truth)) * truth.std()
    few = (PAIR.items.frame[s.DATASET] == FEW).to_numpy()
    fair = bundle(truth + noise)
    better_on_many = bundle(np.where(few, -truth, truth))
    found = judge(fair, better_on_many, PAIR)
    by = by_dataset(found)
    assert by[MANY].row.difference > 0 > by[FEW].row.difference
    assert by[FEW].row.users + by[MANY].row.users == found.overall["srocc"].users
    assert (by[FEW].result, by[MANY].result, found.outcome) == (gate.FAILED, gate.MET, "REJECT")
    assert f"worse: {FEW}: SROCC -" in found.why
    assert judge(better_on_many, bundle(truth), PAIR).outcome == "PROMOTE"


def test_a_dataset_without_two_different_ratings_is_shown_and_does_not_block() -> None:
    flat = {
        part: Pairs(p.user, p.item, np.where(BOTH.code[p.item] == 0, 3, p.rating))
        for part, p in PAIR.parts.items()
    }
    fold = Fold(0, PAIR.items, PAIR.people, flat)
    score = np.arange(len(PAIR.items), dtype=float)
    found = judge(bundle(score), bundle(score), fold)
    assert found.outcome == "HOLD"
    assert by_dataset(found)[FEW].result == gate.SHOWN


def test_a_demographic_of_another_dataset_is_unknown_here() -> None:
    lookup = UserLookup(bundle(np.zeros(len(PAIR.items))))
    assert lookup.cold_start_user(FEW, {"gender": "f"}).frame["gender"].to_list() == ["f"]
    with pytest.raises(PamelaError, match=r"'gender' in dataset many: known are none"):
        lookup.cold_start_user(MANY, {"gender": "f"})
    with pytest.raises(PamelaError, match=r"several datasets: say few/1-0 or many/1-0"):
        lookup.find("1-0")


def test_the_comparison_finds_what_was_planted_and_asks_nobody_twice() -> None:
    again = Fold(1, PAIR.items, PAIR.people, PAIR.parts)  # a fold that `many` does not have
    params = params_for_bench()
    found = joint_training.compare_alone_and_joint(
        [PAIR, again], {FEW: 2, MANY: 1}, params, ["group_mean"], EVALUATE
    )
    assert {(g.dataset, g.population) for g in found} == {
        (d, p) for d in (FEW, MANY) for p in joint_training.POPULATIONS
    }
    with pytest.raises(PamelaError, match="at least two datasets"):
        joint_training.compare_alone_and_joint([PAIR], {FEW: 1}, params, ["group_mean"], EVALUATE)


def params_for_bench() -> TrainParams:
    return load_params(ROOT / "params.yaml").train.model_copy(update={"device": "cpu"})


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(0.01, 0.2, "helps"), (-0.2, -0.01, "hurts"), (-0.1, 0.1, "no significant difference")],
)
def test_the_verdict_is_in_words_and_may_be_negative(low: float, high: float, says: str) -> None:
    assert joint_training.describe_difference(Estimate((low + high) / 2, low, high, 9)) == says
    assert (
        joint_training.describe_difference(Estimate(0.0, None, None, 0))
        == "no significant difference"
    )


def test_the_benchmark_fails_where_its_promises_are_broken() -> None:
    def row(kind: str, value: float, verdict: str, dataset: str = FEW) -> dict[str, object]:
        return {"kind": kind, "dataset": dataset, "model": "paper", "population": "seen",
                "verdict": verdict, "difference": {"value": value}}  # fmt: skip

    good = [row("planted, one world", 0.1, "helps"), row("planted, unrelated worlds", -0.01, "?")]
    assert bench.faults(good) == []
    assert "do not help" in bench.faults([row("planted, one world", 0.0, "?")])[0]
    assert "cost 0.100" in bench.faults([row("planted, unrelated worlds", -0.1, "hurts", MANY)])[0]


def test_the_report_shows_the_record_and_what_was_left_out(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    results = Results(project, params_of(project))
    gain = joint_training.Gain(
        "synthetic", "paper", "seen", 0.4, 0.35, Estimate(-0.05, -0.08, -0.02, 9), []
    )
    write_json(project.reports / joint_training.RECORD, [gain.to_json(), {"dataset": "gone"}])
    assert joint_table(results) is None  # one dataset: nothing was trained jointly
    two = pl.concat([results.evaluation, results.evaluation.with_columns(dataset=pl.lit("b"))])
    write_parquet(project.reports / "evaluation.parquet", two)
    table = joint_table(Results(project, params_of(project)))
    assert table is not None
    assert [cell.text for cell in table.rows[0]] == [
        "synthetic", "paper", "seen", "0.400", "0.350", "-0.050 ▼", "hurts",
    ]  # fmt: skip
    assert len(table.rows) == 1
    assert held_out_note(results) == ""
    write_json(
        project.models / "paper" / "fold_0" / "fit.json",
        {"rows": {s.HELD_OUT_ELSEWHERE: 1234}, "chosen": {"dataset_weights": {"b": 2.0}}},
    )
    assert "1,234 ratings" in held_out_note(results)
    again = joint_table(Results(project, params_of(project)))
    assert again is not None
    assert "paper: b 2.00" in again.caption


def test_items_of_unknown_datasets_are_scored_all_the_same() -> None:
    model = paper()
    model.fit(PAIR, seed=0)
    frame = PAIR.items.frame.with_columns(pl.lit("elsewhere").alias(s.DATASET))
    strange = Items(frame, PAIR.items.image, PAIR.items.prompt)
    found = model.predict(strange, PAIR.people, PAIR[s.TEST_SEEN])
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.std).all()
