"""Conflict pairs: two users who order the same two images in opposite ways.

A bootstrap that draws user u w_u times counts a conflict of u with v w_u w_v times. Summed over
the users who order a pair of images one way and those who order it the other way, this is a product
of two sums of weights: no draw meets a pair of users. Where users are fewer than their orders, all
image pairs are added up into matrices of users by users first, and a draw is a quadratic form.
All sums are of halves and exact in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pamela.core.arrays import Bools, Floats, Floats32, Ints
from pamela.core.hashing import uniform
from pamela.evaluation.metrics.bootstrap import Draws
from pamela.evaluation.metrics.definitions import TOLERANCE
from pamela.evaluation.metrics.grouping import GroupedPredictions, pair_blocks, run_starts

MAX_ORDERS = 4_000_000  # orders held at once; beyond, a fixed sample of the image pairs
FEW = 4  # cells of a matrix of users by users that cost as much as an order
PAIRS, DRAWS = 1 << 14, 64  # image pairs and draws that are weighed at once: they fit in a cache
EXACT = float(1 << 22)  # halves are added exactly in single precision up to twice this


class Sides(NamedTuple):
    """A number for each user's order of each image pair, (P, U): orders upwards, and downwards."""

    up: sparse.csr_array
    down: sparse.csr_array


@dataclass(frozen=True)
class Conflicts:
    """Orders of image pairs that two users order in opposite ways.

    Attributes
    ----------
    orders : 1 for every order.
    right : per model, 1 for the orders that are right.
    tied : per model, 1 for those that it ties, which count one half.
    """

    orders: Sides
    right: list[Sides]
    tied: list[Sides]

    @cached_property
    def by_user(self) -> Floats:
        """Number of every user's conflicts (U,)."""
        up, down = self.orders
        against = up.T @ down.sum(axis=1) + down.T @ up.sum(axis=1)
        return np.asarray(against, np.float64) - 2.0 * _own(up, down)

    def of_pairs(self, begin: int, end: int) -> Conflicts:
        """Return what is about some of the image pairs."""

        def some(sides: Sides) -> Sides:
            return Sides(*(one[begin:end] for one in sides))

        return Conflicts(
            some(self.orders), [some(one) for one in self.right], [some(one) for one in self.tied]
        )

    @property
    def n_pairs(self) -> int:
        """Number of conflicts."""
        return round(float(self.by_user.sum()) / 2.0)

    @property
    def n_users(self) -> int:
        """Number of users in at least one conflict."""
        return int((self.by_user > 0).sum())


class Sums(NamedTuple):
    """What conflicts weigh under every row of some weights, (B,) and per model (B, M).

    Attributes
    ----------
    total : all of them.
    side : single orders that are right, a tied one counting half.
    both : conflicts with both orders right (strictly).
    """

    total: Floats
    side: Floats
    both: Floats


class Shares(NamedTuple):
    """Shares (M,) of the conflicts, each with its resamples (B, M); NaN where there is none.

    Attributes
    ----------
    side : single orders that are right.
    both : conflicts with both orders right.
    """

    side: tuple[Floats, Floats]
    both: tuple[Floats, Floats]


def find_conflicts(j: GroupedPredictions) -> Conflicts:
    """Find every conflict of two users over two images of the same fold.

    A non-personal model orders the two images the same way for both users: it has one of the two
    right, or ties both, so its `side` is exactly the number of conflicts and its `both` is 0.
    """
    first, second, pair = _orders(j)
    order = np.argsort(pair, kind="stable")
    first, second, starts = first[order], second[order], run_starts(pair[order])
    up = j.rating[second] > j.rating[first]
    if len(starts):  # pairs that all order the same way are in no conflict
        size = np.diff(np.r_[starts, len(up)])
        ups = np.add.reduceat(up.astype(np.int64), starts)
        kept = np.repeat((ups > 0) & (ups < size), size)
        first, second, up = first[kept], second[kept], up[kept]
        starts = run_starts(pair[order][kept])
    bounds, user = np.r_[starts, len(up)], j.user[first]

    def rows(which: Bools) -> sparse.csr_array:
        begin = np.r_[0, np.cumsum(which)][bounds]
        ones = np.ones(int(begin[-1]), np.float32)
        return sparse.csr_array((ones, user[which], begin), shape=(len(bounds) - 1, j.n_users))

    def sides(which: Bools) -> Sides:
        return Sides(rows(which & up), rows(which & ~up))

    gap = np.where(up, 1.0, -1.0)
    guesses = [gap * (column[second] - column[first]) for column in j.mean.T]
    return Conflicts(
        sides(np.ones(len(up), np.bool_)),
        [sides(guess > 0) for guess in guesses],
        [sides(guess == 0) for guess in guesses],
    )


