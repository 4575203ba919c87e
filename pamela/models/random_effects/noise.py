"""How much each person's ratings stray about their opinion: a scaled t distribution.

A careless person's ratings say less of their taste than a careful one's, so their weights should be
held closer to what most people like. The variance of one rating of person u is ``noise * r_u`` with
``1 / r_u ~ Gamma(v / 2, v / 2)``: v degrees of freedom, learned from all people (Pinheiro, Liu & Wu
2001). Given the squared errors that a person's weights leave, r_u is known in closed form.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from pamela.core.arrays import Floats, Ints

SAME_FOR_ALL: Final = math.inf  # degrees of freedom with which everybody's noise is the same
START: Final = 20.0
FEWEST, MOST = 4.0, 1000.0  # degrees of freedom that are looked for


def noise_ratios(squares: Floats, count: Ints, noise: float, degrees: float) -> Floats:
    """Return each person's noise as a multiple of `noise` (n,), about its inverse's expectation.

    Parameters
    ----------
    squares : array (n,), expected sums of squared errors.
    count : int64 array (n,), ratings behind them; without any the ratio is one.
    """
    if math.isinf(degrees):
        return np.ones(len(count))
    found: Floats = (degrees + squares / noise) / (degrees + count)
    return found


def fit_degrees(ratios: Floats, count: Ints, degrees: float) -> float:
    """Return the degrees of freedom that people's `noise_ratios` speak for: one step of EM.

    Parameters
    ----------
    ratios : array (n,), found with `degrees`.
    """
    from scipy.optimize import brentq
    from scipy.special import psi

    rated = count > 0
    if math.isinf(degrees) or not rated.any():
        return degrees
    shape = (degrees + count[rated]) / 2
    precision = 1.0 / ratios[rated]
    said = float(np.mean(psi(shape) - np.log(shape) + np.log(precision) - precision))

    def slope(log_degrees: float) -> float:
        half = math.exp(log_degrees) / 2
        return math.log(half) - float(psi(half)) + 1.0 + said

    low, high = math.log(FEWEST), math.log(MOST)
    if slope(low) <= 0:
        return FEWEST
    if slope(high) >= 0:
        return MOST
    return math.exp(brentq(slope, low, high))
