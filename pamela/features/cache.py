"""Feature rows on disk, keyed by content: appended in parts, never rewritten."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core.arrays import Bools
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet, write_parquet

ROWS_PER_PART = 4096  # an interrupted run loses at most this many encoded pictures
KEY, VALUE = "key", "feature"


@dataclass(frozen=True)
class FeatureCache:
    """Rows of width `dim` in a folder of Parquet parts named by the keys they hold."""

    folder: Path
    dim: int
    dtype: type[np.float32 | np.float64] = np.float32

    @staticmethod
    def parts(rows: int) -> Iterator[slice]:
        """Yield the slices in which `rows` rows are to be added."""
        for start in range(0, rows, ROWS_PER_PART):
            yield slice(start, min(start + ROWS_PER_PART, rows))

    def missing(self, frame: pl.DataFrame, column: str) -> pl.DataFrame:
        """Return the rows of `frame` whose `column` is not a key here, in order."""
        keys = [read_parquet(path, [KEY])[KEY] for path in self._files()]
        known = pl.concat(keys) if keys else pl.Series(KEY, [], pl.String)
        return frame.filter(~pl.col(column).is_in(known.implode()))

    def holds(self, keys: Sequence[str | None]) -> Bools:
        """Return, per key, whether its row is here (a null key's is not)."""
        asked = pl.DataFrame({KEY: keys}, schema={KEY: pl.String}).with_row_index("_row")
        lacking = self.missing(asked, KEY)["_row"].to_numpy()
        held = np.array([key is not None for key in keys], dtype=np.bool_)
        held[lacking] = False
        return held

    @property
    def column(self) -> pl.Array:
        """The type of a row in Parquet."""
        return pl.Array(pl.Float64 if self.dtype is np.float64 else pl.Float32, self.dim)

    def find(self, keys: Sequence[str | None]) -> tuple[Bools, npt.NDArray[Any]]:
        """Return, per key, whether its row is here, and the rows (n, dim), zero where not."""
        held, rows = self.holds(keys), np.zeros((len(keys), self.dim), self.dtype)
        rows[held] = self.rows(pl.Series(np.array(keys, object)[held], dtype=pl.String))
        return held, rows

    def add(self, keys: Sequence[str], values: npt.NDArray[Any]) -> None:
        """Append rows: n keys and an array (n, dim)."""
        if values.shape != (len(keys), self.dim):
            raise ValueError(f"{len(keys)} keys, values {values.shape}, expected width {self.dim}")
        if not keys:
            return
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
        column = pl.Series(VALUE, values, dtype=self.column)
        frame = pl.DataFrame({KEY: keys}).with_columns(column)
        write_parquet(self.folder / f"{name}.parquet", frame)

    def rows(self, keys: pl.Series) -> npt.NDArray[Any]:
        """Return the rows of `keys`, (n, dim); a null key is a zero row."""
        out = np.zeros((len(keys), self.dim), self.dtype)
        wanted = pl.DataFrame({KEY: keys}).with_row_index("_row").drop_nulls(KEY)
        if wanted.is_empty():
            return out
        # Keys of all parts first, values of each part then: one join, however many parts there are.
        files = self._files()
        found = wanted.join(_places(files), on=KEY, how="left")
        lacking = found["_part"].null_count()
        if lacking:
            raise PamelaError(f"{self.folder}: {lacking} rows not in the cache; run embed")
        for rows in found.partition_by("_part"):
            values = read_parquet(files[rows["_part"][0]], [VALUE])[VALUE]
            out[rows["_row"].to_numpy()] = values.gather(rows["_at"]).to_numpy()
        return out

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("[!.]*.parquet"))


def _places(files: Sequence[Path]) -> pl.DataFrame:
    """Return every key once, with its part and its row there."""
    empty = pl.DataFrame(schema={KEY: pl.String, "_at": pl.UInt32, "_part": pl.Int64})
    parts = [
        read_parquet(path, [KEY]).select(
            KEY, pl.int_range(pl.len(), dtype=pl.UInt32).alias("_at"), pl.lit(part).alias("_part")
        )
        for part, path in enumerate(files)
    ]
    return pl.concat([empty, *(part.cast(empty.schema) for part in parts)]).unique(
        KEY, keep="first"
    )
