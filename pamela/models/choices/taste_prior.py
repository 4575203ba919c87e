"""The prior of personal weights from choices and ratings: `prior_fitting` with choices.

Expectation maximisation as there. In every iteration what each choice says is written anew, as a
row of a Gaussian, about what the iteration before knew of everything else
(`pamela.models.choices.taste_posterior`). How people choose is fitted now and then on the way, to
predict each choice from all the others.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pamela.core.arrays import Floats
from pamela.models.blas_threads import small_matrices
from pamela.models.choices.taste_posterior import ChoiceRows, Sites
from pamela.models.choices.thurstone import Thurstone, fit_thurstone
from pamela.models.random_effects.noise import fit_degrees, noise_ratios
from pamela.models.random_effects.posterior import (
    SMALLEST,
    USERS_AT_ONCE,
    Prior,
    SufficientStatistics,
    posterior_given_noise,
    predict_rows,
    squared_errors,
)
from pamela.models.random_effects.prior_fitting import ridge_of, structured

CHOOSING_EVERY = 4  # iterations, after which it is asked anew how people choose
MOST_TASTE = 8.0  # variance of differences in taste, as a multiple of the noise's


@small_matrices
def fit_prior_with_choices(
    statistics: SufficientStatistics,
    choices: ChoiceRows,
    described: Floats,
    start: Floats,
    *,
    rank: int | None,
    iterations: int,
    degrees: float,
) -> tuple[Prior, tuple[Thurstone, ...], list[float]]:
    """Fit a prior, and how people choose, by expectation maximisation.

    Parameters
    ----------
    statistics, choices : of the same n users.
    described, start, rank, iterations, degrees : as of `fit_prior`.

    Returns
    -------
    The prior, how people choose, and the noise variance after every iteration.
    """
    (users, k), rows = statistics.moment.shape, int(statistics.count.sum())
    noise = float(statistics.square.sum()) / rows if rows else _rating_noise(choices)
    if not rows:  # the start is in points of ratings, whose differences are noisier
        start = start * _rating_noise(choices)
    first = np.diag(np.maximum(start, SMALLEST))
    prior = Prior(np.zeros((described.shape[1], k)), first, max(noise, SMALLEST), degrees)
    solve, ratio = ridge_of(described), np.ones(users)
    sites, course = Sites.none(len(choices)), []
    for number in range(iterations):
        means, spread, squares, mean, variance = _expect(
            prior, described, statistics.with_choices(choices.statistics(sites, users)), ratio,
            choices,
        )  # fmt: skip
        rest = sites.without(mean, variance)
        grown = 1.0
        if number % CHOOSING_EVERY == CHOOSING_EVERY - 1:
            before, choices = choices, _choose(choices, *rest, prior)
            if not rows:  # the unit is that of the noise: taste keeps its size beside it
                grown = choices.choosing[0].noise / before.choosing[0].noise
        sites = choices.sites(grown * rest[0], grown**2 * rest[1])
        ratio = noise_ratios(squares, statistics.count, prior.noise, prior.degrees)
        means, spread = grown * means, grown**2 * spread
        regression = solve @ means
        away = means - described @ regression
        covariance = structured((spread + away.T @ away) / users, rank) + SMALLEST * np.eye(k)
        noise = float((squares / ratio).sum()) / rows if rows else _rating_noise(choices)
        degrees = fit_degrees(ratio, statistics.count, prior.degrees)
        mean_noise = float(squares.sum()) / rows if rows else None
        prior = Prior(regression, covariance, max(noise, SMALLEST), degrees, mean_noise)
        course.append(prior.noise)
    return prior, choices.choosing, course


def _rating_noise(choices: ChoiceRows) -> float:
    """Return the variance of one of two ratings whose difference is as noisy as a choice."""
    return float(np.mean([made.noise**2 for made in choices.choosing])) / 2


def _choose(choices: ChoiceRows, mean: Floats, variance: Floats, prior: Prior) -> ChoiceRows:
    """Return the same choices with noise and margins that predict each from what else is known.

    Parameters
    ----------
    mean, variance : arrays (n,), of every choice's difference less its base, without the choice.
    """
    made, difference = [], choices.base + mean
    for kind, start in enumerate(choices.choosing):
        rows, noise = choices.kind == kind, None
        overall = choices.overall[kind] if choices.overall else None
        if overall is not None:  # scores may grow with the noise: what is fixed is both together
            features = choices.features[rows]
            taste = float(np.mean(np.einsum("ij,ij->i", features @ prior.covariance, features)))
            noise = overall / float(np.sqrt(1 + min(taste / start.noise**2, MOST_TASTE)))
        made.append(
            fit_thurstone(
                difference[rows],
                choices.outcome[rows],
                start,
                variance=variance[rows],
                noise=noise,
            )
        )
    return replace(choices, choosing=tuple(made))


def _expect(
    prior: Prior,
    described: Floats,
    statistics: SufficientStatistics,
    ratio: Floats,
    choices: ChoiceRows,
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return posterior means (n, k), the sum of covariances (k, k) and squared errors (n,), and
    mean and variance of every choice's difference less its base.
    """
    k = statistics.moment.shape[1]
    means, squares, spread = np.empty_like(statistics.moment), [], np.zeros((k, k))
    mean, variance = np.empty(len(choices)), np.empty(len(choices))
    for begin in range(0, len(statistics), USERS_AT_ONCE):
        some = slice(begin, min(begin + USERS_AT_ONCE, len(statistics)))
        own = statistics.take(some)
        found = posterior_given_noise(prior, described[some], own, ratio[some])
        means[some] = found.mean
        spread += found.covariance.sum(axis=0)
        squares.append(squared_errors(found.mean, found.covariance, own))
        rows = choices.slice_of(some.start, some.stop)
        mean[rows], variance[rows] = predict_rows(
            found, choices.user[rows] - begin, choices.features[rows]
        )
    return means, spread, np.concatenate(squares), mean, variance
