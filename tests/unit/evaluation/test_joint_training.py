"""Joint training: what is shared, what stays each dataset's own, and that nothing leaks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import joint as bench
from benchmarks.planted_pair import FEW, MANY, Size, make_pair
from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, People, load_fold
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, write_json, write_parquet
from pamela.core.paths import Project
from pamela.evaluation import joint_training
from pamela.evaluation.metrics.bootstrap import Estimate
from pamela.evaluation.results import Results
from pamela.models.base import RewardModel, load_model
from pamela.models.biases import fit_effects, picture_means
from pamela.models.dataset_weights import (
    EQUAL,
    Weights,
    candidates,
    choose_weights,
    mean_correlation,
)
from pamela.models.gaussian_process.kernels import Block, Kernels
from pamela.models.gaussian_process.model import Population
from pamela.models.gaussian_process.selection import sample
from pamela.models.preprocessing import ABSENT, UNKNOWN, Codes, Datasets, datasets_without
from pamela.models.transformer.model import Paper
from pamela.models.transformer.selection import Search, Trial, cross_validation
from pamela.models.transformer.target_scaling import Standard
from pamela.params import TrainParams, load_params
from pamela.registry import gate
from pamela.reporting.sections.joint_training import held_out_note, joint_table
from pamela.training.bundle import Bundle
from pamela.training.train import _rows
from pamela.training.user_lookup import UserLookup
from tests.conftest import ROOT
from tests.helpers import yaml
from tests.helpers.folders import write_split
from tests.helpers.made_up import make_project, params_of

SMALL = {FEW: Size(12, 24, 20, 8, 5), MANY: Size(20, 60, 24, 30, 101)}
PAIR = make_pair(1, related=True, sizes=SMALL)
TRAIN = PAIR[s.TRAIN]
BOTH = Datasets.of(PAIR.items, TRAIN)
TRIAL = Trial(12, 16, 1, 0.0, 5e-3, 0.01, 6)


class Stop(Exception):
    """An interruption."""


def paper(**changes: object) -> Paper:
    base = {"folds": 2, "trials": 1, "max_epochs": 6, "patience": 6, "batch_size": 32}
    return Paper(Search(**{**base, "given": (TRIAL,), **changes}), "cpu")  # type: ignore[arg-type]


def srocc_like(model: RewardModel, fold: Fold, dataset: str) -> float:
    pairs = joint_training.only(fold, dataset)[s.TEST_SEEN]
    mean = model.predict(fold.items, fold.people, pairs).mean
    return mean_correlation(pairs, mean.astype(np.float64), None)


# --- weights --------------------------------------------------------------------------------------


@given(
    relative=st.lists(st.floats(0.01, 100), min_size=2, max_size=2),
    keep=st.lists(st.booleans(), min_size=len(TRAIN), max_size=len(TRAIN)),
)
@settings(max_examples=30, deadline=None)
def test_rows_weigh_one_on_average_and_a_part_keeps_the_shares(
    relative: list[float], keep: list[bool]
) -> None:
    made = Weights.make(BOTH, TRAIN, np.array(relative))
    whole = made.of_rows(TRAIN)
    assert whole.mean() == pytest.approx(1, abs=1e-4)
    code = BOTH.code[TRAIN.item]
    first = whole[code == 0][0] / whole[code == 1][0]
    assert first == pytest.approx(relative[0] / relative[1], rel=1e-4)
    some = TRAIN.take(np.array(keep))
    counts = BOTH.rows(some)
    if (counts == 0).any():
        return
    part = made.of_rows(some)
    share = np.bincount(BOTH.code[some.item], part.astype(float)) / part.sum()
    np.testing.assert_allclose(share, made.share, rtol=1e-3)


def test_candidates_run_from_rows_alike_to_datasets_alike() -> None:
    tried = candidates("cv", BOTH, TRAIN)
    assert next(iter(tried)) == EQUAL
    np.testing.assert_allclose(tried[EQUAL].weight, 1)
    np.testing.assert_allclose(tried["rows^-1"].share, 0.5)
    given_ = candidates({FEW: 3.0, MANY: 1.0}, BOTH, TRAIN)
    (only,) = given_.values()
    assert only.weight[0] / only.weight[1] == pytest.approx(3)
    with pytest.raises(PamelaError, match=r"dataset_weights: no weight for dataset many"):
        candidates({FEW: 3.0}, BOTH, TRAIN)


def test_one_dataset_has_nothing_to_choose_and_no_weights() -> None:
    alone = joint_training.only(PAIR, MANY)
    tried = candidates("cv", Datasets.of(alone.items, alone[s.TRAIN]), alone[s.TRAIN])
    assert len(tried) == 1
    _, said = choose_weights(tried, lambda _: pytest.fail("scored"))
    assert said == {}


def test_other_weights_give_way_only_to_a_clear_gain() -> None:
    tried = candidates("cv", BOTH, TRAIN)
    names = list(tried)

    def pick(gains: dict[str, list[float]]) -> str:
        return choose_weights(tried, lambda w: np.array(gains[_name(tried, w)]))[1]["weights_rule"]

    noise = {names[0]: [0.3, 0.4], names[1]: [0.5, 0.25], names[2]: [0.2, 0.2]}
    assert pick(noise) == EQUAL
    assert pick({**noise, names[2]: [0.4, 0.5]}) == names[2]


def _name(tried: dict[str, Weights], one: Weights) -> str:
    return next(name for name, found in tried.items() if found is one)


def test_every_dataset_counts_alike_in_the_score() -> None:
    pairs = PAIR[s.TEST_SEEN]
    code = BOTH.code[pairs.item]
    score = np.where(code == 0, pairs.rating, -pairs.rating).astype(np.float64)
    assert mean_correlation(pairs, score, BOTH) == pytest.approx(0, abs=1e-6)
    assert mean_correlation(pairs, score, None) < -0.3  # where the rows of `many` rule


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"a": 1.0}, "train.dataset_weights has no weight for b"),
        ({"a": 1, "b": 2, "c": 1}, "train.dataset_weights names c, which is not in"),
        ({"a": 1, "b": 0}, "train.dataset_weights.mapping.b: Input should be greater than 0"),
        ("CV", "train.dataset_weights.cv: Input should be 'cv'"),
    ],
)
def test_bad_weights_are_named_in_one_line(tmp_path: Path, asked: object, says: str) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["ingest"]["datasets"] = ["a", "b"]
    raw["train"]["dataset_weights"] = asked
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(PamelaError, match=re.escape(says)) as caught:
        load_params(path)
    assert "\n" not in str(caught.value)
    raw["train"]["dataset_weights"] = {"a": 1, "b": 2.5}
    path.write_text(yaml.safe_dump(raw))
    assert load_params(path).train.dataset_weights == {"a": 1.0, "b": 2.5}


# --- what stays each dataset's own ----------------------------------------------------------------


def test_a_column_that_a_dataset_lacks_is_absent_and_not_a_category() -> None:
    people = PAIR.people.frame
    assert datasets_without(people, ["gender"]) == (MANY,)
    codes = Codes.fit(people, ["gender"], datasets_without(people, ["gender"]))
    assert codes.values == ("f", "m")
    own = (people[s.DATASET] == FEW).to_numpy()
    assert (codes.encode(people)[own] >= 0).all()
    assert (codes.encode(people)[~own] == ABSENT).all()
    assert Codes.from_json(codes.to_json()) == codes
    alone = people.filter(pl.col(s.DATASET) == MANY)
    assert datasets_without(alone, ["gender"]) == ()  # one dataset: a null is a category
    assert UNKNOWN != ABSENT


def test_an_absent_demographic_says_nothing_to_the_transformer() -> None:
    model = paper()
    model.fit(PAIR, seed=0)
    pairs = joint_training.only(PAIR, MANY)[s.TEST_SEEN]
    of_many = pl.col(s.DATASET) == MANY
    told = PAIR.people.frame.with_columns(
        gender=pl.when(of_many).then(pl.lit("f")).otherwise("gender")
    )
    before = model.predict(PAIR.items, PAIR.people, pairs).mean
    np.testing.assert_array_equal(before, model.predict(PAIR.items, People(told), pairs).mean)
    few = joint_training.only(PAIR, FEW)[s.TEST_SEEN]
    swapped = PAIR.people.frame.with_columns(pl.col("gender").replace({"f": "m", "m": "f"}))
    here = model.predict(PAIR.items, PAIR.people, few).mean
    assert np.abs(here - model.predict(PAIR.items, People(swapped), few).mean).max() > 1e-4


def test_ratings_are_standardised_by_their_own_dataset() -> None:
    shifted = Pairs(TRAIN.user, TRAIN.item, TRAIN.rating - 2 * BOTH.code[TRAIN.item])
    found = Standard.fit(shifted, BOTH)
    z = found.apply(PAIR.items, shifted)
    for code in (0, 1):
        mine = z.rating[BOTH.code[z.item] == code]
        assert mine.mean() == pytest.approx(0, abs=1e-4)
        assert mine.std() == pytest.approx(1, abs=1e-4)
    assert Standard.from_json(found.to_json()) == found


def test_each_datasets_raters_have_their_own_noise() -> None:
    """The effects of two datasets fitted together are those of each fitted apart."""
    means = picture_means(TRAIN, len(PAIR.people), BOTH)
    for code, name in enumerate(BOTH.names):
        mine = joint_training.only(PAIR, name)[s.TRAIN]
        alone = fit_effects(mine, len(PAIR.people))
        own = np.isin(means.items, alone.items)
        np.testing.assert_array_equal(means.mean[own], alone.item_mean)
        assert set(means.noise[own]) == {alone.noise_variance}
        assert means.spread[code] == alone.noise_variance + alone.user_variance
    assert (np.diff(means.items) > 0).all()


def test_each_datasets_own_kernels_end_at_the_dataset() -> None:
    items = PAIR.items.take(np.unique(TRAIN.item))
    kernels = Kernels.fit(items, [Block("image", "linear", 4)], 4)
    inputs = kernels.inputs(items)
    shared, *own = kernels.matrices(inputs, inputs)
    for code, matrix in enumerate(own):
        within = np.outer(inputs.dataset == code, inputs.dataset == code)
        np.testing.assert_array_equal(matrix, np.where(within, shared, 0))
    weights = np.array([0.3, 0.7, 0.2])
    total = kernels.total(inputs, inputs, weights, 0.0)
    np.testing.assert_allclose(total, 0.3 * shared + 0.7 * own[0] + 0.2 * own[1])
    np.testing.assert_allclose(kernels.diagonal(inputs, weights, 0.0), np.diag(total))
    assert kernels.names == [f"image/linear/4{end}" for end in ("", f"/{FEW}", f"/{MANY}")]
    assert Kernels.from_saved(kernels.to_json(), kernels.arrays()).own


@given(most=st.integers(2, 80), seed=st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_a_sample_of_pictures_is_as_even_as_the_datasets_allow(most: int, seed: int) -> None:
    code = np.repeat([0, 1], [10, 60])
    rows = sample(code, most, np.random.default_rng(seed))
    counts = np.bincount(code[rows], minlength=2)
    assert len(rows) == len(set(rows.tolist())) == min(most, 70)
    assert counts[0] == min(10, most // 2)


def test_both_datasets_are_in_every_part_of_the_cross_validation() -> None:
    group = np.arange(len(PAIR.items))
    rng = np.random.default_rng(0)
    for inner, outer in cross_validation(TRAIN, group, 2, 120, rng, BOTH):
        assert (BOTH.rows(inner) > 0).all()
        assert (BOTH.rows(outer) > 0).all()


# --- the models -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["population", "paper"])
def test_related_ratings_help_and_a_saved_model_says_the_same(name: str, tmp_path: Path) -> None:
    def made() -> RewardModel:
        return Population(2) if name == "population" else paper()

    together, alone = made(), made()
    together.fit(PAIR, seed=0)
    alone.fit(joint_training.only(PAIR, FEW), seed=0)
    assert srocc_like(together, PAIR, FEW) > srocc_like(alone, PAIR, FEW) + 0.05
    assert "dataset_weights" not in alone.chosen
    assert set(together.chosen["dataset_weights"]) == {FEW, MANY}
    assert set(together.chosen["weights_cv"]) == {EQUAL, "rows^-0.5", "rows^-1"}
    together.save(tmp_path)
    again, pairs = load_model(tmp_path), PAIR[s.TEST_UNSEEN]
    before = together.predict(PAIR.items, PAIR.people, pairs)
    after = again.predict(PAIR.items, PAIR.people, pairs)
    np.testing.assert_array_equal(before.mean, after.mean)
    np.testing.assert_array_equal(before.std, after.std)


@pytest.mark.parametrize("name", ["population", "paper"])
def test_a_heavier_dataset_pulls_the_model_its_way(name: str) -> None:
    """Unrelated tastes: what `few` weighs decides how well the model fits `few`'s own ratings."""
    pair = make_pair(3, related=False, sizes=SMALL)
    error = {}
    for weight in (0.02, 50.0):
        asked = {FEW: weight, MANY: 1.0}
        model: RewardModel = (
            Population(2, asked) if name == "population" else paper(dataset_weights=asked)
        )
        model.fit(pair, seed=0)
        rows = joint_training.only(pair, FEW)[s.TRAIN]
        mean = model.predict(pair.items, pair.people, rows).mean
        error[weight] = float(np.mean((mean - rows.rating) ** 2))
        found = model.chosen["dataset_weights"]
        assert found[FEW] / found[MANY] == pytest.approx(weight, rel=0.05)
    assert error[50.0] < error[0.02]


