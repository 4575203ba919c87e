"""How much people on the whole like each picture, from choices, with or without ratings.

A picture's strength is normal about the dataset's mean; what is known of it from ratings is a
normal message, and each choice between two pictures is one of Thurstone's
(`pamela.models.choices.thurstone`), whose noise here holds how people differ. The posterior is
Laplace's approximation: strengths by Newton's method (a sparse system, solved by conjugate
gradients), their variances by belief propagation on the graph of choices, which is exact on trees
and close elsewhere, in time linear in the choices. The spread of strengths, the noise and the
margin of a tie are fitted by expectation maximisation.

What the choices say of each picture alone, the prior divided out, is a message of the same form as
a mean of ratings: a Gaussian process can learn from both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from pamela.core.arrays import Floats, Floats32, Ints
from pamela.models.choices.thurstone import Thurstone, fit_thurstone

ITERATIONS = 30  # of the expectation maximisation
TOLERANCE = 1e-3  # relative change of spread and noise at which it ends
NEWTON_STEPS = 30
SWEEPS = 20  # of belief propagation
CLOSE = 1e-4  # internal units: Newton's method ends when no strength moves further
SMALLEST = 1e-4  # floor of a variance and of a precision
START_SPREAD = 0.25


@dataclass(frozen=True)
class Comparisons:
    """Who won between m pictures: int64 arrays `a`, `b` (n,) below m, `outcome` as in `Choices`."""

    a: Ints
    b: Ints
    outcome: Floats32

    def sums(self, first: Floats, second: Floats, pictures: int) -> Floats:
        """Return per picture the sum of `first` where it is `a` and of `second` where it is `b`."""
        found = np.bincount(self.a, first, pictures) + np.bincount(self.b, second, pictures)
        return found.astype(np.float64)


@dataclass(frozen=True)
class Known:
    """What is known of m strengths apart from choices, as normal messages.

    Attributes
    ----------
    mean, precision : arrays (m,), e.g. a mean rating and its precision; 0 where nothing is known.
    centre : the mean that strengths are drawn about.
    """

    mean: Floats
    precision: Floats
    centre: float


@dataclass(frozen=True)
class Strengths:
    """Strengths of m pictures.

    Attributes
    ----------
    mean, precision : arrays (m,), of the posterior.
    difference, variance : arrays (n,), of every choice's difference, by the posterior.
    spread : variance between strengths.
    """

    mean: Floats
    precision: Floats
    difference: Floats
    variance: Floats
    spread: float
    thurstone: Thurstone

    def message(self, centre: float) -> tuple[Floats, Floats]:
        """Return mean and precision (m,) of all that was learned, the prior divided out."""
        precision = np.maximum(self.precision - 1.0 / self.spread, SMALLEST)
        return (self.precision * self.mean - centre / self.spread) / precision, precision


def fit_strengths(
    made: Comparisons, known: Known, start: Thurstone, *, noise: float | None = None
) -> Strengths:
    """Fit strengths, their spread, noise and margin.

    Parameters
    ----------
    noise : keeps it at this, where nothing but choices says what a unit is.
    """
    begin = np.full(len(known.mean), known.centre)
    found = _laplace(made, known, begin, START_SPREAD, start)
    for _ in range(ITERATIONS):
        before = found
        squared = (found.mean - known.centre) ** 2 + 1 / found.precision
        thurstone = fit_thurstone(
            found.difference,
            made.outcome,
            found.thurstone,
            variance=found.variance,
            posterior=True,
            noise=noise,
        )
        spread = max(float(squared.mean()), SMALLEST)
        found = _laplace(made, known, found.mean, spread, thurstone)
        ratios = found.spread / before.spread, thurstone.noise / before.thurstone.noise
        if all(abs(ratio - 1) < TOLERANCE for ratio in ratios):
            break
    return found


def _laplace(
    made: Comparisons, known: Known, mean: Floats, spread: float, thurstone: Thurstone
) -> Strengths:
    pictures = len(mean)
    own = known.precision + 1.0 / spread
    for _ in range(NEWTON_STEPS):
        slope, curvature = thurstone.slopes(mean[made.a] - mean[made.b], made.outcome)
        gradient = known.precision * (known.mean - mean) - (mean - known.centre) / spread
        gradient += made.sums(slope, -slope, pictures)
        step = _solve(own, made, curvature, gradient)
        mean = mean + step
        if np.abs(step).max(initial=0.0) < CLOSE:
            break
    slope, curvature = thurstone.slopes(mean[made.a] - mean[made.b], made.outcome)
    precision, variance = _marginals(own, made, curvature)
    difference = mean[made.a] - mean[made.b]
    return Strengths(mean, precision, difference, variance, spread, thurstone)


def _solve(own: Floats, made: Comparisons, curvature: Floats, right: Floats) -> Floats:
    """Solve (diag(own) + weighted graph Laplacian) x = right."""
    pictures = len(own)
    diagonal = own + made.sums(curvature, curvature, pictures)
    rows, columns = np.concatenate([made.a, made.b]), np.concatenate([made.b, made.a])
    off = scipy.sparse.coo_array(
        (np.tile(-curvature, 2), (rows, columns)), shape=(pictures, pictures)
    )
    matrix = (off + scipy.sparse.diags_array(diagonal)).tocsr()
    inverse = scipy.sparse.linalg.LinearOperator(
        (pictures, pictures), matvec=lambda x: x.ravel() / diagonal
    )
    found, _ = scipy.sparse.linalg.cg(matrix, right, rtol=1e-6, M=inverse)
    return np.asarray(found, np.float64)


def _marginals(own: Floats, made: Comparisons, curvature: Floats) -> tuple[Floats, Floats]:
    """Return each picture's precision (m,) and the variance of each choice's difference (n,).

    Gaussian belief propagation. A choice of curvature h tells `a` about `b` with the precision
    1 / (1/h + variance of b without this choice).
    """
    pictures, apart = len(own), 1.0 / np.maximum(curvature, SMALLEST)
    to_a, to_b = np.zeros(len(made.a)), np.zeros(len(made.a))
    for _ in range(SWEEPS):
        precision = own + made.sums(to_a, to_b, pictures)
        to_a, to_b = (
            1.0 / (apart + 1.0 / (precision[made.b] - to_b)),
            1.0 / (apart + 1.0 / (precision[made.a] - to_a)),
        )
    precision = own + made.sums(to_a, to_b, pictures)
    before = 1.0 / (precision[made.a] - to_a) + 1.0 / (precision[made.b] - to_b)
    return precision, 1.0 / (1.0 / before + 1.0 / apart)
