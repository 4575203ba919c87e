"""Cross-validation of `hierarchical` over users and prompts inside train.

A configuration is judged on held-out prompts twice: for users whose other ratings the prior was
learned from, and for users held out altogether, given 20 ratings. Where there are no ratings,
choices take their place. The errors, as multiples of the predictive deviation, also say how wide
its intervals should be (`pamela.models.hierarchical.interval_calibration`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.dataset import Pairs
from pamela.core.hashing import places_within
from pamela.models.base import on_scale
from pamela.models.biases import within_user_correlation
from pamela.models.blas_threads import small_matrices
from pamela.models.hierarchical.features.item_features import Sizes
from pamela.models.hierarchical.sharded.training_data import TrainingData
from pamela.models.hierarchical.training_rows import Fitting, Kept, TrainingConfig
from pamela.models.preprocessing import prompt_groups
from pamela.models.random_effects.posterior import Posterior, Prior, predict_rows
from pamela.params import InputParams

CV_ITERATIONS = 12
CV_SHOTS = 20
CV_USERS = 400  # users of the cross-validation at most
CALIBRATION_FOLDS = 8  # of prompts, to judge the intervals of training users
# the share of the prior's variance that is left, and errors over predictive standard deviations
StandardisedErrors = tuple[float, Floats]


@dataclass(frozen=True)
class Outcome:
    """One configuration on held-out rows.

    Attributes
    ----------
    correlations : array (folds, 2), for seen and for adapted users.
    errors : of training users, of cold-start users with 20 ratings and with none.
    """

    correlations: Floats
    errors: list[StandardisedErrors]

    @property
    def score(self) -> float:
        """Mean of the correlations."""
        return float(self.correlations.mean())


@dataclass(frozen=True)
class Division:
    """Cross-validation: the fold of each user and of each row's prompt."""

    user_part: Ints
    row_part: Ints
    choice_parts: Ints  # (2, c), of both pictures
    folds: int
    draw: Floats
    choice_draw: Floats
    config: TrainingConfig

    def inside(self, number: int) -> Kept:
        """Return which rows are not of fold `number`, with either picture."""
        return Kept(self.row_part != number, (self.choice_parts != number).all(axis=0))

    def first_rows(self, data: Fitting, inside: Kept) -> Kept:
        """Return `CV_SHOTS` random ratings and choices of every user among those `inside`."""

        def first(user: Ints, draw: Floats, kept: Bools) -> Bools:
            drawn = np.where(kept, draw, np.inf)
            return np.asarray(kept & (places_within(user, drawn) < CV_SHOTS))

        return Kept(
            first(data.user, self.draw, inside.ratings),
            first(data.choices.user, self.choice_draw, inside.choices),
        )


def divide(
    whole: TrainingData, folds: int, config: TrainingConfig, most: int
) -> tuple[Fitting, Division]:
    """Return the rows of those who take part, `most` at most, and their folds."""
    rng = np.random.default_rng([config.seed, 17])
    names, group = np.unique(prompt_groups(whole.items), return_inverse=True)
    item_part = (rng.permutation(len(names)) % folds)[group]
    users = np.sort(rng.permutation(len(whole.users))[:most])
    data, user_part = whole.of_users(users), rng.permutation(len(users)) % folds
    draw, chosen = rng.random(len(data.rating)), data.choices
    parts = np.stack([item_part[chosen.a], item_part[chosen.b]])
    division = Division(
        user_part, item_part[data.item], parts, folds, draw, rng.random(len(chosen)), config
    )
    return data, division


def validate(
    data: Fitting,
    division: Division,
    sizes: Sizes,
    rank: int,
    inputs: InputParams,
    *,
    numbers: int | None = None,
) -> Outcome:
    """Fit on all folds but one and judge on that one; `numbers`: only so many of them."""
    plain, fixed = data.features(sizes)
    correlations = []
    errors: list[list[StandardisedErrors]] = [[], [], []]
    for number in range(division.folds if numbers is None else numbers):
        inside = division.inside(number)
        apart = division.user_part == number
        learners, cold_start_users = np.flatnonzero(~apart), np.flatnonzero(apart)
        every = np.concatenate(inside)
        if not len(learners) or every.all() or not every.any():
            continue
        features, columns = plain, fixed
        if sizes.learned:
            features, columns = data.learn(plain, fixed, learners, division.config, inside.ratings)
        statistics = data.collect(columns, learners, inside.ratings)
        fitted, prior, _ = data.fit_prior(
            columns,
            learners,
            statistics,
            features.start,
            rank=rank,
            iterations=CV_ITERATIONS,
            keep=inside.choices,
        )
        few, none = division.first_rows(data, inside), Kept(*map(np.zeros_like, inside))
        row = []
        for place, (some, rows) in enumerate(
            ((learners, inside), (cold_start_users, few), (cold_start_users, none))
        ):
            if not len(some):
                continue
            shown = rows if inputs.user else none  # else nobody's rows say who they are
            whole = some is learners and inputs.user
            known = statistics if whole else None
            found = fitted.condition(prior, columns, some, shown, known)
            test, mean, item_variance = _held_out(data, columns, ~inside.ratings, some, found)
            if not len(data.rating):
                apart_twice = (division.choice_parts == number).all(axis=0)
                agreement = data.choices.of_users(some, apart_twice).agreement(columns, found)
                row += [] if agreement is None else [agreement]
            if not len(test):
                continue
            pairs = Pairs(data.user[test], data.item[test], data.rating[test].astype(np.float32))
            row.append(within_user_correlation(pairs, mean))
            z = (data.rating[test] - on_scale(mean)) / np.sqrt(
                item_variance + prior.rating_variance
            )
            errors[place].append((found.left(prior), z))
        if row:
            correlations.append([row[0], row[min(1, len(row) - 1)]])
    if not correlations:
        return Outcome(np.zeros((1, 2)), [])
    return Outcome(np.array(correlations), [_together(one) for one in errors if one])


def _together(errors: list[StandardisedErrors]) -> StandardisedErrors:
    left = float(np.mean([one for one, _ in errors]))
    return left, np.concatenate([z for _, z in errors])


@small_matrices
def errors_of_seen(
    data: TrainingData, columns: Floats, prior: Prior, seed: int
) -> StandardisedErrors:
    """Return what is left and z values of training users on prompts that their posterior lacks.

    The prior is that of the whole fit: in the cross-validation above it is learned from fewer
    people and prompts, and errs more than it will.
    """
    whole, division = divide(data, CALIBRATION_FOLDS, TrainingConfig(seed, "cpu"), CV_USERS)
    users, errors = np.arange(len(whole.users)), []
    for number in range(CALIBRATION_FOLDS):
        inside = division.inside(number)
        found = whole.condition(prior, columns, users, inside)
        test, mean, item_variance = _held_out(whole, columns, ~inside.ratings, users, found)
        z = (whole.rating[test] - on_scale(mean)) / np.sqrt(item_variance + prior.rating_variance)
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
