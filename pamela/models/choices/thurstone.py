"""Thurstone's model of a choice with ties: an ordinal probit on the difference of two utilities.

Somebody who likes two pictures by u_a and u_b perceives the difference u_a - u_b with noise of
standard deviation c, takes `a` where it is above a margin d, `b` where it is below -d, and calls it
a tie in between (Glenn & David 1960). All three log probabilities are concave in the difference, so
that Newton's method finds the only optimum of whatever is linear in it.

Every function is accurate far out in the tails: nobody's surprising choice is an infinity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from pamela.core.arrays import Floats, Floats32

LARGEST = 1e3  # a difference further out, in units of the noise, is taken for this one
LOG_ROOT_2_PI = 0.5 * float(np.log(2 * np.pi))
NOISE_RANGE = (0.05, 20.0)  # internal units, within which it is fitted
MARGIN_RANGE = (0.01, 3.0)  # the same of the margin, in units of the noise; never quite 0
USUAL_MARGIN = 0.1  # of the noise, where nothing is known of ties: 8 % of equals are one
MOST_ROWS = 5000  # choices from which noise and margin are fitted; two numbers need no more
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(5)  # to average over a normal difference


@dataclass(frozen=True)
class Thurstone:
    """How people choose: noise c and margin d of a tie, on the internal scale."""

    noise: float
    margin: float

    def probabilities(
        self, difference: Floats, variance: Floats | float = 0.0
    ) -> tuple[Floats, Floats, Floats]:
        """Return the probabilities (n,) of `a`, of `b` and of a tie.

        Parameters
        ----------
        difference : array (n,), u_a - u_b.
        variance : of that difference, where it is not surely known.
        """
        scale = np.sqrt(self.noise**2 + variance)
        first = scipy.special.ndtr((difference - self.margin) / scale)
        second = scipy.special.ndtr((-difference - self.margin) / scale)
        return first, second, np.clip(1.0 - first - second, 0.0, 1.0)

    def log_likelihood(
        self, difference: Floats, outcome: Floats | Floats32, variance: Floats | float = 0.0
    ) -> Floats:
        """Return the log probability (n,) of what was chosen; `outcome` as in `Choices`."""
        scale = np.sqrt(self.noise**2 + variance)
        z = np.clip(difference / scale, -LARGEST, LARGEST)
        margin = self.margin / scale
        decided: Floats = scipy.special.log_ndtr(_towards(z, outcome) - margin)
        return np.where(outcome == 0.5, _log_tie(z, margin), decided)

    def slopes(
        self,
        difference: Floats,
        outcome: Floats | Floats32,
        variance: Floats | float = 0.0,
    ) -> tuple[Floats, Floats]:
        """Return the log-likelihood's slope (n,) and its curvature (n,), at least 0, turned round.

        Both with respect to the difference: the first derivative, and minus the second.
        """
        scale = np.sqrt(self.noise**2 + np.broadcast_to(variance, difference.shape))
        z, margin = np.clip(difference / scale, -LARGEST, LARGEST), self.margin / scale
        q = _towards(z, outcome) - margin
        mills = np.sqrt(2 / np.pi) / scipy.special.erfcx(-q / np.sqrt(2))  # phi(q) / Phi(q)
        slope = np.where(outcome > 0.5, mills, -mills)
        curvature = mills * (mills + q)
        tied = outcome == 0.5
        slope[tied], curvature[tied] = _tie_slopes(z[tied], margin[tied])
        return slope / scale, np.clip(curvature, 0.0, 1.0) / scale**2


def _towards(z: Floats, outcome: Floats | Floats32) -> Floats:
    """Return the differences in favour of what was chosen."""
    return np.where(outcome > 0.5, z, -z)


def _log_tie(z: Floats, margin: Floats | float) -> Floats:
    """Return log(Phi(z + margin) - Phi(z - margin)), taken in the lower tail."""
    low = -np.abs(z)
    upper = scipy.special.log_ndtr(low + margin)
    found: Floats = upper + np.log(-np.expm1(scipy.special.log_ndtr(low - margin) - upper))
    return found


def _tie_slopes(z: Floats, margin: Floats) -> tuple[Floats, Floats]:
    low, log_tie = -np.abs(z), _log_tie(z, margin)
    upper, lower = low + margin, low - margin
    at_upper = np.exp(-0.5 * upper**2 - LOG_ROOT_2_PI - log_tie)
    at_lower = np.exp(-0.5 * lower**2 - LOG_ROOT_2_PI - log_tie)
    slope = at_upper - at_lower
    return -np.sign(z) * slope, slope**2 + upper * at_upper - lower * at_lower


def usual(noise: float) -> Thurstone:
    """Return how people choose with this noise where nothing is known of their ties."""
    return Thurstone(noise, USUAL_MARGIN * noise)


def fit_thurstone(
    difference: Floats,
    outcome: Floats | Floats32,
    start: Thurstone,
    *,
    variance: Floats | None = None,
    posterior: bool = False,
    noise: float | None = None,
) -> Thurstone:
    """Fit noise and margin by maximum likelihood, given differences of utilities.

    Parameters
    ----------
    difference : array (n,), u_a - u_b of every choice; none: `start` is returned.
    variance : array (n,), by which the differences are uncertain.
    posterior : whether these were learned from the same choices: then the expected log-likelihood
        is maximised (an M-step), else the likelihood of choices that nobody has seen yet.
    noise : keeps it at this and fits the margin alone.
    """
    if not len(difference):
        return start
    some = np.linspace(0, len(difference) - 1, min(len(difference), MOST_ROWS)).astype(np.int64)
    rows, chosen = difference[some], np.asarray(outcome, np.float64)[some]
    unsure = np.zeros(len(some)) if variance is None else np.maximum(variance[some], 0.0)
    weights = np.ones(1)
    if posterior:
        rows = rows[:, None] + np.sqrt(unsure)[:, None] * NODES
        chosen, unsure = np.broadcast_to(chosen[:, None], rows.shape), np.zeros(rows.shape)
        weights = NODE_WEIGHTS / NODE_WEIGHTS.sum()

    def made(x: Floats) -> Thurstone:
        own = float(np.exp(x[1])) if noise is None else noise
        return Thurstone(own, float(np.exp(x[0])) * own)

    def cost(x: Floats) -> float:
        found = made(x).log_likelihood(rows, chosen, unsure)
        return -float(np.mean(found @ weights if posterior else found))

    limits = np.log([MARGIN_RANGE, NOISE_RANGE][: 2 if noise is None else 1])
    first = np.log([start.margin / start.noise, start.noise][: len(limits)])
    found = scipy.optimize.minimize(
        cost, np.clip(first, limits[:, 0], limits[:, 1]), method="L-BFGS-B", bounds=limits
    )
    return made(found.x)
