"""What `hierarchical` chooses inside train: columns of taste, and how many factors they share.

Every configuration is scored on held-out prompts twice: for users whose other ratings the prior was
learned from, and for users held out altogether, given 20 ratings. The mean of the two within-user
correlations counts; the first configuration that is as good as the best within half a standard
error over folds is taken, smaller ones first. Where many people rated many pictures, columns that a
network learns (`pamela.models.hierarchical.meta_learning`, trained anew in every fold) stand
against the best of those that need no learning, in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.dataset import Pairs
from pamela.core.hashing import places_within
from pamela.models.base import Progress, on_scale
from pamela.models.biases import within_user_correlation
from pamela.models.blas_threads import small_matrices
from pamela.models.hierarchical.item_features import Sizes
from pamela.models.hierarchical.training_rows import Fitting, TrainingConfig
from pamela.models.preprocessing import prompt_groups
from pamela.models.random_effects import (
    Posterior,
    Prior,
    fit_prior,
    posterior,
    predict_rows,
)
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
LEARNED: tuple[Sizes, ...] = tuple(
    Sizes(image=64, prompt=64, kernel=0, metadata=True, learned=64, regime=name)
    for name in ("firm", "free")
)
LEARNED_PEOPLE, LEARNED_PICTURES = 400, 1000  # from where on it pays to try (docs/log.md)
LEARNED_RATINGS = 12  # of a person who counts; in a fold they have fewer
RANKS: tuple[int, ...] = (0, 1, 2, 3, 4, 6)  # common factors of people's tastes
CV_ITERATIONS = 12
CV_USERS = 400  # users of the cross-validation at most
CV_LEARNED_USERS = 2000  # the same, where learned columns are judged
CV_SHOTS = 20
CALIBRATION_FOLDS = 8  # of prompts, to judge the intervals of training users
LEARNED_JUDGED = 2  # of these folds, where every fold takes a network
StandardisedErrors = tuple[float, Floats]


@dataclass(frozen=True)
class TasteSearch:
    """What is offered: columns of taste, smaller ones first, and numbers of common factors.

    Attributes
    ----------
    first_rank : the number of factors with which columns are compared; one of `ranks`.
    learned : learned columns, offered where data suffice.
    """

    sizes: tuple[Sizes, ...] = SIZES
    ranks: tuple[int, ...] = RANKS
    first_rank: int = 3
    learned: tuple[Sizes, ...] = LEARNED

    @classmethod
    def given(cls, sizes: Sizes, rank: int) -> Self:
        """Offer one configuration: nothing is searched."""
        return cls((sizes,), (rank,), rank, ())


@dataclass(frozen=True)
class Choice:
    """The configuration taken, and how it was found.

    Attributes
    ----------
    errors : cold-start users with 20 ratings and with none: the share of the prior's variance left,
        and z values (error over predictive standard deviation). Where columns are learned also
        training users, first: only in a fold are there pictures of which the columns learned
        nothing.
    scores : ``{configuration: cross-validated correlation}``.
    """

    sizes: Sizes
    rank: int
    errors: list[StandardisedErrors]
    scores: dict[str, float]


@dataclass(frozen=True)
class _Outcome:
    """One configuration on held-out rows.

    Attributes
    ----------
    correlations : array (folds, 2), for seen and for adapted users.
    errors : as in `Choice`, training users first.
    """

    correlations: Floats
    errors: list[StandardisedErrors]

    @property
    def score(self) -> float:
        return float(self.correlations.mean())


@dataclass(frozen=True)
class _Division:
    """Cross-validation: the fold of each user and of each row's prompt."""

    user_part: Ints
    row_part: Ints
    folds: int
    draw: Floats
    config: TrainingConfig


@small_matrices
def choose_sizes(
    data: Fitting,
    folds: int,
    seed: int,
    progress: Progress,
    inputs: InputParams,
    search: TasteSearch,
    device: str = "auto",
) -> Choice:
    """Choose sizes first, then the number of common factors, then whether columns are learned."""
    offered = [replace(one, metadata=one.metadata and inputs.metadata) for one in search.sizes]
    whole, config = data, TrainingConfig(seed, device)
    data, division = _divide(data, folds, config, CV_USERS)
    tried: dict[tuple[Sizes, int], _Outcome] = {}
    steps = len(offered) + len(search.ranks) - 1

    def outcome(sizes: Sizes, rank: int) -> _Outcome:
        key = (sizes, rank)
        if key not in tried:
            progress(0.8 * len(tried) / steps, f"taste {sizes.name}")
            tried[key] = _validate(data, division, sizes, rank, inputs)
        return tried[key]

    sizes = _smallest_good([(one, outcome(one, search.first_rank)) for one in offered])
    rank = max(search.ranks, key=lambda one: outcome(sizes, one).score)
    taken, scores = tried[sizes, rank], _scores(tried)
    if search.learned and inputs.user and _suffices(whole):
        data, division = _divide(whole, folds, config, CV_LEARNED_USERS)
        found: dict[tuple[Sizes, int], _Outcome] = {}
        for one in (sizes, *search.learned):
            progress(0.8 + 0.03 * len(found), f"taste {one.name}")
            fair = replace(one, metadata=one.metadata and inputs.metadata)
            found[fair, rank] = _validate(data, division, fair, rank, inputs)
        sizes = _smallest_good([(one, errors) for (one, _), errors in found.items()])
        people = f" ({len(data.users)} people)"  # another experiment than the one above
        scores |= {name + people: score for name, score in _scores(found).items()}
        taken = found[sizes, rank]
        if sizes.learned:  # a network learns much from a few more people and pictures
            data, division = _divide(whole, CALIBRATION_FOLDS, config, CV_LEARNED_USERS)
            taken = _validate(data, division, sizes, rank, inputs, numbers=LEARNED_JUDGED)
    return Choice(sizes, rank, taken.errors[0 if sizes.learned else 1 :], scores)


