"""What `hierarchical` chooses inside train: columns of taste, and how many factors they share.

Every configuration is scored on held-out prompts twice: for users whose other ratings the prior was
learned from, and for users held out altogether, given 20 ratings. The mean of the two within-user
correlations counts; the first configuration that is as good as the best within the standard error
over folds is taken, smaller ones first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from pamela.data import Fold, IntArray, Items, Pairs
from pamela.models.base import Progress, on_scale, say
from pamela.models.consensus import Consensus
from pamela.models.effects import within_user_correlation
from pamela.models.encoding import Array, prompt_groups
from pamela.models.people_columns import PeopleColumns
from pamela.models.personal import (
    Posterior,
    Prior,
    Statistics,
    fit_prior,
    posterior,
    predict_rows,
)
from pamela.models.taste_features import Sizes, TasteFeatures
from pamela.models.threads import small_matrices
from pamela.params import InputParams

# Smaller ones first. What bends is worth more on few pictures, what is linear on many.
SIZES: tuple[Sizes, ...] = (
    Sizes(image=0, prompt=0, kernel=0, metadata=False),
    Sizes(image=0, prompt=0, kernel=16, metadata=True),
    Sizes(image=0, prompt=0, kernel=32, metadata=True),
    Sizes(image=16, prompt=16, kernel=0, metadata=True),
    Sizes(image=16, prompt=16, kernel=16, metadata=True),
    Sizes(image=0, prompt=0, kernel=64, metadata=True),
    Sizes(image=64, prompt=64, kernel=0, metadata=True),
)
RANKS: tuple[int, ...] = (0, 1, 2, 3, 4, 6)  # common factors of people's tastes
CV_ITERATIONS = 12
CV_USERS = 400  # users of the cross-validation at most
CV_SHOTS = 20
JUDGING_FOLDS = 8  # of prompts, to judge the intervals of training users
Judged = tuple[float, Array]


@dataclass(frozen=True)
class TasteSearch:
    """What is offered: columns of taste, smaller ones first, and numbers of common factors.

    Attributes
    ----------
    first_rank : the number of factors with which columns are compared; one of `ranks`.
    """

    sizes: tuple[Sizes, ...] = SIZES
    ranks: tuple[int, ...] = RANKS
    first_rank: int = 3

    @classmethod
    def given(cls, sizes: Sizes, rank: int) -> Self:
        """Offer one configuration: nothing is searched."""
        return cls((sizes,), (rank,), rank)


@dataclass(frozen=True)
class Choice:
    """The configuration taken, and how it was found.

    Attributes
    ----------
    judged : strangers with 20 ratings and with none: the share of the prior's variance left, and z
        values (error over predictive standard deviation).
    scores : ``{configuration: cross-validated correlation}``.
    """

    sizes: Sizes
    rank: int
    judged: list[Judged]
    scores: dict[str, float]


@dataclass(frozen=True)
class Fitting:
    """The training rows, sorted by user, with what all raters think taken off.

    Attributes
    ----------
    items : the m rated training pictures.
    users : int64 array (n,), rows of the people who rated.
    user, item : int64 arrays (rows,), places in `users` and `items`.
    rating, residual : arrays (rows,), the rating, and the rating less the picture's consensus.
    score : array (m,), the population's held-out score of each picture.
    doubt : variance of a picture's true mean about its score.
    described : array (n, q), what is known of each person.
    """

    items: Items
    users: IntArray
    user: IntArray
    item: IntArray
    rating: Array
    residual: Array
    score: Array
    doubt: float
    described: Array

    @classmethod
    def make(cls, fold: Fold, train: Pairs, consensus: Consensus, people: PeopleColumns) -> Self:
        """Prepare canonical training pairs."""
        users, user = np.unique(train.user, return_inverse=True)
        used, item = np.unique(train.item, return_inverse=True)
        items = fold.items.take(used)
        mean, score = consensus.of_known(items)
        rating = train.rating.astype(np.float64)
        return cls(
            items, users, user, item, rating, rating - mean[item], score,
            consensus.doubt,            people.transform(fold.people)[users],
        )  # fmt: skip

    def features(self, sizes: Sizes) -> tuple[TasteFeatures, Array]:
        """Return fitted columns of taste and their values (m, k) for the training pictures."""
        fitted = TasteFeatures.fit(self.items, self.score, sizes)
        return fitted, fitted.transform(self.items, self.score)

    def sample(self, most: int, seed: int) -> IntArray:
        """Return at most `most` places in `users`, sorted."""
        order = np.random.default_rng([seed, 29]).permutation(len(self.users))
        return np.sort(order[:most])

    def collect(
        self, columns: Array, users: IntArray, keep: npt.NDArray[np.bool_] | None = None
    ) -> Statistics:
        """Return the statistics of some users' rows.

        Parameters
        ----------
        columns : array (m, k).
        users : int64 array (a,), places in `users`, sorted.
        keep : bool array (rows,), which rows count; all where not given.
        """
        rows, place = self._rows_of(users)
        if keep is not None:
            rows, place = rows[keep[rows]], place[keep[rows]]
        return Statistics.collect(place, columns[self.item[rows]], self.residual[rows], len(users))

    def _rows_of(self, users: IntArray) -> tuple[IntArray, IntArray]:
        """Return the rows of some users, and for each the place in `users`; both sorted."""
        first, last = (np.searchsorted(self.user, users, side=side) for side in ("left", "right"))
        count = last - first
        place = np.repeat(np.arange(len(users)), count)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return first[place] + within, place

    def of_users(self, users: IntArray) -> Self:
        """Return the rows of some users alone, over the same pictures."""
        if len(users) == len(self.users):
            return self
        rows, place = self._rows_of(users)
        return replace(
            self,
            users=self.users[users],
            user=place,
            item=self.item[rows],
            rating=self.rating[rows],
            residual=self.residual[rows],
            described=self.described[users],
        )


@dataclass(frozen=True)
class _Outcome:
    """One configuration on held-out rows.

    Attributes
    ----------
    correlations : array (folds, 2), for seen and for adapted users.
    judged : of strangers, as in `Choice`.
    """

    correlations: Array
    judged: list[Judged]

    @property
    def score(self) -> float:
        return float(self.correlations.mean())


@dataclass(frozen=True)
class _Division:
    """Cross-validation: the fold of each user and of each row's prompt."""

    user_part: IntArray
    row_part: IntArray
    folds: int
    draw: Array


