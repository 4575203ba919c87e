"""A fold whose ratings lie in a Parquet folder, a file for the ratings of some people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Choices, Fold, Pairs
from pamela.core.errors import PamelaError
from pamela.core.shards.rows import Run, Shards, run_here

USER: Final = "user"
ITEM: Final = "item"
PARTS: Final = (*s.PARTS, s.HELD_OUT_ELSEWHERE)
SCHEMA: Final = pl.Schema(
    {USER: pl.Int32(), ITEM: pl.Int32(), s.RATING: pl.Float32(), s.PART: pl.Enum(PARTS)}
)
ROWS: Final = 1_000_000  # ratings in a shard, about


@dataclass(frozen=True)
class ParquetShard:
    """The ratings of some people in one file, sorted by person and picture.

    Attributes
    ----------
    parts : of which parts; None: of all.
    """

    path: Path
    parts: tuple[str, ...] | None = None

    def read(self) -> Pairs:
        """Return the ratings."""
        try:
            rows = pl.read_parquet(self.path, glob=False, use_pyarrow=False)
        except (FileNotFoundError, pl.exceptions.PolarsError) as error:
            reason = str(error).splitlines()[0]
            raise PamelaError(f"{self.path}: not readable as a shard ({reason})") from None
        if self.parts is not None:
            rows = rows.filter(pl.col(s.PART).is_in(self.parts))
        return Pairs(
            rows.get_column(USER).to_numpy().astype(np.int64),
            rows.get_column(ITEM).to_numpy().astype(np.int64),
            rows.get_column(s.RATING).to_numpy().astype(np.float32),
        )


@dataclass(frozen=True)
class ShardedParts(Mapping[str, Pairs]):
    """The parts of a fold in a folder of shards; asked for a part, all of it is read.

    Attributes
    ----------
    counts : rows of each part.
    merged : whether all rows are training rows.
    """

    folder: Path
    counts: Mapping[str, int]
    run: Run = run_here
    merged: bool = False

    def __getitem__(self, part: str) -> Pairs:
        if part not in self.counts:
            raise KeyError(part)
        return self.shards(part).read()

    def __iter__(self) -> Iterator[str]:
        return iter(self.counts)

    def __len__(self) -> int:
        return len(self.counts)

    def shards(self, part: str) -> Shards:
        """Return the shards of a part."""
        parts = None if self.merged else (part,)
        files = sorted(self.folder.glob("*.parquet")) if part in self.counts else []
        return Shards(tuple(ParquetShard(file, parts) for file in files), self.run)


@dataclass(frozen=True)
class ShardedFold(Fold):
    """A fold whose ratings are read a shard at a time (`shards_of`)."""

    parts: ShardedParts = field(kw_only=True)

    def all_as_train(self) -> Self:
        """Return the same fold with everything in part train and nothing held out."""
        choices = {s.TRAIN: Choices.concat(*self.choices.values())} if self.choices else {}
        rows = {s.TRAIN: sum(self.parts.counts.values())}
        parts = replace(self.parts, counts=rows, merged=True)
        return replace(self, parts=parts, choices=choices)


def shards_of(fold: Fold, part: str) -> Shards:
    """Return the ratings of a part in shards; one where they are in memory."""
    parts = fold.parts
    return parts.shards(part) if isinstance(parts, ShardedParts) else Shards.of(fold[part])


def count_rows(fold: Fold, part: str) -> int:
    """Return how many ratings a part has."""
    parts = fold.parts
    return parts.counts.get(part, 0) if isinstance(parts, ShardedParts) else len(fold[part])
