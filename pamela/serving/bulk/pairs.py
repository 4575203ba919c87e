"""What predicts the pairs of a table: any person of the model, or beside it, on any known picture.

The numbers are those of `Reward.score`. Where a model is linear in people's taste, what it makes of
every picture and of everybody is held, and a pair costs two short sums; any other model is asked
for the pairs themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from pamela.core.arrays import Floats, Ints
from pamela.core.dataset import Items, Pairs, People
from pamela.models.base import Prediction
from pamela.models.linear_taste import LinearTaste
from pamela.serving.user_context import UserContext, UserContexts

PICTURES_AT_ONCE: Final = 2048  # whose columns are worked out together: a kernel is as wide


class PairModel(Protocol):
    """Predicts pairs."""

    def predict(self, person: Ints, picture: Ints, others: Sequence[UserContext]) -> Prediction:
        """Predict what person i (rows,) thinks of picture i (rows,).

        Parameters
        ----------
        person : rows of the bundle's people, and behind them places in `others`.
        picture : rows of its catalog.
        """
        ...


def pair_model(contexts: UserContexts) -> PairModel:
    """Return what predicts the pairs of a table."""
    linear = contexts.linear
    return AnyPairs(contexts) if linear is None else LinearPairs(contexts, linear)


class LinearPairs:
    """Pairs of a model that is linear in people's taste."""

    def __init__(self, contexts: UserContexts, linear: LinearTaste) -> None:
        bundle = contexts.bundle
        self._linear = linear
        self._columns = _columns(linear, bundle.items)
        self._known = linear.pair_scores(self._columns, *linear.weights_of(bundle.people))

    def predict(self, person: Ints, picture: Ints, others: Sequence[UserContext]) -> Prediction:
        """Predict pairs."""
        scores = self._known
        tastes = [one.taste for one in others if one.taste is not None]
        if tastes:
            base, variance, columns = self._columns
            nothing = base[:0], variance[:0], columns[:0]
            weights, spread = (np.stack(arrays) for arrays in zip(*tastes, strict=True))
            scores = scores.with_people(self._linear.pair_scores(nothing, weights, spread))
        return scores.predict(person, picture)


def _columns(linear: LinearTaste, items: Items) -> tuple[Floats, Floats, Floats]:
    """Return the columns of all pictures, some at a time."""
    begins = range(0, max(len(items), 1), PICTURES_AT_ONCE)
    ends = (min(begin + PICTURES_AT_ONCE, len(items)) for begin in begins)
    parts = [
        linear.columns(items.take(np.arange(begin, end)))
        for begin, end in zip(begins, ends, strict=True)
    ]
    base, variance, columns = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return base, variance, columns


class AnyPairs:
    """Pairs of any model."""

    def __init__(self, contexts: UserContexts) -> None:
        self._contexts, self._bundle = contexts, contexts.bundle

    def predict(self, person: Ints, picture: Ints, others: Sequence[UserContext]) -> Prediction:
        """Predict pairs."""
        known = np.flatnonzero(person < len(self._bundle.people))
        mean, std = (np.empty(len(person), np.float32) for _ in range(2))
        parts = [(known, self._of_known(person[known], picture[known]))]
        for code, context in enumerate(others, len(self._bundle.people)):
            rows = np.flatnonzero(person == code)
            items = self._bundle.items.take(picture[rows])
            parts.append((rows, self._contexts.predict(context, items)))
        for rows, found in parts:
            mean[rows], std[rows] = found.mean, found.std
        return Prediction(mean, std)

    def _of_known(self, person: Ints, picture: Ints) -> Prediction:
        who, user = np.unique(person, return_inverse=True)
        which, item = np.unique(picture, return_inverse=True)
        pairs = Pairs(user, item, np.zeros(len(user), np.float32))
        people = People(self._bundle.people.frame[who])
        return self._bundle.model.predict(self._bundle.items.take(which), people, pairs)
