"""Which choices of an unseen user are asked for and which are shown before.

A person's pairs of training pictures stand in a seeded order. The first half of them may be shown,
and at least `FEWEST_SHOWN` (the first k are); the rest is the query about known pictures, the same
for every k and every model. The query about new pictures are the choices between two test pictures,
after the same shown ones. Choices between a known and a new picture are left out. A pair that
somebody chose between twice stays together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Ints
from pamela.core.dataset import Choices, Fold
from pamela.core.hashing import places_by_user

FEWEST_SHOWN: Final = 10  # pairs of a person that may be shown, before any are asked


@dataclass(frozen=True)
class ChoiceTask:
    """What unseen users are asked, and what may be shown first.

    Attributes
    ----------
    known, new : the choices to predict, between known and between new pictures.
    context : the choices that may be shown.
    place : int64 array (len(context),), each one's place (0..) in its user's order.
    """

    known: Choices
    new: Choices
    context: Choices
    place: Ints

    def at(self, query: Choices, k: int) -> tuple[Choices, Choices]:
        """Return (query, context) at `k` shots, of the users who have `k` pairs to show."""
        users = int(max(query.user.max(initial=-1), self.context.user.max(initial=-1))) + 1
        shown = np.zeros(users, np.int64)
        np.maximum.at(shown, self.context.user, self.place + 1)
        has = shown >= k
        return (
            query.take(has[query.user]),
            self.context.take((self.place < k) & has[self.context.user]),
        )


def choice_task(fold: Fold, *, seed: int) -> ChoiceTask:
    """Divide the unseen users' choices of a fold into queries and context.

    Parameters
    ----------
    seed : of the order of the pairs.
    """
    train = fold.choices_of(s.TRAIN)
    trained = np.unique(np.concatenate([fold[s.TRAIN].item, train.a, train.b]))
    own = fold.choices_of(s.CONTEXT_UNSEEN)
    own = own.take(np.isin(own.a, trained) & np.isin(own.b, trained))
    user, pair, row, names = _pairs(fold, own)
    place = places_by_user(user, fold.people.keys, pair, names, seed)
    half = np.bincount(user, minlength=len(fold.people)) // 2
    shown = place[row] < np.maximum(half, FEWEST_SHOWN)[own.user]
    return ChoiceTask(
        own.take(~shown), fold.choices_of(s.TEST_UNSEEN), own.take(shown), place[row][shown]
    )


def _pairs(fold: Fold, choices: Choices) -> tuple[Ints, Ints, Ints, list[str]]:
    """Return user and pair of every (user, pair) once, each choice's row there, and pairs' names.

    The two pictures of a pair may come in either order.
    """
    n = len(fold.items)
    low, high = np.minimum(choices.a, choices.b), np.maximum(choices.a, choices.b)
    distinct, pair = np.unique(low * n + high, return_inverse=True)
    frame = fold.items.frame
    keys = frame.select(pl.concat_str(s.DATASET, s.IMAGE, separator="/")).to_series()
    both = pl.DataFrame({"a": keys.gather(distinct // n), "b": keys.gather(distinct % n)})
    names = both.select(pl.concat_str("a", "b", separator=" ")).to_series().to_list()
    once, row = np.unique(choices.user * max(len(distinct), 1) + pair, return_inverse=True)
    return once // max(len(distinct), 1), once % max(len(distinct), 1), row, names
