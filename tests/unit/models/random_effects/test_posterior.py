"""The learned prior and the posterior, against slow direct computations over all rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from pamela.models.random_effects.posterior import (
    Prior,
    SufficientStatistics,
    posterior,
    posterior_of_one,
    predict_rows,
)
from pamela.models.random_effects.prior_fitting import fit_prior, structured

NORMAL_90 = 1.6449


@dataclass(frozen=True)
class Rows:
    """Planted rows: y = features @ w_u + noise, w_u ~ N(described_u @ regression, covariance)."""

    user: np.ndarray
    features: np.ndarray
    y: np.ndarray
    described: np.ndarray
    weights: np.ndarray

    @property
    def statistics(self) -> SufficientStatistics:
        return SufficientStatistics.collect(self.user, self.features, self.y, len(self.described))

    def of(self, user: int) -> tuple[np.ndarray, np.ndarray]:
        mine = self.user == user
        return self.features[mine], self.y[mine]


def plant(prior: Prior, counts: np.ndarray, rng: np.random.Generator) -> Rows:
    q, k = prior.regression.shape
    n = len(counts)
    described = np.concatenate([np.ones((n, 1)), rng.normal(size=(n, q - 1))], axis=1)
    root = np.linalg.cholesky(prior.covariance)
    weights = described @ prior.regression + rng.normal(size=(n, k)) @ root.T
    user = np.repeat(np.arange(n), counts)
    features = rng.normal(size=(len(user), k))
    noise = np.sqrt(prior.noise) * rng.normal(size=len(user))
    y = np.einsum("ij,ij->i", features, weights[user]) + noise
    return Rows(user, features, y, described, weights)


def random_prior(q: int, k: int, rng: np.random.Generator, noise: float = 0.5) -> Prior:
    root = rng.normal(size=(k, k))
    covariance = root @ root.T / k + 0.2 * np.eye(k)
    regression = 0.5 * rng.normal(size=(q, k))
    regression[0] = 0.0  # what all people share is the population's to say
    return Prior(regression, covariance, noise)


def log_likelihood(prior: Prior, rows: Rows) -> float:
    """Return the marginal log likelihood of all rows, weights integrated out, user by user."""
    total = 0.0
    for user, described in enumerate(rows.described):
        features, y = rows.of(user)
        if not len(y):
            continue
        mean = features @ (described @ prior.regression)
        spread = features @ prior.covariance @ features.T + prior.noise * np.eye(len(y))
        total += float(multivariate_normal.logpdf(y, mean, spread))
    return total


# --- posterior ------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10**6),
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    k=st.integers(1, 4),
    noise=st.floats(0.01, 10.0),
)
@settings(max_examples=60, deadline=None)
def test_posterior_is_gaussian_conditioning_over_all_rows_at_once(
    seed: int, counts: list[int], k: int, noise: float
) -> None:
    rng = np.random.default_rng(seed)
    plain = random_prior(2, k, rng, noise)
    prior = Prior(rng.normal(size=(2, k)), plain.covariance, noise)
    rows = plant(prior, np.array(counts), rng)
    n = len(counts)
    before = np.kron(np.eye(n), prior.covariance)
    expected = (rows.described @ prior.regression).ravel()
    wide = np.zeros((len(rows.y), n * k))
    for number, user in enumerate(rows.user):
        wide[number, user * k : (user + 1) * k] = rows.features[number]
    gain = before @ wide.T @ np.linalg.inv(wide @ before @ wide.T + noise * np.eye(len(rows.y)))
    mean = expected + gain @ (rows.y - wide @ expected)
    covariance = before - gain @ wide @ before
    found = posterior(prior, rows.described, rows.statistics)
    np.testing.assert_allclose(found.mean.ravel(), mean, atol=1e-7)
    for user in range(n):
        block = slice(user * k, (user + 1) * k)
        np.testing.assert_allclose(found.covariance[user], covariance[block, block], atol=1e-7)
        alone = posterior_of_one(prior, rows.described[user : user + 1], *rows.of(user))
        np.testing.assert_allclose(alone.mean[0], mean[block], atol=1e-7)
        np.testing.assert_allclose(alone.covariance[0], covariance[block, block], atol=1e-7)
    own, spread = predict_rows(found, rows.user, rows.features)
    np.testing.assert_allclose(own, wide @ mean, atol=1e-6)
    np.testing.assert_allclose(spread, np.diag(wide @ covariance @ wide.T), atol=1e-6)


def test_without_rows_the_posterior_is_the_prior() -> None:
    prior = random_prior(2, 3, np.random.default_rng(0))
    described = np.array([[1.0, -2.0]])
    nothing = SufficientStatistics.collect(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0), 1)
    found = posterior(prior, described, nothing)
    np.testing.assert_allclose(found.mean, described @ prior.regression)
    np.testing.assert_allclose(found.covariance[0], prior.covariance)


@given(seed=st.integers(0, 10**6), extra=st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_more_ratings_never_leave_more_doubt(seed: int, extra: int) -> None:
    rng = np.random.default_rng(seed)
    prior = random_prior(1, 3, rng)
    rows = plant(prior, np.array([4 + extra]), rng)
    few = SufficientStatistics.collect(rows.user[:4], rows.features[:4], rows.y[:4], 1)
    before = posterior(prior, rows.described, few).covariance[0]
    after = posterior(prior, rows.described, rows.statistics).covariance[0]
    assert np.linalg.eigvalsh(before - after).min() > -1e-9


def test_statistics_are_sums_over_each_user_s_rows() -> None:
    rng = np.random.default_rng(1)
    rows = plant(random_prior(1, 3, rng), np.array([3, 0, 5]), rng)
    found = rows.statistics
    assert found.count.tolist() == [3, 0, 5]
    for user in range(3):
        features, y = rows.of(user)
        np.testing.assert_allclose(found.gram[user], features.T @ features, atol=1e-12)
        np.testing.assert_allclose(found.moment[user], features.T @ y, atol=1e-12)
        assert found.square[user] == pytest.approx(float(y @ y))
    last = found.take(np.array([2]))
    assert len(last) == 1
    np.testing.assert_array_equal(last.gram[0], found.gram[2])


# --- expectation maximisation ---------------------------------------------------------------------


def learned(rows: Rows, iterations: int, rank: int | None = None) -> Prior:
    start = np.full(rows.features.shape[1], 0.7)
    return fit_prior(
        rows.statistics, rows.described, start,
        rank=rank, iterations=iterations, tolerance=0.0,
    )[0]  # fmt: skip


def beginning(rows: Rows) -> Prior:
    """Return where `learned` starts: no mean, the given variances, all of y as noise."""
    k = rows.features.shape[1]
    noise = float(np.mean(rows.y**2))
    return Prior(np.zeros((rows.described.shape[1], k)), 0.7 * np.eye(k), noise)


def slopes(prior: Prior, rows: Rows, h: float = 1e-4) -> tuple[np.ndarray, float]:
    """Return the likelihood's gradient by central differences: covariance (k, k), noise."""

    def difference(up: Prior, down: Prior) -> float:
        return (log_likelihood(up, rows) - log_likelihood(down, rows)) / (2 * h)

    m, cov, noise = prior.regression, prior.covariance, prior.noise
    by_cov = np.zeros_like(cov)
    for i, j in np.ndindex(cov.shape):
        step = np.zeros_like(cov)
        step[i, j] += h / 2
        step[j, i] += h / 2
        by_cov[i, j] = difference(Prior(m, cov + step, noise), Prior(m, cov - step, noise))
    return by_cov, difference(Prior(m, cov, noise + h), Prior(m, cov, noise - h))


