"""Cross-validation of `hierarchical` over users and prompts inside train.

A configuration is judged on held-out prompts twice: for users whose other ratings the prior was
learned from, and for users held out altogether, given 20 ratings. The errors, as multiples of the
predictive deviation, also say how wide its intervals should be
(`pamela.models.hierarchical.interval_calibration`).
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
from pamela.models.hierarchical.item_features import Sizes
from pamela.models.hierarchical.training_rows import Fitting, TrainingConfig
from pamela.models.preprocessing import prompt_groups
from pamela.models.prior_fitting import fit_prior
from pamela.models.random_effects import Posterior, Prior, posterior, predict_rows
from pamela.models.rating_noise import START
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
    folds: int
    draw: Floats
    config: TrainingConfig


def divide(
    data: Fitting, folds: int, config: TrainingConfig, most: int
) -> tuple[Fitting, Division]:
    """Return the rows of those who take part, `most` at most, and their folds."""
    rng = np.random.default_rng([config.seed, 17])
    names, group = np.unique(prompt_groups(data.items), return_inverse=True)
    item_part = (rng.permutation(len(names)) % folds)[group]
    users = np.sort(rng.permutation(len(data.users))[:most])
    data, user_part = data.of_users(users), rng.permutation(len(users)) % folds
    draw = rng.random(len(data.rating))
    return data, Division(user_part, item_part[data.item], folds, draw, config)


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
            degrees=START,
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
def errors_of_seen(data: Fitting, columns: Floats, prior: Prior, seed: int) -> StandardisedErrors:
    """Return what is left and z values of training users on prompts that their posterior lacks.

    The prior is that of the whole fit: in the cross-validation above it is learned from fewer
    people and prompts, and errs more than it will.
    """
    whole, division = divide(data, CALIBRATION_FOLDS, TrainingConfig(seed, "cpu"), CV_USERS)
    users, errors = np.arange(len(whole.users)), []
    for number in range(CALIBRATION_FOLDS):
        inside = division.row_part != number
        known = whole.collect(columns, users, inside)
        found = posterior(prior, whole.described, known)
        test, mean, item_variance = _held_out(whole, columns, ~inside, users, found)
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


def _first_rows(data: Fitting, division: Division, inside: Bools) -> Bools:
    """Return `CV_SHOTS` random rows of every user among those `inside`."""
    draw = np.where(inside, division.draw, np.inf)
    return np.asarray(inside & (places_within(data.user, draw) < CV_SHOTS))
