"""Tuning ridge weights per person: training rows, held-out prompts, strength by number of ratings.

A penalty that is right for 300 ratings is far too weak for 20: the strength is chosen for several
numbers of ratings, by within-user correlation on held-out prompts, and a person gets the one whose
number is nearest. The widening of predictive intervals is measured for each as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.dataset import Fold, Items, Pairs
from pamela.core.hashing import places_within
from pamela.models.base import on_scale
from pamela.models.baselines import shrunken_means
from pamela.models.blas_threads import small_matrices
from pamela.models.dataset_weights import mean_correlation
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.preprocessing import Datasets, prompt_groups
from pamela.models.random_effects.posterior import Prior, SufficientStatistics, posterior

CV_USERS = 400  # people of the cross-validation at most
COUNTS: tuple[int, ...] = (5, 20, 80)  # ratings for which the strength is tuned, beside all
STRENGTHS: tuple[float, ...] = (
    1.0,
    3.0,
    10.0,
    30.0,
    100.0,
    300.0,
    3000.0,
)  # last: hardly any taste
QUANTILE, NORMAL_QUANTILE = 0.90, 1.6449  # of |z|: the interval that is to hold 90 %
WIDENING = (0.5, 2.0)  # bounds of the factor on the predictive deviation
SMALLEST = 1e-4  # floor of a variance


def ridge_prior(level: float, noise: float, strength: float, columns: int) -> Prior:
    """Return the prior under which the posterior mean is a ridge.

    Parameters
    ----------
    level : variance of people's levels, the weight of the first column.
    noise : variance of one rating.
    strength : the ridge's penalty: noise over the prior variance of the other weights.
    """
    variances = np.full(columns, noise / strength)
    variances[0] = level
    return Prior(np.zeros((1, columns)), np.diag(variances), noise)


@dataclass(frozen=True)
class ResidualRows:
    """Training rows, sorted by user, with what all raters think of a picture taken off.

    Attributes
    ----------
    items : the m rated training pictures.
    datasets : their datasets.
    users : number of people.
    user, item : int64 arrays (rows,), 0..users-1 and 0..m-1.
    rating, residual : arrays (rows,), the rating, and it less the picture's consensus.
    score : array (m,), the population's held-out score of each picture.
    item_variance : variance of the item effect, a picture's true mean about its score.
    level, noise : variance of people's levels, and of one residual about its person's level.
    """

    items: Items
    datasets: Datasets
    users: int
    user: Ints
    item: Ints
    rating: Floats
    residual: Floats
    score: Floats
    item_variance: float
    level: float
    noise: float

    @classmethod
    def make(cls, fold: Fold, train: Pairs, consensus: Consensus) -> Self:
        """Prepare canonical training pairs."""
        people, user = np.unique(train.user, return_inverse=True)
        used, item = np.unique(train.item, return_inverse=True)
        items = fold.items.take(used)
        mean, score = consensus.of_known(items)
        rating = train.rating.astype(np.float64)
        residual = rating - mean[item]
        _, _, level = shrunken_means(user, residual, len(people))
        centred = residual - (np.bincount(user, residual) / np.bincount(user))[user]
        noise = max(float(centred @ centred) / max(len(user) - len(people), 1), SMALLEST)
        datasets = Datasets.of(items, Pairs(user, item, train.rating))
        return cls(
            items, datasets, len(people), user, item, rating, residual, score,
            consensus.item_variance, level, noise,
        )  # fmt: skip

    @property
    def counts(self) -> Ints:
        """Number of rows of each person."""
        return np.bincount(self.user, minlength=self.users)

    def of_users(self, users: Ints) -> ResidualRows:
        """Return the rows of these users (sorted), who are numbered anew."""
        place = np.full(self.users, -1, np.int64)
        place[users] = np.arange(len(users))
        keep = np.flatnonzero(place[self.user] >= 0)
        return ResidualRows(
            self.items, self.datasets, len(users), place[self.user[keep]], self.item[keep],
            self.rating[keep], self.residual[keep], self.score, self.item_variance, self.level,
            self.noise,
        )  # fmt: skip

    def sample(self, seed: int) -> ResidualRows:
        """Return the rows of at most `CV_USERS` random people."""
        order = np.random.default_rng([seed, 43]).permutation(self.users)
        return self.of_users(np.sort(order[:CV_USERS]))

    def prior(self, strength: float, columns: int) -> Prior:
        """Return the prior under which the posterior mean is a ridge of this strength.

        Parameters
        ----------
        strength : ratings' worth of evidence that a person's taste is that of everybody.
        columns : number of columns, the first of them the constant (a person's level).
        """
        return ridge_prior(self.level, self.noise, strength, columns)

    def prompt_folds(self, folds: int, seed: int) -> list[Bools]:
        """Return, per fold over prompts, which rows (rows,) are inside; the rest is held out."""
        names, group = np.unique(prompt_groups(self.items), return_inverse=True)
        part = (np.random.default_rng([seed, 41]).permutation(len(names)) % folds)[group]
        inside = [part[self.item] != number for number in range(folds)]
        return [one for one in inside if one.any() and not one.all()]

    def first(self, count: int, inside: Bools, seed: int) -> Bools:
        """Return `count` random rows of every person among those `inside`; more hold the fewer."""
        draw = np.where(inside, np.random.default_rng([seed, 47]).random(len(self.user)), np.inf)
        return inside & (places_within(self.user, draw) < count)


@dataclass(frozen=True)
class CvResult:
    """How well one configuration predicts held-out prompts.

    Attributes
    ----------
    correlation : within users, the mean over datasets.
    z : array (rows held out,), standardised errors.
    dataset : int64 array (rows held out,), the dataset of each.
    """

    correlation: float
    z: Floats
    dataset: Ints


def predict_held_out(
    rows: ResidualRows, columns: Floats, prior: Prior, shown: Bools, asked: Bools
) -> CvResult:
    """Condition every person on the rows `shown` and predict those `asked`.

    Parameters
    ----------
    columns : array (m, k) of the training pictures.
    """
    statistics = SufficientStatistics.collect(
        rows.user[shown], columns[rows.item[shown]], rows.residual[shown], rows.users
    )
    found = posterior(prior, np.ones((rows.users, 1)), statistics)
    user, item, rating = rows.user[asked], rows.item[asked], rows.rating[asked]
    seen = columns[item]
    mean = rows.score[item] + np.einsum("ij,ij->i", seen, found.mean[user])
    personal = np.einsum("ij,ij->i", seen**2, diagonals(found.covariance)[user])
    pairs = Pairs(user, item, rating.astype(np.float32))
    return CvResult(
        mean_correlation(pairs, mean, rows.datasets),
        (rating - on_scale(mean)) / np.sqrt(rows.item_variance + prior.noise + personal),
        rows.datasets.code[item],
    )


def diagonals(covariance: Floats) -> Floats:
    """Return the diagonals (n, k) of covariances (n, k, k)."""
    return np.einsum("nii->ni", covariance)


def mean_score(results: Sequence[CvResult]) -> float:
    """Return the mean correlation over folds."""
    return float(np.mean([one.correlation for one in results])) if results else 0.0


@dataclass(frozen=True)
class Tuned:
    """What fits people with about `count` ratings.

    Attributes
    ----------
    strength : of the ridge.
    widening : factor on the predictive deviation by dataset.
    """

    count: int
    strength: float
    widening: dict[str, float]


@small_matrices
def tune(
    rows: ResidualRows, folds: list[Bools], columns: list[Floats], seed: int
) -> tuple[Tuned, ...]:
    """Choose the strength for every number of ratings, 0 and all among them.

    Parameters
    ----------
    folds : which rows are inside, as of `ResidualRows.prompt_folds`.
    columns : per fold, array (m, k), learned without the rows held out.
    """
    if not folds:
        return (Tuned(0, STRENGTHS[-1], {}),)
    most = int(np.median(np.concatenate([np.bincount(rows.user[inside]) for inside in folds])))

    def results(count: int | None, strength: float) -> list[CvResult]:
        found = []
        for inside, own in zip(folds, columns, strict=True):
            shown = inside if count is None else rows.first(count, inside, seed)
            found.append(
                predict_held_out(rows, own, rows.prior(strength, own.shape[1]), shown, ~inside)
            )
        return found

    tuned: list[Tuned] = []
    for count in (*(c for c in COUNTS if 2 * c <= most), None):
        tried = {strength: results(count, strength) for strength in STRENGTHS}
        best = max(tried, key=lambda one: (mean_score(tried[one]), one))
        wide = _widenings(tried[best], rows.datasets)
        tuned.append(Tuned(max(most, 1) if count is None else count, best, wide))
    usual = tuned[-1].strength
    nobody = Tuned(0, usual, _widenings(results(0, usual), rows.datasets))
    return (nobody, *tuned)


def nearest(tuned: Sequence[Tuned], counts: Ints) -> Ints:
    """Return, per number of ratings (n,), the place in `tuned` of the nearest one in proportion.

    The first of `tuned` is for nobody's ratings, and for that alone.
    """
    if len(tuned) == 1:
        return np.zeros(len(counts), np.int64)
    offered = np.log([one.count for one in tuned[1:]])
    away = np.abs(np.log(np.maximum(counts, 1))[:, None] - offered)
    return np.where(counts > 0, 1 + away.argmin(axis=1), 0)


def _widenings(results: list[CvResult], datasets: Datasets) -> dict[str, float]:
    """Return each dataset's factor on the deviation such that 90 % intervals hold 90 %."""
    z = np.abs(np.concatenate([one.z for one in results]))
    code = np.concatenate([one.dataset for one in results])
    return {
        name: float(np.clip(np.quantile(z[code == k], QUANTILE) / NORMAL_QUANTILE, *WIDENING))
        for k, name in enumerate(datasets.names)
        if np.any(code == k)
    }