def problem(seed: int = 0, users: int = 25, k: int = 2) -> Rows:
    rng = np.random.default_rng(seed)
    return plant(random_prior(1, k, rng), rng.integers(0, 9, users), rng)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_em_step_is_the_scaled_gradient_of_the_marginal_likelihood(seed: int) -> None:
    """Exact for EM (Xu & Jordan 1996): each block moves by its slope times a positive matrix.

    People's mean stays at zero: what all share is the population's to say.
    """
    rows = problem(seed)
    old, new = beginning(rows), learned(rows, 1)
    by_cov, by_noise = slopes(old, rows)
    users, count = len(rows.described), len(rows.y)
    np.testing.assert_allclose(new.regression, 0, atol=1e-6)
    covariance = old.covariance + 2 / users * old.covariance @ by_cov @ old.covariance
    np.testing.assert_allclose(new.covariance, covariance, atol=1e-5)
    noise = old.noise + 2 * old.noise**2 / count * by_noise
    assert new.noise == pytest.approx(noise, abs=1e-5)


@given(seed=st.integers(0, 10**6), k=st.integers(1, 3))
@settings(max_examples=8, deadline=None)
def test_the_likelihood_never_falls(seed: int, k: int) -> None:
    rows = problem(seed, users=15, k=k)
    if len(rows.y) < 10:
        return
    course = [log_likelihood(learned(rows, steps), rows) for steps in range(1, 13)]
    assert np.diff(course).min() > -1e-4 * abs(course[0])
    assert course[0] > log_likelihood(beginning(rows), rows)


