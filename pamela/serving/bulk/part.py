"""One part of a table: read, scored, written, whole or not at all.

A part is plain values: any process on any machine that sees the model, the table and the place for
the result may score it (`pamela.serving.api.score_part`), again if need be: with the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Floats32, Ints
from pamela.core.dataset import People
from pamela.models.base import Prediction, std_on_scale
from pamela.serving.bulk.names import REASON, TableNames
from pamela.serving.bulk.pairs import pair_model
from pamela.serving.bulk.places import read_slice, write_table

if TYPE_CHECKING:
    from pamela.serving.api import Reward
    from pamela.serving.types import Source
    from pamela.serving.user_context import UserContext

STD, SOURCE, PERCENTILE, ROW = "std", "source", "percentile", "row"
SOURCES: Final[tuple[Source, ...]] = ("seen", "adapted", "demographics", "population")


@dataclass(frozen=True)
class ScorePart:
    """Rows of a table that are scored together.

    Attributes
    ----------
    job : changes with whatever the result depends on.
    model, version : a bundle folder, and which model lies there.
    project : root of the project whose saved people are meant; empty for none.
    files : of the table, or some that follow each other in it; paths or ``s3://`` addresses.
    start, rows : which rows of these files.
    first : their number in the whole table, from 1.
    scored, rejected : the files to write; no second one where every row is scored.
    percentile : whether to add it.
    """

    job: str
    model: str
    version: str
    project: str
    files: tuple[str, ...]
    start: int
    rows: int
    first: int
    scored: str
    rejected: str
    percentile: bool

    def __str__(self) -> str:
        return f"rows {self.first} to {self.first + self.rows - 1}"


class TableScorer:
    """A model, ready to score tables; threads may share it."""

    def __init__(self, reward: Reward) -> None:
        self._reward, self._contexts = reward, reward.user_contexts
        self._bundle = reward.bundle
        self._names, self._pairs = TableNames(reward), pair_model(self._contexts)
        people = self._bundle.people
        self._known_source = _sources(reward, people)
        self._known_scale = _scales(reward, people.frame[s.DATASET].to_list())

    def score_part(self, part: ScorePart) -> int:
        """Score and write a part; return how many of its rows could not be scored."""
        table = read_slice(part.files, part.start, part.rows)
        scored, rejected = self.score(table, first=part.first, percentile=part.percentile)
        if rejected.height:  # first: where the other is there, so is this
            write_table(part.rejected, rejected, {})
        write_table(part.scored, scored, {"model_version": self._reward.version})
        return rejected.height

    def score(
        self, table: pl.DataFrame, *, first: int = 1, percentile: bool = False
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows that can be scored, with their scores, and the others with the reason.

        Parameters
        ----------
        table : with the columns user_id and image_id, and perhaps dataset.
        first : number of its first row.
        """
        named = self._names.find(table)
        rejected = (
            table.with_columns(named.reason)
            .with_row_index(ROW, first)
            .filter(pl.col(REASON).is_not_null())
        )
        person, picture = named.person, named.picture
        if rejected.height:
            usable = np.flatnonzero(person >= 0)
            table, person, picture = table[usable], person[usable], picture[usable]
        found = self._pairs.predict(person, picture, named.others)
        return table.with_columns(self._columns(person, found, named.others, percentile)), rejected

    def _columns(
        self, person: Ints, found: Prediction, others: list[UserContext], percentile: bool
    ) -> list[pl.Series]:
        """Return the scores of pairs on their datasets' scales, as `Reward.scores` does."""
        scale = np.concatenate(
            [self._known_scale, _scales(self._reward, [one.dataset for one in others])]
        )
        low, high = scale[person].T
        source = [SOURCES.index(one.source) for one in others]
        sources = np.concatenate([self._known_source, np.array(source, np.int64)])[person]
        rating = s.from_internal(found.mean.astype(np.float64), low, high)
        std = std_on_scale(found.mean, found.std) * s.internal_unit(low, high)
        columns = [
            pl.Series(s.RATING, rating),
            pl.Series(STD, std),
            pl.Series(SOURCE, SOURCES, pl.String).gather(pl.Series(sources)),
        ]
        if percentile:
            columns.append(pl.Series(PERCENTILE, self._percentile(person, found.mean, others)))
        return columns

    def _percentile(self, person: Ints, mean: Floats32, others: list[UserContext]) -> Floats:
        """Return the percentiles of pairs, person by person: each has an order of their own."""
        order = np.argsort(person, kind="stable")
        who, begins = np.unique(person[order], return_index=True)
        ranks = np.empty(len(person))
        for code, rows in zip(who.tolist(), np.split(order, begins[1:]), strict=False):
            ranks[rows] = self._contexts.percentile(self._context(code, others), mean[rows])
        return ranks

    def _context(self, code: int, others: list[UserContext]) -> UserContext:
        people = self._bundle.people
        if code >= len(people):
            return others[code - len(people)]
        return self._contexts.seen(People(people.frame[code]))


def _sources(reward: Reward, people: People) -> Ints:
    """Return what is known of each person, as a place in `SOURCES`."""
    model = reward.bundle.model
    told = pl.any_horizontal(pl.lit(value=False), pl.col(people.demographics).is_not_null())
    described = people.frame.select(told).to_series().to_numpy() & model.uses_demographics
    cold = np.where(described, SOURCES.index("demographics"), SOURCES.index("population"))
    return np.where(model.knows(people), SOURCES.index("seen"), cold).astype(np.int64)


def _scales(reward: Reward, datasets: list[str]) -> Floats:
    """Return the lowest and the highest rating (n, 2) of people by their datasets."""
    known: dict[str, Any] = reward.bundle.scales
    return np.array([known[name] for name in datasets], np.float64).reshape(-1, 2)
