"""From a user id or demographics to the row of people that a model reads.

Nothing falls back in silence: an unknown user, demographic or category is an error that names
what comes near.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cached_property

import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import People
from pamela.core.errors import PamelaError
from pamela.training.bundle import Bundle

MOST_NAMED = 8  # names that a message lists


class UserLookup:
    """The bundle's users by id."""

    def __init__(self, bundle: Bundle) -> None:
        self._people = bundle.people
        self.row = {key: row for row, key in enumerate(bundle.people.keys)}

    def matches(self, user: str, dataset: str | None = None) -> list[str]:
        """Return the keys that `user` may mean: ``dataset/user``, or a bare id, in `dataset`."""
        user = s.one_spelling(user)
        if user in self.row:
            return [user]
        names = self._datasets if dataset is None else [dataset]
        return [f"{name}/{user}" for name in names if f"{name}/{user}" in self.row]

    def find(self, user: str, others: Iterable[str] = (), dataset: str | None = None) -> People:
        """Return the one row of `user`: ``dataset/user``, or a bare id where that is unique.

        Parameters
        ----------
        others : further names that an unknown user may have been meant for.
        dataset : where to look for a bare id; by default everywhere.
        """
        keys = self.matches(user, dataset)
        if len(keys) == 1:
            return People(self._people.frame[self.row[keys[0]]])
        if keys:
            raise PamelaError(f"user {user!r} is in several datasets: say {' or '.join(keys)}")
        raise PamelaError(f"unknown user {user!r}: {self._hint(user, others)}")

    def _hint(self, user: str, others: Iterable[str]) -> str:
        full = "/" in user
        names = list(self.row) if full else [key.split("/", 1)[1] for key in self.row]
        close = difflib.get_close_matches(user, [*names, *others], 3)
        if close:
            return f"did you mean {', '.join(dict.fromkeys(close))}?"
        some = [*self.row, *others]
        if len(some) <= MOST_NAMED:
            return f"known are {', '.join(some) or 'none'}"
        return f"{len(some)} are known, such as {', '.join(some[:3])}"

    @cached_property
    def _datasets(self) -> list[str]:
        names: list[str] = self._people.frame[s.DATASET].unique(maintain_order=True).to_list()
        return names

    @cached_property
    def _categories(self) -> dict[str, dict[str, list[str]]]:
        """The categories of every demographic by dataset; one that nobody has is absent."""
        known: dict[str, dict[str, list[str]]] = {}
        for name in self._datasets:
            own = self._people.frame.filter(pl.col(s.DATASET) == name)
            values = {c: own[c].drop_nulls().unique().sort() for c in self._people.demographics}
            known[name] = {c: v.cast(pl.String).to_list() for c, v in values.items() if len(v)}
        return known

    def check(self, dataset: str, demographics: Mapping[str, str]) -> None:
        """Raise `PamelaError` for a demographic that says nothing here.

        A demographic that nobody in `dataset` has is unknown there, whatever other datasets have:
        the model learned nothing of it for these raters. Nor did it of a category that none has.
        """
        known = self._categories.get(dataset, {})
        for name, value in sorted(demographics.items()):
            if name not in known:
                raise PamelaError(
                    f"unknown demographic {name!r} in dataset {dataset}: "
                    f"known are {', '.join(sorted(known)) or 'none'}"
                )
            if value not in known[name]:
                raise PamelaError(
                    f"unknown {name} {value!r} in dataset {dataset}: "
                    f"{_choices(str(value), known[name])}; or leave it out"
                )

    def cold_start_user(self, dataset: str, demographics: Mapping[str, str]) -> People:
        """Return a row for somebody of whom only `demographics` are known (see `check`)."""
        self.check(dataset, demographics)
        schema = self._people.frame.schema
        values = {s.DATASET: dataset, s.USER: s.POPULATION_ID, **demographics}
        return People(pl.DataFrame({c: [values.get(c)] for c in schema}, schema=schema))


def _choices(value: str, known: list[str]) -> str:
    if len(known) <= MOST_NAMED:
        return f"known are {', '.join(known)}"
    close = difflib.get_close_matches(value, known, 3)
    some = close or [*known[: MOST_NAMED - 1], "..."]
    return f"{len(known)} are known, {'near it' if close else 'such as'} {', '.join(some)}"
