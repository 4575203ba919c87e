"""Weighing kernels by marginal likelihood, against direct computations and planted weights."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from pamela.core.errors import PamelaError
from pamela.models.gaussian_process.marginal_likelihood import (
    Evidence,
    _Likelihood,
    maximise_evidence,
)

WEIGHTS, NUGGET = np.array([0.8, 0.0, 0.3]), 0.15  # planted: the second kernel explains nothing


def plant(n: int, seed: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Return kernels on three unrelated inputs, an intercept, targets and their noise."""
    rng = np.random.default_rng(seed)
    kernels = []
    for width in (0.5, 0.7, 1.0):
        x = rng.normal(size=(n, 2))
        kernels.append(np.exp(-((x[:, None] - x[None]) ** 2).sum(axis=2) / (2 * width**2)))
    base, noise = np.full((n, n), 0.5), rng.uniform(0.02, 0.1, n)
    total = base + np.diag(noise + NUGGET) + np.einsum("k,kij->ij", WEIGHTS, kernels)
    return kernels, base, rng.multivariate_normal(np.zeros(n), total), noise


def direct(kernels: list[np.ndarray], base: np.ndarray, target: np.ndarray,
           noise: np.ndarray, log_weights: np.ndarray) -> float:  # fmt: skip
    """Return the negative log density of the targets, without its constant."""
    weights = np.exp(log_weights)
    total = base + np.diag(noise + weights[-1])
    total = total + np.einsum("k,kij->ij", weights[:-1], kernels)
    density = multivariate_normal(np.zeros(len(target)), total).logpdf(target)
    return float(-density - 0.5 * len(target) * np.log(2 * np.pi))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_likelihood_and_its_gradient_are_the_direct_ones(seed: int) -> None:
    planted = plant(30, seed)
    at = np.random.default_rng(seed).normal(-1.0, 0.7, 4)
    value, gradient = _Likelihood(*planted)(at)
    assert value == pytest.approx(direct(*planted, at), rel=1e-9)
    slopes = approx_fprime(at, lambda x: direct(*planted, x), 1e-6)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-4, atol=1e-4)


def test_planted_weights_are_found() -> None:
    found = maximise_evidence(*plant(600, 5))
    assert found.weights[0] == pytest.approx(WEIGHTS[0], rel=0.5)
    assert found.weights[1] < 0.05
    assert found.weights[2] == pytest.approx(WEIGHTS[2], rel=0.5)
    assert found.nugget == pytest.approx(NUGGET, rel=0.4)


def weak(n: int, seed: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Return seven kernels that explain a little each, as `plant` does."""
    rng = np.random.default_rng(seed)
    inputs = [rng.normal(size=(n, 2)) for _ in range(7)]
    kernels = [np.exp(-((x[:, None] - x[None]) ** 2).sum(axis=2) / 2) for x in inputs]
    base, noise = np.full((n, n), 0.5), rng.uniform(0.05, 0.2, n)
    total = base + np.diag(noise + 0.1) + 0.02 * sum(kernels)
    return kernels, base, rng.multivariate_normal(np.zeros(n), total), noise


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("made", [plant, weak])
def test_the_start_on_some_pictures_leads_to_the_same_place(made, seed: int) -> None:
    """From a start far off, with many steps: as likely, but for the tolerance."""
    planted = made(330, seed)
    found = maximise_evidence(*planted)
    count = len(planted[0])
    start = Evidence(np.full(count, 0.05), 0.5, 0.0)
    slow = maximise_evidence(*planted, start=start, iterations=300, tolerance=1e-12)
    assert found.log_likelihood == pytest.approx(slow.log_likelihood, abs=0.02)


def test_without_kernels_the_nugget_explains_all() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(0.0, 1.2, 400)
    found = maximise_evidence([], np.zeros((400, 400)), target, np.zeros(400))
    assert len(found.weights) == 0
    assert found.nugget == pytest.approx(float(np.mean(target**2)), rel=1e-3)


def test_no_covariance_is_an_error() -> None:
    kernels, base, target, noise = plant(20, 0)
    kernels[0] = -100 * np.eye(20)
    with pytest.raises(PamelaError, match="no covariance"):
        maximise_evidence(kernels, base, target, noise)
