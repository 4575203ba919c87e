"""A person's weights from choices, with or without ratings: expectation propagation.

A choice between `a` and `b` is one of Thurstone's (`pamela.models.choices.thurstone`) on the
difference ``base + (columns[a] - columns[b]) @ w``. Each stands for a rating of that difference, a
row of a Gaussian with a reading and a precision of its own, chosen such that mean and variance of
the difference come out as the choice itself would have them, given everything else (Minka 2001;
where the rest leaves no doubt this is a step of Newton's method). Then the weights are those of
these rows and of the ratings (`pamela.models.random_effects`). A few rounds suffice. Laplace's
approximation, at the most likely weights, takes tastes for far more alike than they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from pamela.core.arrays import Bools, Floats, Floats32, Ints
from pamela.core.dataset import Choices
from pamela.models.choices.thurstone import Thurstone
from pamela.models.random_effects.posterior import (
    Posterior,
    Prior,
    SufficientStatistics,
    noise_of_one,
    noise_of_people,
    posterior,
    posterior_given_noise,
    predict_rows,
)

ROUNDS = 20  # at most; mostly 5 do
CLOSE = 1e-3  # internal units: it ends when no difference moves further
LEAST_PRECISION = 1e-6  # of a choice that says nothing
SMALLEST = 1e-10  # floor of a variance
LEAST_LEFT = 1e-6  # of the variance of a difference, once its choice is known


@dataclass(frozen=True)
class Sites:
    """What n choices say of their differences (less the base): Gaussian messages.

    Attributes
    ----------
    precision, moment : arrays (n,), of each; the reading is moment / precision.
    """

    precision: Floats
    moment: Floats

    @classmethod
    def none(cls, count: int) -> Self:
        """Return messages that say nothing."""
        return cls(np.full(count, LEAST_PRECISION), np.zeros(count))

    def take(self, rows: Ints | Bools | slice) -> Sites:
        """Return these messages."""
        return Sites(self.precision[rows], self.moment[rows])

    def without(self, mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
        """Return what all else says of the differences: mean and variance (n,).

        Parameters
        ----------
        mean, variance : arrays (n,), what everything says.
        """
        precision = 1.0 / np.maximum(variance, SMALLEST)
        rest = np.maximum(precision - self.precision, 1e-3 * precision)
        return (precision * mean - self.moment) / rest, 1.0 / rest


@dataclass(frozen=True)
class ChoiceRows:
    """n choices as rows of people's weights, sorted by user.

    Attributes
    ----------
    user : int64 array (n,), rows of the people at hand.
    features : array (n, k), columns of `a` less those of `b`.
    base : array (n,), the same of the scores without a person.
    outcome : as in `Choices`.
    kind : int64 array (n,), which of `choosing` a choice follows.
    choosing : how people choose, by dataset.
    overall : by dataset, what noise and the variance of taste make together, as a noise, where that
        is all that says what a unit is; else None.
    """

    user: Ints
    features: Floats
    base: Floats
    outcome: Floats32
    kind: Ints
    choosing: tuple[Thurstone, ...]
    overall: tuple[float | None, ...] = ()

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def make(
        cls,
        chosen: Choices,
        base: Floats,
        columns: Floats,
        kinds: Ints,
        choosing: Sequence[Thurstone],
    ) -> Self:
        """Return the rows of choices, which are sorted by user.

        Parameters
        ----------
        base, columns, kinds : arrays (m,), (m, k) and (m,), of the pictures that `chosen` names.
        """
        return cls(
            chosen.user,
            columns[chosen.a] - columns[chosen.b],
            base[chosen.a] - base[chosen.b],
            chosen.outcome,
            kinds[chosen.a],
            tuple(choosing),
        )

    def take(self, rows: Ints | Bools | slice) -> ChoiceRows:
        """Return these rows."""
        names = ("user", "features", "base", "outcome", "kind")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def slice_of(self, first: int, last: int) -> slice:
        """Return where the rows of the users from `first` to before `last` are."""
        return slice(*np.searchsorted(self.user, [first, last]).tolist())

    def of_users(self, first: int, last: int) -> ChoiceRows:
        """Return the rows of the users from `first` to before `last`, who are numbered from 0."""
        found = self.take(self.slice_of(first, last))
        return replace(found, user=found.user - first)

    def statistics(self, sites: Sites, users: int) -> SufficientStatistics:
        """Return the sums, per user, of rows of noise one that say what `sites` do."""
        root = np.sqrt(sites.precision)
        return SufficientStatistics.collect(
            self.user, root[:, None] * self.features, sites.moment / root, users
        )

    def sites(self, mean: Floats, variance: Floats) -> Sites:
        """Return what the choices say where all else says `mean` and `variance` (n,) of each.

        Such that both together have the mean and the variance that the choice itself would give.
        """
        slope, curvature = np.empty(len(self)), np.empty(len(self))
        difference = self.base + mean
        for kind, made in enumerate(self.choosing):
            rows = self.kind == kind
            slope[rows], curvature[rows] = made.slopes(
                difference[rows], self.outcome[rows], variance[rows]
            )
        left = np.maximum(1.0 - variance * curvature, LEAST_LEFT)  # of the variance
        precision = curvature / left
        # a choice that surprises nobody says next to nothing: the reading stays, but faintly
        return Sites(np.maximum(precision, LEAST_PRECISION), (slope + curvature * mean) / left)


def settle(
    prior: Prior, described: Floats, statistics: SufficientStatistics, choices: ChoiceRows
) -> tuple[Posterior, Sites]:
    """Return the weights of n people given their ratings and choices, and what each choice says.

    Parameters
    ----------
    described : array (n, q), what is known of each.
    statistics : of their ratings.
    """
    ratio = noise_of_people(prior, described, statistics)
    sites, before = Sites.none(len(choices)), np.full(len(choices), np.inf)
    for _ in range(ROUNDS):
        both = statistics.with_choices(choices.statistics(sites, len(statistics)))
        found = posterior_given_noise(prior, described, both, ratio)
        mean, variance = predict_rows(found, choices.user, choices.features)
        if np.abs(mean - before).max(initial=0.0) < CLOSE:
            break
        sites, before = choices.sites(*sites.without(mean, variance)), mean
    return found, sites


def posterior_with_choices(
    prior: Prior, described: Floats, statistics: SufficientStatistics, choices: ChoiceRows
) -> Posterior:
    """Return the weights of n people given their ratings and choices; as `settle`."""
    if not len(choices):
        return posterior(prior, described, statistics)
    return settle(prior, described, statistics, choices)[0]


def posterior_of_one_with_choices(
    prior: Prior, described: Floats, rated: Floats, y: Floats, choices: ChoiceRows
) -> Posterior:
    """Return one person's weights given a handful of ratings and choices.

    The same as `posterior_with_choices`, but among the rows, of which there are few.

    Parameters
    ----------
    described : array (1, q), what is known of the person.
    rated : array (n, k), features of the rated pictures.
    y : array (n,), their residual ratings.
    """
    start = described @ prior.regression
    rows, n = np.concatenate([rated, choices.features]), len(y)
    shared = rows @ prior.covariance
    expected, among = rows @ start[0], shared @ rows.T
    ratio = noise_of_one(prior, described, rated, y)
    noise, own = np.repeat(prior.noise * ratio, n), among[n:]
    sites, before = Sites.none(len(choices)), np.full(len(choices), np.inf)
    for _ in range(ROUNDS):
        read = np.concatenate([y, sites.moment / sites.precision]) - expected
        gain = np.linalg.inv(among + np.diag(np.concatenate([noise, 1.0 / sites.precision])))
        away = gain @ read
        mean = expected[n:] + own @ away
        if np.abs(mean - before).max(initial=0.0) < CLOSE:
            break
        variance = np.diag(among)[n:] - np.einsum("ij,ij->i", own @ gain, own)
        sites, before = choices.sites(*sites.without(mean, variance)), mean
    covariance = prior.covariance - shared.T @ gain @ shared
    return Posterior(start + away @ shared, covariance[None], ratio)