@small_matrices
def choose(
    data: Fitting,
    folds: int,
    seed: int,
    progress: Progress | None,
    inputs: InputParams,
    search: TasteSearch,
) -> Choice:
    """Choose sizes first, then the number of common factors."""
    offered = [replace(one, metadata=one.metadata and inputs.metadata) for one in search.sizes]
    data, division = _divide(data, folds, seed)
    tried: dict[tuple[Sizes, int], _Outcome] = {}
    steps = len(offered) + len(search.ranks) - 1

    def outcome(sizes: Sizes, rank: int) -> _Outcome:
        key = (sizes, rank)
        if key not in tried:
            say(progress, 0.8 * len(tried) / steps, f"taste {sizes.name}")
            tried[key] = _validate(data, division, sizes, rank, inputs)
        return tried[key]

    sizes = _smallest_good([(one, outcome(one, search.first_rank)) for one in offered])
    rank = max(search.ranks, key=lambda one: outcome(sizes, one).score)
    scores = {
        f"{one.name}, rank {factors}": round(found.score, 6)
        for (one, factors), found in tried.items()
    }
    return Choice(sizes, rank, tried[sizes, rank].judged, scores)


def _smallest_good(tried: list[tuple[Sizes, _Outcome]]) -> Sizes:
    """Return the first configuration that the best does not beat by a standard error."""
    best = max(tried, key=lambda one: one[1].score)
    for sizes, found in tried:
        difference = (best[1].correlations - found.correlations).ravel()
        error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
        if difference.mean() <= 0.5 * error:
            return sizes
    return best[0]


