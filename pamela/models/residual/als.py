"""Alternating least squares for a matrix of ratings whose item factors regress on features.

Minimises, over people u, pictures i and the rated cells (u, i),

    sum (y_ui - b_u - p_u . q_i)^2 + level b_u^2 + strength (|p_u|^2 + |q_i - W' x_i|^2)
                                   + strength SHRINK |W|^2

one block at a time, each in closed form (matrix factorisation with a regression on features:
Agarwal & Chen 2009). A picture nobody rated has the factors ``W' x``. Every step is a product of
the sparse matrix of ratings with a dense one: linear in ratings, without a loop over rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pamela.core.arrays import Floats, Ints

SHRINK = 3.0  # pictures' worth of evidence that a feature moves no factor
SWEEPS = 12


@dataclass(frozen=True)
class Cells:
    """The rated cells of a (people, pictures) matrix.

    Attributes
    ----------
    count : sparse (users, m), how often each cell was rated.
    total : sparse (users, m), sums of y.
    """

    count: sparse.csr_array
    total: sparse.csr_array

    @classmethod
    def make(cls, user: Ints, item: Ints, y: Floats, shape: tuple[int, int]) -> Cells:
        """Collect rows; a cell rated twice counts twice."""
        ones = np.ones(len(y))
        return cls(
            sparse.csr_array((ones, (user, item)), shape=shape),
            sparse.csr_array((y, (user, item)), shape=shape),
        )


@dataclass(frozen=True)
class Factors:
    """What explains the cells: ``level[u] + p[u] @ q[i]``.

    Attributes
    ----------
    level, p : arrays (users,) and (users, r), the people.
    q : array (m, r), the pictures.
    projection : array (d, r), W.
    """

    level: Floats
    p: Floats
    q: Floats
    projection: Floats


def factorise(
    cells: Cells, features: Floats, start: Floats, *, level: float, strength: float
) -> Factors:
    """Factorise from the projection `start`.

    Parameters
    ----------
    features : array (m, d) of the pictures, without a constant.
    start : array (d, r), the projection to begin with.
    level : penalty on a person's level.
    strength : penalty on factors.
    """
    gram = features.T @ features + SHRINK * np.eye(features.shape[1])
    regress = np.linalg.solve(gram, features.T)
    by_item = Cells(cells.count.T.tocsr(), cells.total.T.tocsr())
    projection, q = start, features @ start
    b, p = np.zeros(cells.count.shape[0]), np.zeros((cells.count.shape[0], start.shape[1]))
    penalty = np.diag(np.r_[level, np.full(start.shape[1], strength)])
    for _ in range(SWEEPS):
        b, p = _people(cells, q, penalty)
        own = _solve(
            by_item.count,
            p,
            by_item.total @ p - by_item.count @ (b[:, None] * p) + strength * features @ projection,
            strength * np.eye(p.shape[1]),
        )
        projection = regress @ own
        q = own
    b, p = _people(cells, q, penalty)
    return Factors(b, p, q, projection)


def leading_directions(weights: Floats, rank: int) -> Floats:
    """Return a projection (d, rank) that explains most of people's weights (users, d).

    Its rank is at most d: 0 where the pictures' features do not differ.
    """
    if not weights.shape[1]:
        return np.zeros((0, 0))
    _, spread, rows = np.linalg.svd(weights, full_matrices=False)
    rank = min(rank, len(spread))
    rows, spread = rows[:rank], spread[:rank]
    largest = np.abs(rows).argmax(axis=1)
    signs = np.where(rows[np.arange(rank), largest] < 0, -1.0, 1.0)
    return (rows * (signs * np.sqrt(spread))[:, None]).T


def _people(cells: Cells, q: Floats, penalty: Floats) -> tuple[Floats, Floats]:
    columns = np.concatenate([np.ones((len(q), 1)), q], axis=1)
    found = _solve(cells.count, columns, cells.total @ columns, penalty)
    return found[:, 0], found[:, 1:]


def _solve(count: sparse.csr_array, columns: Floats, right: Floats, penalty: Floats) -> Floats:
    """Return the ridge solutions (n, k) of all n rows of `count` on `columns` (m, k)."""
    k = columns.shape[1]
    outer = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), k * k)
    gram = (count @ outer).reshape(count.shape[0], k, k) + penalty
    solved: Floats = np.linalg.solve(gram, right[:, :, None])[:, :, 0]
    return solved
