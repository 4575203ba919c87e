"""Weighing kernels by the marginal likelihood of the picture means (type-II maximum likelihood)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack
from scipy.optimize import minimize

from pamela.models.encoding import Array

LOG_WEIGHT_RANGE = (-9.0, 3.0)  # of a weight over the variance it explains


@dataclass(frozen=True)
class Evidence:
    """Weights that maximise the marginal likelihood.

    Attributes
    ----------
    weights : variance explained by each kernel.
    nugget : variance of a picture's mean that no kernel explains.
    log_likelihood : at the maximum.
    """

    weights: Array
    nugget: float
    log_likelihood: float


def maximise_evidence(
    kernels: Sequence[Array],
    base: Array,
    target: Array,
    noise: Array,
    *,
    start: Evidence | None = None,
    iterations: int = 40,
) -> Evidence:
    """Weigh `kernels` by type-II maximum likelihood (L-BFGS on log weights, exact gradient).

    Parameters
    ----------
    kernels : matrices (n, n).
    base : matrix (n, n) added with weight one (intercepts).
    target : array (n,), centred picture means.
    noise : array (n,), their sampling variances.
    start : where to begin.
    """
    count, n = len(kernels), len(target)
    variance = max(float(np.var(target)), 1e-6)
    identity = np.eye(n)

    def negative(log_weights: Array) -> tuple[float, Array]:
        weights = np.exp(log_weights)
        total = base + np.diag(noise + weights[-1])
        for weight, kernel in zip(weights, kernels, strict=False):
            total += weight * kernel
        factor = cho_factor(total, lower=True, overwrite_a=True, check_finite=False)
        alpha = cho_solve(factor, target, check_finite=False)
        inverse = _inverse(factor[0], identity)
        value = 0.5 * float(target @ alpha) + float(np.log(np.diag(factor[0])).sum())
        slope = inverse - np.outer(alpha, alpha)
        gradient = np.array(
            [np.vdot(slope, kernel) for kernel in kernels] + [float(np.trace(slope))]
        )
        return value, 0.5 * weights * gradient

    low, high = (np.log(variance) + bound for bound in LOG_WEIGHT_RANGE)
    if start is None:
        begin = np.full(count + 1, np.log(variance / (count + 1)))
    else:
        begin = np.log([*start.weights, start.nugget])
    found = minimize(
        negative,
        np.clip(begin, low, high),
        jac=True,
        method="L-BFGS-B",
        bounds=[(low, high)] * (count + 1),
        options={"maxiter": iterations, "ftol": 1e-7},
    )
    weights = np.exp(found.x)
    return Evidence(weights[:-1], float(weights[-1]), -float(found.fun))


def _inverse(lower: Array, identity: Array) -> Array:
    """Return the inverse of a matrix from its lower Cholesky factor."""
    inverse, info = lapack.dpotri(lower, lower=1)
    if info != 0:
        solved: Array = cho_solve((lower, True), identity)
        return solved
    strict = np.tril(inverse, -1)
    full: Array = strict + strict.T + np.diag(np.diag(inverse))
    return full