def _divide(data: Fitting, folds: int, seed: int) -> tuple[Fitting, _Division]:
    """Return the rows of those who take part, `CV_USERS` at most, and their folds."""
    rng = np.random.default_rng([seed, 17])
    names, group = np.unique(prompt_groups(data.items), return_inverse=True)
    item_part = (rng.permutation(len(names)) % folds)[group]
    users = np.sort(rng.permutation(len(data.users))[:CV_USERS])
    data, user_part = data.of_users(users), rng.permutation(len(users)) % folds
    return data, _Division(user_part, item_part[data.item], folds, rng.random(len(data.rating)))


def _validate(
    data: Fitting, division: _Division, sizes: Sizes, rank: int, inputs: InputParams
) -> _Outcome:
    features, columns = data.features(sizes)
    correlations = []
    judged: list[list[Judged]] = [[], [], []]
    for number in range(division.folds):
        inside = division.row_part != number
        apart = division.user_part == number
        learners, strangers = np.flatnonzero(~apart), np.flatnonzero(apart)
        if not len(learners) or inside.all() or not inside.any():
            continue
        statistics = data.collect(columns, learners, inside)
        prior, _ = fit_prior(
            statistics,
            data.described[learners],
            features.start,
            rank=rank,
            iterations=CV_ITERATIONS,
        )
        few = inside & _first_rows(data, division, inside)
        row = []
        for place, (some, rows) in enumerate(
            ((learners, inside), (strangers, few), (strangers, np.zeros_like(inside)))
        ):
            if not len(some):
                continue
            told = rows & inputs.user  # without the user nobody's ratings say who they are
            whole = some is learners and inputs.user
            known = statistics if whole else data.collect(columns, some, told)
            found = posterior(prior, data.described[some], known)
            test, mean, doubt = _held_out(data, columns, ~inside, some, found)
            if not len(test):
                continue
            pairs = Pairs(data.user[test], data.item[test], data.rating[test].astype(np.float32))
            row.append(within_user_correlation(pairs, mean))
            z = (data.rating[test] - on_scale(mean)) / np.sqrt(doubt + prior.noise)
            judged[place].append((found.left(prior), z))
        if row:
            correlations.append([row[0], row[min(1, len(row) - 1)]])
    if not correlations:
        return _Outcome(np.zeros((1, 2)), [])
    return _Outcome(np.array(correlations), [_together(one) for one in judged[1:] if one])


def _together(judged: list[Judged]) -> Judged:
    left = float(np.mean([one for one, _ in judged]))
    return left, np.concatenate([z for _, z in judged])


@small_matrices
def judge_seen(data: Fitting, columns: Array, prior: Prior, seed: int) -> Judged:
    """Return what is left and z values of training users on prompts that their posterior lacks.

    The prior is that of the whole fit: in the cross-validation above it is learned from fewer
    people and prompts, and errs more than it will.
    """
    whole, division = _divide(data, JUDGING_FOLDS, seed)
    users, judged = np.arange(len(whole.users)), []
    for number in range(JUDGING_FOLDS):
        inside = division.row_part != number
        known = whole.collect(columns, users, inside)
        found = posterior(prior, whole.described, known)
        test, mean, doubt = _held_out(whole, columns, ~inside, users, found)
        z = (whole.rating[test] - on_scale(mean)) / np.sqrt(doubt + prior.noise)
        judged.append((found.left(prior), z))
    return _together(judged)


def _held_out(
    data: Fitting,
    columns: Array,
    outside: npt.NDArray[np.bool_],
    some: IntArray,
    found: Posterior,
) -> tuple[IntArray, Array, Array]:
    """Return the rows of `some` users that are `outside`, their expectation and its variance."""
    place = np.full(len(data.users), -1, np.int64)
    place[some] = np.arange(len(some))
    test = np.flatnonzero(outside & (place[data.user] >= 0))
    item = data.item[test]
    own, spread = predict_rows(found, place[data.user[test]], columns[item])
    return test, data.score[item] + own, data.doubt + spread


def _first_rows(
    data: Fitting, division: _Division, inside: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return `CV_SHOTS` random rows of every user among those `inside`."""
    draw = np.where(inside, division.draw, np.inf)
    order = np.lexsort((draw, data.user))
    user = data.user[order]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - np.searchsorted(user, user, side="left")
    return np.asarray(inside & (place < CV_SHOTS))
