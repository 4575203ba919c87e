"""Feature rows on disk, keyed by content: appended in parts, never rewritten."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pamela.core.arrays import Bools, Floats32
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet, write_parquet

ROWS_PER_PART = 4096  # an interrupted run loses at most this many encoded pictures
KEY, VALUE = "key", "feature"


@dataclass(frozen=True)
class FeatureCache:
    """Rows of width `dim` in a folder of Parquet parts named by the keys they hold."""

    folder: Path
    dim: int

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

    def add(self, keys: Sequence[str], values: Floats32) -> None:
        """Append rows: n keys and float32 (n, dim)."""
        if values.shape != (len(keys), self.dim):
            raise ValueError(f"{len(keys)} keys, values {values.shape}, expected width {self.dim}")
        if not keys:
            return
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
        column = pl.Series(VALUE, values, dtype=pl.Array(pl.Float32, self.dim))
        frame = pl.DataFrame({KEY: keys}).with_columns(column)
        write_parquet(self.folder / f"{name}.parquet", frame)

    def rows(self, keys: pl.Series) -> Floats32:
        """Return the rows of `keys`, float32 (n, dim); a null key is a zero row."""
        out = np.zeros((len(keys), self.dim), np.float32)
        wanted = pl.DataFrame({KEY: keys}).with_row_index("_row").drop_nulls(KEY)
        for path in self._files():
            held = read_parquet(path)
            found = wanted.join(held, on=KEY, how="inner")
            if found.height:
                out[found["_row"].to_numpy()] = found[VALUE].to_numpy()
                wanted = wanted.join(held, on=KEY, how="anti", maintain_order="left")
        if wanted.height:
            raise PamelaError(f"{self.folder}: {wanted.height} rows not in the cache; run embed")
        return out

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("[!.]*.parquet"))
