"""A person's weights from choices, with or without ratings: Laplace's approximation.

A choice between `a` and `b` is one of Thurstone's (`pamela.models.choices.thurstone`) on the
difference ``base + (columns[a] - columns[b]) @ w``. About any weights it is, to second order, a
rating of that difference: a row of a Gaussian. Newton's method writes all choices as such rows,
takes the posterior of these and of the ratings (`pamela.models.random_effects`), and does so again
about its mean. All is concave, so that a few steps end at the only optimum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from pamela.core.arrays import Bools, Floats, Floats32, Ints
from pamela.core.dataset import Choices
from pamela.models.choices.thurstone import Thurstone
from pamela.models.random_effects import (
    Posterior,
    Prior,
    SufficientStatistics,
    noise_of_one,
    noise_of_people,
    posterior,
    posterior_given_noise,
    posterior_of_one,
)

STEPS = 25  # of Newton's method at most; mostly 5 do
CLOSE = 1e-4  # internal units: it ends when no difference moves further
LEAST_CURVATURE = 1e-8  # of a choice that says nothing any more


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
    """

    user: Ints
    features: Floats
    base: Floats
    outcome: Floats32
    kind: Ints
    choosing: tuple[Thurstone, ...]

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

    def of_users(self, first: int, last: int) -> ChoiceRows:
        """Return the rows of the users from `first` to before `last`, who are numbered from 0."""
        rows = slice(*np.searchsorted(self.user, [first, last]).tolist())
        found = self.take(rows)
        return replace(found, user=found.user - first)

    def differences(self, weights: Floats) -> Floats:
        """Return the difference (n,) of every choice, for people of these weights (users, k)."""
        own = np.einsum("ij,ij->i", self.features, weights[self.user])
        return self.base + own

    def slopes(self, differences: Floats) -> tuple[Floats, Floats]:
        """Return slope and curvature (n,) of every choice's log-likelihood."""
        slope, curvature = np.empty(len(self)), np.empty(len(self))
        for kind, made in enumerate(self.choosing):
            rows = self.kind == kind
            slope[rows], curvature[rows] = made.slopes(differences[rows], self.outcome[rows])
        return slope, np.maximum(curvature, LEAST_CURVATURE)

    def as_gaussian(self, differences: Floats) -> tuple[Floats, Floats]:
        """Return rows (n, k) of noise one and what they read (n,): they say the same hereabouts."""
        slope, curvature = self.slopes(differences)
        root = np.sqrt(curvature)
        read = root * (differences - self.base) + slope / root
        return root[:, None] * self.features, read

    def statistics(self, weights: Floats) -> SufficientStatistics:
        """Return the sums of these Gaussian rows about `weights` (users, k)."""
        rows, read = self.as_gaussian(self.differences(weights))
        return SufficientStatistics.collect(self.user, rows, read, len(weights))


def posterior_with_choices(
    prior: Prior, described: Floats, statistics: SufficientStatistics, choices: ChoiceRows
) -> Posterior:
    """Return the weights of n people given their ratings and choices.

    Parameters
    ----------
    described : array (n, q), what is known of each.
    statistics : of their ratings.
    """
    if not len(choices):
        return posterior(prior, described, statistics)
    ratio = noise_of_people(prior, described, statistics)
    mean = described @ prior.regression
    differences = choices.differences(mean)
    for _ in range(STEPS):
        both = statistics.with_choices(choices.statistics(mean))
        found = posterior_given_noise(prior, described, both, ratio)
        mean, before = found.mean, differences
        differences = choices.differences(mean)
        if np.abs(differences - before).max() < CLOSE:
            break
    return found


def posterior_of_one_with_choices(
    prior: Prior, described: Floats, rated: Floats, y: Floats, choices: ChoiceRows
) -> Posterior:
    """Return one person's weights given a handful of ratings and choices.

    The same as `posterior_with_choices`; Newton's method goes among the rows, of which there are
    few, and the weights are worked out once, at its end.

    Parameters
    ----------
    described : array (1, q), what is known of the person.
    rated : array (n, k), features of the rated pictures.
    y : array (n,), their residual ratings.
    """
    start = described @ prior.regression
    rows = np.concatenate([rated, choices.features])
    among = rows @ prior.covariance @ rows.T
    ratio = noise_of_one(prior, described, rated, y)
    noise = prior.noise * ratio

    def about(fitted: Floats) -> tuple[Floats, Floats]:
        slope, curvature = choices.slopes(choices.base + fitted[len(y) :])
        precise = np.repeat(1.0 / noise, len(y))
        error = (y - fitted[: len(y)]) / noise
        return np.concatenate([error, slope]), np.concatenate([precise, curvature])

    fitted = _mode(rows @ start[0], among, about)
    scaled, read = choices.as_gaussian(choices.base + fitted[len(y) :])
    unit = np.sqrt(noise)
    return posterior_of_one(
        prior,
        described,
        np.concatenate([rated, unit * scaled]),
        np.concatenate([y, unit * read]),
        ratio,
    )


def _mode(
    expected: Floats, covariance: Floats, about: Callable[[Floats], tuple[Floats, Floats]]
) -> Floats:
    """Return the most likely values (n,) of a Gaussian, given what a likelihood says of each.

    Newton's method in the space of the values (Rasmussen & Williams 2006, algorithm 3.1).

    Parameters
    ----------
    expected, covariance : (n,) and (n, n), of the Gaussian.
    about : from values, slope and curvature (n,) of the log-likelihood.
    """
    fitted = expected
    for _ in range(STEPS):
        slope, curvature = about(fitted)
        root = np.sqrt(curvature)
        right = curvature * (fitted - expected) + slope
        inner = np.eye(len(expected)) + root[:, None] * covariance * root
        taken = root * np.linalg.solve(inner, root * (covariance @ right))
        before, fitted = fitted, expected + covariance @ (right - taken)
        if np.abs(fitted - before).max(initial=0.0) < CLOSE:
            break
    return fitted