def _suffices(data: Fitting) -> bool:
    """Return whether there are people enough, with ratings enough, and pictures enough."""
    people = int((np.bincount(data.user) >= LEARNED_RATINGS).sum())
    return people >= LEARNED_PEOPLE and len(data.items) >= LEARNED_PICTURES


def _scores(tried: dict[tuple[Sizes, int], _Outcome]) -> dict[str, float]:
    return {f"{one.name}, rank {k}": round(found.score, 6) for (one, k), found in tried.items()}


def _smallest_good(tried: list[tuple[Sizes, _Outcome]]) -> Sizes:
    """Return the first configuration that the best does not beat by half a standard error."""
    best = max(tried, key=lambda one: one[1].score)
    for sizes, found in tried:
        difference = (best[1].correlations - found.correlations).ravel()
        error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
        if difference.mean() <= 0.5 * error:
            return sizes
    return best[0]


def _divide(
    data: Fitting, folds: int, config: TrainingConfig, most: int
) -> tuple[Fitting, _Division]:
    """Return the rows of those who take part, `most` at most, and their folds."""
    rng = np.random.default_rng([config.seed, 17])
    names, group = np.unique(prompt_groups(data.items), return_inverse=True)
    item_part = (rng.permutation(len(names)) % folds)[group]
    users = np.sort(rng.permutation(len(data.users))[:most])
    data, user_part = data.of_users(users), rng.permutation(len(users)) % folds
    draw = rng.random(len(data.rating))
    return data, _Division(user_part, item_part[data.item], folds, draw, config)


def _validate(
    data: Fitting,
    division: _Division,
    sizes: Sizes,
    rank: int,
    inputs: InputParams,
    *,
    numbers: int | None = None,
) -> _Outcome:
    """Fit on all folds but one and judge on that one; `numbers`: only so many of them."""
    plain, fixed = data.features(sizes)
    correlations = []
    errors: list[list[StandardisedErrors]] = [[], [], []]
    for number in range(division.folds if numbers is None else numbers):
        inside = division.row_part != number
        apart = division.user_part == number
        learners, cold_start_users = np.flatnonzero(~apart), np.flatnonzero(apart)
        if not len(learners) or inside.all() or not inside.any():
            continue
        features, columns = plain, fixed
        if sizes.learned:
            features, columns = data.learn(plain, fixed, learners, division.config, inside)
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
            ((learners, inside), (cold_start_users, few), (cold_start_users, np.zeros_like(inside)))
        ):
            if not len(some):
                continue
            shown = rows & inputs.user  # without the user nobody's ratings say who they are
            whole = some is learners and inputs.user
            known = statistics if whole else data.collect(columns, some, shown)
            found = posterior(prior, data.described[some], known)
            test, mean, item_variance = _held_out(data, columns, ~inside, some, found)
            if not len(test):
                continue
            pairs = Pairs(data.user[test], data.item[test], data.rating[test].astype(np.float32))
            row.append(within_user_correlation(pairs, mean))
            z = (data.rating[test] - on_scale(mean)) / np.sqrt(item_variance + prior.noise)
            errors[place].append((found.left(prior), z))
        if row:
            correlations.append([row[0], row[min(1, len(row) - 1)]])
    if not correlations:
        return _Outcome(np.zeros((1, 2)), [])
    return _Outcome(np.array(correlations), [_together(one) for one in errors if one])


def _together(errors: list[StandardisedErrors]) -> StandardisedErrors:
    left = float(np.mean([one for one, _ in errors]))
    return left, np.concatenate([z for _, z in errors])


@small_matrices
def errors_of_seen(data: Fitting, columns: Floats, prior: Prior, seed: int) -> StandardisedErrors:
    """Return what is left and z values of training users on prompts that their posterior lacks.

    The prior is that of the whole fit: in the cross-validation above it is learned from fewer
    people and prompts, and errs more than it will.
    """
    whole, division = _divide(data, CALIBRATION_FOLDS, TrainingConfig(seed, "cpu"), CV_USERS)
    users, errors = np.arange(len(whole.users)), []
    for number in range(CALIBRATION_FOLDS):
        inside = division.row_part != number
        known = whole.collect(columns, users, inside)
        found = posterior(prior, whole.described, known)
        test, mean, item_variance = _held_out(whole, columns, ~inside, users, found)
        z = (whole.rating[test] - on_scale(mean)) / np.sqrt(item_variance + prior.noise)
        errors.append((found.left(prior), z))
    return _together(errors)


def _held_out(
    data: Fitting,
    columns: Floats,
    outside: Bools,
    some: Ints,
    found: Posterior,
) -> tuple[Ints, Floats, Floats]:
    """Return the rows of `some` users that are `outside`, their expectation and its variance."""
    place = np.full(len(data.users), -1, np.int64)
    place[some] = np.arange(len(some))
    test = np.flatnonzero(outside & (place[data.user] >= 0))
    item = data.item[test]
    own, spread = predict_rows(found, place[data.user[test]], columns[item])
    return test, data.score[item] + own, data.item_variance + spread


def _first_rows(data: Fitting, division: _Division, inside: Bools) -> Bools:
    """Return `CV_SHOTS` random rows of every user among those `inside`."""
    draw = np.where(inside, division.draw, np.inf)
    return np.asarray(inside & (places_within(data.user, draw) < CV_SHOTS))
