"""Which pictures to rate next: the greedy design against a slow direct one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.models.random_effects.rating_design import choose_greedily
from pamela.models.random_effects.rating_design import given as conditioned
from tests.helpers.pair_variances import after, pair_variance


def world(seed: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, k))
    return rng.normal(size=(n, k)), root @ root.T + 0.1 * np.eye(k)


def slow_design(columns, target, covariance, noise, count):
    picks: list[int] = []
    for _ in range(count):
        left = {
            i: pair_variance(target, after(covariance, noise, columns[[*picks, i]]))
            for i in range(len(columns)) if i not in picks
        }  # fmt: skip
        picks.append(min(left, key=lambda i: (round(left[i], 10), i)))
    return picks


@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 4), st.floats(0.05, 5.0))
@settings(max_examples=25, deadline=None)
def test_the_greedy_design_is_the_direct_one(seed, n, k, noise):
    columns, covariance = world(seed, n, k)
    count = min(3, n)
    design = choose_greedily(columns, columns, covariance, noise, count)
    assert design.picks.tolist() == slow_design(columns, columns, covariance, noise, count)
    assert design.before**2 == pytest.approx(pair_variance(columns, covariance))
    for m in range(count):
        rated = columns[design.picks[: m + 1]]
        expected = pair_variance(columns, after(covariance, noise, rated))
        assert design.left[m] ** 2 == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(st.integers(0, 10_000), st.integers(0, 12), st.floats(0.05, 5.0))
@settings(max_examples=25, deadline=None)
def test_conditioning_is_the_posterior_covariance(seed, rows, noise):
    _, covariance = world(seed, 2, 4)
    rated = np.random.default_rng(seed).normal(size=(rows, 4))
    np.testing.assert_allclose(
        conditioned(covariance, noise, rated), after(covariance, noise, rated), rtol=1e-7, atol=1e-9
    )


def test_of_equal_pictures_the_first_is_taken_and_none_twice():
    columns = np.repeat([[1.0, 0.0], [0.0, 1.0]], 3, axis=0)
    design = choose_greedily(columns, columns, np.eye(2), 1.0, 10)
    assert design.picks[:2].tolist() == [0, 3]
    assert sorted(design.picks) == list(range(6))


def test_a_level_that_all_pictures_share_is_not_worth_a_rating():
    """One column is the same for all: its ratings teach the level, and nothing of the order."""
    rng = np.random.default_rng(0)
    columns = np.column_stack([np.ones(30), rng.normal(size=30)])
    sure_of_order = np.diag([100.0, 1e-12])
    design = choose_greedily(columns, columns, sure_of_order, 1.0, 3)
    assert design.before == pytest.approx(0.0, abs=1e-5)
    learning = choose_greedily(columns, columns, np.diag([1e-12, 1.0]), 1.0, 1)
    assert abs(columns[learning.picks[0], 1]) == np.abs(columns[:, 1]).max()


# --- with a model ---------------------------------------------------------------------------------
