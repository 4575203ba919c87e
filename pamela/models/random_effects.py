"""Personal weights with a learned prior: Gaussian random effects over users, in closed form.

What a person adds to the population's score of a picture is ``features @ w``, the person's weights
``w ~ N(M' d, S)`` given what is known of them, ``d`` (an intercept, their dataset, demographics).
M, S and the noise are fitted by expectation maximisation over all users (Laird & Ware 1982); a
person's weights given any number of ratings are a Gaussian posterior: milliseconds, no retraining.
Users enter through sufficient statistics, so that rows are read once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy

from pamela.core.arrays import Floats, Ints
from pamela.models.blas_threads import small_matrices

SMALLEST = 1e-6  # floor of a variance
OWN_SHARE = 1e-3  # of a column's variance that no common factor explains, at least
USERS_AT_ONCE = 256
REGRESSION_PRIOR = 50.0  # users' worth of evidence that a description changes nothing
NO_MEAN = 1e9  # the same, of the intercept: what all people share is the population's to say


@dataclass(frozen=True)
class SufficientStatistics:
    """Sufficient statistics of n users' rows: y = features @ w + noise.

    Attributes
    ----------
    gram : array (n, k, k), sums of outer products of features.
    moment : array (n, k), sums of features times y.
    square : array (n,), sums of y squared.
    count : int64 array (n,), rows.
    choices : the same sums, of rows of noise one that stand for people's choices; None where there
        are none. They say nothing of the noise of ratings.
    """

    gram: Floats
    moment: Floats
    square: Floats
    count: Ints
    choices: SufficientStatistics | None = None

    def __len__(self) -> int:
        return len(self.count)

    @classmethod
    def collect(cls, user: Ints, features: Floats, y: Floats, users: int) -> SufficientStatistics:
        """Sum over the rows of each user.

        Parameters
        ----------
        user : int64 array (rows,), 0..users-1, sorted.
        features : array (rows, k).
        y : array (rows,).
        """
        k = features.shape[1]
        bounds = np.searchsorted(user, np.arange(users + 1))
        gram, moment = np.zeros((users, k, k)), np.zeros((users, k))
        for one in range(users):
            rows = slice(bounds[one], bounds[one + 1])
            gram[one] = features[rows].T @ features[rows]
            moment[one] = features[rows].T @ y[rows]
        square: Floats = np.bincount(user, y * y, users).astype(np.float64)
        return cls(gram, moment, square, np.diff(bounds).astype(np.int64))

    def take(self, rows: Ints | slice) -> SufficientStatistics:
        """Return these users."""
        return SufficientStatistics(
            self.gram[rows],
            self.moment[rows],
            self.square[rows],
            self.count[rows],
            None if self.choices is None else self.choices.take(rows),
        )

    def with_choices(self, choices: SufficientStatistics) -> SufficientStatistics:
        """Return the same ratings with these choices of the same users."""
        return replace(self, choices=choices)

    def precision_and_moment(self, noise: Floats | float) -> tuple[Floats, Floats]:
        """Return what rows of ratings of this noise, and choices, say of weights."""
        gram, moment = self.gram / noise, self.moment / noise
        if self.choices is None:
            return gram, moment
        return gram + self.choices.gram, moment + self.choices.moment


@dataclass(frozen=True)
class Prior:
    """How tastes vary between people.

    Attributes
    ----------
    regression : array (q, k): a person described by d expects weights ``d @ regression``.
    covariance : array (k, k) of weights about that.
    noise : variance of one rating about the person's opinion.
    """

    regression: Floats
    covariance: Floats
    noise: float

    @cached_property
    def precision(self) -> Floats:
        """The inverse of the covariance (k, k)."""
        inverse: Floats = np.linalg.inv(self.covariance).astype(np.float64)
        return inverse


@dataclass(frozen=True)
class Posterior:
    """Weights of n people: mean (n, k) and covariance (n, k, k)."""

    mean: Floats
    covariance: Floats

    def left(self, prior: Prior) -> float:
        """Return how much of the prior's variance is left, a share, the mean over people."""
        own = np.trace(self.covariance, axis1=1, axis2=2).mean()
        return float(own / np.trace(prior.covariance))


def posterior(prior: Prior, described: Floats, statistics: SufficientStatistics) -> Posterior:
    """Return people's weights given their rows (none: the prior).

    Parameters
    ----------
    described : array (n, q), what is known of each.
    """
    expected = described @ prior.regression
    gram, moment = statistics.precision_and_moment(prior.noise)
    covariance = _inverses(gram + prior.precision)
    right = moment + expected @ prior.precision
    return Posterior(np.einsum("nij,nj->ni", covariance, right), covariance)


