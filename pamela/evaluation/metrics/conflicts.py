"""Conflict pairs: two users who order the same two images in opposite ways.

For users u and v the counts over all their conflicts are entries (u, v) of matrices, so a
bootstrap that draws user u w_u times is a quadratic form, w' R w / w' C w, and never meets the
pairs again. A pair weighs the product of its users' weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.hashing import uniform
from pamela.evaluation.metrics.bootstrap import Draws
from pamela.evaluation.metrics.definitions import TOLERANCE
from pamela.evaluation.metrics.grouping import GroupedPredictions, pair_blocks

DENSE_USERS = 4000  # above this many users the matrices stay sparse
MAX_ORDERS = 4_000_000  # orders held at once; beyond, a fixed sample of the image pairs


@dataclass(frozen=True)
class Conflicts:
    """Conflicts by pair of users, (U, U) each; both (u, v) and (v, u) are filled.

    Attributes
    ----------
    count : conflicts of u with v; symmetric.
    side : per model, how many of these u's order is right in; a tied prediction counts half.
    both : per model, how many have both users' orders right (strictly); symmetric.
    """

    count: sparse.csr_array
    side: list[sparse.csr_array]
    both: list[sparse.csr_array]

    @property
    def n_pairs(self) -> int:
        """Number of conflicts."""
        return round(float(self.count.sum()) / 2.0)

    @property
    def n_users(self) -> int:
        """Number of users in at least one conflict."""
        return int((np.asarray(self.count.sum(axis=1)).ravel() > 0).sum())


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
    """Count every conflict of two users over two images of the same fold.

    A non-personal model orders the two images the same way for both users: it has one of the two
    right, or ties both, so its `side` is exactly half of its `count` and its `both` is 0.
    """
    user, pair, up, score = _orders(j)
    pairs, column = np.unique(pair, return_inverse=True)
    shape = (j.n_users, len(pairs))

    def orders(rows: Bools, weight: Floats) -> sparse.csr_array:
        return sparse.csr_array((weight[rows], (user[rows], column[rows])), shape=shape)

    one = np.ones(len(user))
    ups, downs = orders(up, one), orders(~up, one)
    opposite = ups @ downs.T
    count, side, both = _off_diagonal(opposite + opposite.T), [], []
    for m in range(j.n_models):
        right = score[:, m].astype(np.float64)
        side.append(_off_diagonal(orders(up, right) @ downs.T + orders(~up, right) @ ups.T))
        strict = (right == 1.0).astype(np.float64)
        won = orders(up, strict) @ orders(~up, strict).T
        both.append(_off_diagonal(won + won.T))
    return Conflicts(count, side, both)


def resampled_shares(c: Conflicts, draws: Draws) -> Shares:
    """Return the shares of conflicts that are right, with their resamples."""
    weight = _quadratic(c.count, draws.users)
    return Shares(*(_resample(c, one, weight, draws) for one in (c.side, c.both)))


def _resample(
    c: Conflicts, numerators: list[sparse.csr_array], weight: Floats, draws: Draws
) -> tuple[Floats, Floats]:
    whole = float(c.count.sum())
    point = np.array([float(r.sum()) / whole if whole else np.nan for r in numerators])
    top = np.stack([_quadratic(r, draws.users) for r in numerators], axis=1)
    resampled = np.divide(top, weight[:, None], out=np.full_like(top, np.nan),
                          where=weight[:, None] > 0)  # fmt: skip
    return point, resampled


def _quadratic(matrix: sparse.csr_array, w: Floats) -> Floats:
    """Return w' matrix w for every row of `w` (B, U)."""
    kernel = matrix.toarray() if matrix.shape[0] <= DENSE_USERS else matrix
    return np.einsum("bu,bu->b", w, (kernel @ w.T).T)


def _off_diagonal(matrix: sparse.sparray) -> sparse.csr_array:
    """Drop (u, u): a user who rated an image twice is in no conflict with himself."""
    entries = sparse.coo_array(matrix)
    kept = entries.row != entries.col
    return sparse.csr_array(
        (entries.data[kept], (entries.row[kept], entries.col[kept])), shape=entries.shape
    )


def _orders(j: GroupedPredictions) -> tuple[Ints, Ints, Bools, Floats]:
    """Return each user's order of each two images: user, image pair, direction, score (n, M)."""
    images = int(j.image.max(initial=0)) + 1
    share = _share_kept(j)
    users, pairs, ups, scores = [], [], [], []
    for a, b in pair_blocks(j.unit):
        gap = j.rating[b] - j.rating[a]
        pair = (j.fold[a] * images + j.image[a]) * images + j.image[b]
        kept = (np.abs(gap) > TOLERANCE) & (j.image[a] != j.image[b])
        if share < 1.0:
            kept &= uniform(pair) < share
        a, b, gap = a[kept], b[kept], gap[kept]
        users.append(j.user[a])
        pairs.append(pair[kept])
        ups.append(gap > 0)
        won = 0.5 + 0.5 * np.sign(gap)[:, None] * np.sign(j.mean[b] - j.mean[a])
        scores.append(won.astype(np.float32))
    if not users:
        none = np.zeros(0, np.int64)
        return none, none, none.astype(bool), np.zeros((0, j.n_models))
    return (
        np.concatenate(users),
        np.concatenate(pairs),
        np.concatenate(ups),
        np.concatenate(scores),
    )


def _share_kept(j: GroupedPredictions) -> float:
    """Return the share of image pairs that keeps the number of orders below `MAX_ORDERS`."""
    size = np.bincount(j.unit).astype(np.float64)
    total = float((size * (size - 1) / 2).sum())
    return min(1.0, MAX_ORDERS / total) if total else 1.0
