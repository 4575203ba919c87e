"""Whom and which pictures the rows of a table name; rows that name nobody, or no picture, say why.

A user is found as `Reward.score` finds one: ``dataset/user_id``, a bare id where it is unique or
where a column ``dataset`` says of which, or a saved person. A picture is one of the user's dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Ints
from pamela.core.errors import PamelaError
from pamela.serving.saved.people import PEOPLE

if TYPE_CHECKING:
    from pamela.serving.api import Reward
    from pamela.serving.user_context import UserContext

REASON: Final = "reason"
NO_USER: Final = f"{s.USER} is empty"
NO_PICTURE: Final = f"{s.IMAGE} is empty"
NO_DATASET: Final = f"{s.DATASET} is empty"
UNKNOWN_USER: Final = "unknown user"
UNKNOWN_DATASET: Final = "unknown dataset"
UNKNOWN_PICTURE: Final = "unknown picture in the user's dataset"
SEVERAL: Final = f"several users have this id: write dataset/{s.USER}, or people/NAME"
OTHER_DATASET: Final = "the user is one of another dataset"
_PERSON, _PICTURE, _OF = "_person", "_picture", "_dataset"


@dataclass(frozen=True)
class Named:
    """What the rows of a table name.

    Attributes
    ----------
    person : int64 array (rows,), row of the bundle's people, or behind them a place in `others`.
    picture : int64 array (rows,), row of the catalog.
    reason : why a row cannot be scored (rows,), null where it can; then the arrays hold -1.
    others : people who are not the model's.
    """

    person: Ints
    picture: Ints
    reason: pl.Series
    others: list[UserContext]


class TableNames:
    """Finds the users and pictures of a model's tables; threads may share it."""

    def __init__(self, reward: Reward) -> None:
        self._reward = reward
        bundle = reward.bundle
        self._datasets = list(bundle.scales)
        users = bundle.people.frame.select(*s.USERS_KEYS).with_row_index(_PERSON)
        saved = reward.people.names if reward.people else []
        self._by_key = _unambiguous(users, saved)
        self._by_name = _by_name(users, self._by_key)
        self._count = users.height
        codes = {name: code for code, name in enumerate(self._datasets)}
        of = pl.col(s.DATASET).replace_strict(codes, default=None, return_dtype=pl.UInt32)
        self._dataset_of = users.select(of.alias(_OF)).to_series()
        pictures = bundle.items.frame.select(of.alias(_OF), s.IMAGE).with_row_index(_PICTURE)
        self._pictures = pictures.unique([_OF, s.IMAGE], keep="last")
        self._lock = Lock()

    def find(self, table: pl.DataFrame) -> Named:
        """Look up the rows of a table with the columns user_id, image_id and perhaps dataset."""
        keys = [name for name in (s.DATASET, s.USER) if name in table.columns]
        rows = table.select(pl.col(*keys, s.IMAGE).cast(pl.String))
        known = self._by_key if s.DATASET in keys else self._by_name
        rows = rows.join(known, on=keys, how="left", maintain_order="left")
        rows = rows.with_columns(pl.lit(None, pl.String).alias(REASON))
        others: list[UserContext] = []
        if rows[_PERSON].null_count():
            rows, others = self._with_others(rows, keys)
        rows = self._with_pictures(rows, others)
        reason = rows.select(_reason(keys)).to_series()
        usable = reason.is_null()
        person, picture = (
            rows.select(pl.when(usable).then(pl.col(name).cast(pl.Int64)).otherwise(-1))
            .to_series()
            .to_numpy()
            for name in (_PERSON, _PICTURE)
        )
        return Named(person, picture, reason, others)

    def _with_others(
        self, rows: pl.DataFrame, keys: Sequence[str]
    ) -> tuple[pl.DataFrame, list[UserContext]]:
        """Return the rows with everybody whose name needs a second look, or why they have none."""
        filled = pl.all_horizontal(pl.col(*keys).is_not_null())
        lacking = rows.filter(filled & pl.col(_PERSON).is_null()).select(keys)
        names = lacking.unique(maintain_order=True)
        others: dict[str, UserContext] = {}
        with self._lock:  # saved people are read, and what is worked out of them is kept
            found = [self._other(row[-1], row[:-1], others) for row in names.iter_rows()]
        looked_up = names.with_columns(
            pl.Series("_code", [one if isinstance(one, int) else None for one in found], pl.UInt32),
            pl.Series("_why", [None if isinstance(one, int) else one for one in found], pl.String),
        )
        rows = rows.join(looked_up, on=keys, how="left", maintain_order="left")
        rows = rows.with_columns(
            pl.coalesce(_PERSON, "_code").alias(_PERSON), pl.col("_why").alias(REASON)
        )
        return rows.drop("_code", "_why"), list(others.values())

    def _other(self, user: str, said: Sequence[str], others: dict[str, UserContext]) -> int | str:
        """Return the code of a user by name, or why there is none.

        Parameters
        ----------
        said : the dataset, if there is a column.
        others : people found so far who are not the model's; a new one is added.
        """
        dataset = said[0] if said else None
        if dataset not in (None, *self._datasets):
            return UNKNOWN_DATASET
        users, resolver = self._reward.user_contexts.users, self._reward.resolver
        known, saved = resolver.meant(user, dataset)
        if len(known) + (saved is not None) > 1:
            return SEVERAL
        if saved is None:
            if not known:
                return UNKNOWN_USER
            code = users.row[known[0]]
            own = self._dataset_of[code]
            other = dataset is not None and own != self._datasets.index(dataset)
            return OTHER_DATASET if other else code
        try:
            context = resolver.context(f"{PEOPLE}/{saved}", None)
        except PamelaError as error:
            return str(error)
        if dataset not in (None, context.dataset):
            return OTHER_DATASET
        others.setdefault(saved, context)
        return self._count + list(others).index(saved)

    def _with_pictures(self, rows: pl.DataFrame, others: Sequence[UserContext]) -> pl.DataFrame:
        if len(self._datasets) == 1:
            known, keys = self._pictures.drop(_OF), [s.IMAGE]
        else:
            codes = [self._datasets.index(one.dataset) for one in others]
            dataset_of = pl.concat([self._dataset_of, pl.Series(_OF, codes, pl.UInt32)])
            rows = rows.with_columns(dataset_of.gather(rows[_PERSON]).alias(_OF))
            known, keys = self._pictures, [_OF, s.IMAGE]
        return rows.join(known, on=keys, how="left", maintain_order="left")


