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
from pamela.models.random_effects import Posterior, Prior, SufficientStatistics, posterior
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


def plant(seed: int, counts: tuple[int, int], *, noise: float = 0.6, people: int = 4) -> Planted:
    """Plant people with so many ratings and choices each."""
    rng, k = np.random.default_rng(seed), 6
    root = rng.normal(size=(k, k))
    prior = Prior(0.2 * rng.normal(size=(1, k)), root @ root.T / k + 0.2 * np.eye(k), 0.5)
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
@given(seed=st.integers(0, 10**6), noise=st.floats(0.05, 3), flipped=st.booleans())
def test_it_is_the_optimum_and_the_same_for_one_person_alone(seed, noise, flipped) -> None:
    made = plant(seed, (3, 7), noise=noise)
    if flipped:  # who contradicts themselves and everybody
        made.choices.outcome[::2] = 1 - made.choices.outcome[::2]
    found, choices, prior = made.posterior(), made.choices, made.prior
    slope, _ = choices.slopes(choices.differences(found.mean))
    gradient = -(found.mean - made.described @ prior.regression) @ prior.precision
    np.add.at(gradient, choices.user, slope[:, None] * choices.features)
    statistics = made.statistics
    fitted = np.einsum("nij,nj->ni", statistics.gram, found.mean)
    gradient += (statistics.moment - fitted) / prior.noise
    step = np.einsum("nij,nj->ni", found.covariance, gradient)
    np.testing.assert_allclose(step, 0, atol=1e-3)
    user, rows, y = made.rated
    for one in range(len(made.weights)):
        alone = posterior_of_one_with_choices(
            prior, made.described[:1], rows[user == one], y[user == one],
            choices.of_users(one, one + 1),
        )  # fmt: skip
        np.testing.assert_allclose(alone.mean[0], found.mean[one], atol=1e-3)
        np.testing.assert_allclose(alone.covariance[0], found.covariance[one], atol=1e-3)


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
