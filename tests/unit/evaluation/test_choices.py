"""Choices: what is asked, accuracy, log loss and calibration by hand, and the bar beside models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.dataset import Choices, Fold, Items, People
from pamela.evaluation.choices import metrics as m
from pamela.evaluation.choices.numbers import evaluate_choices
from pamela.evaluation.choices.predictions import CHOICE_PREDICTIONS, predict_of
from pamela.evaluation.choices.task import FEWEST_SHOWN, choice_task
from pamela.evaluation.comparators.bradley_terry import BRADLEY_TERRY, BradleyTerry
from pamela.evaluation.evaluate import DIFFERENCES, EVALUATION
from pamela.evaluation.metrics.bootstrap import Draws, make_draws
from pamela.evaluation.metrics.intervals import POOLED, USER
from pamela.evaluation.metrics.schema import KNOWN_PICTURES
from pamela.models.choices.preference import Preference
from pamela.params import load_params
from tests.paths import ROOT

EVALUATE = load_params(ROOT / "params.yaml").evaluate.model_copy(update={"bootstrap": 60})
TRAINED, TESTED, SEEN_USERS = 30, 12, 20
PAIRS = {20: 40, 21: 15, 22: 6}  # of the unseen users: pairs of training pictures


# --- metrics --------------------------------------------------------------------------------------
def laid(user, outcome, first, tie, pictures=None) -> m.PredictedChoices:
    first, tie = np.atleast_2d(np.array(first, float)).T, np.atleast_2d(np.array(tie, float)).T
    n = len(user)
    a = np.arange(n) * 2 if pictures is None else np.array(pictures)[:, 0]
    b = np.arange(n) * 2 + 1 if pictures is None else np.array(pictures)[:, 1]
    return m.PredictedChoices(
        np.array(user), a, b, np.array(outcome, float), first, 1 - first - tie, tie
    )


def test_accuracy_leaves_ties_out_and_log_loss_counts_them():
    c = laid([0, 0, 0, 1], [1.0, 0.0, 0.5, 1.0], [0.6, 0.6, 0.4, 0.45], [0.1] * 4)
    assert np.isnan(m.rightness(c)[2])
    assert m.rightness(c)[[0, 1, 3], 0].tolist() == [1.0, 0.0, 0.5]  # .45 against .45
    draws = Draws(np.ones((3, 2)))
    for metric, aggregation, wanted, count in (
        (m.CHOICE_ACCURACY, USER, (0.5 + 0.5) / 2, 3),
        (m.CHOICE_ACCURACY, POOLED, 1.5 / 3, 3),
        (m.CHOICE_LOG_LOSS, POOLED, -np.log([0.6, 0.3, 0.1, 0.45]).mean(), 4),
    ):
        (found,), counted = m.estimates(c, metric, aggregation, draws)
        assert found.value == pytest.approx(wanted)
        assert counted == count
        assert found.n == 2


def test_who_only_ties_has_no_accuracy_and_a_certain_error_is_finite():
    c = laid([0, 1], [0.5, 0.0], [0.5, 1.0], [0.0, 0.0])
    values = m.by_user(m.rightness(c), c)[:, 0]
    assert np.isnan(values[0])
    assert values[1] == 0.0
    assert np.isfinite(m.losses(c)).all()


@given(st.integers(1, 40), st.integers(0, 1000))
def test_pooled_resamples_weigh_people_and_pictures(n, seed):
    rng = np.random.default_rng(seed)
    pictures = np.stack([rng.integers(0, 5, n), rng.integers(5, 9, n)], axis=1)
    user = np.unique(rng.integers(0, 6, n), return_inverse=True)[1]
    c = laid(user, rng.choice([0.0, 0.5, 1.0], n), rng.uniform(0.05, 0.8, n), np.full(n, 0.1),
             pictures)  # fmt: skip
    draws = make_draws(c.n_users, 20, seed, n_prompts=9)
    for metric in m.CHOICE_METRICS:
        _, resampled, _ = m.means(c, metric, POOLED, draws)
        values = m.values_of(c, metric)[:, 0]
        kept = ~np.isnan(values)
        for draw in (0, 19):
            weight = draws.users[draw][user] * draws.prompts[draw][pictures].prod(axis=1) * kept
            wanted = np.nansum(weight * values) / weight.sum() if weight.sum() else np.nan
            assert resampled[draw, 0] == pytest.approx(wanted, nan_ok=True)


def test_a_calibrated_model_is_chosen_as_often_as_it_says():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.1, 0.9, 20_000)
    tied = rng.random(20_000) < 0.2
    outcome = np.where(tied, 0.5, (rng.random(20_000) < p).astype(float))
    found = m.calibration(0.8 * p, 0.8 * (1 - p), outcome)
    assert found.height == m.BINS
    assert found["n"].sum() == (~tied).sum()
    assert (found["predicted"] - found["chosen"]).abs().max() < 0.04
    assert m.calibration(np.zeros(0), np.zeros(0), np.zeros(0)).is_empty()


# --- who is asked what ----------------------------------------------------------------------------
def make_fold() -> Fold:
    """Return a fold of choices after strengths of the pictures, nothing of the person's own."""
    rng = np.random.default_rng(0)
    strength = rng.normal(size=TRAINED + TESTED) * 1.5
    trained, tested = np.arange(TRAINED), np.arange(TRAINED, TRAINED + TESTED)

    def choices(users, among, counts) -> Choices:
        user = np.repeat(list(users), list(counts))
        pairs = np.stack([rng.choice(among, 2, replace=False) for _ in user])
        won = rng.random(len(user)) < 1 / (
            1 + np.exp(strength[pairs[:, 1]] - strength[pairs[:, 0]])
        )
        outcome = np.where(rng.random(len(user)) < 0.1, 0.5, won).astype(np.float32)
        return Choices(user, pairs[:, 0], pairs[:, 1], outcome)

    seen = range(SEEN_USERS)
    parts = {
        s.TRAIN: choices(seen, trained, [40] * SEEN_USERS),
        s.TEST_SEEN: choices(seen, tested, [5] * SEEN_USERS),
        s.TEST_UNSEEN: choices(PAIRS, tested, [6] * len(PAIRS)),
        s.CONTEXT_UNSEEN: choices(PAIRS, trained, PAIRS.values()),
    }
    frame = pl.DataFrame({s.DATASET: "here", s.IMAGE: [f"i{k:02}" for k in range(len(strength))]})
    people = pl.DataFrame({s.DATASET: "here", s.USER: [f"u{k:02}" for k in range(23)]})
    image = strength[:, None].astype(np.float32)
    return Fold(0, Items(frame, image, image[:, :0]), People(people), {}, parts)