def resampled_shares(c: Conflicts, draws: Draws) -> Shares:
    """Return the shares of conflicts that are right, with their resamples."""
    point = _sums_by_pair(c, np.ones((1, draws.users.shape[1])))
    up, down = c.orders
    few = draws.users.shape[1] ** 2 <= FEW * (up.nnz + down.nnz)
    resampled = (_sums_by_user if few else _sums_by_pair)(c, draws.users)
    return Shares(
        (_quotient(point.side, 2.0 * point.total)[0],
         _quotient(resampled.side, 2.0 * resampled.total)),
        (_quotient(point.both, point.total)[0], _quotient(resampled.both, resampled.total)),
    )  # fmt: skip


def _quotient(top: Floats, bottom: Floats) -> Floats:
    whole = bottom[:, None]
    return np.divide(top, whole, out=np.full_like(top, np.nan), where=whole > 0)


def _sums_by_user(c: Conflicts, weights: Floats) -> Sums:
    """Weigh conflicts by quadratic forms in the users' weights (B, U)."""

    def form(products: sparse.csr_array) -> Floats:
        matrix = products.toarray().astype(np.float64)
        np.fill_diagonal(matrix, 0.0)  # who rated an image twice is in no conflict with himself
        return np.einsum("bu,bu->b", weights, weights @ matrix)

    up, down = c.orders
    side, both = [], []
    for right, tied in zip(c.right, c.tied, strict=True):
        won = Sides(*(r + 0.5 * t for r, t in zip(right, tied, strict=True)))
        side.append(form(won.up.T @ down + up.T @ won.down))
        both.append(form(right.up.T @ right.down))
    return Sums(form(up.T @ down), np.stack(side, axis=1), np.stack(both, axis=1))


def _sums_by_pair(c: Conflicts, weights: Floats) -> Sums:
    """Weigh conflicts pair by pair of images."""
    columns = [
        np.ascontiguousarray(weights[begin : begin + DRAWS].T, np.float32)
        for begin in range(0, len(weights), DRAWS)
    ]
    models = len(c.right)
    found = np.zeros((1 + 2 * models, len(weights)))
    for begin in range(0, c.orders.up.shape[0], PAIRS):
        some = c.of_pairs(begin, begin + PAIRS)
        found += np.concatenate([_weighed(some, block) for block in columns], axis=1)
    found -= _own_conflicts(c) @ np.square(weights).T
    return Sums(found[0], found[1 : 1 + models].T, found[1 + models :].T)


def _weighed(c: Conflicts, weights: Floats32) -> Floats:
    """Return count, side and both of every model (1 + 2 M, B) under weights (U, B)."""
    up, down = (one @ weights for one in c.orders)
    count = _dot(up, down)
    if weights.dtype == np.float32 and count.max(initial=0.0) > EXACT:  # no other sum is larger
        return _weighed(c, weights.astype(np.float64))
    side, both = [], []
    for right, tied in zip(c.right, c.tied, strict=True):
        won = [one @ weights for one in right]
        both.append(_dot(*won))
        for mine, half in zip(won, tied, strict=True):
            if half.nnz:
                mine += 0.5 * (half @ weights)
        side.append(_dot(won[0], down) + _dot(up, won[1]))
    return np.stack([count, *side, *both]).astype(np.float64, copy=False)


def _dot(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.einsum("pb,pb->b", a, b)


def _own_conflicts(c: Conflicts) -> Floats:
    """Return what `_weighed` counts of users with themselves, who rated an image twice."""
    up, down = c.orders
    count = _own(up, down)
    if not count.any():
        return np.zeros((1 + 2 * len(c.right), len(count)))
    side = [
        _own(right.up + 0.5 * tied.up, down) + _own(up, right.down + 0.5 * tied.down)
        for right, tied in zip(c.right, c.tied, strict=True)
    ]
    return np.stack([count, *side, *(_own(*right) for right in c.right)])


def _own(a: sparse.csr_array, b: sparse.csr_array) -> Floats:
    """Return the sum over image pairs of both numbers of every user (U,)."""
    return np.asarray(a.multiply(b).sum(axis=0), np.float64).ravel()


def _orders(j: GroupedPredictions) -> tuple[Ints, Ints, Ints]:
    """Return each user's orders of two images: the rows of the two, and which image pair it is.

    Beyond `MAX_ORDERS` those of a fixed sample of the image pairs.
    """
    images = int(j.image.max(initial=0)) + 1
    share = _share_kept(j)
    found = [(np.zeros(0, np.int64),) * 3]
    for a, b in pair_blocks(j.unit):
        pair = (j.fold[a] * images + j.image[a]) * images + j.image[b]
        if share < 1.0:
            kept = np.flatnonzero(uniform(pair) < share)
            a, b, pair = a[kept], b[kept], pair[kept]
        kept = np.flatnonzero(
            (np.abs(j.rating[b] - j.rating[a]) > TOLERANCE) & (j.image[a] != j.image[b])
        )
        found.append((a[kept], b[kept], pair[kept]))
    first, second, pair = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return first, second, pair


def _share_kept(j: GroupedPredictions) -> float:
    """Return the share of image pairs that keeps the number of orders below `MAX_ORDERS`."""
    size = np.bincount(j.unit).astype(np.float64)
    total = float((size * (size - 1) / 2).sum())
    return min(1.0, MAX_ORDERS / total) if total else 1.0
