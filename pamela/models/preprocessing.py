"""Turning pictures and people into numbers: sound features, category codes, user keys.

Shared by the models, fitted on training rows only, robust to what a model may meet later: missing
features, huge values, categories and users never seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Floats32, Ints
from pamela.core.dataset import Choices, Items, Pairs, People

CLIP_SD = 8.0  # a standardised feature further out than this many deviations is an outlier
LARGEST = 1e6  # a raw feature above this is not a feature
SMALLEST_LENGTH = 1e-6
UNKNOWN = -1
ABSENT = -2  # the dataset has no such column: not a category, and no information
FEW = 64  # rows up to which a dictionary is quicker than a join of tables


def canonical(pairs: Pairs) -> Pairs:
    """Return the same pairs in an order of their own, so that sums do not depend on row order."""
    if _is_canonical(pairs):
        return pairs
    return pairs.take(np.lexsort((pairs.rating, pairs.item, pairs.user)))


def _is_canonical(pairs: Pairs) -> bool:
    """Return whether the pairs are sorted by user, picture and rating: then nothing is copied."""
    user, item, rating = pairs.user, pairs.item, pairs.rating
    same_user = user[1:] == user[:-1]
    if (user[1:] < user[:-1]).any() or (same_user & (item[1:] < item[:-1])).any():
        return False
    again = np.flatnonzero(same_user & (item[1:] == item[:-1]))
    return bool((rating[again + 1] >= rating[again]).all())


def canonical_choices(choices: Choices) -> Choices:
    """Return the same choices in an order of their own, `a` the picture of the lower row.

    So that neither the order of rows changes a sum, nor on which side a picture was shown.
    """
    turned = choices.a > choices.b
    a, b = np.minimum(choices.a, choices.b), np.maximum(choices.a, choices.b)
    outcome = np.where(turned, 1 - choices.outcome, choices.outcome).astype(np.float32)
    made = Choices(choices.user, a, b, outcome)
    return made.take(np.lexsort((outcome, b, a, choices.user)))


def sanitise(features: Floats32) -> Floats32:
    """Return features with NaN as 0 and absurd magnitudes clipped."""
    clean = np.clip(features, -LARGEST, LARGEST).astype(np.float32, copy=False)
    clean[np.isnan(clean)] = 0.0
    return clean


def unit_rows(features: Floats32) -> Floats:
    """Return rows scaled to length one; a zero row stays zero."""
    wide = features.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)


def squared_distances(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Floats:
    """Return the squared distance (n, m) of every row of `a` (n, d) to every row of `b` (m, d)."""
    # In place: these matrices are the largest there are, and fresh memory costs as much as sums.
    found = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)[None, :]
    product = a @ b.T
    product *= 2
    found -= product
    np.maximum(found, 0.0, out=found)
    return found.astype(np.float64, copy=False)


def mean_length(rows: Floats) -> float:
    """Return the root mean square length of `rows` (n, d); one where there are none."""
    if not rows.size:
        return 1.0
    return max(float(np.sqrt(np.mean(np.sum(rows**2, axis=1)))), SMALLEST_LENGTH)


@dataclass(frozen=True)
class Codes:
    """Category codes of one key (one or several columns); what training did not see is unknown.

    A null is a category of its own: a missing style says something (photographs have none).

    Attributes
    ----------
    absent : datasets that lack one of the columns altogether; their rows are `ABSENT`.
    """

    columns: tuple[str, ...]
    values: tuple[str, ...]
    absent: tuple[str, ...] = ()

    @classmethod
    def fit(cls, frame: pl.DataFrame, columns: Sequence[str], absent: Sequence[str] = ()) -> Self:
        """Collect the distinct values of `columns` in `frame`, sorted."""
        present = frame.filter(~pl.col(s.DATASET).is_in(absent)) if absent else frame
        keys = _key(present, columns).unique().sort().to_list()
        return cls(tuple(columns), tuple(keys), tuple(absent))

    def __len__(self) -> int:
        return len(self.values)

    def encode(self, frame: pl.DataFrame) -> Ints:
        """Return the code of every row, `UNKNOWN` where training had none, or `ABSENT`."""
        codes = self._look_up(frame) if _is_few(frame, self.columns) else self._join(frame)
        if not self.absent:
            return codes
        lacks = frame[s.DATASET].is_in(self.absent).to_numpy()
        return np.where(lacks, ABSENT, codes)

    def _join(self, frame: pl.DataFrame) -> Ints:
        table = pl.DataFrame(
            {"_key": list(self.values), "_code": np.arange(len(self.values))},
            schema={"_key": pl.String, "_code": pl.Int64},
        )
        keys = _key(frame, self.columns).rename("_key").to_frame()
        found = keys.join(table, on="_key", how="left", maintain_order="left")["_code"]
        return found.fill_null(UNKNOWN).to_numpy().astype(np.int64)

    def _look_up(self, frame: pl.DataFrame) -> Ints:
        """Return what `_join` does, for a person's few rows in microseconds."""
        none = [None] * frame.height
        cells = (frame[c].to_list() if c in frame.columns else none for c in self.columns)
        keys = ("\x1f".join(c or "" for c in row) for row in zip(*cells, strict=True))
        return np.array([self._places.get(key, UNKNOWN) for key in keys], np.int64)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {value: code for code, value in enumerate(self.values)}

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        saved = {"columns": list(self.columns), "values": list(self.values)}
        return {**saved, "absent": list(self.absent)} if self.absent else saved

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """Rebuild from `to_json`."""
        return cls(tuple(saved["columns"]), tuple(saved["values"]), tuple(saved.get("absent", ())))


