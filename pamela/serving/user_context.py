"""Who looks at a picture: somebody trained on, somebody adapted to, or people in general.

What a model knows of a person is worked out once and kept: the posterior of their taste where it
is linear (`LinearTaste`), and what they think of the training pictures.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Floats32, Ints
from pamela.core.dataset import Choices, Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.models.base import Prediction
from pamela.models.linear_taste import LinearTaste
from pamela.serving.recent_columns import RecentColumns
from pamela.serving.types import Source
from pamela.training.bundle import Bundle
from pamela.training.user_lookup import UserLookup

MOST_KEPT = 1024  # people of whom what was worked out is kept


@dataclass(frozen=True, eq=False)
class User:
    """A person the model was not trained on: what `Reward.adapt` returns.

    Attributes
    ----------
    dataset : whose scale and raters this person is compared with.
    demographics : categorical answers; unknown ones are absent.
    context : the pictures this person rated, then others between which they chose.
    ratings : of the first pictures of `context`, on the 1..5 scale.
    encoder : fingerprint of the encoder that `context` was encoded with.
    choices : rows `a` and `b` of `context` and the outcome (`schema.OUTCOMES`), for each choice.
    """

    dataset: str
    demographics: Mapping[str, str]
    context: Items
    ratings: tuple[float, ...]
    encoder: str
    choices: tuple[tuple[int, int, float], ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """Known pictures of one dataset.

    Attributes
    ----------
    rows : int64 array (n,), their rows of the bundle's catalog.
    columns : what a `LinearTaste` makes of them; None for any other model.
    """

    rows: Ints
    items: Items
    columns: tuple[Floats, Floats, Floats] | None


@dataclass
class UserContext:
    """Who looks, and what is known of them.

    Attributes
    ----------
    person : one row of people.
    context, ratings, choices : as of `User`; only of people not trained on.
    taste : weights (k,) and their spread (k,), where the model is a `LinearTaste`.
    ranks : their predictions for the training pictures of their dataset, sorted; once asked for.
    """

    person: People
    source: Source
    context: Items
    ratings: tuple[float, ...]
    choices: tuple[tuple[int, int, float], ...] = ()
    taste: tuple[Floats, Floats] | None = None
    ranks: Floats32 | None = None

    def shown(self, first: int = 0) -> tuple[Pairs, Choices]:
        """Return their ratings and choices, the pictures of `context` counted from `first`."""
        return (
            _of_one(first + np.arange(len(self.ratings)), self.ratings),
            choices_of_one(self.choices, first),
        )

    @property
    def dataset(self) -> str:
        """The dataset whose raters they are compared with."""
        name: str = self.person.frame[s.DATASET][0]
        return name

    @property
    def key(self) -> str:
        """``dataset/user_id``; the id of somebody unknown is empty."""
        return self.person.keys[0]


class UserContexts:
    """The people of a bundle and what the model knows of each.

    Parameters
    ----------
    bundle : the model and what it knows.
    recent : folder where what the model makes of pictures is kept for a while.
    """

    def __init__(self, bundle: Bundle, recent: Path | None = None) -> None:
        self.bundle = bundle
        self.users = UserLookup(bundle)
        self.linear = bundle.model if isinstance(bundle.model, LinearTaste) else None
        self._columns = RecentColumns(self.linear, bundle.version, recent) if self.linear else None
        self._named: OrderedDict[str, UserContext] = OrderedDict()
        self._adapted: WeakKeyDictionary[User, UserContext] = WeakKeyDictionary()
        self._catalogues: dict[str, Catalogue] = {}
        self._galleries: dict[str, Catalogue] = {}

    # --- who --------------------------------------------------------------------------------------
    def seen(self, person: People) -> UserContext:
        """Return the context of one row of the bundle's people."""
        key = person.keys[0]
        if key not in self._named:
            described = any(person.frame[c][0] is not None for c in person.demographics)
            known = self.bundle.model.knows(person)[0]
            source: Source = "seen" if known else self._cold_start_source(described)
            self._keep(key, self._make(person, source))
        self._named.move_to_end(key)
        return self._named[key]

    def kept(self, key: str) -> UserContext | None:
        """Return the context of ``dataset/user_id`` if it was worked out already."""
        if key in self._named:
            self._named.move_to_end(key)
        return self._named.get(key)

    def nobody(self, dataset: str) -> UserContext:
        """Return people in general, as raters of `dataset`."""
        key = f"{dataset}/"
        if key not in self._named:
            self._keep(key, self._make(self.users.cold_start_user(dataset, {}), "population"))
        self._named.move_to_end(key)
        return self._named[key]

    def adapted(self, user: User) -> UserContext:
        """Return the context of a `User`; the posterior is worked out once for each.

        Raises
        ------
        PamelaError
            If the user was made by a model with another encoder.
        """
        if user.encoder != self.bundle.encoder["fingerprint"]:
            raise PamelaError(
                "this User was made by a model with another encoder: call `adapt` of this one"
            )
        if user.dataset not in self.bundle.scales:
            raise PamelaError(
                f"this User is one of dataset {user.dataset}, which this model does not know: "
                "call `adapt` of this one"
            )
        found = self._adapted.get(user)
        if found is None:
            person = self.users.cold_start_user(user.dataset, user.demographics)
            told = bool(user.ratings or user.choices)
            source = "adapted" if told else self._cold_start_source(bool(user.demographics))
            found = self._adapted[user] = self._make(person, source, user)
        return found

    def _cold_start_source(self, described: bool) -> Source:
        """Demographics count as a source only for a model that reads them."""
        read = described and self.bundle.model.uses_demographics
        return "demographics" if read else "population"

    def _make(
        self,
        person: People,
        source: Source,
        user: User | None = None,
    ) -> UserContext:
        if user is None:
            none = self.bundle.items.take(np.zeros(0, np.int64))
            user_context = UserContext(person, source, none, ())
        else:
            user_context = UserContext(person, source, user.context, user.ratings, user.choices)
        if self.linear is not None:
            shown = user_context.shown()
            weights, spread = self.linear.weights_of(person, user_context.context, *shown)
            user_context.taste = weights[0], spread[0]
        return user_context

    def _keep(self, key: str, user_context: UserContext) -> None:
        self._named[key] = user_context
        if len(self._named) > MOST_KEPT:
            self._named.popitem(last=False)

    # --- what they think --------------------------------------------------------------------------
    def predict(
        self, user_context: UserContext, items: Items, *, recent: bool = False
    ) -> Prediction:
        """Predict the user's ratings of `items`, on the 1..5 scale.

        Parameters
        ----------
        recent : whether what the model makes of them is kept for a while.
        """
        if self.linear and self._columns and user_context.taste is not None:
            columns = self._columns.of(items, keep=recent)
            return self.linear.opinion(columns, *user_context.taste)
        asked = _of_one(np.arange(len(items)))
        if not len(user_context.context):
            return self.bundle.model.predict(items, user_context.person, asked)
        shown = user_context.shown(len(items))
        both = Items(
            pl.concat([items.frame, user_context.context.frame], how="diagonal"),
            np.concatenate([items.image, user_context.context.image]),
            np.concatenate([items.prompt, user_context.context.prompt]),
        )
        return self.bundle.model.predict(both, user_context.person, asked, *shown)

    def predict_each(
        self, parts: Sequence[tuple[UserContext, int]], items: Items
    ) -> list[Prediction]:
        """Predict several users' ratings: the first so many of `items` are the first one's, etc."""
        ends = np.cumsum([0, *(count for _, count in parts)]).tolist()
        asked = zip((one for one, _ in parts), pairwise(ends), strict=True)
        if self.linear is None:
            return [self.predict(one, items.take(np.arange(a, b))) for one, (a, b) in asked]
        base, variance, columns = self.linear.columns(
            items
        )  # costs little more for all than for one
        return [
            self.linear.opinion((base[a:b], variance[a:b], columns[a:b]), *(one.taste or ()))
            for one, (a, b) in asked
        ]

    def opinion(self, user_context: UserContext, catalogue: Catalogue) -> Prediction:
        """Predict the user's ratings of known pictures: one product where the model is linear."""
        if self.linear is not None and user_context.taste is not None and catalogue.columns:
            return self.linear.opinion(catalogue.columns, *user_context.taste)
        return self.predict(user_context, catalogue.items)

    def percentile(self, user_context: UserContext, mean: Floats32) -> Floats:
        """Return how many of the training pictures, 0 to 100, the user likes less (n,)."""
        if user_context.ranks is None:
            liked = self.opinion(user_context, self.catalogue(user_context.dataset))
            user_context.ranks = np.sort(liked.mean)
        below = np.searchsorted(user_context.ranks, mean, "left")
        not_above = np.searchsorted(user_context.ranks, mean, "right")
        return (below + not_above).astype(np.float64) * (50.0 / max(len(user_context.ranks), 1))

    def catalogue(self, dataset: str) -> Catalogue:
        """Return the training pictures of `dataset`."""
        if dataset not in self._catalogues:
            rows = self._rows(dataset)
            self._catalogues[dataset] = self._known(rows[self.bundle.in_train_items[rows]])
        return self._catalogues[dataset]

    def gallery(self, dataset: str) -> Catalogue:
        """Return every picture of `dataset` that the bundle has, trained on or not."""
        if dataset not in self._galleries:
            rows = self._rows(dataset)
            whole = self.bundle.in_train_items[rows].all()
            self._galleries[dataset] = self.catalogue(dataset) if whole else self._known(rows)
        return self._galleries[dataset]

    def _rows(self, dataset: str) -> Ints:
        return np.flatnonzero((self.bundle.items.frame[s.DATASET] == dataset).to_numpy())

    def _known(self, rows: Ints) -> Catalogue:
        items = self.bundle.items.take(rows)
        return Catalogue(rows, items, self._columns.of(items) if self._columns else None)


def choices_of_one(choices: Sequence[tuple[int, int, float]], first: int = 0) -> Choices:
    """Return choices of one person, the only row of people, the pictures counted from `first`."""
    a, b, outcome = (np.array(one) for one in zip(*choices, strict=True)) if choices else ([],) * 3
    return Choices(
        np.zeros(len(choices), np.int64),
        first + np.asarray(a, np.int64),
        first + np.asarray(b, np.int64),
        np.asarray(outcome, np.float32),
    )


def _of_one(item: npt.NDArray[Any], ratings: tuple[float, ...] = ()) -> Pairs:
    """Return pairs of one person, the only row of people, with `item`; unrated where none given."""
    rating = np.array(ratings, np.float32) if ratings else np.zeros(len(item), np.float32)
    return Pairs(np.zeros(len(item), np.int64), item.astype(np.int64), rating)
