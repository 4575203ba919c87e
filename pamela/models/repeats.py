"""Several ratings of one picture by one person: their mean, and how much more it says than one.

A rating strays from what a model can know in two ways: the person's opinion of the picture is not
what the columns say, which every pass repeats, and the passes differ among themselves, which their
mean evens out. The mean of n passes therefore counts ``1 / (stable + (1 - stable) / n)`` ratings,
between 1 and n, where ``stable`` is the share of the variance that passes repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from pamela.core.arrays import Floats, Ints
from pamela.core.dataset import Pairs

NO_REPEATS: Final = 1.0  # the stable share where nobody rated a picture twice: weights are one


def averaged(pairs: Pairs) -> tuple[Pairs, Ints]:
    """Return one pair per person and picture with the mean rating, and how many ratings it is of.

    Without repeats these are the same `pairs`, in their order; else they are sorted.
    """
    if not len(pairs):
        return pairs, np.zeros(0, np.int64)
    key = pairs.user * (pairs.item.max() + 1) + pairs.item
    steps = np.diff(key)
    order = None
    if (steps < 0).any():
        order = np.lexsort((pairs.rating, key))
        steps = np.diff(key[order])
    if (steps > 0).all():
        return pairs, np.ones(len(pairs), np.int64)
    rows = pairs if order is None else pairs.take(order)
    starts = np.flatnonzero(np.r_[True, steps > 0])
    count = np.diff(np.r_[starts, len(rows)])
    mean = np.add.reduceat(rows.rating.astype(np.float64), starts) / count
    first = rows.take(starts)
    return Pairs(first.user, first.item, mean.astype(np.float32)), count.astype(np.int64)


def stable_share(pairs: Pairs, residual: Floats) -> float:
    """Return the share of a rating's variance that repeats, `NO_REPEATS` without any.

    Parameters
    ----------
    pairs : all ratings, sorted by user and picture.
    residual : of each of the `averaged` pairs, its deviation that is to be explained.
    """
    return repeat_sums(pairs, *averaged(pairs), residual).stable


@dataclass(frozen=True)
class RepeatSums:
    """What ratings say of how much passes repeat; the sums of all people's are added up.

    Attributes
    ----------
    ratings, means, people : how many, of distinct pictures, by so many.
    within : sum of squares of ratings about the mean of their passes.
    centred : sum of squares of the means' residuals about each person's own.
    inverse : sum over the means of one over their number of ratings.
    """

    ratings: int
    means: int
    people: int
    within: float
    centred: float
    inverse: float

    @classmethod
    def none(cls) -> Self:
        """Return the sums of no ratings."""
        return cls(0, 0, 0, 0.0, 0.0, 0.0)

    def __add__(self, other: RepeatSums) -> RepeatSums:
        return RepeatSums(
            self.ratings + other.ratings,
            self.means + other.means,
            self.people + other.people,
            self.within + other.within,
            self.centred + other.centred,
            self.inverse + other.inverse,
        )

    @property
    def stable(self) -> float:
        """The share of a rating's variance that repeats, `NO_REPEATS` without any repeats."""
        more = self.ratings - self.means
        if not more:
            return NO_REPEATS
        passes = self.within / more
        freedom = max(self.means - self.people, 1)
        total = self.centred / freedom - passes * self.inverse / self.means + passes
        share = float(np.clip(1.0 - passes / max(total, passes), 0.0, 1.0))
        return share if total > 0 else NO_REPEATS


def repeat_sums(pairs: Pairs, means: Pairs, count: Ints, residual: Floats) -> RepeatSums:
    """Return the sums of some people's sorted ratings.

    Parameters
    ----------
    means, count : as of `averaged`.
    residual : of each of the means, its deviation that is to be explained.
    """
    away = pairs.rating.astype(np.float64) - np.repeat(means.rating.astype(np.float64), count)
    _, place, rows = np.unique(means.user, return_inverse=True, return_counts=True)
    centred = residual - (np.bincount(place, residual) / rows)[place]
    return RepeatSums(
        len(pairs),
        len(means),
        len(rows),
        float(away @ away),
        float(centred @ centred),
        float((1.0 / count).sum()),
    )


def weights_of(count: Ints, stable: float) -> Floats:
    """Return how many ratings means of `count` ratings are worth."""
    found: Floats = 1.0 / (stable + (1.0 - stable) / count)
    return found


def weighted(features: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return rows (n, k) and targets (n,) such that in sums of squares each counts its weight."""
    if (weight == 1.0).all():
        return features, y
    root = np.sqrt(weight)
    return features * root[:, None], y * root
