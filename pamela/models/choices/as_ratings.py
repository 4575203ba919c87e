"""A choice as two ratings, for models that know no other way to learn from one.

What was chosen is rated `STEP` above a middle and the other picture as far below it; in a tie both
are rated at the middle. That throws away against whom a picture won, and takes every choice for
equally telling: `population` and `hierarchical` learn from the choice itself
(`pamela.models.choices.thurstone`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.core.dataset import Choices, Fold, Items, Pairs
from pamela.core.shards.fold import shards_of
from pamela.core.shards.rows import Held, Shard, Shards

STEP: Final = 0.5  # internal units: half of what one point on a scale of five is
MIDDLE: Final = (s.SCALE_LOW + s.SCALE_HIGH) / 2
LEARNED: Final = (s.TRAIN, s.VAL_SEEN, s.VAL_UNSEEN)  # parts that fitting may look at


def as_ratings(choices: Choices, middle: Floats | float) -> Pairs:
    """Return two ratings for every choice, first those of all `a`, then those of all `b`.

    Parameters
    ----------
    middle : about which both lie, of all or of each choice (n,).
    """
    away = STEP * (2.0 * choices.outcome.astype(np.float64) - 1.0)
    return Pairs(
        np.concatenate([choices.user, choices.user]),
        np.concatenate([choices.a, choices.b]),
        np.concatenate([middle + away, middle - away]).astype(np.float32),
    )


def choices_as_ratings(fold: Fold) -> Fold:
    """Return the fold without choices, those to learn from as ratings; without any, as it is.

    The middle is the mean training rating of the picture's dataset, or of the scale where there
    are no ratings: then nothing is known of it.
    """
    if not any(len(one) for one in fold.choices.values()):
        return fold
    names, code = _datasets(fold.items)
    train = fold[s.TRAIN]
    count = np.bincount(code[train.item], minlength=len(names))
    total = np.bincount(code[train.item], train.rating, len(names))
    middles = np.where(count > 0, total / np.maximum(count, 1), MIDDLE)
    parts = dict(fold.parts)
    for part in LEARNED:
        chosen = fold.choices_of(part)
        if len(chosen):
            parts[part] = Pairs.concat(fold[part], as_ratings(chosen, middles[code[chosen.a]]))
    return replace(fold, parts=parts, choices={})


def rows_to_learn_from(fold: Fold) -> Shards:
    """Return the training ratings and, of datasets that have none, the choices as ratings.

    For what counts rows or ranks configurations: which datasets there are, how large each is, how
    well a score orders what a person said.
    """
    train, choices = shards_of(fold, s.TRAIN), fold.choices_of(s.TRAIN)
    if not len(choices):
        return train
    names, code = _datasets(fold.items)
    touched = sum(train.map(partial(rated_pictures, len(code))), np.zeros(len(code), np.int64))
    rated = np.bincount(code, touched, len(names)) > 0
    told = as_ratings(choices.take(~rated[code[choices.a]]), MIDDLE)
    return replace(train, every=(*train.every, Held(told)))


def rated_pictures(pictures: int, shard: Shard) -> Ints:
    """Return how many rows of a shard are of each picture, of so many in all."""
    return np.bincount(shard.read().item, minlength=pictures)


def _datasets(items: Items) -> tuple[list[str], Ints]:
    names, code = np.unique(items.frame[s.DATASET].to_numpy().astype(str), return_inverse=True)
    return names.tolist(), code.astype(np.int64)
