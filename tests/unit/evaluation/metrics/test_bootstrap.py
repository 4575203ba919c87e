"""Intervals: they cover what they should, pair what is paired, and follow the influence."""

from __future__ import annotations

import numpy as np
import pytest

from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics import influence as psi
from pamela.evaluation.metrics.bootstrap import (
    FEW_PROMPTS,
    function_estimates,
    make_draws,
    mean_estimates,
    multinomial_weights,
    paired_difference,
    ratio_estimates,
)
from pamela.evaluation.metrics.conflicts import find_conflicts, resampled_shares
from pamela.evaluation.metrics.grouping import group_predictions

MARGINS = [0.0, 2.0]


def test_weights_are_resamples():
    weights = multinomial_weights(20, 300, np.random.default_rng(0))
    assert weights.shape == (300, 20)
    assert (weights.sum(axis=1) == 20).all()
    assert weights.var() == pytest.approx(0.95, abs=0.05)  # binomial(20, 1/20)


def test_same_seed_same_interval():
    values = np.random.default_rng(1).normal(size=(30, 2))
    first, again, other = (mean_estimates(values, make_draws(30, 200, s)) for s in (3, 3, 4))
    assert first == again != other


def test_intervals_cover_the_planted_mean():
    # many columns share the draws, as models do; their values are independent
    rng = np.random.default_rng(0)
    covered = [
        e.ci_low <= 0.4 <= e.ci_high
        for trial in range(40)
        for e in mean_estimates(rng.normal(0.4, 0.2, (100, 50)), make_draws(100, 400, trial))
    ]
    assert 0.925 <= np.mean(covered) <= 0.96


def test_pairing_uses_the_same_users():
    rng = np.random.default_rng(0)
    user_effect = rng.normal(0.4, 0.3, 100)  # dwarfs the gain
    a, b = user_effect + 0.03 + rng.normal(0, 0.02, 100), user_effect
    gain = paired_difference(a, b, draws=500, seed=0)
    assert gain.value == pytest.approx((a - b).mean())
    assert 0 < gain.ci_low < 0.03 < gain.ci_high < 0.06
    back = paired_difference(b, a, draws=500, seed=0)
    assert (back.value, back.ci_low, back.ci_high) == pytest.approx(
        (-gain.value, -gain.ci_high, -gain.ci_low)
    )


def test_a_user_undefined_for_one_model_is_left_out_of_both():
    gain = paired_difference([0.5, np.nan, 0.7], [0.4, 0.9, np.nan], draws=100, seed=0)
    assert gain.value == pytest.approx(0.1)
    assert gain.n == 1
    assert gain.ci_low is None  # one user has no spread


def test_nobody_gives_no_number():
    nobody = paired_difference([np.nan], [1.0], draws=100, seed=0)
    assert (nobody.value, nobody.ci_low, nobody.ci_high, nobody.n) == (None, None, None, 0)
    assert paired_difference([], [], draws=100, seed=0).value is None
    with pytest.raises(ValueError, match="same users"):
        paired_difference([1.0], [1.0, 2.0], draws=100, seed=0)


def test_ratios_weigh_users_by_their_size():
    top, bottom = np.array([[1.0], [30.0]]), np.array([[10.0], [40.0]])
    assert ratio_estimates(top, bottom, make_draws(2, 100, 0))[0].value == pytest.approx(31 / 50)


def test_conflict_intervals_equal_resampling_the_users():
    rng = np.random.default_rng(0)
    user, image = np.repeat(np.arange(12), 8), np.tile(np.arange(8), 12)
    rating = rng.integers(1, 6, 96).astype(float)
    guess = rating + rng.normal(0, 2, 96)
    draws = make_draws(12, 40, 0)
    c = find_conflicts(group_predictions(user, image, rating, guess))
    side, both = resampled_shares(c, draws)
    for weights, got in list(zip(draws.users, side[1][:, 0], strict=True))[:5]:
        # the copies of a user are users of their own, and in no conflict with each other
        chosen = np.repeat(np.arange(12), weights.astype(int))
        rows = np.concatenate([np.flatnonzero(user == u) for u in chosen])
        copies = group_predictions(
            np.repeat(np.arange(12), 8), image[rows], rating[rows], guess[rows]
        )
        alone = make_draws(copies.n_users, 1, 0)
        assert resampled_shares(find_conflicts(copies), alone).side[0] == got
    side, both = (function_estimates(*one, c.n_users) for one in (side, both))
    assert side[0].ci_low < side[0].value < side[0].ci_high
    assert both[0].value < side[0].value


