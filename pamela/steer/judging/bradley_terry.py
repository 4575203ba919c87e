"""From comparisons of arms to win shares and Elo: regularised Bradley-Terry, pure functions.

Bradley and Terry (1952): P(i beats j) = 1 / (1 + exp(theta_j - theta_i)). A tie counts half a win
for each side. A Gaussian prior on theta keeps an arm that won everything finite; the fit does not
depend on the order or the names of the arms. Everything works on stacks of win matrices, so that a
bootstrap of any size is one fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pamela.core.arrays import Floats, Ints
from pamela.evaluation.metrics.bootstrap import interval
from pamela.steer.judging.resampling import cell_weights

ELO_PER_LOGIT = 400.0 / math.log(10.0)  # a 400 point lead is odds of 10 to 1
ELO_CENTRE = 1000.0
PRIOR_PRECISION = 0.1  # of theta around 0: worth less than one game among hundreds
_TOLERANCE = 1e-10
_MAX_STEPS = 100


def log_posterior(theta: Floats, wins: Floats) -> Floats:
    """Return the Bradley-Terry log-likelihood plus the log prior, up to a constant.

    Parameters
    ----------
    theta : array (..., k), strengths in logits.
    wins : array (..., k, k), ``wins[i, j]`` = how often i beat j (ties: one half for each).
    """
    margin = theta[..., :, None] - theta[..., None, :]
    likelihood = -(wins * np.logaddexp(0.0, -margin)).sum(axis=(-2, -1))
    prior = -0.5 * PRIOR_PRECISION * (theta**2).sum(axis=-1)
    return np.asarray(likelihood + prior)


def gradient(theta: Floats, wins: Floats) -> Floats:
    """Return the gradient of `log_posterior` in theta, array (..., k)."""
    expected = _games(wins) * _win_probability(theta)
    return np.asarray((wins - expected).sum(axis=-1) - PRIOR_PRECISION * theta)


def hessian(theta: Floats, wins: Floats) -> Floats:
    """Return the Hessian of `log_posterior` in theta, array (..., k, k); negative definite."""
    p = _win_probability(theta)
    information = _games(wins) * p * (1.0 - p)
    eye = np.eye(theta.shape[-1])
    diagonal = eye * information.sum(axis=-1)[..., None]
    return np.asarray(information * (1.0 - eye) - diagonal - PRIOR_PRECISION * eye)


def fit_bradley_terry(wins: Floats) -> Floats:
    """Return the strengths that maximise `log_posterior`, by Newton's method with step halving.

    Parameters
    ----------
    wins : array (..., k, k); any number of leading axes, e.g. bootstrap draws.

    Returns
    -------
    array (..., k), in logits, summing to 0.
    """
    wins = np.asarray(wins, np.float64) * (1.0 - np.eye(wins.shape[-1]))  # no games with oneself
    theta = np.zeros(wins.shape[:-1])
    value = log_posterior(theta, wins)
    for _ in range(_MAX_STEPS):
        slope = gradient(theta, wins)
        if np.abs(slope).max(initial=0.0) < _TOLERANCE * max(1.0, wins.max(initial=0.0)):
            break
        step = np.linalg.solve(hessian(theta, wins), slope[..., None])[..., 0]
        theta, value = _climb(theta, np.asarray(-step, np.float64), value, wins)
    return np.asarray(theta - theta.mean(axis=-1, keepdims=True))


def _climb(theta: Floats, step: Floats, value: Floats, wins: Floats) -> tuple[Floats, Floats]:
    """Halve each draw's step until its posterior does not fall."""
    size = np.ones(value.shape)
    for _ in range(30):
        there = theta + size[..., None] * step
        reached = log_posterior(there, wins)
        falls = reached < value - 1e-12 * np.abs(value)
        if not falls.any():
            break
        size = np.where(falls, 0.5 * size, size)
    return there, reached


def _games(wins: Floats) -> Floats:
    return wins + np.swapaxes(wins, -1, -2)


def _win_probability(theta: Floats) -> Floats:
    margin = theta[..., :, None] - theta[..., None, :]
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * margin)))  # the logistic, without overflow


def to_elo(theta: Floats) -> Floats:
    """Return strengths in logits as Elo points, the arms' mean at 1000."""
    centred = theta - theta.mean(axis=-1, keepdims=True)
    return np.asarray(ELO_CENTRE + ELO_PER_LOGIT * centred)


def win_share(wins: Floats) -> Floats:
    """Return, for i and j, the share of their judgments that i won; array (..., k, k).

    NaN where the two never met.
    """
    games = _games(wins)
    return np.divide(wins, games, out=np.full(games.shape, np.nan), where=games > 0)


def cell_wins(
    cell: Ints,
    arm: Ints,
    opponent: Ints,
    score: Floats,
    *,
    n_cells: int,
    n_arms: int,
) -> Floats:
    """Count wins per cell (a user on a prompt), from one row per judgment.

    Parameters
    ----------
    cell, arm, opponent : int arrays (n,), numbers of the cell and of the two arms.
    score : array (n,), 1 where `arm` won, 0 where `opponent` won, 0.5 for a tie.

    Returns
    -------
    array (n_cells, n_arms, n_arms)
    """
    wins = np.zeros((n_cells, n_arms, n_arms))
    np.add.at(wins, (cell, arm, opponent), score)
    np.add.at(wins, (cell, opponent, arm), 1.0 - score)
    return wins


@dataclass(frozen=True)
class BradleyTerryResult:
    """The outcome of an arena of k arms; intervals are 95 % over users and prompts.

    Attributes
    ----------
    elo : array (k,); elo_ci : array (2, k), low and high.
    share : array (k, k), share of judgments the row won; share_ci : array (2, k, k).
    """

    elo: Floats
    elo_ci: Floats
    share: Floats
    share_ci: Floats


def rank(
    wins: Floats,
    user: Ints,
    prompt: Ints,
    *,
    draws: int,
    rng: np.random.Generator,
) -> BradleyTerryResult:
    """Fit Elo and win shares to per-cell wins, with bootstrap intervals.

    Parameters
    ----------
    wins : array (n_cells, k, k) of `cell_wins`; a cell is a user on a prompt.
    user, prompt : int arrays (n_cells,), each cell's user and prompt.
    draws : resamples of people and prompts (`cell_weights`).
    """
    total = wins.sum(axis=0)
    weights = cell_weights(user, prompt, draws=draws, rng=rng)
    resampled = np.einsum("bc,cij->bij", weights, wins)
    return BradleyTerryResult(
        elo=to_elo(fit_bradley_terry(total)),
        elo_ci=np.stack(interval(to_elo(fit_bradley_terry(resampled)))),
        share=win_share(total),
        share_ci=np.stack(interval(win_share(resampled))),
    )