def _inverses(matrices: Floats) -> Floats:
    """Return the inverses of positive definite matrices (n, k, k): half the time of `inv`."""
    found, diagonal = np.empty_like(matrices), np.arange(matrices.shape[1])
    for one, matrix in enumerate(matrices):
        factor, failed = scipy.linalg.lapack.dpotrf(matrix.T, clean=1)
        upper, singular = scipy.linalg.lapack.dpotri(factor, overwrite_c=1)
        if failed or singular:  # not quite positive definite, by rounding
            found[one] = np.linalg.inv(matrix)
        else:
            np.add(upper, upper.T, out=found[one])
            found[one, diagonal, diagonal] *= 0.5
    return found


def posterior_of_one(prior: Prior, described: Floats, rows: Floats, y: Floats) -> Posterior:
    """Return one person's weights given n rows, in time n k^2: for a handful of ratings.

    The same Gaussian as `posterior`, written in the space of the rows (Woodbury's identity).

    Parameters
    ----------
    described : array (1, q), what is known of the person.
    rows : array (n, k), features of the rated pictures.
    y : array (n,), their residual ratings.
    """
    expected = described @ prior.regression
    shared = rows @ prior.covariance
    among = shared @ rows.T
    among[np.diag_indices_from(among)] += prior.noise
    gain = np.linalg.solve(among, shared)
    mean = expected + (y - expected[0] @ rows.T) @ gain
    return Posterior(mean, (prior.covariance - shared.T @ gain)[None])


@small_matrices
def fit_prior(
    statistics: SufficientStatistics,
    described: Floats,
    start: Floats,
    *,
    rank: int | None,
    iterations: int,
    tolerance: float = 1e-4,
) -> tuple[Prior, list[float]]:
    """Fit a prior by expectation maximisation.

    Parameters
    ----------
    described : array (n, q), first column ones.
    start : array (k,), prior variances to begin with.
    rank : how many directions of taste people share (`structured`); None: any covariance.
    tolerance : stop when the noise changes by less than this share.

    Returns
    -------
    The prior, and the noise variance after every iteration.
    """
    users, k = statistics.moment.shape
    rows = max(int(statistics.count.sum()), 1)
    total = max(float(statistics.square.sum()) / rows, SMALLEST)
    prior = Prior(np.zeros((described.shape[1], k)), np.diag(np.maximum(start, SMALLEST)), total)
    ridge = np.eye(described.shape[1]) * REGRESSION_PRIOR
    ridge[0, 0] = NO_MEAN
    solve = np.linalg.inv(described.T @ described + ridge) @ described.T
    course: list[float] = []
    for _ in range(iterations):
        means, spread, squares = _expect(prior, described, statistics)
        regression = solve @ means
        away = means - described @ regression
        scatter = spread + away.T @ away
        covariance = structured(scatter / users, rank) + SMALLEST * np.eye(k)
        noise = max(squares / rows, SMALLEST)
        course.append(noise)
        done = abs(noise - prior.noise) < tolerance * prior.noise and len(course) > 3
        prior = Prior(regression, covariance, noise)
        if done:
            break
    return prior, course


def _expect(
    prior: Prior, described: Floats, statistics: SufficientStatistics
) -> tuple[Floats, Floats, float]:
    """Return posterior means (n, k), the sum of covariances (k, k) and of squared residuals.

    What `posterior` gives, summed while a person's matrix is still in the processor's cache.
    """
    precision, noise = prior.precision, prior.noise
    right = statistics.moment / noise + described @ prior.regression @ precision
    means, lower = np.empty_like(right), np.zeros_like(precision)
    for one, gram in enumerate(statistics.gram):
        factor, failed = scipy.linalg.lapack.dpotrf(
            (gram / noise + precision).T, overwrite_a=1, clean=0
        )
        if failed:  # not quite positive definite, by rounding
            inverse = np.linalg.inv(gram / noise + precision)
            means[one] = inverse @ right[one]
        else:
            means[one] = scipy.linalg.lapack.dpotrs(factor, right[one])[0]
            inverse = scipy.linalg.lapack.dpotri(factor, overwrite_c=1)[
                0
            ].T  # only its lower triangle
        lower += inverse
    strict = np.tril(lower, -1)
    spread = strict + strict.T + np.diag(np.diag(lower))
    # gram = noise (C^-1 - precision) for everybody, so that no gram needs to be read again
    squares = (
        float(statistics.square.sum())
        - 2 * np.vdot(means, statistics.moment)
        + noise * np.vdot(means, right - means @ precision)
        + noise * (right.size - np.vdot(precision, spread))
    )
    return means, spread, float(squares)


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


def predict_rows(found: Posterior, user: Ints, features: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance (n,) of what people add to n scores.

    Parameters
    ----------
    user : int64 array (n,), rows of `found`, sorted.
    features : array (n, k).
    """
    mean = np.einsum("ij,ij->i", features, found.mean[user])
    variance = np.zeros(len(user))
    bounds = np.searchsorted(user, np.arange(len(found.mean) + 1))
    for one in range(len(found.mean)):  # one covariance at a time: n of them would not fit
        rows = slice(bounds[one], bounds[one + 1])
        spread = features[rows] @ found.covariance[one]
        variance[rows] = np.einsum("ij,ij->i", spread, features[rows])
    return mean, variance
