"""What is known of a person before any rating, as columns: intercept, dataset, demographics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.core.dataset import Pairs, People
from pamela.models.preprocessing import Codes, datasets_without

RAREST = 3  # users who must share a category for it to get a column


@dataclass(frozen=True)
class PeopleColumns:
    """One column of ones, then one per category, centred on the training users.

    Attributes
    ----------
    codes : categories of each described column.
    kept : per code, which of its categories have a column.
    shares : per code, the share of training users in each kept category.
    """

    codes: tuple[Codes, ...]
    kept: tuple[tuple[int, ...], ...]
    shares: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(cls, people: People, train: Pairs, *, demographics: bool) -> Self:
        """Collect the categories of the training users."""
        return cls.of_rows(people, np.unique(train.user), demographics=demographics)

    @classmethod
    def of_rows(cls, people: People, rows: Ints, *, demographics: bool) -> Self:
        """Collect the categories of the users in these rows of `people`."""
        frame = people.frame[rows]
        keys = [[s.DATASET]] if frame[s.DATASET].n_unique() > 1 else []
        keys += [[name] for name in people.demographics] if demographics else []
        codes, kept, shares = [], [], []
        for key in keys:
            found = Codes.fit(frame, key, datasets_without(frame, key))
            counts = np.bincount(np.maximum(found.encode(frame), -1) + 1, minlength=len(found) + 1)
            some = tuple(int(i) for i in np.flatnonzero(counts[1:] >= RAREST))
            codes.append(found)
            kept.append(some)
            shares.append(tuple(float(counts[1:][i]) / len(frame) for i in some))
        return cls(tuple(codes), tuple(kept), tuple(shares))

    def transform(self, people: People) -> Floats:
        """Return the columns (n, q); an unknown category is the average person."""
        n = len(people)
        columns = [np.ones((n, 1))]
        for codes, kept, shares in zip(self.codes, self.kept, self.shares, strict=True):
            code = codes.encode(people.frame)
            member = (code[:, None] == np.array(kept, np.int64)[None, :]).astype(np.float64)
            centred = np.where((code >= 0)[:, None], member - np.array(shares), 0.0)
            columns.append(centred.reshape(n, len(kept)))
        return np.concatenate(columns, axis=1)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return {
            "codes": [codes.to_json() for codes in self.codes],
            "kept": [list(some) for some in self.kept],
            "shares": [list(some) for some in self.shares],
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """Rebuild from `to_json`."""
        return cls(
            tuple(Codes.from_json(codes) for codes in saved["codes"]),
            tuple(tuple(some) for some in saved["kept"]),
            tuple(tuple(some) for some in saved["shares"]),
        )