# --- influence ------------------------------------------------------------------------------------
METRICS = {
    "srocc": (m.srocc, psi.srocc_influence),
    "plcc": (m.plcc, psi.plcc_influence),
    "rmse": (m.rmse, psi.rmse_influence),
    "coverage": (m.coverage_90, psi.coverage_influence),
    "accuracy": (
        lambda j: m.pairwise_accuracy(j, MARGINS, 1)[:, 1],
        lambda j: psi.pairwise_influence(j, MARGINS, m.pair_counts(j, MARGINS))[:, 1],
    ),
}


@pytest.mark.parametrize("name", METRICS)
def test_influence_is_the_derivative_in_a_rows_weight(name):
    value, influence = METRICS[name]
    rng = np.random.default_rng(0)
    n, copies = 24, 40
    fold = np.arange(n) % 2
    rating = rng.integers(1, 6, n).astype(float)
    guess = np.round(rating + rng.normal(0, 2, n))
    plain = group_predictions(np.zeros(n), np.arange(n), rating, guess, np.ones(n), fold=fold)
    slopes = influence(plain)[:, 0]
    place = {image: k for k, image in enumerate(plain.image)}

    def weighted(extra: int) -> float:
        # every row `copies` times, row 3 `extra` times more: its weight is 1 + extra / copies
        rows = np.repeat(np.arange(n), copies + extra * (np.arange(n) == 3))
        ones = np.ones(len(rows))
        j = group_predictions(0 * ones, rows, rating[rows], guess[rows], ones, fold=fold[rows])
        return float(value(j)[0, 0])

    slope = (weighted(1) - weighted(-1)) * copies / 2
    assert slopes[place[3]] == pytest.approx(slope, rel=0.01, abs=1e-4)
    assert slopes.sum() == pytest.approx(0.0, abs=1e-9)  # equal weights on all rows change nothing


def test_prompts_are_resampled_where_there_are_few():
    assert make_draws(10, 100, 0, n_prompts=FEW_PROMPTS).prompts is None
    assert make_draws(10, 100, 0, n_prompts=8).prompts.shape == (100, 8)


def test_two_way_intervals_cover_new_users_and_new_prompts():
    """Prompts that are hard for everybody: an interval over users alone is far too short."""
    rng = np.random.default_rng(0)
    users, prompts, trials = 60, 20, 150
    hits = {"users": 0, "both": 0}
    row_user, row_prompt = np.repeat(np.arange(users), prompts), np.tile(np.arange(prompts), users)
    for trial in range(trials):
        scale = np.abs(rng.normal(0, 1, prompts))  # error of each prompt, shared by all users
        error = scale[row_prompt] * np.sign(rng.normal(size=users * prompts))
        j = group_predictions(row_user, row_prompt, 3 + 0 * error, 3 + error)
        draws = make_draws(users, 200, trial, n_prompts=prompts)
        squared = (j.mean - j.rating[:, None]) ** 2
        values = squared.reshape(users, prompts, 1).mean(axis=1)
        effect = psi.by_prompt((squared - values[j.user]) / prompts, j)
        for name, extra in (("users", None), ("both", effect)):
            e = mean_estimates(values, draws, extra)[0]
            # all users agree here, so the interval over users has no width at all
            hits[name] += e.ci_low <= 1.0 <= e.ci_high
    assert hits["users"] / trials < 0.2
    assert hits["both"] / trials > 0.8
