"""Weighing kernels by the marginal likelihood of the picture means (type-II maximum likelihood)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from pamela.core.arrays import Floats
from pamela.core.errors import PamelaError
from pamela.models.blas_threads import small_matrices

LOG_WEIGHT_RANGE = (-9.0, 3.0)  # of a weight over the variance it explains
COARSE = 3  # without a start, every third picture finds one at a 27th of the cost
COARSE_ROWS = 100  # pictures that finding a start takes, at least
LEAST_START = 0.1  # of an equal share of the variance, where a start gives a weight less


@dataclass(frozen=True)
class Evidence:
    """Weights that maximise the marginal likelihood.

    Attributes
    ----------
    weights : variance explained by each kernel.
    nugget : variance of a picture's mean that no kernel explains.
    log_likelihood : at the maximum.
    """

    weights: Floats
    nugget: float
    log_likelihood: float


@small_matrices
def maximise_evidence(
    kernels: Sequence[Floats],
    base: Floats,
    target: Floats,
    noise: Floats,
    *,
    start: Evidence | None = None,
    iterations: int = 40,
    tolerance: float = 1e-6,
) -> Evidence:
    """Weigh `kernels` by type-II maximum likelihood (L-BFGS on log weights, exact gradient).

    Parameters
    ----------
    kernels : matrices (n, n), symmetric.
    base : matrix (n, n) added with weight one (intercepts).
    target : array (n,), centred picture means.
    noise : array (n,), their sampling variances.
    start : where to begin; without it, where some of the pictures lead.
    tolerance : stop when the log likelihood changes by less than this share.

    Raises
    ------
    PamelaError
        Where the sum of kernels is no covariance.
    """
    count, n = len(kernels), len(target)
    variance = max(float(np.var(target)), 1e-6)
    if start is None and n >= COARSE * COARSE_ROWS:
        some = np.arange(0, n, COARSE)
        among = np.ix_(some, some)
        start = maximise_evidence(
            [kernel[among] for kernel in kernels], base[among], target[some], noise[some]
        )
    low, high = (np.log(variance) + bound for bound in LOG_WEIGHT_RANGE)
    if start is None:
        begin = np.full(count + 1, np.log(variance / (count + 1)))
    else:
        # a weight at the floor has next to no slope: lifted, all pictures can say that it counts
        least = LEAST_START * variance / (count + 1)
        begin = np.log(np.maximum([*start.weights, start.nugget], least))
    found = scipy.optimize.minimize(
        _Likelihood(kernels, base, target, noise),
        np.clip(begin, low, high),
        jac=True,
        method="L-BFGS-B",
        bounds=[(low, high)] * (count + 1),
        options={"maxiter": iterations, "ftol": tolerance},
    )
    weights = np.exp(found.x)
    return Evidence(weights[:-1], float(weights[-1]), -float(found.fun))


class _Likelihood:
    """The negative log marginal likelihood and its gradient, in log weights.

    Lower triangles of the kernels lie in one matrix (kernels, n (n + 1) / 2), so that their sum and
    the gradient are two products of a matrix and a vector.
    """

    def __init__(
        self, kernels: Sequence[Floats], base: Floats, target: Floats, noise: Floats
    ) -> None:
        n = len(target)
        self.row, self.column = np.tril_indices(n)
        self.diagonal = np.flatnonzero(self.row == self.column)
        packed = [kernel[self.row, self.column] for kernel in kernels]
        self.kernels = np.array(packed).reshape(len(kernels), len(self.row))
        self.base = base[self.row, self.column]
        self.base[self.diagonal] += noise
        self.times = np.where(self.row == self.column, 1.0, 2.0)  # both triangles
        self.target, self.total = target, np.zeros((n, n))

    def __call__(self, log_weights: Floats) -> tuple[float, Floats]:
        """Return the value and the gradient (kernels + 1,); the nugget's weight is the last."""
        weights = np.exp(log_weights)
        lower = self.base + weights[:-1] @ self.kernels
        lower[self.diagonal] += weights[-1]
        self.total[self.row, self.column] = lower
        # LAPACK counts columns first: what is lower here is upper there
        factor, failed = scipy.linalg.lapack.dpotrf(self.total.T, lower=0, overwrite_a=1, clean=0)
        if failed:
            raise PamelaError("the sum of kernels is no covariance: are all features finite?")
        alpha = scipy.linalg.lapack.dpotrs(factor, self.target, lower=0)[0]
        value = 0.5 * float(self.target @ alpha) + float(np.log(np.diag(factor)).sum())
        inverse = scipy.linalg.lapack.dpotri(factor, lower=0, overwrite_c=1)[0]
        slope = inverse.T[self.row, self.column] - alpha[self.row] * alpha[self.column]
        trace = slope[self.diagonal].sum()
        gradient = np.append(self.kernels @ (slope * self.times), trace)
        return value, 0.5 * weights * gradient
