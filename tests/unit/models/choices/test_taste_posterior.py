"""A person's weights from choices: planted taste, the optimum, one person as among many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.models.choices.taste_posterior import (
    ChoiceRows,
    posterior_of_one_with_choices,
    posterior_with_choices,
)
from pamela.models.choices.thurstone import Thurstone
from pamela.models.random_effects.noise import SAME_FOR_ALL
from pamela.models.random_effects.posterior import Posterior, Prior, SufficientStatistics, posterior
from tests.helpers.planted_choices import choose


@dataclass(frozen=True)
class Planted:
    """People of planted weights, who rated some pictures and chose between others."""

    prior: Prior
    described: np.ndarray
    weights: np.ndarray
    rated: tuple[np.ndarray, np.ndarray, np.ndarray]
    choices: ChoiceRows

    @property
    def statistics(self) -> SufficientStatistics:
        return SufficientStatistics.collect(*self.rated, len(self.weights))

    def posterior(self) -> Posterior:
        return posterior_with_choices(self.prior, self.described, self.statistics, self.choices)


def plant(
    seed: int,
    counts: tuple[int, int],
    *,
    noise: float = 0.6,
    people: int = 4,
    degrees: float = SAME_FOR_ALL,
) -> Planted:
    """Plant people with so many ratings and choices each."""
    rng, k = np.random.default_rng(seed), 6
    root = rng.normal(size=(k, k))
    prior = Prior(0.2 * rng.normal(size=(1, k)), root @ root.T / k + 0.2 * np.eye(k), 0.5, degrees)
    described = np.ones((people, 1))
    weights = described @ prior.regression + rng.multivariate_normal(
        np.zeros(k), prior.covariance, size=people
    )
    user, chooser = (np.repeat(np.arange(people), count) for count in counts)
    rows, features = rng.normal(size=(len(user), k)), rng.normal(size=(len(chooser), k))
    base = rng.normal(size=len(chooser))
    y = np.einsum("ij,ij->i", rows, weights[user]) + 0.7 * rng.normal(size=len(user))
    truth = base + np.einsum("ij,ij->i", features, weights[chooser])
    kind = rng.integers(2, size=len(chooser))
    made = (Thurstone(noise, 0.2 * noise), Thurstone(2 * noise, 0.1 * noise))
    outcome = choose(truth, rng, noise=noise, margin=0.2 * noise)
    choices = ChoiceRows(chooser, features, base, outcome, kind, made)
    return Planted(prior, described, weights, (user, rows, y), choices)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    noise=st.floats(0.05, 3),
    flipped=st.booleans(),
    degrees=st.sampled_from([6.0, SAME_FOR_ALL]),
)
def test_one_person_alone_is_as_among_many(seed, noise, flipped, degrees) -> None:
    made = plant(seed, (3, 7), noise=noise, degrees=degrees)
    if flipped:  # who contradicts themselves and everybody
        made.choices.outcome[::2] = 1 - made.choices.outcome[::2]
    found, (user, rows, y) = made.posterior(), made.rated
    assert np.isfinite(found.mean).all()
    for one in range(len(made.weights)):
        alone = posterior_of_one_with_choices(
            made.prior, made.described[:1], rows[user == one], y[user == one],
            made.choices.of_users(one, one + 1),
        )  # fmt: skip
        spread = np.sqrt(np.diag(found.covariance[one])).max()
        np.testing.assert_allclose(alone.mean[0], found.mean[one], atol=0.02 * spread + 1e-3)
        np.testing.assert_allclose(alone.covariance[0], found.covariance[one], atol=0.02)


@pytest.mark.parametrize("outcomes", [[1, 1, 1, 1], [0.5, 0.5, 0.5, 1], [1, 0, 1, 0]])
@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_it_is_what_integrating_over_the_weights_gives(outcomes: list[float], noise: float) -> None:
    """One weight, so that a grid of it is exact."""
    prior = Prior(np.zeros((1, 1)), np.array([[1.5]]), 0.5)
    features, base = np.array([[1.0], [0.5], [-0.7], [1.2]]), np.array([0.4, -0.3, 0.2, 0.0])
    made = Thurstone(noise, 0.2 * noise)
    outcome = np.array(outcomes, np.float32)
    zeros = np.zeros(4, np.int64)
    choices = ChoiceRows(zeros, features, base, outcome, zeros, (made,))
    grid = np.linspace(-8, 8, 4001)
    log = -(grid**2) / 3 + sum(
        made.log_likelihood(b + f * grid, np.full(len(grid), y))
        for f, b, y in zip(features[:, 0], base, outcome, strict=True)
    )
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    mean = float(weight @ grid)
    nothing = SufficientStatistics.collect(zeros[:0], features[:0], base[:0], 1)
    found = posterior_with_choices(prior, np.ones((1, 1)), nothing, choices)
    assert found.mean[0, 0] == pytest.approx(mean, abs=0.03)
    assert found.covariance[0, 0, 0] == pytest.approx(weight @ (grid - mean) ** 2, rel=0.1)


def test_without_choices_it_is_the_posterior_of_the_ratings() -> None:
    made = plant(1, (5, 0))
    plain = posterior(made.prior, made.described, made.statistics)
    np.testing.assert_array_equal(made.posterior().mean, plain.mean)
    np.testing.assert_array_equal(made.posterior().covariance, plain.covariance)


def test_planted_weights_are_recovered_with_as_much_doubt_as_it_says() -> None:
    made = plant(2, (0, 400), people=30)
    found = made.posterior()
    away = found.mean - made.weights
    assert np.corrcoef(found.mean.ravel(), made.weights.ravel())[0, 1] > 0.97
    squares = np.einsum("ni,nij,nj->n", away, np.linalg.inv(found.covariance), away)
    assert squares.mean() == pytest.approx(away.shape[1], rel=0.35)


def test_20_choices_bring_at_least_half_of_what_20_ratings_of_the_same_pictures_do() -> None:
    """Among 20 pictures, with the noise of ratings in both: the error of all their scores."""
    rng, people, k = np.random.default_rng(4), 200, 6
    prior = Prior(np.zeros((1, k)), np.eye(k) / k, 0.5)
    weights = rng.normal(size=(people, k)) / np.sqrt(k)
    described, user = np.ones((people, 1)), np.repeat(np.arange(people), 20)
    pictures = rng.normal(size=(people, 20, k))
    rows = pictures.reshape(-1, k)
    score = np.einsum("ij,ij->i", rows, weights[user])
    y = score + np.sqrt(prior.noise) * rng.normal(size=len(score))
    rated = SufficientStatistics.collect(user, rows, y, people)
    other = (np.arange(20) + 1) % 20  # a round: every picture twice
    features = (pictures - pictures[:, other]).reshape(-1, k)
    noise = float(np.sqrt(2 * prior.noise))
    truth = np.einsum("ij,ij->i", features, weights[user])
    outcome = choose(truth, rng, noise=noise, margin=0.1)
    rows_of_choices = ChoiceRows(
        user, features, np.zeros(len(user)), outcome, np.zeros(len(user), np.int64),
        (Thurstone(noise, 0.1),),
    )  # fmt: skip
    nothing = SufficientStatistics.collect(user[:0], rows[:0], y[:0], people)

    def error(found: Posterior) -> float:
        return float(np.sum((found.mean - weights) ** 2))

    before = error(posterior(prior, described, nothing))
    by_ratings = before - error(posterior(prior, described, rated))
    chosen = posterior_with_choices(prior, described, nothing, rows_of_choices)
    assert (before - error(chosen)) / by_ratings > 0.5
