"""Thurstone's model with ties, against direct computations and planted answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from pamela.models.choices.thurstone import Thurstone, fit_thurstone, usual
from tests.helpers.planted_choices import choose

OUTCOMES = np.array([1.0, 0.0, 0.5])
widths = st.floats(0.05, 5.0)


@given(difference=st.floats(-5, 5), noise=st.floats(0.3, 3), share=st.floats(0.02, 2))
def test_probabilities_and_derivatives_are_the_direct_ones(difference, noise, share) -> None:
    made = Thurstone(noise, share * noise)
    at = np.full(3, difference)
    a, b = (norm.cdf((sign * difference - made.margin) / noise) for sign in (1, -1))
    found = [one[0] for one in made.probabilities(at)]
    np.testing.assert_allclose(found, [a, b, 1 - a - b], atol=1e-12)
    np.testing.assert_allclose(
        np.exp(made.log_likelihood(at, OUTCOMES)), [a, b, 1 - a - b], atol=1e-9
    )
    step = 1e-4
    before, here, after = (made.log_likelihood(at + d, OUTCOMES) for d in (-step, 0, step))
    slope, curvature = made.slopes(at, OUTCOMES)
    np.testing.assert_allclose(slope, (after - before) / (2 * step), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(
        curvature, -(after - 2 * here + before) / step**2, atol=1e-4, rtol=1e-3
    )


@given(difference=st.floats(-1e12, 1e12), noise=widths, share=st.floats(0.01, 3))
def test_far_out_everything_stays_finite_and_concave(difference, noise, share) -> None:
    made = Thurstone(noise, share * noise)
    at = np.full(3, difference)
    slope, curvature = made.slopes(at, OUTCOMES)
    assert np.isfinite(made.log_likelihood(at, OUTCOMES)).all()
    assert np.isfinite(slope).all()
    assert slope[0] >= 0 >= slope[1]
    assert ((curvature >= 0) & (curvature <= 1 / noise**2 * (1 + 1e-9))).all()
    assert np.sum(made.probabilities(at)) == pytest.approx(3, abs=1e-9)


@pytest.mark.parametrize("sure", [True, False])
def test_planted_noise_and_margin_are_found(sure: bool) -> None:
    rng = np.random.default_rng(1)
    told, away = rng.normal(size=5000), 0.0 if sure else 0.5
    truth = told + away * rng.normal(size=len(told))  # what we know leaves the truth open
    outcome = choose(truth, rng, noise=0.7, margin=0.2)
    variance = np.full(len(truth), away**2)
    found = fit_thurstone(told, outcome, usual(1.0), variance=variance)
    assert found.noise == pytest.approx(0.7, rel=0.12)
    assert found.margin == pytest.approx(0.2, rel=0.2)


def test_an_expected_likelihood_undoes_what_differences_have_learned() -> None:
    rng = np.random.default_rng(2)
    outcome = choose(np.zeros(2000), rng, noise=1.0, margin=0.1)
    learned = 0.5 * (2 * outcome - 1.0).astype(np.float64)  # all that was seen of each is itself
    in_sample = fit_thurstone(learned, outcome, usual(1.0))
    spread = np.full(len(learned), 1.0)
    expected = fit_thurstone(learned, outcome, usual(1.0), variance=spread, posterior=True)
    assert in_sample.noise < 0.2 < 0.6 < expected.noise


def test_without_choices_nothing_is_learned_and_without_ties_the_margin_stays_above_zero() -> None:
    start = usual(0.8)
    none = np.zeros(0)
    assert fit_thurstone(none, none, start) is start
    truth = np.linspace(-1, 1, 500)
    found = fit_thurstone(truth, (truth > 0).astype(np.float32), start)
    assert 0 < found.margin < 0.05
