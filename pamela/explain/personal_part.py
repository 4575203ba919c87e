"""The personal part of a score: a person's score less that of somebody nobody knows.

From any model's own predictions. A model whose taste is linear in known columns (`hierarchical`)
also says how sure it is of the person, as draws from the posterior of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl
from scipy.optimize import brentq

from pamela.core.arrays import Floats, Ints
from pamela.core.dataset import Choices, Items, Pairs, People
from pamela.models.base import RewardModel
from pamela.models.linear_taste import LinearTaste

SMALLEST: Final = 1e-12
FEWEST, MOST = float(np.log(1e-3)), float(np.log(1e9))  # ratings that a person may have given


@dataclass(frozen=True)
class Context:
    """Ratings and choices shown of one person (0) absent from training, over `items`."""

    items: Items
    ratings: Pairs
    choices: Choices = field(default_factory=Choices.empty)

    def after(self, first: int) -> tuple[Pairs, Choices]:
        """Return ratings and choices with the pictures counted from `first`."""
        rated, chosen = self.ratings, self.choices
        return (
            Pairs(rated.user, rated.item + first, rated.rating),
            Choices(chosen.user, chosen.a + first, chosen.b + first, chosen.outcome),
        )


@dataclass(frozen=True)
class PersonalPart:
    """One person's personal part on n pictures, in points of the 1..5 scale.

    Attributes
    ----------
    mean : array (n,).
    draws : array (d, n) from the model's posterior of the person; None where it has none.
    common : array (n,), the score of somebody nobody knows.
    """

    mean: Floats
    draws: Floats | None
    common: Floats


class PredictedParts:
    """Personal parts on `items` from predictions, against `cold_start_user` (one row)."""

    def __init__(self, model: RewardModel, items: Items, cold_start_user: People) -> None:
        self.model, self.items, self.cold_start_user = model, items, cold_start_user

    @cached_property
    def _common(self) -> Floats:
        return self._predict(self.cold_start_user, None)

    def _predict(self, person: People, context: Context | None) -> Floats:
        n = len(self.items)
        pairs = Pairs(np.zeros(n, np.int64), np.arange(n), np.zeros(n, np.float32))
        if context is None:
            return self.model.predict(self.items, person, pairs).mean.astype(np.float64)
        both = Items(
            pl.concat([self.items.frame, context.items.frame.select(self.items.frame.columns)]),
            np.concatenate([self.items.image, context.items.image]),
            np.concatenate([self.items.prompt, context.items.prompt]),
        )
        return self.model.predict(both, person, pairs, *context.after(n)).mean.astype(np.float64)

    def of(self, person: People, context: Context | None, *, draws: int, seed: int) -> PersonalPart:
        """Return the personal part of `person` (one row).

        Parameters
        ----------
        context : what the person rated and chose, for somebody absent from training.
        draws : how many draws of a posterior; the same seed gives the same draws.
        """
        return PersonalPart(self._predict(person, context) - self._common, None, self._common)

    def spreads(self, people: People) -> Floats:
        """Return the size of each person's taste, (people,): the standard deviation of their part.

        Over the pictures; how high they rate on the whole is left out.
        """
        n, k = len(people), len(self.items)
        user, item = np.repeat(np.arange(n), k), np.tile(np.arange(k), n)
        pairs = Pairs(user, item, np.zeros(n * k, np.float32))
        scores = self.model.predict(self.items, people, pairs).mean.reshape(n, k)
        found: Floats = (scores.astype(np.float64) - self._common).std(axis=1)
        return found


class LinearParts:
    """Personal parts as ``columns @ (weights - those of a cold-start user)``, with draws."""

    def __init__(self, model: LinearTaste, items: Items, cold_start_user: People) -> None:
        self.model = model
        base, _, self.columns = model.columns(items)
        self.usual = model.weights_of(cold_start_user)[0][0].astype(np.float64)
        self.common: Floats = base + self.columns @ self.usual

    def of(self, person: People, context: Context | None, *, draws: int, seed: int) -> PersonalPart:
        """Return the personal part of `person`; see `PredictedParts.of`."""
        shown = () if context is None else (context.items, *context.after(0))
        mean, variance = self.model.weights_of(person, *shown)
        part = self.columns @ (mean[0].astype(np.float64) - self.usual)
        noise = np.zeros((draws, len(part)))
        for one in self._uncertain:
            left = np.asarray(variance[0][one.where], np.float64)
            noise[:, one.rows] = one.axes.draw(left, draws, seed) @ one.along.T
        return PersonalPart(part, part + noise, self.common)

    def spreads(self, people: People) -> Floats:
        """Return the size of each person's taste; see `PredictedParts.spreads`."""
        weights = self.model.weights_of(people)[0] - self.usual
        found: Floats = (weights @ (self.columns - self.columns.mean(axis=0)).T).std(axis=1)
        return found

    @cached_property
    def _uncertain(self) -> list[UncertainPart]:
        """Return what people have weights for; a picture's columns are those of one part."""
        found, begin = [], 0
        for part in self.model.parts:
            where = slice(begin, begin + len(part.axes))
            begin = where.stop
            rows = np.flatnonzero(self.columns[:, where].any(axis=1))
            if not len(rows):
                continue
            columns, prior = self.columns[rows, where], part.prior
            axes = Axes.of(columns, prior.covariance, prior.rating_variance, part.axes)
            found.append(UncertainPart(rows, where, axes, columns @ part.axes))
        return found