def test_where_em_ends_the_likelihood_is_flat() -> None:
    rng = np.random.default_rng(3)
    rows = plant(random_prior(1, 2, rng), np.full(40, 10), rng)
    prior = learned(rows, 300)
    for slope in slopes(prior, rows):
        assert np.abs(slope).max() < 0.02  # the curvature is in the tens
    rough = [np.abs(one).max() for one in slopes(learned(rows, 2), rows)]
    assert max(rough) > 1  # and it was not flat on the way


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_a_few_factors_keep_variances_and_the_leading_correlations(rank: int) -> None:
    rng = np.random.default_rng(rank)
    factors = rng.normal(size=(12, rank)) * 0.8
    covariance = factors @ factors.T + 0.5 * np.eye(12)
    found = structured(covariance, rank)
    np.testing.assert_allclose(np.diag(found), np.diag(covariance), rtol=1e-9)
    assert np.linalg.eigvalsh(found).min() > 0
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    missed = np.abs(found - covariance) / scale
    assert missed.max() < 0.25  # what is planted has so many factors: little is lost
    if rank:
        fewer = np.abs(structured(covariance, rank - 1) - covariance) / scale
        assert fewer.mean() > 2 * missed.mean()


def test_all_factors_are_any_covariance() -> None:
    covariance = learned(problem(4), 3).covariance
    for rank in (None, len(covariance), len(covariance) + 5):
        np.testing.assert_array_equal(structured(covariance, rank), covariance)


@pytest.mark.parametrize("seed", [8, 9])
def test_few_factors_tell_more_of_newcomers_than_any_covariance(seed: int) -> None:
    """Learned from fewer people than there are columns, asked after six ratings of others."""
    rng = np.random.default_rng(seed)
    loading = rng.normal(size=(30, 2)) * 0.6
    truth = Prior(np.zeros((1, 30)), loading @ loading.T + 0.3 * np.eye(30), 0.5)
    rows = plant(truth, np.full(25, 60), rng)
    new = plant(truth, np.full(500, 6), rng)
    error = []
    for rank in (2, None, 0):
        found = posterior(learned(rows, 15, rank), new.described, new.statistics)
        error.append(np.mean((found.mean - new.weights) ** 2))
    assert error[0] < 0.9 * min(error[1:])


def test_the_planted_prior_is_recovered() -> None:
    rng = np.random.default_rng(5)
    truth = random_prior(2, 4, rng, noise=0.8)
    rows = plant(truth, rng.integers(5, 30, 2500), rng)
    found = learned(rows, 40)
    scale = np.sqrt(np.outer(np.diag(truth.covariance), np.diag(truth.covariance)))
    assert np.abs((found.covariance - truth.covariance) / scale).max() < 0.1
    np.testing.assert_allclose(found.regression, truth.regression, atol=0.08)
    assert found.noise == pytest.approx(truth.noise, rel=0.03)


@pytest.mark.parametrize("shots", [0, 5, 50])
def test_predictive_intervals_hold_what_they_say(shots: int) -> None:
    """With the learned prior, for people it was not learned from, at any number of ratings."""
    rng = np.random.default_rng(6)
    truth = random_prior(1, 4, rng, noise=0.8)
    prior = learned(plant(truth, np.full(800, 15), rng), 40)
    people = plant(truth, np.full(1500, shots + 8), rng)
    place = np.tile(np.arange(shots + 8), 1500)
    shown, asked = place < shots, place >= shots
    statistics = SufficientStatistics.collect(
        people.user[shown], people.features[shown], people.y[shown], 1500
    )
    found = posterior(prior, people.described, statistics)
    features, user = people.features[asked], people.user[asked]
    mean = np.einsum("ij,ij->i", features, found.mean[user])
    item_variance = np.einsum("ij,ijk,ik->i", features, found.covariance[user], features)
    z = (people.y[asked] - mean) / np.sqrt(item_variance + prior.noise)
    assert 0.88 < np.mean(np.abs(z) <= NORMAL_90) < 0.92
    assert np.mean(z**2) == pytest.approx(1.0, abs=0.06)


def test_equal_ratings_leave_a_prior_that_can_be_used() -> None:
    rng = np.random.default_rng(7)
    user = np.repeat(np.arange(6), 4)
    flat = SufficientStatistics.collect(user, rng.normal(size=(24, 3)), np.zeros(24), 6)
    prior, course = fit_prior(flat, np.ones((6, 1)), np.full(3, 0.5), rank=2, iterations=20)
    assert prior.noise > 0
    assert np.linalg.eigvalsh(prior.covariance).min() > 0
    found = posterior(prior, np.ones((6, 1)), flat)
    np.testing.assert_allclose(found.mean, 0, atol=1e-3)
    assert len(course) <= 20
