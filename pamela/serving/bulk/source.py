"""The table to be scored: its files, columns and rows, and how it is divided into parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.serving.bulk.places import StoredFile, count_rows, find_files, is_remote, reason, scan

NEEDED = (s.USER, s.IMAGE)


@dataclass(frozen=True)
class Slice:
    """Rows `start` to `start + rows` of some files; the first is row `first` of the whole."""

    files: tuple[str, ...]
    start: int
    rows: int
    first: int


@dataclass(frozen=True)
class SourceTable:
    """A table in one Parquet file or several.

    Attributes
    ----------
    files : in their order.
    counts : the rows of each.
    """

    address: str
    files: tuple[StoredFile, ...]
    counts: tuple[int, ...]
    schema: pl.Schema

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(self.counts)

    def slices(self, rows_at_once: int) -> Iterator[Slice]:
        """Yield the rows in order, so many at a time."""
        ends = list(accumulate(self.counts))
        file = 0
        for begin in range(0, self.rows, rows_at_once):
            end = min(begin + rows_at_once, self.rows)
            while ends[file] <= begin:
                file += 1
            last = next(i for i in range(file, len(ends)) if ends[i] >= end)
            some = tuple(one.address for one in self.files[file : last + 1])
            before = ends[file] - self.counts[file]
            yield Slice(some, begin - before, end - begin, begin + 1)


def open_table(address: str, added: Sequence[str]) -> SourceTable:
    """Find the files of a table and check its columns.

    Parameters
    ----------
    added : columns that the result adds.

    Raises
    ------
    PamelaError
        If there is no such table, or it is empty, or not Parquet, or lacks a column, or has one of
        those that are added, or ids are no text.
    """
    try:
        files = find_files(address)
        if not files:
            raise PamelaError(f"{address}: {_nothing(address)}")
        schema = scan([one.address for one in files]).collect_schema()
        counts = tuple(count_rows(one.address) for one in files)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise PamelaError(f"{address}: not readable as Parquet ({reason(error)})") from None
    _check(address, schema, added)
    if not sum(counts):
        raise PamelaError(f"{address}: no rows; nothing to score")
    return SourceTable(address, tuple(files), counts, schema)


def _nothing(address: str) -> str:
    if not is_remote(address) and Path(address).is_dir():
        return "a folder without Parquet files"
    return "no such file"


def _check(address: str, schema: pl.Schema, added: Sequence[str]) -> None:
    missing = [name for name in NEEDED if name not in schema]
    if missing:
        there = ", ".join(schema)[:300] or "none"
        raise PamelaError(
            f"{address}: no column {' and no column '.join(missing)}; there are {there}"
        )
    for name in (*NEEDED, s.DATASET):
        dtype = schema.get(name, pl.String())
        if not (dtype in (pl.String, pl.Categorical, pl.Enum) or dtype.is_integer()):
            raise PamelaError(f"{address}: column {name} holds {dtype}; ids are text")
    taken = [name for name in added if name in schema]
    if taken:
        raise PamelaError(
            f"{address}: has a column {taken[0]} already, which the result adds; rename it or "
            "leave it out"
        )
