"""People whose ratings stray by different amounts: found, learned, and worth it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.models.random_effects.noise import SAME_FOR_ALL, fit_degrees, noise_ratios
from pamela.models.random_effects.posterior import (
    Prior,
    SufficientStatistics,
    noise_of_one,
    noise_of_people,
    posterior,
    posterior_of_one,
)
from pamela.models.random_effects.prior_fitting import fit_prior

K = 3


def plant(people: int, each: int, degrees: float, seed: int) -> tuple[np.ndarray, ...]:
    """Return user, features, y, weights and each person's noise variance about 0.5."""
    rng = np.random.default_rng(seed)
    ratio = 1.0 / rng.gamma(degrees / 2, 2 / degrees, people)
    weights = rng.normal(size=(people, K))
    user = np.repeat(np.arange(people), each)
    features = rng.normal(size=(len(user), K))
    noise = np.sqrt(0.5 * ratio[user]) * rng.normal(size=len(user))
    return user, features, np.einsum("ij,ij->i", features, weights[user]) + noise, weights, ratio


def test_degrees_and_everybodys_noise_are_recovered() -> None:
    user, features, y, _, ratio = plant(600, 30, 5.0, 0)
    statistics = SufficientStatistics.collect(user, features, y, 600)
    prior, _ = fit_prior(
        statistics, np.ones((600, 1)), np.ones(K), rank=None, iterations=100, degrees=20.0
    )
    assert prior.degrees == pytest.approx(5.0, rel=0.3)
    assert prior.noise == pytest.approx(0.5, rel=0.1)
    assert prior.rating_variance == pytest.approx(float(0.5 * ratio.mean()), rel=0.1)
    found = noise_of_people(prior, np.ones((600, 1)), statistics)
    assert np.corrcoef(np.log(found), np.log(ratio))[0, 1] > 0.85


def test_equal_people_are_found_to_be_alike() -> None:
    user, features, y, _, _ = plant(300, 30, 1e6, 1)
    statistics = SufficientStatistics.collect(user, features, y, 300)
    prior, _ = fit_prior(
        statistics, np.ones((300, 1)), np.ones(K), rank=None, iterations=100, degrees=20.0
    )
    assert prior.degrees > 100


def test_weights_are_nearer_to_the_truth_than_with_one_noise_for_all() -> None:
    user, features, y, weights, _ = plant(400, 8, 4.5, 2)
    statistics = SufficientStatistics.collect(user, features, y, 400)
    described = np.ones((400, 1))
    prior = Prior(np.zeros((1, K)), np.eye(K), 0.5, 4.5)
    same = replace(prior, noise=0.5 * 4.5 / 2.5, degrees=SAME_FOR_ALL)
    own, common = (posterior(one, described, statistics).mean for one in (prior, same))
    assert np.mean((own - weights) ** 2) < 0.97 * np.mean((common - weights) ** 2)


@given(st.integers(0, 2**16), st.integers(1, 6), st.sampled_from([4.5, 20.0, SAME_FOR_ALL]))
@settings(max_examples=30, deadline=None)
def test_one_person_among_few_rows_is_the_same_as_among_many(
    seed: int, rows: int, degrees: float
) -> None:
    user, features, y, _, _ = plant(1, rows, 5.0, seed)
    described = np.ones((1, 1))
    prior = Prior(np.full((1, K), 0.2), np.eye(K), 0.5, degrees)
    statistics = SufficientStatistics.collect(user, features, y, 1)
    many, one = (
        posterior(prior, described, statistics),
        posterior_of_one(prior, described, features, y),
    )
    np.testing.assert_allclose(one.mean, many.mean, atol=1e-8)
    np.testing.assert_allclose(one.covariance, many.covariance, atol=1e-8)
    np.testing.assert_allclose(
        noise_of_one(prior, described, features, y),
        noise_of_people(prior, described, statistics),
        rtol=1e-6,
    )


def test_without_ratings_nothing_is_known_of_the_noise() -> None:
    nothing, count = np.zeros(2), np.zeros(2, np.int64)
    np.testing.assert_array_equal(noise_ratios(nothing, count, 0.5, 5.0), [1.0, 1.0])
    assert fit_degrees(np.ones(2), count, 7.0) == 7.0
