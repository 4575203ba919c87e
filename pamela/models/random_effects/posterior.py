"""Personal weights with a learned prior: Gaussian random effects over users, in closed form.

What a person adds to the population's score of a picture is ``features @ w``, the person's weights
``w ~ N(M' d, S)`` given what is known of them, ``d`` (an intercept, their dataset, demographics).
M, S and the noise are fitted over all users (`prior_fitting`, beside this module); a person's
weights given any number of ratings are a Gaussian posterior: milliseconds, no retraining. How much
a person's ratings stray is their own (`noise`); weights and noise are found in turn. Users enter
through sufficient statistics, so that rows are read once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy

from pamela.core.arrays import Floats, Ints
from pamela.models.random_effects.noise import SAME_FOR_ALL, noise_ratios

SMALLEST = 1e-6  # floor of a variance
USERS_AT_ONCE = 256
NOISE_ROUNDS = 1  # in which a person's weights and noise are found in turn


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

    def precision_and_moment(self, noise: Floats) -> tuple[Floats, Floats]:
        """Return what rows of ratings of this noise (n,), and choices, say of weights."""
        gram, moment = self.gram / noise[:, None, None], self.moment / noise[:, None]
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
    degrees : degrees of freedom of how that differs between people.
    mean_noise : the variance of a rating, the mean over all ratings; None where people are alike.
    """

    regression: Floats
    covariance: Floats
    noise: float
    degrees: float = SAME_FOR_ALL
    mean_noise: float | None = None

    @property
    def rating_variance(self) -> float:
        """Variance of one rating by somebody of whom nothing is known."""
        return self.noise if self.mean_noise is None else self.mean_noise

    @cached_property
    def precision(self) -> Floats:
        """The inverse of the covariance (k, k)."""
        inverse: Floats = np.linalg.inv(self.covariance).astype(np.float64)
        return inverse


@dataclass(frozen=True)
class Posterior:
    """Weights of n people: mean (n, k) and covariance (n, k, k); and their noise.

    Attributes
    ----------
    ratio : array (n,), the variance of a person's ratings as a multiple of the prior's noise.
    """

    mean: Floats
    covariance: Floats
    ratio: Floats

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
    ratio = noise_of_people(prior, described, statistics)
    return posterior_given_noise(prior, described, statistics, ratio)


def noise_of_people(prior: Prior, described: Floats, statistics: SufficientStatistics) -> Floats:
    """Return the variances (n,) of people's ratings, as multiples of the prior's noise.

    Their choices say nothing of it.
    """
    ratio = np.ones(len(statistics))
    if np.isinf(prior.degrees) or not statistics.count.any():
        return ratio
    ratings = replace(statistics, choices=None)
    for _ in range(NOISE_ROUNDS):
        found = posterior_given_noise(prior, described, ratings, ratio)
        squares = squared_errors(found.mean, found.covariance, ratings)
        ratio = noise_ratios(squares, ratings.count, prior.noise, prior.degrees)
    return ratio


def posterior_given_noise(
    prior: Prior, described: Floats, statistics: SufficientStatistics, ratio: Floats
) -> Posterior:
    """Return people's weights where their noise is `ratio` (n,) times the prior's."""
    expected = described @ prior.regression
    gram, moment = statistics.precision_and_moment(prior.noise * ratio)
    covariance = _inverses(gram + prior.precision)
    right = moment + expected @ prior.precision
    return Posterior(np.einsum("nij,nj->ni", covariance, right), covariance, ratio)


def squared_errors(mean: Floats, covariance: Floats, statistics: SufficientStatistics) -> Floats:
    """Return the expected sums (n,) of squared errors of people whose weights are so known."""
    fitted = np.einsum("nij,nj->ni", statistics.gram, mean)
    variance = np.einsum("nij,nij->n", statistics.gram, covariance)
    explained = np.einsum("ni,ni->n", mean, 2 * statistics.moment - fitted)
    squares: Floats = np.maximum(statistics.square - explained + variance, 0.0)
    return squares


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


def posterior_of_one(
    prior: Prior, described: Floats, rows: Floats, y: Floats, ratio: Floats | None = None
) -> Posterior:
    """Return one person's weights given n rows, in time n k^2: for a handful of ratings.

    The same Gaussian as `posterior`, written in the space of the rows (Woodbury's identity).

    Parameters
    ----------
    described : array (1, q), what is known of the person.
    rows : array (n, k), features of the rated pictures.
    y : array (n,), their residual ratings.
    ratio : array (1,), the person's noise as a multiple of the prior's; found where not given.
    """
    expected = described @ prior.regression
    shared = rows @ prior.covariance
    values, vectors = np.linalg.eigh(shared @ rows.T)  # once: then any noise is a division
    away = (y - expected[0] @ rows.T) @ vectors
    ratio = _ratio_of_one(prior, np.maximum(values, 0.0), away) if ratio is None else ratio
    inverse = 1.0 / (np.maximum(values, 0.0) + prior.noise * ratio)
    turned = vectors.T @ shared
    covariance = prior.covariance - (turned.T * inverse) @ turned
    return Posterior(expected + (away * inverse) @ turned, covariance[None], ratio)


def noise_of_one(prior: Prior, described: Floats, rows: Floats, y: Floats) -> Floats:
    """Return what `noise_of_people` does, of one person (1,) with n rows of ratings."""
    if np.isinf(prior.degrees) or not len(y):
        return np.ones(1)
    values, vectors = np.linalg.eigh(rows @ prior.covariance @ rows.T)
    away = (y - rows @ (described @ prior.regression)[0]) @ vectors
    return _ratio_of_one(prior, np.maximum(values, 0.0), away)


def _ratio_of_one(prior: Prior, values: Floats, away: Floats) -> Floats:
    """Return one person's noise (1,) as a multiple of the prior's, as `posterior` finds it.

    Parameters
    ----------
    values : array (n,), variances that the prior gives the rows along axes of their own.
    away : array (n,), how far the ratings are from the prior's expectation along them.
    """
    ratio, count = np.ones(1), np.array([len(away)])
    if np.isinf(prior.degrees):
        return ratio
    for _ in range(NOISE_ROUNDS):
        noise = prior.noise * ratio
        kept = noise / (values + noise)  # of a distance, and of a variance
        squares = np.array([np.sum((kept * away) ** 2 + values * kept)])
        ratio = noise_ratios(squares, count, prior.noise, prior.degrees)
    return ratio


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
