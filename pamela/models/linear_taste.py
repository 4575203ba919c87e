"""Models whose personal part is linear in known columns, with a Gaussian posterior of the weights.

What the API can do with such a model and no other: keep a person's posterior instead of working it
out for every call, and say which ratings would teach most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self, runtime_checkable

from pamela.core.arrays import Floats, Ints
from pamela.core.dataset import Choices, Items, Pairs, People
from pamela.models.base import Prediction
from pamela.models.random_effects.posterior import Prior


class LinearPart(Protocol):
    """Weights for one kind of picture, known or new: how they vary between people."""

    @property
    def prior(self) -> Prior:
        """Of the weights, and the noise of one rating."""
        ...

    @property
    def axes(self) -> Floats:
        """Eigenvectors (k, k) of the prior's covariance, in columns."""
        ...


class PairPredictor(Protocol):
    """Known people and pictures, ready to be paired."""

    def predict(self, person: Ints, picture: Ints) -> Prediction:
        """Predict what person i (rows,) thinks of picture i (rows,)."""
        ...

    def with_people(self, others: Self) -> Self:
        """Return the same with the people of `others` behind these."""
        ...


@runtime_checkable
class LinearTaste(Protocol):
    """A fitted model that scores ``base(picture) + columns(picture) @ weights(person)``."""

    @property
    def prior(self) -> Prior:
        """How weights for pictures that nobody rated vary between people, and the noise."""
        ...

    @property
    def parts(self) -> Sequence[LinearPart]:
        """What people have weights for, in the order of the columns: a picture has one part's."""
        ...

    def as_of_new(self, columns: Floats) -> Floats:
        """Return of pictures' columns (n, k) those that they would have if nobody rated them."""
        ...

    @property
    def axes(self) -> Floats:
        """Eigenvectors (k, k) of the prior's covariance, in columns: spreads are along them."""
        ...

    def columns(self, items: Items) -> tuple[Floats, Floats, Floats]:
        """Return base (n,), its variance (n,) and the columns (n, k) of pictures."""
        ...

    def weights_of(
        self,
        people: People,
        items: Items | None = None,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> tuple[Floats, Floats]:
        """Return weights (n, k) of people and their variances (n, k) along `axes`."""
        ...

    def opinion(
        self, columns: tuple[Floats, Floats, Floats], weights: Floats, spread: Floats
    ) -> Prediction:
        """Predict what one person of these weights (k,) thinks of pictures of these columns."""
        ...

    def pair_scores(
        self, columns: tuple[Floats, Floats, Floats], weights: Floats, spread: Floats
    ) -> PairPredictor:
        """Return what predicts any pairs of people of these weights (m, k) and these pictures."""
        ...
