"""Which pictures to rate next: those whose ratings would teach most about a person's order.

A person's score of pictures is ``base + X w`` with a Gaussian posterior of the weights w, whose
covariance C does not depend on what the ratings turn out to be. What is to be learned is the order
of n pictures: the sum over all pairs of the variance of the two scores' difference, which is
``n^2 trace(A C)`` with A the covariance of the columns X over the pictures. A common level adds
nothing to it. Rating a picture x with noise s^2 takes ``x'C A C x / (s^2 + x'C x)`` off the trace
(Bayesian A-optimal design: Chaloner & Verdinelli 1995). The best picture is picked, C is updated,
and so on. After two matrix products a pick costs O(n k).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pamela.core.arrays import Floats, Ints

DIGITS = 10  # of a gain's share of the largest: below that, rounding is no preference


@dataclass(frozen=True)
class RatingPlan:
    """What to rate, in order.

    Attributes
    ----------
    picks : int64 array (m,), rows of the candidates.
    before : standard deviation of the difference of two random pictures' scores before any rating.
    left : array (m,), the same once this one and those before it are rated.
    """

    picks: Ints
    before: float
    left: Floats


def given(covariance: Floats, noise: float, rated: Floats) -> Floats:
    """Return the covariance (k, k) of weights once pictures of columns `rated` (m, k) are rated."""
    if not len(rated):
        return covariance
    shared = covariance @ rated.T
    gain = np.linalg.solve(noise * np.eye(len(rated)) + rated @ shared, shared.T)
    found: Floats = covariance - shared @ gain
    return (found + found.T) / 2.0


def choose_greedily(
    candidates: Floats,
    target: Floats,
    covariance: Floats,
    noise: float,
    count: int,
) -> RatingPlan:
    """Choose up to `count` candidates greedily; of equals the first.

    Parameters
    ----------
    candidates : array (m, k), columns of the pictures that may be rated.
    target : array (n, k), columns of the pictures whose order is to be learned.
    covariance : array (k, k), of the person's weights now.
    noise : variance of one rating about the person's opinion.
    """
    centred = target - target.mean(axis=0) if len(target) else target
    spread = centred.T @ centred / max(len(target) - 1, 1)
    total = float(np.sum(spread * covariance))
    covered = candidates @ covariance
    gained = covered @ _root(spread)
    variance = np.einsum("ij,ij->i", covered, candidates)
    strength = np.einsum("ij,ij->i", gained, gained)
    free = np.ones(len(candidates), np.bool_)
    picks: list[int] = []
    left: list[float] = []
    before = _difference(total)
    for _ in range(min(count, len(candidates))):
        gain = np.where(free, strength / (noise + variance), -1.0)
        best = int(np.argmax(np.round(gain / max(gain.max(), np.finfo(float).tiny), DIGITS)))
        shared = covered @ candidates[best] / (noise + variance[best])  # C x
        total -= float(gain[best])
        picks.append(best)
        left.append(_difference(total))
        free[best] = False
        of_best, to_best = covered[best].copy(), gained[best].copy()
        scale = noise + variance[best]
        covered = covered - np.outer(shared, of_best)
        gained = gained - np.outer(shared, to_best)
        variance = variance - shared**2 * scale
        strength = np.einsum("ij,ij->i", gained, gained)
    return RatingPlan(np.array(picks, np.int64), before, np.array(left))


def _difference(total: float) -> float:
    return float(np.sqrt(max(2.0 * total, 0.0)))


def _root(matrix: Floats) -> Floats:
    """Return R (k, k) with R R' = `matrix`, which is positive semidefinite."""
    values, vectors = np.linalg.eigh(matrix)
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root
