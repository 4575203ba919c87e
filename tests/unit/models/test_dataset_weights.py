"""Models of several datasets: how rows weigh, and what stays each dataset's own."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.planted_pair import FEW, MANY, Size, make_pair
from pamela.core import schema as s
from pamela.core.dataset import Fold, Pairs, People
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, write_json
from pamela.core.shards.rows import Shards
from pamela.evaluation.predictions import restrict
from pamela.models.base import RewardModel, load_model
from pamela.models.biases import fit_effects, picture_means
from pamela.models.dataset_weights import (
    EQUAL,
    Weights,
    candidate_weights,
    choose_weights,
    mean_correlation,
)
from pamela.models.gaussian_process.kernels import DATASET_WEIGHT, Block, Kernels
from pamela.models.gaussian_process.model import Population
from pamela.models.gaussian_process.selection import sample_rows
from pamela.models.preprocessing import ABSENT, UNKNOWN, Codes, Datasets, datasets_without
from pamela.models.transformer.model import Paper
from pamela.models.transformer.selection import Configuration, SearchConfig, cross_validation
from pamela.models.transformer.target_scaling import Standard
from pamela.params import load_params
from tests.conftest import ROOT
from tests.helpers import yaml

SMALL = {FEW: Size(12, 24, 20, 8, 5), MANY: Size(20, 60, 24, 30, 101)}
PAIR = make_pair(1, related=True, sizes=SMALL)
TRAIN = PAIR[s.TRAIN]
BOTH = Datasets.of(PAIR.items, TRAIN)
TRIAL = Configuration(12, 16, 1, 0.0, 5e-3, 0.01, 6)


class Stop(Exception):
    """An interruption."""


def paper(**changes: object) -> Paper:
    base = {"folds": 2, "trials": 1, "max_epochs": 6, "patience": 6, "batch_size": 32}
    return Paper(SearchConfig(**{**base, "given": (TRIAL,), **changes}), "cpu")  # type: ignore[arg-type]


def srocc_like(model: RewardModel, fold: Fold, dataset: str) -> float:
    pairs = restrict(fold, {dataset: 1})[s.TEST_SEEN]
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
    made = Weights.make(BOTH, BOTH.rows(TRAIN), np.array(relative))
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
    tried = candidate_weights("cv", BOTH, BOTH.rows(TRAIN))
    assert next(iter(tried)) == EQUAL
    np.testing.assert_allclose(tried[EQUAL].weight, 1)
    np.testing.assert_allclose(tried["rows^-1"].share, 0.5)
    given_ = candidate_weights({FEW: 3.0, MANY: 1.0}, BOTH, BOTH.rows(TRAIN))
    (only,) = given_.values()
    assert only.weight[0] / only.weight[1] == pytest.approx(3)
    with pytest.raises(PamelaError, match=r"dataset_weights: no weight for dataset many"):
        candidate_weights({FEW: 3.0}, BOTH, BOTH.rows(TRAIN))


def test_one_dataset_has_nothing_to_choose_and_no_weights() -> None:
    alone = restrict(PAIR, {MANY: 1})
    one = Datasets.of(alone.items, alone[s.TRAIN])
    tried = candidate_weights("cv", one, one.rows(alone[s.TRAIN]))
    assert len(tried) == 1
    _, said = choose_weights(tried, lambda _: pytest.fail("scored"))
    assert said == {}


def test_other_weights_give_way_only_to_a_clear_gain() -> None:
    tried = candidate_weights("cv", BOTH, BOTH.rows(TRAIN))
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
        ({"a": 1, "b": 0}, "train.dataset_weights.b: Input should be greater than 0"),
        ("CV", "train.dataset_weights: Input should be 'cv'"),
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
    pairs = restrict(PAIR, {MANY: 1})[s.TEST_SEEN]
    of_many = pl.col(s.DATASET) == MANY
    told = PAIR.people.frame.with_columns(
        gender=pl.when(of_many).then(pl.lit("f")).otherwise("gender")
    )
    before = model.predict(PAIR.items, PAIR.people, pairs).mean
    np.testing.assert_array_equal(before, model.predict(PAIR.items, People(told), pairs).mean)
    few = restrict(PAIR, {FEW: 1})[s.TEST_SEEN]
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
    means = picture_means(Shards.of(TRAIN), len(PAIR.people), BOTH)
    for code, name in enumerate(BOTH.names):
        mine = restrict(PAIR, {name: 1})[s.TRAIN]
        alone = fit_effects(Shards.of(mine), len(PAIR.people), len(PAIR.items))
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
    total = kernels.total(inputs, inputs, weights)
    same = inputs.dataset[:, None] == inputs.dataset
    intercepts = DATASET_WEIGHT * same
    np.testing.assert_allclose(total, intercepts + 0.3 * shared + 0.7 * own[0] + 0.2 * own[1])
    np.testing.assert_allclose(kernels.diagonal(inputs, weights), np.diag(total))
    assert kernels.names == [f"image/linear/4{end}" for end in ("", f"/{FEW}", f"/{MANY}")]
    assert Kernels.from_saved(kernels.to_json(), kernels.arrays()).own


@given(most=st.integers(2, 80), seed=st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_a_sample_of_pictures_is_as_even_as_the_datasets_allow(most: int, seed: int) -> None:
    code = np.repeat([0, 1], [10, 60])
    rows = sample_rows(code, most, np.random.default_rng(seed))
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
    alone.fit(restrict(PAIR, {FEW: 1}), seed=0)
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
        rows = restrict(pair, {FEW: 1})[s.TRAIN]
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
    names = candidate_weights("cv", BOTH, BOTH.rows(TRAIN))
    other = next(name for name in names if name != kept["rule"])
    write_json(tmp_path / "weights.json", {**kept, "rule": other})
    model = paper()
    (tmp_path / "last.ckpt").unlink(missing_ok=True)
    model.fit(PAIR, seed=0, workdir=tmp_path)
    assert model._weights is not None
    expected = candidate_weights("cv", BOTH, BOTH.rows(TRAIN))[other]
    np.testing.assert_array_equal(model._weights.weight, expected.weight)
