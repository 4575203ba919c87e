"""How much each property of pictures moves a personal part, with intervals.

A property is a column: a concept's score, or 1 and 0 for a word that stands in the prompt. Its
effect is the slope of the personal part on it, times a span in which it usually moves. Intervals
hold both sources of uncertainty at once: every resample draws prompts anew (pictures of one prompt
together) and, where the model gives draws of the person, takes another of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from scipy import sparse

from pamela.core.arrays import Floats
from pamela.evaluation.metrics.bootstrap import interval, multinomial_weights
from pamela.explain.personal_part import PersonalPart

Matrix: TypeAlias = Any  # (n, c): a float array, or sparse of scipy
RESAMPLES: Final = 400
PENALTIES: Final = tuple(10.0**power for power in np.arange(-1.0, 5.1, 0.5))
SMALLEST: Final = 1e-12


@dataclass(frozen=True)
class Effects:
    """Effects of c properties: value, 95 % interval and standard error, each (c,)."""

    value: Floats
    low: Floats
    high: Floats
    error: Floats

    def times(self, factor: Floats | float) -> Effects:
        """Return the effects multiplied by a positive `factor`."""
        return Effects(
            self.value * factor, self.low * factor, self.high * factor, self.error * factor
        )


@dataclass(frozen=True)
class Resamples:
    """How often each of n pictures is drawn in each of b resamples, (b, n); row 0 is every one."""

    weights: Floats

    @classmethod
    def draw(cls, clusters: Sequence[str], seed: int, count: int = RESAMPLES) -> Resamples:
        """Draw clusters of pictures with replacement; `clusters` names each picture's, (n,)."""
        names, member = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
        drawn = multinomial_weights(len(names), count, np.random.default_rng([seed, 2]))
        return cls(np.concatenate([np.ones((1, len(member))), drawn[:, member]]))

    def __len__(self) -> int:
        return len(self.weights)

    def weighted(self, part: PersonalPart) -> Floats:
        """Return weight times personal part, (b, n): row 0 its mean, the others its draws."""
        if part.draws is None:
            return self.weights * part.mean
        order = np.arange(len(self) - 1) % len(part.draws)
        return self.weights * np.concatenate([part.mean[None, :], part.draws[order]])


def slopes(columns: Matrix, part: PersonalPart, resamples: Resamples) -> Effects:
    """Return the slope of the personal part on each column (n, c) alone.

    For a column of 0 and 1 it is the mean where it is 1 less the mean elsewhere.
    """
    weights = resamples.weights
    weighted = resamples.weighted(part)
    total = weights.sum(axis=1, keepdims=True)
    squares = columns.multiply(columns) if sparse.issparse(columns) else columns**2
    first, second, both = (
        np.asarray((c.T @ w.T).T)
        for c, w in ((columns, weights), (squares, weights), (columns, weighted))
    )
    variance = second - first**2 / total
    covariance = both - first * weighted.sum(axis=1, keepdims=True) / total
    floor = SMALLEST + 1e-9 * np.abs(second)  # a column that does not vary has no slope
    moved = variance > floor
    found = np.where(moved, covariance / np.where(moved, variance, 1.0), np.nan)
    return _effects(found)


def _effects(found: Floats) -> Effects:
    """Return row 0 as the value, its interval and error from the other rows; unknown is 0."""
    low, high = interval(found[1:])
    error = np.nan_to_num(np.nanstd(np.nan_to_num(found[1:]), axis=0))
    value = np.nan_to_num(found[0])
    return Effects(value, np.nan_to_num(low), np.nan_to_num(high), error)


def means(part: PersonalPart, resamples: Resamples) -> Effects:
    """Return the mean of the personal part, (1,)."""
    total = resamples.weights.sum(axis=1, keepdims=True)
    return _effects(resamples.weighted(part).sum(axis=1, keepdims=True) / total)


@dataclass(frozen=True)
class JointRidge:
    """A ridge regression on all columns at once, prepared for any person.

    Attributes
    ----------
    columns : array (n, c), standardised.
    grams : array (b, c, c), their weighted second moments about the mean, per resample.
    firsts : array (b, c), their weighted sums.
    """

    columns: Floats
    grams: Floats
    firsts: Floats

    @classmethod
    def prepare(cls, columns: Floats, resamples: Resamples) -> JointRidge:
        """Collect what does not depend on the person."""
        spread = columns.std(axis=0)
        z = (columns - columns.mean(axis=0)) / np.where(spread > SMALLEST, spread, 1.0)
        firsts = resamples.weights @ z
        totals = resamples.weights.sum(axis=1)
        grams = np.stack([(z * w[:, None]).T @ z for w in resamples.weights])
        grams -= np.einsum("bi,bj->bij", firsts, firsts) / totals[:, None, None]
        return cls(z, grams, firsts)

    def fit(self, part: PersonalPart, resamples: Resamples) -> tuple[Effects, float]:
        """Return slopes per standard deviation, and the share of variance explained.

        The penalty is the one with the least leave-one-out error; the share is what that fit
        explains of pictures left out.
        """
        centred = part.mean - part.mean.mean()
        penalty, share = _penalty(self.columns, centred)
        weighted = resamples.weighted(part)
        totals = resamples.weights.sum(axis=1, keepdims=True)
        right = weighted @ self.columns - self.firsts * weighted.sum(axis=1, keepdims=True) / totals
        ridge = penalty * np.eye(self.columns.shape[1])
        found = np.linalg.solve(self.grams + ridge, right[:, :, None])[:, :, 0]
        return _effects(found), share


def _penalty(z: Floats, y: Floats) -> tuple[float, float]:
    """Return the ridge penalty with the least leave-one-out error and the share it explains."""
    n = len(y)
    values, vectors = np.linalg.eigh(z.T @ z)
    turned, right = z @ vectors, vectors.T @ (z.T @ y)
    total = float(y @ y) * (n / max(n - 1, 1)) ** 2  # leave-one-out error of the mean alone
    best, least = PENALTIES[-1], np.inf
    for penalty in PENALTIES:
        shrink = 1.0 / (np.maximum(values, 0.0) + penalty)
        leverage = (turned**2) @ shrink + 1.0 / n
        error = float((((y - turned @ (shrink * right)) / (1.0 - leverage)) ** 2).sum())
        if error < least:
            best, least = penalty, error
    return best, max(1.0 - least / total, 0.0) if total > SMALLEST else 0.0


def shrunken(effects: Effects, sampling: Floats) -> Effects:
    """Pull many effects towards zero, each as far as its pictures leave it uncertain.

    Empirical Bayes: effects ~ N(0, t), each found with its own error; t is what their mean square
    has beyond the mean squared error.

    Parameters
    ----------
    sampling : (c,), standard errors by the choice of pictures alone: how sure the model is of the
        person is in its posterior, which is shrunken already.
    """
    noise = sampling**2
    spread = max(float(np.mean(effects.value**2 - noise)), 0.0) if len(noise) else 0.0
    kept = np.divide(spread, spread + noise, out=np.zeros_like(noise), where=spread + noise > 0)
    value, width = kept * effects.value, np.sqrt(kept)
    return Effects(
        value,
        value - width * (effects.value - effects.low),
        value + width * (effects.high - effects.value),
        width * effects.error,
    )
