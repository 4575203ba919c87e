"""Feature rows that may be forgotten: of what was scored lately, in a folder of bounded size.

Parts as of `pamela.features.cache`, so that several processes may add at once: a part appears
whole, and one that another process has removed meanwhile counts as absent. Where the folder grows
too large the parts that were used longest ago go first; many small ones are put together.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core.arrays import Bools
from pamela.core.errors import PamelaError
from pamela.features.cache import KEY, VALUE, FeatureCache

MOST_BYTES: Final = 512 * 2**20  # of all folders together
KEPT_SHARE: Final = 0.9  # of that, once something had to go
MOST_PARTS: Final = 64  # small ones in a folder; each is opened at every look-up
SMALL: Final = 2**20  # bytes


@dataclass(frozen=True)
class RecentCache:
    """Rows of width `dim`, keyed by content.

    Attributes
    ----------
    root : the folder whose size is bounded.
    name : of the folder below it that holds these rows; another encoder has another.
    """

    root: Path
    name: str
    dim: int
    dtype: type[np.float32 | np.float64] = np.float32

    @property
    def folder(self) -> Path:
        """Where the parts lie."""
        return self.root / self.name

    @property
    def _cache(self) -> FeatureCache:
        return FeatureCache(self.folder, self.dim, self.dtype)

    def find(self, keys: Sequence[str | None]) -> tuple[Bools, npt.NDArray[Any]]:
        """Return, per key, whether its row is here, and the rows (n, dim), zero where not."""
        held, rows = np.zeros(len(keys), np.bool_), np.zeros((len(keys), self.dim), self.dtype)
        wanted = pl.DataFrame({KEY: keys}, schema={KEY: pl.String}).with_row_index("_row")
        wanted = wanted.drop_nulls(KEY)
        for path in self._parts():
            if wanted.is_empty():
                break
            part = _read(path, self._cache.column)
            found = wanted.join(part, on=KEY, how="inner")
            if found.is_empty():
                continue
            place = found["_row"].to_numpy()
            held[place], rows[place] = True, found[VALUE].to_numpy()
            wanted = wanted.join(part.select(KEY), on=KEY, how="anti", maintain_order="left")
            with suppress(OSError):
                os.utime(path)  # used just now
        return held, rows

    def add(self, keys: Sequence[str], rows: npt.NDArray[Any]) -> None:
        """Keep rows; where there is no room for them, or no right to write, say so and go on."""
        cache = self._cache
        try:
            for part in cache.parts(len(keys)):
                cache.add(keys[part], rows[part])
            if keys:
                self._join_small()
                self._trim()
        except (OSError, PamelaError) as error:
            warnings.warn(f"features are not kept for the next time ({error})", stacklevel=2)

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("[!.]*.parquet"))

    def _join_small(self) -> None:
        small = [path for path in self._parts() if _size(path) < SMALL]
        if len(small) <= MOST_PARTS:
            return
        cache = self._cache
        rows = pl.concat([_read(path, cache.column) for path in small])
        rows = rows.unique(KEY, maintain_order=True)
        values = rows[VALUE].to_numpy()
        for part in cache.parts(rows.height):
            cache.add(rows[KEY][part].to_list(), values[part])
        for path in small:
            path.unlink(missing_ok=True)

    def _trim(self) -> None:
        """Remove the parts that were used longest ago until the folder is small enough."""
        found = []
        for path in self.root.rglob("[!.]*.parquet"):
            with suppress(OSError):
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_size, path))
        total = sum(size for _, size, _ in found)
        if total <= MOST_BYTES:
            return
        for _, size, path in sorted(found):
            path.unlink(missing_ok=True)
            total -= size
            if total <= KEPT_SHARE * MOST_BYTES:
                return


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _read(path: Path, column: pl.Array) -> pl.DataFrame:
    """Read a part; one that is gone, damaged or of another type holds nothing."""
    with suppress(OSError, pl.exceptions.PolarsError):
        found = pl.read_parquet(path, glob=False)
        if found.schema == {KEY: pl.String(), VALUE: column}:
            return found
    return pl.DataFrame(schema={KEY: pl.String, VALUE: column})
