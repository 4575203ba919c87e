"""What others' ratings say of a picture beyond its features: factors of its own, learned jointly.

Taste depends on columns that features give (`pamela.models.hierarchical.features`). A training
picture has a few columns more, ``F_i ~ N(0, diag(t))``, and each person weights for them: matrix
factorisation of what the features leave (Salakhutdinov & Mnih 2008), learned together with the
prior of taste by variational expectation maximisation. The variances t are learned too, so that a
factor that nothing speaks for vanishes (automatic relevance determination; Bishop 1999) and their
number need not be chosen. A picture that nobody rated has none of them: its score is that of its
features, with weights that were learned without factors.

Factors are kept scaled to variance one over pictures, and the prior of their weights is diag(t).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import scipy

from pamela.core.arrays import Floats, Ints
from pamela.models.blas_threads import small_matrices
from pamela.models.hierarchical.picture_factors import (
    FactorState,
    FactorSums,
    PictureFactors,
)
from pamela.models.hierarchical.sharded.training_data import TrainingData
from pamela.models.hierarchical.training_rows import Fitting
from pamela.models.random_effects.noise import fit_degrees, noise_ratios
from pamela.models.random_effects.posterior import (
    SMALLEST,
    USERS_AT_ONCE,
    Posterior,
    Prior,
    SufficientStatistics,
    posterior_given_noise,
    squared_errors,
)
from pamela.models.random_effects.prior_fitting import ridge_of, structured

OFFERED = 8  # factors; what nothing speaks for vanishes
WARM_UP = 15  # sweeps over what taste leaves, from where the joint ones begin
SWEEPS = 15
START_VARIANCE = 0.05
START_SCALE = 0.1


@small_matrices
def fit_factors(
    data: TrainingData,
    columns: Floats,
    prior: Prior,
    learners: Ints,
    *,
    rank: int,
    seed: int,
    offered: int = OFFERED,
) -> tuple[PictureFactors, Prior]:
    """Learn factors of the training pictures together with the prior of all weights.

    Parameters
    ----------
    columns : array (m, k), taste columns of `data.items`.
    prior : of weights for them, as fitted without factors.
    learners : int64 array, places in `data.users`, from whom the prior is learned; factors are of
        everybody's ratings.
    rank : of the common factors of people's taste.

    Returns
    -------
    The factors, in the order of `data.items`, and the prior of k + r weights.
    """
    # choices say of weights what they do without factors
    some = data.of_users(learners).settled(prior, columns)
    state = _warm_up(some, columns, prior, offered, seed)
    solve = ridge_of(some.described)
    state.drop_worthless(columns.shape[1])
    for _ in range(SWEEPS if len(state.spread) else 0):
        _sweep(some, columns, state, solve, rank)
    state.drop_worthless(columns.shape[1])
    if len(learners) < len(data.users) and len(state.spread):
        sums = FactorSums.zeros(*state.mean.shape)
        for _, found in data.map(partial(_sums_of_all, columns, prior, state)):
            sums.gram += found.gram
            sums.moment += found.moment
        state.learn(sums)
    return state.scaled(columns.shape[1])


# --- the steps ------------------------------------------------------------------------------------
def _warm_up(data: Fitting, columns: Floats, prior: Prior, offered: int, seed: int) -> FactorState:
    """Factors of what people's taste leaves of their ratings: a probabilistic PCA with gaps."""
    pictures, learners = len(columns), np.arange(len(data.users))
    left, ratio = _residuals(data, columns, prior, learners)
    rows, user = data.rows_of(learners)
    shape = (pictures, len(learners))
    weight = data.worth(rows) / (prior.noise * ratio[user])
    rated = scipy.sparse.csr_array((weight, (data.item[rows], user)), shape=shape)
    moments = scipy.sparse.csr_array((weight * left, (data.item[rows], user)), shape=shape)
    rng = np.random.default_rng([seed, 31])
    state = FactorState(
        START_SCALE * rng.normal(size=(pictures, offered)),
        np.zeros((pictures, offered, offered)),
        np.full(offered, START_VARIANCE),
        _extended(prior, offered),
        ratio,
    )
    for _ in range(WARM_UP):
        outer = state.mean[:, :, None] * state.mean[:, None, :] + state.covariance
        gram = (rated.T @ outer.reshape(pictures, -1)).reshape(-1, offered, offered)
        spread = np.linalg.inv(gram + np.eye(offered))
        mean = np.einsum("nij,nj->ni", spread, moments.T @ state.mean)
        second = spread + mean[:, :, None] * mean[:, None, :]
        sums = FactorSums(rated @ second.reshape(len(second), -1), moments @ mean)
        state.learn(sums)
        state.rescale(np.linalg.cholesky(second.mean(axis=0) + SMALLEST * np.eye(offered)))
        along = state.mean.T @ state.mean + state.covariance.sum(axis=0)
        state.rescale(np.linalg.eigh(along)[1])
        state.learn_spread()
    return state


def _residuals(data: Fitting, columns: Floats, prior: Prior, users: Ints) -> tuple[Floats, Floats]:
    """Return what taste leaves of some users' rows (rows,), and their noise ratios (users,)."""
    left, ratios = [], []
    for some in _batches(users):
        statistics = data.collect_all(columns, some)
        ratio = np.ones(len(some))
        for _ in range(2):
            found = posterior_given_noise(prior, data.described[some], statistics, ratio)
            squares = squared_errors(found.mean, found.covariance, statistics)
            ratio = noise_ratios(squares, statistics.count, prior.noise, prior.degrees)
        rows, user = data.rows_of(some)
        fitted = np.einsum("ij,ij->i", columns[data.item[rows]], found.mean[user])
        left.append(data.residual[rows] - fitted)
        ratios.append(ratio)
    return np.concatenate(left), np.concatenate(ratios)