def _unambiguous(users: pl.DataFrame, saved: Sequence[str]) -> pl.DataFrame:
    """Return the users whose id, together with a dataset, means nobody else.

    It may be the name of a saved person, or what a dataset and a user of it are called together.
    """
    key = users.select(pl.concat_str([s.DATASET, s.USER], separator="/")).to_series()
    taken = pl.concat([key, pl.Series(saved, dtype=pl.String)])
    return users.filter(~pl.col(s.USER).is_in(taken.implode()))


def _by_name(users: pl.DataFrame, unambiguous: pl.DataFrame) -> pl.DataFrame:
    """Return users by ``dataset/user_id``, and by id alone where that is unique."""
    key = pl.concat_str([s.DATASET, s.USER], separator="/").alias(s.USER)
    unique = users.filter(pl.col(s.USER).is_unique())
    bare = unique.join(unambiguous.select(_PERSON), on=_PERSON, how="semi")
    return pl.concat([users.select(_PERSON, key), bare.select(_PERSON, s.USER)])


def _reason(keys: Sequence[str]) -> pl.Expr:
    """Return why a row cannot be scored; null where it can."""
    empty = {s.USER: NO_USER, s.DATASET: NO_DATASET}
    unnamed = [pl.when(pl.col(name).is_null()).then(pl.lit(empty[name])) for name in keys]
    unknown = (
        pl.when(pl.col(_PERSON).is_null())
        .then(pl.col(REASON))
        .when(pl.col(s.IMAGE).is_null())
        .then(pl.lit(NO_PICTURE))
        .when(pl.col(_PICTURE).is_null())
        .then(pl.lit(UNKNOWN_PICTURE))
    )
    return pl.coalesce(*unnamed, unknown).alias(REASON)
