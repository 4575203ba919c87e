"""The arena: Bradley-Terry by its gradients, its symmetries and known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pamela.steer.judging.bradley_terry import (
    ELO_CENTRE,
    cell_wins,
    fit_bradley_terry,
    gradient,
    hessian,
    log_posterior,
    rank,
    to_elo,
    win_share,
)
from pamela.steer.judging.resampling import cell_weights

WINS = arrays(np.float64, (4, 4), elements=st.integers(0, 40).map(float))
THETA = arrays(np.float64, 4, elements=st.floats(-3, 3))


def _numerical(function, theta, step=1e-5):
    columns = []
    for i in range(len(theta)):
        shift = np.eye(len(theta))[i] * step
        columns.append((function(theta + shift) - function(theta - shift)) / (2 * step))
    return np.stack(columns, axis=-1)


@settings(max_examples=40, deadline=None)
@given(WINS, THETA)
def test_gradient_and_hessian_agree_with_finite_differences(wins, theta):
    wins = wins * (1 - np.eye(4))
    slope = _numerical(lambda t: log_posterior(t, wins), theta)
    assert gradient(theta, wins) == pytest.approx(slope, abs=1e-4)
    curvature = _numerical(lambda t: gradient(t, wins), theta)
    assert hessian(theta, wins) == pytest.approx(curvature, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(WINS, st.permutations(range(4)))
def test_renaming_the_arms_renames_the_answer(wins, order):
    elo = to_elo(fit_bradley_terry(wins))
    assert to_elo(fit_bradley_terry(wins[np.ix_(order, order)])) == pytest.approx(
        elo[list(order)], abs=1e-6
    )
    assert elo.mean() == pytest.approx(ELO_CENTRE)


@settings(max_examples=60, deadline=None)
@given(WINS)
def test_the_fit_is_a_maximum(wins):
    wins = wins * (1 - np.eye(4))
    assert gradient(fit_bradley_terry(wins), wins) == pytest.approx(np.zeros(4), abs=1e-6)


def test_an_arm_that_wins_everything_stays_finite_and_first():
    wins = np.zeros((3, 3))
    wins[0, 1:] = 500.0
    wins[1, 2] = wins[2, 1] = 250.0
    elo = to_elo(fit_bradley_terry(wins))
    assert np.isfinite(elo).all()
    assert elo[0] > 1400
    assert elo[1] == pytest.approx(elo[2])


def test_strengths_are_recovered_from_many_games():
    truth = np.array([0.8, 0.1, -0.2, -0.7])
    p = 1 / (1 + np.exp(truth[None, :] - truth[:, None]))
    wins = np.random.default_rng(0).binomial(20_000, np.triu(p, 1)).astype(float)
    wins = wins + np.triu(20_000 - wins, 1).T
    assert fit_bradley_terry(wins) == pytest.approx(truth, abs=0.03)
    assert to_elo(np.array([1.0, 1.0 - np.log(10)]))[0] == pytest.approx(ELO_CENTRE + 200)


def test_a_stack_is_fitted_as_each_alone():
    stack = np.random.default_rng(1).integers(0, 30, (5, 4, 4)).astype(float)
    alone = np.stack([fit_bradley_terry(wins) for wins in stack])
    assert fit_bradley_terry(stack) == pytest.approx(alone, abs=1e-7)


def test_ties_count_half_for_each_side():
    one = np.zeros(3, np.int64)
    wins = cell_wins(one, one, one + 1, np.array([1.0, 0.5, 0.5]), n_cells=1, n_arms=2)
    assert wins[0].tolist() == [[0.0, 2.0], [1.0, 0.0]]
    assert win_share(wins[0])[0, 1] == pytest.approx(2 / 3)
    assert np.isnan(win_share(np.zeros((2, 2)))).all()


def test_the_bootstrap_keeps_the_number_of_games_and_is_seeded():
    wins = np.random.default_rng(2).integers(0, 3, (12, 2, 2)).astype(float)
    user, prompt = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)
    one = cell_weights(user, prompt, draws=7, rng=np.random.default_rng(3))
    assert one.sum(axis=1) == pytest.approx(np.full(7, 12.0))
    a, b = (rank(wins, user, prompt, draws=50, rng=np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(a.elo_ci, b.elo_ci)
    assert a.elo_ci[0, 0] < a.elo[0] < a.elo_ci[1, 0]


ARMS, PEOPLE, PROMPTS = 5, 12, 6
STRENGTH = np.linspace(-1.0, 0.8, ARMS)


def _arena(rng, people, *, verdicts=True):
    """Pairs of people share prompts; people, prompts and cells have tastes of their own.

    An arm wins a comparison if it wins both of two judgments.
    """
    user = np.repeat(np.arange(people), PROMPTS)
    prompt = np.tile(np.arange(PROMPTS), people) + user // 2 * PROMPTS
    tastes = [rng.normal(0.0, size, (n, ARMS)) for n, size in (
        (people, 0.6), (people // 2 * PROMPTS, 0.4), (len(user), 0.4))]  # fmt: skip
    theta = STRENGTH + tastes[0][user] + tastes[1][prompt] + tastes[2]
    p = 1.0 / (1.0 + np.exp(theta[:, None, :] - theta[:, :, None]))
    if not verdicts:
        return p, user, prompt
    first, second = rng.random(p.shape) < p, rng.random(p.shape) < p
    upper = np.triu((first.astype(float) + second) / 2, 1)
    lower = np.transpose(np.triu(1.0 - upper, 1), (0, 2, 1))
    return upper + lower, user, prompt


def test_elo_intervals_hold_what_they_say():
    """95 % intervals cover the strengths in the whole population, of people and of prompts."""
    everybody, _, _ = _arena(np.random.default_rng(5), 20_000, verdicts=False)
    games = PEOPLE * PROMPTS * everybody.mean(axis=0)
    truth = to_elo(fit_bradley_terry(games))
    rng = np.random.default_rng(6)
    held = []
    for _ in range(100):
        wins, user, prompt = _arena(rng, PEOPLE)
        low, high = rank(wins, user, prompt, draws=200, rng=rng).elo_ci
        held.append((low <= truth) & (truth <= high))
    assert np.mean(held) >= 0.95


def test_an_arm_that_wins_all_has_a_finite_interval():
    wins = np.zeros((8, 3, 3))
    wins[:, 0, 1:] = 1.0
    wins[:, 1, 2] = wins[:, 2, 1] = 0.5
    user, prompt = np.repeat(np.arange(4), 2), np.tile(np.arange(2), 4)
    found = rank(wins, user, prompt, draws=100, rng=np.random.default_rng(0))
    assert np.isfinite(found.elo_ci).all()
    assert found.elo_ci[0, 0] > found.elo_ci[1, 1:].max()
