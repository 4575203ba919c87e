"""The gate: same hold-out for both, scored now, and no comparison that would not be fair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, spearmanr

from pamela.core import schema as s
from pamela.core.dataset import Fold, Pairs
from pamela.core.errors import PamelaError
from pamela.params import Params, load_params
from pamela.retraining.gate import judgement as gate
from pamela.retraining.gate.decision import Data
from pamela.retraining.gate.holdout import NEWEST, PARTS
from pamela.retraining.gate.judgement import Check, Judgement
from pamela.retraining.gate.table_rows import FROZEN, Row
from pamela.retraining.gate.trial import still_on_trial
from pamela.training.bundle import Bundle
from tests.helpers.gate_kit import (
    ITEMS,
    SEEN,
    TASTE,
    TRAIN_ITEMS,
    USERS,
    Linear,
    bundle,
    make_fold,
    make_holdout,
)
from tests.paths import ROOT

PARAMS = load_params(ROOT / "params.yaml")


@pytest.fixture(scope="module")
def fold() -> Fold:
    return make_fold()


def params(**retrain: Any) -> Params:
    asked = {"min_slice_users": 4, **retrain}
    quick = PARAMS.evaluate.model_copy(update={"bootstrap": 200})
    changed = PARAMS.retrain.model_copy(update=asked)
    return PARAMS.model_copy(update={"retrain": changed, "evaluate": quick})


def judge(champion: Bundle, challenger: Bundle, fold: Fold, **how: Any) -> Judgement:
    newest = how.pop("newest", None)
    asked = how.pop("params", params())
    return gate.judge(champion, challenger, make_holdout(fold, newest), asked, **how)


def rows(found: Judgement, kind: str) -> list[Row]:
    return [check.row for check in found.checks if check.kind == kind]


# --- the numbers ------------------------------------------------------------------------------


def test_scores_are_the_user_means_of_spearman_on_the_hold_out(fold: Fold) -> None:
    good, bad = bundle(fold, Linear(TASTE)), bundle(fold, Linear(TASTE, noise=3.0))
    found = judge(bad, good, fold)
    expected: dict[str, list[float]] = {"champion": [], "challenger": []}
    for part in (s.TEST_SEEN, s.TEST_UNSEEN):
        pairs = fold[part]
        for user in np.unique(pairs.user):
            mine = pairs.take(pairs.user == user)
            for side, b in (("champion", bad), ("challenger", good)):
                mean = b.model.predict(fold.items, fold.people, mine).mean
                expected[side].append(spearmanr(mean, mine.rating).statistic)
    row = found.overall["srocc"]
    assert row.champion == pytest.approx(np.mean(expected["champion"]), abs=1e-6)
    assert row.challenger == pytest.approx(np.mean(expected["challenger"]), abs=1e-6)
    assert row.difference == pytest.approx(row.challenger - row.champion)
    assert (row.rows, row.users) == (USERS * 12, USERS)
    slices = {row.slice: row for row in rows(found, "slice")}
    assert slices["cold-start people"].challenger == pytest.approx(
        np.mean(expected["challenger"][SEEN:]), abs=1e-6
    )
    assert set(slices) == {
        "seen people", "cold-start people", "type art", "type photo", "country here",
        "country there",
    }  # fmt: skip
    assert slices["country here"].users == USERS // 2
    photo = np.arange(0, ITEMS, 2)
    every = Pairs.concat(fold[s.TEST_SEEN], fold[s.TEST_UNSEEN])
    assert slices["type photo"].rows == np.isin(every.item, photo).sum()


def test_training_rows_play_no_part(fold: Fold) -> None:
    good, bad = bundle(fold, Linear(TASTE)), bundle(fold, Linear(TASTE, noise=3.0))
    spoilt = replace(fold, parts={**fold.parts, s.TRAIN: Pairs.empty()})
    assert judge(bad, good, fold) == judge(bad, good, spoilt)


@pytest.mark.parametrize("level", [0.1, 0.02])
def test_the_two_tests_of_a_gain_share_the_level(fold: Fold, level: float) -> None:
    """The bound of each lies as many standard errors below the mean as half of the level says."""
    good, bad = bundle(fold, Linear(TASTE, noise=0.5)), bundle(fold, Linear(TASTE, noise=1.0))
    asked = params(level=level)
    many = asked.model_copy(
        update={"evaluate": asked.evaluate.model_copy(update={"bootstrap": 5000})}
    )
    found = judge(bad, good, fold, params=many, newest=fold[s.TEST_SEEN])
    for part, row in zip((PARTS, (s.TEST_SEEN,)), rows(found, "gain"), strict=True):
        pairs = Pairs.concat(*(fold[name] for name in part))
        gains = []
        for user in np.unique(pairs.user):
            mine = pairs.take(pairs.user == user)
            new, old = (
                spearmanr(b.model.predict(fold.items, fold.people, mine).mean, mine.rating)
                for b in (good, bad)
            )
            gains.append(new.statistic - old.statistic)
        error = np.std(gains) / np.sqrt(len(gains))
        below = (row.difference - row.lower) / error
        assert below == pytest.approx(norm.isf(level / 2), abs=0.15), row.rows_of


# --- the outcomes -----------------------------------------------------------------------------


def test_better_is_promoted_worse_is_rejected_equal_is_held(fold: Fold) -> None:
    good, bad = bundle(fold, Linear(TASTE)), bundle(fold, Linear(TASTE, noise=3.0))
    up, down, same = judge(bad, good, fold), judge(good, bad, fold), judge(good, good, fold)
    assert (up.outcome, down.outcome, same.outcome) == ("PROMOTE", "REJECT", "HOLD")
    assert "gain: frozen hold-out: SROCC +" in up.why
    assert "; worse: d: SROCC -" in down.why
    assert "no gain beyond chance" in same.why
    assert not any("\n" in one.why for one in (up, down, same))


def test_withdrawn_people_need_no_gain_but_nothing_may_be_worse(fold: Fold) -> None:
    good, bad = bundle(fold, Linear(TASTE)), bundle(fold, Linear(TASTE, noise=3.0))
    assert judge(good, good, fold, gain_wanted=False).outcome == "PROMOTE"
    rejected = judge(good, bad, fold, gain_wanted=False)
    assert rejected.outcome == "REJECT"
    assert rejected.why.endswith(gate.STILL)  # somebody has to know
    assert gate.STILL not in judge(good, bad, fold).why


def test_what_the_newest_ratings_gain_pays_for_no_loss_on_the_frozen_hold_out(fold: Fold) -> None:
    """E1 of the first trial from outside: a batch had a say in its own case."""
    good, flipped = bundle(fold, Linear(TASTE)), bundle(fold, Linear(-TASTE))
    seen = fold[s.TEST_SEEN]
    opposite = Pairs(seen.user, seen.item, (6 - seen.rating).astype(np.float32))
    found = judge(good, flipped, fold, newest=opposite)
    (gain,) = [check for check in found.checks if check.row.rows_of == NEWEST]
    assert gain.result == gate.GAIN
    assert found.outcome == "REJECT"


def test_a_gain_on_the_newest_ratings_alone_promotes(fold: Fold) -> None:
    class Dated(Linear):
        """As good as its challenger, but on pictures that were rated lately."""

        def predict(self, items: Any, people: Any, pairs: Any, context: Any = None) -> Any:
            found = super().predict(items, people, pairs, context)
            return replace(found, mean=np.where(pairs.item < TRAIN_ITEMS, 3, found.mean))

    champion, challenger = bundle(fold, Dated(TASTE)), bundle(fold, Linear(TASTE))
    assert judge(champion, challenger, fold).outcome == "HOLD"
    everyone = np.arange(SEEN).repeat(TRAIN_ITEMS)
    item = np.tile(np.arange(TRAIN_ITEMS), SEEN)
    order = (fold.items.image @ TASTE)[item]
    newest = Pairs(everyone, item, order.astype(np.float32))
    found = judge(champion, challenger, fold, newest=newest)
    assert found.outcome == "PROMOTE"
    assert "gain: newest: SROCC +" in found.why


def test_many_small_losses_do_not_add_up(fold: Fold) -> None:
    """Each is within the tolerance of the champion, but too far below the best so far."""
    best, worse = bundle(fold, Linear(TASTE)), bundle(fold, Linear(TASTE, noise=1.5))
    assert judge(worse, worse, fold).outcome == "HOLD"
    found = judge(worse, worse, fold, best=best)
    assert found.outcome == "REJECT"
    assert "against the best so far, wanted at least -0.01" in found.why
    found = judge(worse, worse, fold, best=best, below={"d": 0.007})
    assert "against the best so far, wanted at least -0.003" in found.why


def test_a_loss_that_may_be_chance_is_held_and_stays_on_trial() -> None:
    asked = params().retrain
    lost = replace(BLANK, difference=-0.02, ci_high=0.01)
    checks = tuple(gate.table([replace(OVERALL, lower=0.01), lost], [], asked))
    held = Judgement(gate.decide(checks), gate.explain("HOLD", checks), checks)
    assert (held.outcome, held.unsure) == ("HOLD", True)
    assert "worse, perhaps by chance: d: SROCC -0.020 [-0.100, +0.010]" in held.why
    data = Data(batches={"d/a": "1", "d/b": "2"}, on_trial=["d/a"])
    assert still_on_trial(held, data.on_trial, ["d/b"]) == ["d/a", "d/b"]
    rejected = replace(held, outcome="REJECT")
    assert still_on_trial(rejected, data.on_trial, ["d/a", "d/b"]) == []
    assert still_on_trial(rejected, data.on_trial, ["d/b"]) == ["d/a"]
    assert still_on_trial(replace(held, outcome="PROMOTE"), data.on_trial, ["d/b"]) == []


def test_a_kind_of_people_that_falls_is_a_reason_to_reject(fold: Fold) -> None:
    class Split(Linear):
        def predict(self, items: Any, people: Any, pairs: Any, context: Any = None) -> Any:
            found = super().predict(items, people, pairs, context)
            sign = np.where(pairs.user % 2 == 1, -1.0, 1.0).astype(np.float32)
            return replace(found, mean=3 + sign * (found.mean - 3))

    champion = bundle(fold, Linear(TASTE, noise=2.0))
    found = judge(champion, bundle(fold, Split(TASTE)), fold, params=params(tolerance=2.0))
    failed = [c for c in found.checks if c.result == gate.FAILED and c.kind == "slice"]
    assert "country here" in {check.row.slice for check in failed}
    assert found.outcome == "REJECT"
    few = judge(champion, bundle(fold, Split(TASTE)), fold,
                params=params(tolerance=2.0, min_slice_users=USERS + 1))  # fmt: skip
    assert {c.result for c in few.checks if c.kind == "slice"} == {gate.SHOWN}


@pytest.mark.parametrize(("std", "metric"), [(0.2, "coverage_90"), (1.0, "rmse")])
def test_calibration_that_is_worse_is_a_reason_to_reject(
    fold: Fold, std: float, metric: str
) -> None:
    class Shifted(Linear):
        def predict(self, items: Any, people: Any, pairs: Any, context: Any = None) -> Any:
            found = super().predict(items, people, pairs, context)
            return replace(found, mean=found.mean + (0.5 if metric == "rmse" else 0.0))

    champion = bundle(fold, Linear(TASTE))
    found = judge(champion, bundle(fold, Shifted(TASTE, std=std)), fold)
    failed = {c.row.metric for c in found.checks if c.result == gate.FAILED}
    assert metric in failed
    assert found.overall["srocc"].difference == pytest.approx(0, abs=1e-6)
    assert found.outcome == "REJECT"


BLANK = Row(FROZEN, "d", "", "srocc", 0.4, 0.4, 0.0, -0.1, 0.1, -0.08, 20, 100)
OVERALL = replace(BLANK, dataset="")


@given(
    gain=st.floats(-0.3, 0.3),
    tolerance=st.floats(0, 0.2),
    lower=st.floats(-0.3, 0.3),
    ci_high=st.floats(-0.3, 0.3),
)
def test_the_outcome_is_the_tolerance_and_the_bounds(
    gain: float, tolerance: float, lower: float, ci_high: float
) -> None:
    asked = params(tolerance=tolerance).retrain
    one = replace(BLANK, difference=gain, ci_high=ci_high)
    checks = list(gate.table([replace(OVERALL, lower=lower), one], [], asked))
    outcome = gate.decide(checks)
    if gain < -tolerance:
        expected = "REJECT" if ci_high < 0 else "HOLD"
    else:
        expected = "PROMOTE" if lower > 0 else "HOLD"
    assert outcome == expected
    assert "\n" not in gate.explain(outcome, checks)


def test_every_dataset_is_held_to_the_tolerance() -> None:
    asked = params().retrain
    many = [OVERALL, BLANK, replace(BLANK, dataset="e", difference=-0.1, ci_high=-0.02)]
    assert gate.decide(list(gate.table(many, [], asked))) == "REJECT"
    undefined = Row(FROZEN, "e", "", "srocc", None, None, None, None, None, None, 0, 9)
    checks: list[Check] = list(gate.table([OVERALL, BLANK, undefined], [], asked))
    assert gate.decide(checks) == "HOLD"
    assert checks[-1].result == gate.SHOWN


# --- fairness ---------------------------------------------------------------------------------


def test_other_features_are_an_error_that_says_what_to_do(fold: Fold) -> None:
    old = bundle(fold, Linear(TASTE))
    other = replace(fold.items, image=fold.items.image + 1)
    encoder = {**old.encoder, "encoder": "embedded", "fingerprint": "xyz"}
    new = replace(old, items=other, encoder=encoder)
    with pytest.raises(PamelaError, match=r"precomputed \(abc\).*embedded \(xyz\).*embed\.encoder"):
        judge(old, new, fold)


def test_pictures_added_to_precomputed_features_are_no_other_features(fold: Fold) -> None:
    new = bundle(fold, Linear(TASTE))
    fewer = np.arange(5, ITEMS)  # the same rows at other places
    old = replace(
        new,
        items=new.items.take(fewer),
        in_train_items=new.in_train_items[fewer],
        encoder={**new.encoder, "fingerprint": "before"},
    )
    assert judge(old, new, fold).overall["srocc"].difference == 0
    none = replace(old, items=new.items.take(fewer[:0]), in_train_items=np.zeros(0, bool))
    with pytest.raises(PamelaError, match=r"embed\.encoder"):
        judge(none, new, fold)


@pytest.mark.parametrize("kind", ["items", "people"])
def test_champion_trained_on_the_hold_out_is_an_error(fold: Fold, kind: str) -> None:
    new = bundle(fold, Linear(TASTE))
    trained = {"in_train_items": np.ones(ITEMS, bool)}
    if kind == "people":
        trained = {"in_train_people": np.ones(USERS, bool)}
    old = replace(new, **trained)  # type: ignore[arg-type]
    first = "d/i40" if kind == "items" else "d/u16"
    with pytest.raises(PamelaError, match=rf"first {first}: the splits changed"):
        judge(old, new, fold)


def test_challenger_with_more_training_users_is_fair(fold: Fold) -> None:
    new = bundle(fold, Linear(TASTE))
    fewer = new.in_train_people & (np.arange(USERS) > 2)
    old = replace(new, in_train_people=fewer)
    assert judge(old, new, fold).overall["srocc"].difference == 0


def test_no_ratings_that_differ_is_an_error(fold: Fold) -> None:
    constant = {
        part: Pairs(p.user, p.item, np.full_like(p.rating, 3.0)) for part, p in fold.parts.items()
    }
    same = bundle(fold, Linear(TASTE))
    with pytest.raises(PamelaError, match="nothing to compare on"):
        judge(same, same, replace(fold, parts=constant))


def test_predictions_that_are_not_finite_are_an_error(fold: Fold) -> None:
    good, broken = bundle(fold, Linear(TASTE)), bundle(fold, Linear(TASTE * np.nan))
    with pytest.raises(PamelaError, match=r"the challenger \(linear-0\): .* not finite"):
        judge(good, broken, fold)


def test_a_slice_s_name_commands_no_terminal() -> None:
    """It comes from the data, and the line is printed, kept in a record and shown in MLflow."""
    odd = replace(BLANK, slice="type \x1b[2Jart\r\n", difference=-0.1, ci_high=-0.02)
    checks = list(gate.table([OVERALL, odd], [], params().retrain))
    assert gate.explain("REJECT", checks).isprintable()
