"""Conjugate Bayesian inference of shared and own taste from ratings, in closed form.

The model: person u rates picture i as ``middle + z_i . (gamma + delta_u) + noise``, where ``z_i``
is the picture's row of a basis (its first column is 1), ``gamma ~ N(0, prior variances)`` is what
all share and ``delta_u ~ N(mean_u, covariance)`` a person's own deviation. Given the covariances,
gamma is inferred with everybody's deviation integrated out (generalised least squares with a
prior), and each deviation from its person's rows alone, given gamma (Gelman et al., Bayesian Data
Analysis, chapter 15). No rating outside the given rows is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pamela.core.arrays import Floats, Ints
from pamela.models.blas_threads import small_numpy_matrices


@dataclass(frozen=True)
class RatedRows:
    """n ratings: a person and a picture each.

    Attributes
    ----------
    user : int array (n,), rows of the table of people.
    basis : float array (n, d), each rated picture's row of the basis.
    rating : float array (n,), ratings less the middle of the scale.
    """

    user: Ints
    basis: Floats
    rating: Floats

    def by_user(self) -> Iterator[tuple[int, Floats, Floats]]:
        """Yield (user, basis rows, ratings) of every person who has any."""
        for user, rows in rows_by_user(self.user):
            yield user, self.basis[rows], self.rating[rows]


def rows_by_user(user: Ints) -> Iterator[tuple[int, Ints]]:
    """Yield every user and the numbers of their rows."""
    order = np.argsort(user, kind="stable")
    users, starts = np.unique(user[order], return_index=True)
    yield from zip(users.tolist(), np.split(order, starts)[1:], strict=True)


@dataclass(frozen=True)
class Deviations:
    """What is known of people's own deviations before any rating of theirs.

    Attributes
    ----------
    mean : float array (people, d).
    covariance : float array (d, d), around the mean.
    noise : variance of a rating around its person's opinion.
    """

    mean: Floats
    covariance: Floats
    noise: float


@dataclass(frozen=True)
class Shared:
    """The posterior of what all share: mean (d,) and covariance (d, d)."""

    mean: Floats
    covariance: Floats


@dataclass(frozen=True)
class PersonPosterior:
    """The posterior of one person's own deviation, given what all share.

    Attributes
    ----------
    mean : float array (d,).
    covariance : float array (d, d).
    kept : float array (d, d), what an error in the shared part adds to the person's total: the
        ratings correct the rest.
    """

    mean: Floats
    covariance: Floats
    kept: Floats


@small_numpy_matrices
def infer_shared(rows: RatedRows, prior_variance: Floats, deviations: Deviations) -> Shared:
    """Infer what all share, everybody's own deviation integrated out.

    Parameters
    ----------
    prior_variance : (d,), of the shared coefficients around 0.
    """
    precision, right = np.diag(1.0 / prior_variance), np.zeros(len(prior_variance))
    inverse = np.linalg.inv(deviations.covariance)
    for user, z, y in rows.by_user():
        gram = z.T @ z / deviations.noise
        gain = gram @ np.linalg.inv(inverse + gram)  # of the ratings that deviations explain
        precision += gram - gain @ gram
        pull = z.T @ (y - z @ deviations.mean[user]) / deviations.noise
        right += pull - gain @ pull
    covariance = np.linalg.inv((precision + precision.T) / 2).astype(np.float64, copy=False)
    return Shared(covariance @ right, covariance)


def infer_person(
    z: Floats, y: Floats, mean: Floats, shared: Shared, prior: Deviations
) -> PersonPosterior:
    """Infer one person's deviation from their ratings `y` (n,) of pictures `z` (n, d).

    Parameters
    ----------
    mean : (d,), the deviation expected of this person.
    """
    identity = np.eye(len(mean))
    if len(y) == 0:
        return PersonPosterior(mean, prior.covariance, identity)
    gram = z.T @ z / prior.noise
    solved = np.linalg.solve(identity + prior.covariance @ gram, prior.covariance)
    covariance = solved.astype(np.float64, copy=False)
    surprise = z.T @ (y - z @ (shared.mean + mean)) / prior.noise
    return PersonPosterior(mean + covariance @ surprise, covariance, identity - covariance @ gram)


@small_numpy_matrices
def predict(
    asked: RatedRows, shown: RatedRows, shared: Shared, prior: Deviations, *, personal: bool
) -> tuple[Floats, Floats]:
    """Predict ratings (less the middle) and their standard deviations, (n,) each.

    Parameters
    ----------
    asked : whose ratings are wanted; `rating` is ignored.
    shown : the ratings that people's own deviations are inferred from.
    personal : whether they are; else everybody is an average person of unknown deviation.
    """
    mean, variance = np.zeros(len(asked.user)), np.zeros(len(asked.user))
    d = len(shared.mean)
    nobody = PersonPosterior(np.zeros(d), prior.covariance, np.eye(d))
    known = {user: (z, y) for user, z, y in shown.by_user()} if personal else {}
    for user, rows in rows_by_user(asked.user):
        person = nobody
        if personal:
            z, y = known.get(user, (np.zeros((0, d)), np.zeros(0)))
            person = infer_person(z, y, prior.mean[user], shared, prior)
        total = person.covariance + person.kept @ shared.covariance @ person.kept.T
        basis = asked.basis[rows]
        mean[rows] = basis @ (shared.mean + person.mean)
        variance[rows] = ((basis @ total) * basis).sum(axis=1) + prior.noise
    return mean, np.sqrt(variance)