def _extended(prior: Prior, factors: int) -> Prior:
    """Return a prior of taste with independent weights of variance one for factors beside it."""
    q, k = prior.regression.shape
    regression, covariance = np.zeros((q, k + factors)), np.eye(k + factors)
    regression[:, :k], covariance[:k, :k] = prior.regression, prior.covariance
    return replace(prior, regression=regression, covariance=covariance)


def _sweep(data: Fitting, columns: Floats, state: FactorState, solve: Floats, rank: int) -> None:
    """One joint step: people's weights and noise, then the prior, then the pictures' factors."""
    learners = np.arange(len(data.users))
    pictures, k = columns.shape
    sums, r = FactorSums.zeros(pictures, state.mean.shape[1]), state.mean.shape[1]
    means, ratios, counts = [], [], []
    spread, weighted, squares = np.zeros((k + r, k + r)), 0.0, 0.0
    both = np.concatenate([columns, state.mean], axis=1)
    for begin, some in zip(range(0, len(learners), USERS_AT_ONCE), _batches(learners), strict=True):
        ratio = state.ratio[begin : begin + len(some)]
        found, statistics = _condition(data, both, state, some, ratio)
        errors = squared_errors(found.mean, found.covariance, statistics)
        ratio = noise_ratios(errors, statistics.count, state.prior.noise, state.prior.degrees)
        _add(sums, data, columns, some, found, state.prior.noise * ratio)
        means.append(found.mean)
        ratios.append(ratio)
        counts.append(statistics.count)
        spread += found.covariance.sum(axis=0)
        weighted += float((errors / ratio).sum())
        squares += float(errors.sum())
    mean, state.ratio = np.concatenate(means), np.concatenate(ratios)
    count = np.concatenate(counts)
    regression = solve @ mean
    away = mean - data.described[learners] @ regression
    scatter = (spread + away.T @ away) / len(learners)
    state.learn(sums)
    root: Floats = np.linalg.cholesky(scatter[k:, k:] + SMALLEST * np.eye(r)).astype(np.float64)
    state.rescale(root)
    state.learn_spread()
    regression[:, k:] = np.linalg.solve(root, regression[:, k:].T).T
    covariance = np.eye(k + r)
    covariance[:k, :k] = structured(scatter[:k, :k], rank) + SMALLEST * np.eye(k)
    rows = max(int(count.sum()), 1)
    noise = max(weighted / rows, SMALLEST)
    degrees = fit_degrees(state.ratio, count, state.prior.degrees)
    state.prior = Prior(regression, covariance, noise, degrees, squares / rows)


@small_matrices
def _sums_of_all(columns: Floats, prior: Prior, state: FactorState, data: Fitting) -> FactorSums:
    """Return what everybody's ratings say of the pictures' factors, where few were the learners.

    Parameters
    ----------
    prior : of weights for the columns alone.
    """
    data = data.settled(prior, columns)
    both = np.concatenate([columns, state.mean], axis=1)
    sums = FactorSums.zeros(*state.mean.shape)
    for some in _batches(np.arange(len(data.users))):
        ratio = np.ones(len(some))
        for _ in range(2):
            found, statistics = _condition(data, both, state, some, ratio)
            errors = squared_errors(found.mean, found.covariance, statistics)
            ratio = noise_ratios(errors, statistics.count, state.prior.noise, state.prior.degrees)
        _add(sums, data, columns, some, found, state.prior.noise * ratio)
    return sums


def _batches(users: Ints) -> Iterator[Ints]:
    return (users[b : b + USERS_AT_ONCE] for b in range(0, len(users), USERS_AT_ONCE))


def _condition(
    data: Fitting, both: Floats, state: FactorState, users: Ints, ratio: Floats
) -> tuple[Posterior, SufficientStatistics]:
    """Return some people's weights, and the statistics that count what factors are unsure by."""
    statistics = data.collect_all(both, users)
    rows, user = data.rows_of(users)
    pictures, r = state.mean.shape
    rated = scipy.sparse.csr_array(
        (data.worth(rows), (user, data.item[rows])), shape=(len(users), pictures)
    )
    unsure = (rated @ state.covariance.reshape(pictures, -1)).reshape(-1, r, r)
    statistics.gram[:, -r:, -r:] += unsure
    return posterior_given_noise(state.prior, data.described[users], statistics, ratio), statistics


def _add(
    sums: FactorSums, data: Fitting, columns: Floats, users: Ints, found: Posterior, noise: Floats
) -> None:
    """Add what some people's weights and ratings say of the pictures' factors.

    Parameters
    ----------
    noise : array (users,), variance of a rating of each.
    """
    pictures, k = columns.shape
    rows, user = data.rows_of(users)
    item = data.item[rows]
    own = found.mean[:, k:]
    second = found.covariance[:, k:, k:] + own[:, :, None] * own[:, None, :]
    across = found.covariance[:, :k, k:] + found.mean[:, :k, None] * own[:, None, :]
    by_taste = np.empty((len(rows), own.shape[1]))
    bounds = np.searchsorted(user, np.arange(len(users) + 1))
    for one in range(len(users)):
        mine = slice(bounds[one], bounds[one + 1])
        by_taste[mine] = columns[item[mine]] @ across[one]
    weight = data.worth(rows) / noise[user]
    said = (data.residual[rows, None] * own[user] - by_taste) * weight[:, None]
    rated = scipy.sparse.csr_array((weight, (item, user)), shape=(pictures, len(users)))
    every = scipy.sparse.csr_array(
        (np.ones(len(rows)), (item, np.arange(len(rows)))), shape=(pictures, len(rows))
    )
    sums.gram += rated @ second.reshape(len(users), -1)
    sums.moment += every @ said