@dataclass(frozen=True)
class UncertainPart:
    """Pictures of which a person has the same weights.

    Attributes
    ----------
    rows : int64 array (m,), the pictures.
    where : their columns among all.
    along : array (m, k), the columns along the axes.
    """

    rows: Ints
    where: slice
    axes: Axes
    along: Floats


@dataclass(frozen=True)
class Axes:
    """How the weights' deviations along the prior's axes go together.

    A model keeps each posterior's variances along the axes, not its correlations; taking the axes
    as independent would make intervals about 1.8 times too wide. The correlations are taken from
    the posterior after m ratings of average pictures, with the m that would leave as much known
    along the axes (precisions, in units of the prior's, add up to the same).

    Attributes
    ----------
    turned : array (k, k); ``turned @ turned.T`` is the prior's covariance along the axes.
    values : array (k,), what one rating tells along each column of `turned`.
    """

    turned: Floats
    values: Floats

    @classmethod
    def of(cls, columns: Floats, covariance: Floats, noise: float, axes: Floats) -> Axes:
        """Prepare for a prior's `covariance`, a rating's variance `noise` and `axes` in columns."""
        root = np.linalg.cholesky(covariance)
        information = root.T @ (columns.T @ columns / len(columns)) @ root / noise
        values, vectors = np.linalg.eigh(information)
        return cls(axes.T @ root @ vectors, np.maximum(values, 0.0))

    def draw(self, variance: Floats, draws: int, seed: int) -> Floats:
        """Draw deviations (draws, k) whose variances along the axes are `variance` (k,)."""
        left = 1.0 / (1.0 + self._ratings(variance) * self.values)
        usual = np.maximum(self.turned**2 @ left, SMALLEST)
        normal = np.random.default_rng([seed, 1]).normal(size=(draws, len(left)))
        drawn: Floats = (normal * np.sqrt(left)) @ self.turned.T
        return drawn * np.sqrt(np.maximum(variance, 0.0) / usual)

    def _ratings(self, variance: Floats) -> float:
        """Return the m of the class's description."""
        squared = self.turned**2
        prior = squared.sum(axis=1)
        known = float((prior / np.maximum(variance, SMALLEST)).sum())

        def beyond(log_ratings: float) -> float:
            left = squared @ (1.0 / (1.0 + np.exp(log_ratings) * self.values))
            return known - float((prior / np.maximum(left, SMALLEST)).sum())

        if beyond(FEWEST) <= 0:  # nothing is known but the prior
            return 0.0
        if beyond(MOST) >= 0:
            return float(np.exp(MOST))
        return float(np.exp(brentq(beyond, FEWEST, MOST)))


def parts_of(
    model: RewardModel, items: Items, cold_start_user: People
) -> PredictedParts | LinearParts:
    """Return how to find personal parts on `items`, against `cold_start_user` (one row)."""
    if isinstance(model, LinearTaste):
        return LinearParts(model, items, cold_start_user)
    return PredictedParts(model, items, cold_start_user)