def test_the_weights_are_kept_when_a_fit_is_interrupted(tmp_path: Path) -> None:
    def interrupt(_share: float, what: str) -> None:
        if what.startswith("epoch"):
            raise Stop

    with pytest.raises(Stop):
        paper().fit(PAIR, seed=0, progress=interrupt, workdir=tmp_path)
    kept = read_json(tmp_path / "weights.json")
    other = next(name for name in candidates("cv", BOTH, TRAIN) if name != kept["rule"])
    write_json(tmp_path / "weights.json", {**kept, "rule": other})
    model = paper()
    (tmp_path / "last.ckpt").unlink(missing_ok=True)
    model.fit(PAIR, seed=0, workdir=tmp_path)
    assert model._weights is not None
    expected = candidates("cv", BOTH, TRAIN)[other]
    np.testing.assert_array_equal(model._weights.weight, expected.weight)


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

    def fit(self, fold, *, seed, progress=None, workdir=None):
        raise NotImplementedError

    def predict(self, items, people, pairs, context=None):
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


def test_a_gain_for_many_pays_for_no_loss_of_few() -> None:
    truth = np.zeros(len(PAIR.items))
    for part in gate.HOLDOUT:
        np.add.at(truth, PAIR[part].item, PAIR[part].rating)
    noise = np.random.default_rng(0).normal(size=len(truth)) * truth.std()
    few = (PAIR.items.frame[s.DATASET] == FEW).to_numpy()
    fair = bundle(truth + noise)
    better_on_many = bundle(np.where(few, -truth, truth))
    found = gate.compare(fair, better_on_many, PAIR, draws=200, seed=0)
    by = found.by_dataset
    assert by[MANY].difference.value > 0 > by[FEW].difference.value
    assert by[FEW].users + by[MANY].users == found.users
    allowed, why = gate.decide(found, 0.005)
    assert not allowed
    assert f"{FEW}: challenger" in why
    assert "in each dataset" in why
    up = gate.compare(better_on_many, bundle(truth), PAIR, draws=200, seed=0)
    assert gate.decide(up, 0.005)[0]
    one = joint_training.only(PAIR, MANY)
    assert gate.compare(fair, better_on_many, one, draws=200, seed=0).by_dataset == {}