def _is_few(frame: pl.DataFrame, columns: Sequence[str]) -> bool:
    """Tell whether a frame is small and its `columns` are text, as a dictionary needs them."""
    return frame.height <= FEW and all(
        frame.schema[c] == pl.String for c in columns if c in frame.columns
    )


def _key(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Return one text key per row; an absent column counts as null."""
    absent = [pl.lit(None, pl.String).alias(c) for c in columns if c not in frame.columns]
    parts = [pl.col(c).cast(pl.String).fill_null("") for c in columns]
    return frame.with_columns(absent).select(pl.concat_str(parts, separator="\x1f")).to_series()


@dataclass(frozen=True)
class UserIndex:
    """The training users by ``dataset/user_id``."""

    keys: tuple[str, ...]

    @classmethod
    def fit(cls, people: People, pairs: Pairs) -> Self:
        """Collect the users of `pairs`, in the order of `people`."""
        return cls.of_rows(people, np.unique(pairs.user))

    @classmethod
    def of_rows(cls, people: People, rows: Ints) -> Self:
        """Collect the users in these rows of `people`."""
        keys = people.keys
        return cls(tuple(keys[row] for row in rows))

    def __len__(self) -> int:
        return len(self.keys)

    def encode(self, people: People) -> Ints:
        """Return the training row of every user of `people`, `UNKNOWN` for cold-start users."""
        known = {key: row for row, key in enumerate(self.keys)}
        return np.array([known.get(key, UNKNOWN) for key in people.keys], dtype=np.int64)


@dataclass(frozen=True)
class Datasets:
    """Which dataset each picture is of.

    Attributes
    ----------
    names : the datasets, sorted.
    code : int64 array (items,), place in `names`.
    """

    names: tuple[str, ...]
    code: Ints

    @classmethod
    def of(cls, items: Items, pairs: Pairs) -> Self:
        """Return the datasets that `pairs` touch; pictures of others get the code 0."""
        return cls.of_pictures(items, np.unique(pairs.item))

    @classmethod
    def of_pictures(cls, items: Items, rated: Ints) -> Self:
        """Return the datasets of these rows of `items`; pictures of others get the code 0."""
        column = items.frame[s.DATASET].to_numpy()
        names = np.unique(column[rated].astype(str))
        code = np.searchsorted(names, column.astype(str)).clip(max=max(len(names) - 1, 0))
        code = np.where(names[code] == column, code, 0) if len(names) else np.zeros(len(column))
        return cls(tuple(names.tolist()), code.astype(np.int64))

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, pairs: Pairs) -> Ints:
        """Return the number of rows of each dataset."""
        return np.bincount(self.code[pairs.item], minlength=len(self))


def datasets_without(frame: pl.DataFrame, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the datasets that lack one of `columns` altogether, where there are several.

    Such a null says which dataset a row is of and nothing else; with one dataset it is a category
    like any other.
    """
    if frame[s.DATASET].n_unique() < 2:
        return ()
    empty = pl.any_horizontal(
        pl.col(c).is_null().all() if c in frame.columns else pl.lit(True) for c in columns
    )
    by_dataset = frame.group_by(s.DATASET).agg(_empty=empty)
    return tuple(by_dataset.filter("_empty")[s.DATASET].sort().to_list())


def fit_codes(frame: pl.DataFrame, keys: Iterable[Sequence[str]]) -> tuple[Codes, ...]:
    """Fit the codes of every key; a dataset that lacks one of its columns is absent from it."""
    return tuple(Codes.fit(frame, key, datasets_without(frame, key)) for key in keys)


def prompt_groups(items: Items) -> Ints:
    """Return a number per picture, equal where pictures share a ``prompt_id``.

    A picture without one is a group of its own.
    """
    alone = pl.concat_str([pl.lit("\x1f"), pl.col(s.IMAGE)])
    group = pl.coalesce(pl.col(s.PROMPT_ID), alone) if s.PROMPT_ID in items.frame.columns else alone
    keys = items.frame.select(pl.concat_str([pl.col(s.DATASET), group], separator="/").alias("_g"))[
        "_g"
    ]
    return keys.rank("dense").to_numpy().astype(np.int64) - 1