class Chooser:
    """The first feature of the pictures; with `adapts`, more sure the more it was shown."""

    def __init__(self, adapts: bool = False) -> None:
        self.adapts, self.shown = adapts, []

    def prefer(self, items, people, asked, context=None, choices=None):
        self.shown.append(0 if choices is None else len(choices))
        gap = items.image[asked.a, 0] - items.image[asked.b, 0]
        first = 0.9 / (1 + np.exp(-gap.astype(float)))
        return Preference(first, 0.9 - first, np.full(len(gap), 0.1))


@pytest.fixture(scope="module")
def fold() -> Fold:
    return make_fold()


def pairs_of(choices: Choices, user: int) -> set[frozenset[int]]:
    mine = choices.take(choices.user == user)
    return {frozenset(pair) for pair in zip(mine.a.tolist(), mine.b.tolist(), strict=True)}


def test_the_known_query_is_the_same_for_every_k_and_never_shown(fold):
    task = choice_task(fold, seed=0)
    for user in PAIRS:
        pairs = len(pairs_of(fold.choices_of(s.CONTEXT_UNSEEN), user))
        shown = min(max(pairs // 2, FEWEST_SHOWN), pairs)
        assert len(pairs_of(task.context, user)) == shown
        assert len(pairs_of(task.known, user)) == pairs - shown
        assert not pairs_of(task.context, user) & pairs_of(task.known, user)
    queries = [task.at(task.known, k)[0] for k in (0, 5, 10)]
    assert all(np.array_equal(query.a, queries[0].a) for query in queries)
    contexts = [task.at(task.known, k)[1] for k in (0, 5, 10)]
    assert pairs_of(contexts[1], 20) < pairs_of(contexts[2], 20)
    assert [len(pairs_of(context, 21)) for context in contexts] == [0, 5, 10]
    assert 22 in task.at(task.new, 5)[0].user  # six pairs to show, none to be asked
    assert 22 not in task.at(task.new, 10)[0].user
    assert 22 not in task.known.user


def test_pairs_turned_round_or_of_unknown_pictures_are_no_leak(fold):
    own = fold.choices_of(s.CONTEXT_UNSEEN)
    turned = Choices(own.user, own.b, own.a, 1 - own.outcome)
    odd = Choices(own.user[:1], own.a[:1], np.array([TRAINED + 1]), own.outcome[:1])
    parts = {**fold.choices, s.CONTEXT_UNSEEN: Choices.concat(own, turned, odd)}
    task = choice_task(replace(fold, choices=parts), seed=0)
    plain = choice_task(fold, seed=0)
    for user in PAIRS:
        assert pairs_of(task.context, user) == pairs_of(plain.context, user)
        assert pairs_of(task.known, user) == pairs_of(plain.known, user)


# --- Bradley-Terry --------------------------------------------------------------------------------
def test_bradley_terry_finds_the_strengths_and_its_probabilities_sum_to_one(fold):
    model = BradleyTerry.fit(fold)
    truth = fold.items.image[:TRAINED, 0]
    assert np.corrcoef(model.strength[:TRAINED], truth)[0, 1] > 0.9
    assert not model.strength[TRAINED:].any()  # nobody chose between these
    assert model.ties == pytest.approx(0.1, abs=0.03)
    said = model.prefer(fold.items, fold.people, fold.choices_of(s.CONTEXT_UNSEEN))
    np.testing.assert_allclose(said.a + said.b + said.tie, 1.0)


def test_bradley_terry_is_the_maximum_of_its_posterior(fold):
    model, train = BradleyTerry.fit(fold), fold.choices_of(s.TRAIN)
    gap = model.strength[train.a] - model.strength[train.b]
    left = train.outcome - 1 / (1 + np.exp(-gap))
    n = len(fold.items)
    slope = np.bincount(train.a, left, n) - np.bincount(train.b, left, n) - model.strength
    assert np.abs(slope).max() < 0.05


def test_without_any_choice_it_knows_nothing(fold):
    model = BradleyTerry.fit(replace(fold, choices={}))
    said = model.prefer(fold.items, fold.people, fold.choices_of(s.TEST_SEEN))
    assert (said.a == said.b).all()
    assert (said.tie > 0).all()


# --- numbers --------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def predicted(fold) -> pl.DataFrame:
    models = {"population": Chooser(), "hierarchical": Chooser(adapts=True)}
    frames = [predict_of(one, name, fold, EVALUATE.shots, 0) for name, one in models.items()]
    beside = BradleyTerry.fit(fold)
    frames.append(predict_of(beside, BRADLEY_TERRY, fold, EVALUATE.shots, 0, [KNOWN_PICTURES]))
    return pl.concat(frames)


def test_models_are_asked_about_new_and_known_pictures_at_every_k(fold, predicted):
    assert predicted.schema == CHOICE_PREDICTIONS
    count = predicted.filter(model="hierarchical").group_by("population", "pictures", "shots").len()
    sizes = {row[:3]: row[3] for row in count.iter_rows()}
    assert sizes["seen", "new", None] == 5 * SEEN_USERS
    assert sizes["unseen", "new", 0] == 18
    assert sizes["unseen", "new", 10] == 12  # one has six to show
    assert sizes["unseen", "known", 0] == sizes["unseen", "known", 10]
    assert ("unseen", "known", 50) not in sizes
    assert set(predicted.filter(model=BRADLEY_TERRY)["pictures"]) == {"known"}
    model = Chooser(adapts=True)
    predict_of(model, "m", fold, [0, 5], 0, [KNOWN_PICTURES])
    assert model.shown == [0, 15]


def test_every_number_is_a_row_with_its_paired_difference(predicted):
    numbers, gaps = evaluate_choices(predicted, EVALUATE, champion="hierarchical")
    assert numbers.schema == EVALUATION
    assert gaps.schema == DIFFERENCES
    assert set(numbers["metric"]) == set(m.CHOICE_METRICS)
    at = {"population": "unseen", "shots": 0, "pictures": "known", "aggregation": "pooled"}
    mine = predicted.filter(
        pl.col("outcome") != 0.5, model="population", population="unseen", shots=0, pictures="known"
    )
    right = ((mine["p_a"] > mine["p_b"]) == (mine["outcome"] == 1.0)).mean()
    row = numbers.filter(metric=m.CHOICE_ACCURACY, model="population", **at).row(0, named=True)
    assert row["value"] == pytest.approx(right)
    assert row["n_pairs"] == mine.height
    assert row["ci_low"] <= row["value"] <= row["ci_high"]
    bar = numbers.filter(metric=m.CHOICE_ACCURACY, model=BRADLEY_TERRY, **at)["value"].item()
    gap = gaps.filter(
        metric="choice_accuracy_pooled", model="population", baseline=BRADLEY_TERRY,
        population="unseen", shots=0, pictures="known",
    )  # fmt: skip
    assert gap["value"].item() == pytest.approx(right - bar)
    empty = numbers.filter(shots=50)
    assert empty.height
    assert (empty["n_users"] == 0).all()
    assert empty["value"].is_null().all()
    keys = ["model", "population", "shots", "metric", "aggregation", "pictures"]
    assert not numbers.select(keys).is_duplicated().any()


def test_without_choices_there_are_no_rows():
    numbers, gaps = evaluate_choices(CHOICE_PREDICTIONS.to_frame(), EVALUATE)
    assert numbers.is_empty()
    assert gaps.is_empty()