def test_a_dataset_without_two_different_ratings_is_named_and_does_not_block() -> None:
    flat = {
        part: Pairs(p.user, p.item, np.where(BOTH.code[p.item] == 0, 3, p.rating))
        for part, p in PAIR.parts.items()
    }
    fold = Fold(0, PAIR.items, PAIR.people, flat)
    score = np.arange(len(PAIR.items), dtype=float)
    allowed, why = gate.decide(
        gate.compare(bundle(score), bundle(score), fold, draws=100, seed=0), 0
    )
    assert allowed
    assert f"{FEW}: nothing to compare on" in why


def test_a_demographic_of_another_dataset_is_unknown_here() -> None:
    lookup = UserLookup(bundle(np.zeros(len(PAIR.items))))
    assert lookup.stranger(FEW, {"gender": "f"}).frame["gender"].to_list() == ["f"]
    with pytest.raises(PamelaError, match=r"'gender' in dataset many: known are none"):
        lookup.stranger(MANY, {"gender": "f"})
    with pytest.raises(PamelaError, match=r"several datasets: say few/1-0 or many/1-0"):
        lookup.find("1-0")


def test_the_comparison_finds_what_was_planted_and_asks_nobody_twice() -> None:
    again = Fold(1, PAIR.items, PAIR.people, PAIR.parts)  # a fold that `many` does not have
    params = params_for_bench()
    found = joint_training.compare(
        [PAIR, again], {FEW: 2, MANY: 1}, params, ["group_mean"], draws=100, seed=0, quiet=True
    )
    assert {(g.dataset, g.population) for g in found} == {
        (d, p) for d in (FEW, MANY) for p in joint_training.POPULATIONS
    }
    with pytest.raises(PamelaError, match="at least two datasets"):
        joint_training.compare(
            [PAIR], {FEW: 1}, params, ["group_mean"], draws=100, seed=0, quiet=True
        )


def params_for_bench() -> TrainParams:
    return load_params(ROOT / "params.yaml").train.model_copy(update={"device": "cpu"})


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(0.01, 0.2, "helps"), (-0.2, -0.01, "hurts"), (-0.1, 0.1, "no difference can be told")],
)
def test_the_verdict_is_in_words_and_may_be_negative(low: float, high: float, says: str) -> None:
    assert joint_training.verdict(Estimate((low + high) / 2, low, high, 9)) == says
    assert joint_training.verdict(Estimate(0.0, None, None, 0)) == "no difference can be told"


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
