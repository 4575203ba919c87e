"""The prior of personal weights, by expectation maximisation over all users (Laird & Ware 1982).

What the prior is: `pamela.models.random_effects.posterior`.
"""

from __future__ import annotations

import numpy as np
import scipy

from pamela.core.arrays import Floats
from pamela.models.blas_threads import small_matrices
from pamela.models.random_effects.noise import SAME_FOR_ALL, fit_degrees, noise_ratios
from pamela.models.random_effects.posterior import SMALLEST, Prior, SufficientStatistics

OWN_SHARE = 1e-3  # of a column's variance that no common factor explains, at least
REGRESSION_PRIOR = 50.0  # users' worth of evidence that a description changes nothing
NO_MEAN = 1e9  # the same, of the intercept: what all people share is the population's to say


@small_matrices
def fit_prior(
    statistics: SufficientStatistics,
    described: Floats,
    start: Floats,
    *,
    rank: int | None,
    iterations: int,
    tolerance: float = 1e-4,
    degrees: float = SAME_FOR_ALL,
) -> tuple[Prior, list[float]]:
    """Fit a prior by expectation maximisation.

    Parameters
    ----------
    described : array (n, q), first column ones.
    start : array (k,), prior variances to begin with.
    rank : how many directions of taste people share (`structured`); None: any covariance.
    tolerance : stop when the noise changes by less than this share.
    degrees : degrees of freedom of people's noise to begin with; as given it stays infinite.

    Returns
    -------
    The prior, and the noise variance after every iteration.
    """
    users, k = statistics.moment.shape
    rows = max(int(statistics.count.sum()), 1)
    total = max(float(statistics.square.sum()) / rows, SMALLEST)
    start = np.diag(np.maximum(start, SMALLEST))
    prior = Prior(np.zeros((described.shape[1], k)), start, total, degrees)
    solve, ratio = ridge_of(described), np.ones(users)
    course: list[float] = []
    for _ in range(iterations):
        means, spread, squares = _expect(prior, described, statistics, ratio)
        ratio = noise_ratios(squares, statistics.count, prior.noise, prior.degrees)
        regression = solve @ means
        away = means - described @ regression
        scatter = spread + away.T @ away
        covariance = structured(scatter / users, rank) + SMALLEST * np.eye(k)
        noise = max(float((squares / ratio).sum()) / rows, SMALLEST)
        degrees = fit_degrees(ratio, statistics.count, prior.degrees)
        course.append(noise)
        done = abs(noise - prior.noise) < tolerance * prior.noise and len(course) > 3
        mean_noise = float(squares.sum()) / rows
        prior = Prior(regression, covariance, noise, degrees, mean_noise)
        if done:
            break
    return prior, course


def ridge_of(described: Floats) -> Floats:
    """Return the matrix (q, n) that takes people's weights to their regression on `described`."""
    ridge = np.eye(described.shape[1]) * REGRESSION_PRIOR
    ridge[0, 0] = NO_MEAN
    found: Floats = np.linalg.inv(described.T @ described + ridge) @ described.T
    return found


def _expect(
    prior: Prior, described: Floats, statistics: SufficientStatistics, ratio: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return posterior means (n, k), the sum of covariances (k, k) and squared errors (n,).

    What `posterior_given_noise` and `squared_errors` give, summed while a person's matrix is still
    in the processor's cache.
    """
    precision, noise = prior.precision, prior.noise * ratio
    right = statistics.moment / noise[:, None] + described @ prior.regression @ precision
    means, lower = np.empty_like(right), np.zeros_like(precision)
    known = np.empty(len(right))  # trace of precision times covariance
    halves = 2 * np.tril(precision, -1) + np.diag(np.diag(precision))
    for one, gram in enumerate(statistics.gram):
        matrix = gram / noise[one] + precision
        factor, failed = scipy.linalg.lapack.dpotrf(matrix.T, overwrite_a=0, clean=0)
        if failed:  # not quite positive definite, by rounding
            inverse = np.linalg.inv(matrix)
            means[one] = inverse @ right[one]
        else:
            means[one] = scipy.linalg.lapack.dpotrs(factor, right[one])[0]
            # only its lower triangle
            inverse = scipy.linalg.lapack.dpotri(factor, overwrite_c=1)[0].T
        lower += inverse
        known[one] = np.vdot(halves, inverse)
    strict = np.tril(lower, -1)
    spread = strict + strict.T + np.diag(np.diag(lower))
    # gram = noise (C^-1 - precision), so that no gram needs to be read again
    explained = np.einsum("ni,ni->n", means, right - means @ precision)
    squares = (
        statistics.square
        - 2 * np.einsum("ni,ni->n", means, statistics.moment)
        + noise * (explained + right.shape[1] - known)
    )
    return means, spread, np.maximum(squares, 0.0)


def structured(covariance: Floats, rank: int | None) -> Floats:
    """Return the covariance of a few common factors and of what is each column's own.

    A few hundred users cannot tell k x k covariances from luck, but a few directions along which
    most tastes differ: those are what a handful of ratings can find. Variances stay; of the
    correlations only the `rank` leading components do (a factor model by principal components).

    Parameters
    ----------
    covariance : array (k, k).
    rank : None, or at least k, changes nothing; 0 leaves the diagonal.
    """
    k = len(covariance)
    if rank is None or rank >= k:
        return covariance
    scale = np.sqrt(np.maximum(np.diag(covariance), SMALLEST))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    first, leading = k - rank, vectors[:, k - rank :]
    shared: Floats = (leading * (values[first:] - values[:first].mean())) @ leading.T
    own = np.maximum(1.0 - np.diag(shared), OWN_SHARE)
    return (shared + np.diag(own)) * np.outer(scale, scale)
