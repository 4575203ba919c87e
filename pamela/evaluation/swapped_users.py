"""A personal model applied to somebody else: what of its predictions is about the person.

`generic` asks as a cold-start user of whom nothing is known, as ``user=None`` does in the API:
everybody's taste averaged. `swap_0`, `swap_1`, ... ask each user's rows as another user of the same
dataset, with that user's demographics, training rows and shown ratings, by seeded derangements
(nobody keeps their own taste). Swaps are asked for seen users and for unseen ones at `SWAP_SHOTS`
shots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Ints
from pamela.core.dataset import Fold, Pairs, People, load_fold
from pamela.core.paths import Project
from pamela.core.progress import progress
from pamela.evaluation.few_shot import unseen_task
from pamela.evaluation.metrics.schema import GENERIC, SEEN, UNSEEN, VARIANT, VARIANTS
from pamela.evaluation.predictions import Predictor, ask, frame_of, own_folds, restrict
from pamela.models.base import Prediction, load_model
from pamela.models.gaussian_process.score_memory import scores_kept
from pamela.models.repeats import averaged
from pamela.params import EvaluateParams, Params

SWAPS: Final = 3  # derangements; their losses are averaged
SWAP_SHOTS: Final = 20  # ratings shown of an unseen user whose taste is swapped


def predict_variants(project: Project, params: Params, number: int) -> pl.DataFrame:
    """Return `VARIANTS` of every personal model for the test rows of fold `number`."""
    fold = restrict(load_fold(project, number), own_folds(project))
    frames = [VARIANTS.to_frame()]
    names = params.train.models
    with scores_kept(), progress(f"swap users, fold {number}", len(names)) as advance:
        for name in names:
            model = load_model(project.models / name / f"fold_{number}")
            if model.personal:
                frames.append(variants_of(model, name, fold, params.evaluate))
            advance(1)
    return pl.concat(frames)


def variants_of(model: Predictor, name: str, fold: Fold, params: EvaluateParams) -> pl.DataFrame:
    """Ask one model as a cold-start user and as other users; rows of `VARIANTS`.

    The rows are those of `pamela.evaluation.predictions.predict_model` in the same slices. A user
    alone in a dataset has nobody to swap with and has no rows in the swaps.
    """
    seen, _ = averaged(fold[s.TEST_SEEN])
    task = unseen_task(fold, query_size=params.query_size, seed=params.seed)
    cold_start_users = without_identity(fold.people)
    frames = []
    for population, pairs in ((SEEN, seen), (UNSEEN, task.query)):
        answer = ask(model, name, fold, pairs, None, people=cold_start_users)
        for k in [None] if population == SEEN else params.shots:
            kept = np.ones(len(pairs), np.bool_) if k is None else (task.shown >= k)[pairs.user]
            some = Prediction(answer.mean[kept], answer.std[kept])
            rows = frame_of(fold, name, population, k, pairs.take(kept), some)
            frames.append(rows.with_columns(pl.lit(GENERIC).alias(VARIANT)))
    shots = [SWAP_SHOTS] if SWAP_SHOTS in params.shots else []
    asked = [(SEEN, None, seen, None), *((UNSEEN, k, *task.at(k)) for k in shots)]
    for population, k, pairs, context in asked:
        others = [
            swap_users(fold.people, pairs.user, [params.seed, number]) for number in range(SWAPS)
        ]
        found = pairs.take(others[0] >= 0)  # who has somebody to swap with has so in every swap
        swaps = [Pairs(other[other >= 0], found.item, found.rating) for other in others]
        shown = context if model.adapts else None
        answer = ask(model, name, fold, Pairs.concat(*swaps), shown)
        parts = zip(*(np.split(one, SWAPS) for one in (answer.mean, answer.std)), strict=True)
        for number, part in enumerate(parts):
            rows = frame_of(fold, name, population, k, found, Prediction(*part))
            frames.append(rows.with_columns(pl.lit(f"swap_{number}").alias(VARIANT)))
    return pl.concat(frames)


def without_identity(people: People) -> People:
    """Return as many cold-start users of the same datasets, of whom nothing is known."""
    blank = [pl.lit(None, people.frame.schema[c]).alias(c) for c in people.demographics]
    return People(people.frame.with_columns(pl.lit(s.POPULATION_ID).alias(s.USER), *blank))


def swap_users(people: People, user: Ints, seed: Sequence[int]) -> Ints:
    """Return, per row, another user among those of `user` and of the same dataset.

    The users of a dataset, in a seeded random circle, each get the taste of the next: a derangement
    in which every taste is used once.

    Parameters
    ----------
    user : int64 array (n,), rows of `people`.

    Returns
    -------
    int64 array (n,), -1 where a dataset has no second user.
    """
    present = np.unique(user)
    keys = np.array(people.keys)[present]
    dataset = people.frame[s.DATASET].to_numpy()[present]
    other = np.full(len(people), -1, np.int64)
    rng = np.random.default_rng(list(seed))
    for name in np.unique(dataset.astype(str)):
        mine = present[dataset == name][np.argsort(keys[dataset == name])]
        if len(mine) > 1:
            circle = rng.permutation(mine)
            other[circle] = np.roll(circle, -1)
    return other[user]
