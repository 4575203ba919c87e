"""k shots: which ratings of an unseen user are asked for and which are shown before.

The shown ones come from the part ``context_unseen``. Where a release has none, `query_size` of
the user's ``test_unseen`` rows are the query and the rest the context. The query is the same for
every k (0 too) and every model; contexts are nested (the first 5 of 20 are those of 5). Where
people rated pictures more than once, a picture's ratings lie on one side; asked is their mean, and
shown at k are the pictures of which all ratings are among the first k. Both
orders are pseudo-random in (seed, user, image), not in time: a rating's place depends on no other
rating, so appended rows never reshuffle the rest.

Pictures that others have rated are a task of their own (`known_pictures_task`): there both query
and context are ``context_unseen``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pamela.core import schema as s
from pamela.core.arrays import Ints
from pamela.core.dataset import Fold, Pairs
from pamela.core.hashing import places_by_user
from pamela.models.repeats import averaged

MOST_SHOWN: Final = 100  # pictures of a person that may be shown before known ones are asked
LEAST_ASKED: Final = 25  # known pictures that a person must have beyond these


@dataclass(frozen=True)
class UnseenTask:
    """What unseen users are asked, and what may be shown first.

    Attributes
    ----------
    query : the rated pairs to predict, one per person and picture.
    context : the pairs that may be shown.
    place : int64 array (len(context),), each one's place (0..) in its user's order; of several
        ratings of one picture the last one's.
    """

    query: Pairs
    context: Pairs
    place: Ints

    @property
    def shown(self) -> Ints:
        """Number of context rows by user index."""
        users = int(max(self.query.user.max(initial=-1), self.context.user.max(initial=-1))) + 1
        return np.bincount(self.context.user, minlength=users)

    def at(self, k: int) -> tuple[Pairs, Pairs]:
        """Return (query, context) at `k` shots, of the users who have `k` context rows."""
        has = self.shown >= k
        return (
            self.query.take(has[self.query.user]),
            self.context.take((self.place < k) & has[self.context.user]),
        )


def unseen_task(fold: Fold, *, query_size: int, seed: int) -> UnseenTask:
    """Divide the unseen users' rows of a fold into query and context.

    Parameters
    ----------
    query_size : pictures asked about per user, where a dataset of this fold has no
        ``context_unseen``.
    seed : of the order of the rows.
    """
    test, context = fold[s.TEST_UNSEEN], fold[s.CONTEXT_UNSEEN]
    names = fold.people.frame[s.DATASET].to_numpy()
    own = np.isin(names[test.user], np.unique(names[context.user]))
    split = test.take(~own)
    asked = _picture_places(fold, split, seed) < query_size
    query, _ = averaged(Pairs.concat(test.take(own), split.take(asked)))
    context = Pairs.concat(context, split.take(~asked))
    return UnseenTask(query, context, _last_places(fold, context, seed))


def _picture_places(fold: Fold, pairs: Pairs, seed: int) -> Ints:
    """Return the place of each pair's picture among the pictures of its user."""
    first, row = _pictures(fold, pairs)
    return _places(fold, pairs.take(first), seed)[row]


def _last_places(fold: Fold, pairs: Pairs, seed: int) -> Ints:
    """Return each pair's place among its user's, of several of one picture the last one's."""
    place = _places(fold, pairs, seed)
    first, row = _pictures(fold, pairs)
    last = np.zeros(len(first), np.int64)
    np.maximum.at(last, row, place)
    return last[row]


def _pictures(fold: Fold, pairs: Pairs) -> tuple[Ints, Ints]:
    """Return the first row of every person and picture, and which of these each pair belongs to."""
    key = pairs.user * len(fold.items) + pairs.item
    return np.unique(key, return_index=True, return_inverse=True)[1:]


def known_pictures_task(fold: Fold, *, seed: int) -> UnseenTask:
    """Ask unseen users about training pictures that others rated.

    The first `MOST_SHOWN` pictures in a person's order may be shown, all after them are the query.
    A person with fewer than `LEAST_ASKED` of these is left out. A person's ratings of one picture,
    where there are several, stay together, as in `unseen_task`.

    Parameters
    ----------
    seed : of the order of the pictures.
    """
    context = fold[s.CONTEXT_UNSEEN]
    rated = context.take(np.isin(context.item, fold[s.TRAIN].item))
    first, _ = _pictures(fold, rated)
    place = _picture_places(fold, rated, seed)
    pictures = np.bincount(rated.user[first], minlength=len(fold.people))
    enough = pictures >= MOST_SHOWN + LEAST_ASKED
    asked, _ = averaged(rated.take(enough[rated.user] & (place >= MOST_SHOWN)))
    shown = rated.take(enough[rated.user] & (place < MOST_SHOWN))
    return UnseenTask(asked, shown, _last_places(fold, shown, seed))


def _places(fold: Fold, pairs: Pairs, seed: int) -> Ints:
    """Return each pair's place in the pseudo-random order of its user's pairs."""
    frame = fold.items.frame
    keys = (frame[s.DATASET] + "/" + frame[s.IMAGE]).to_list()
    return places_by_user(pairs.user, fold.people.keys, pairs.item, keys, seed)
