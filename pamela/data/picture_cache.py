"""What is known of picture files from earlier runs: their hashes, and whether they decode.

A hash is keyed by path, size and times of change, a verdict by content and decoder, so that an
unchanged picture is neither read nor decoded again. The folder is git-ignored and may be deleted
at will: nothing but time depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.files import write_parquet
from pamela.core.images import DECODER

DECODES: Final = "decodes"
_STAMPS: Final = [(c, pl.Int64()) for c in ("size", "mtime_ns", "ctime_ns")]
STATE: Final = pl.Schema([(s.FILE, pl.String()), *_STAMPS])
HASHES: Final = pl.Schema([*STATE.items(), (s.SHA256, pl.String())])
VERDICTS: Final = pl.Schema(
    [(s.SHA256, pl.String()), ("decoder", pl.String()), (DECODES, pl.Boolean())]
)
SETTLED_NS: Final = 2_000_000_000  # a file changed later than this may change within its time stamp


@dataclass(frozen=True)
class PictureCache:
    """The two tables in `folder`; with None nothing is known and nothing kept."""

    folder: Path | None

    def hashes(self, state: pl.DataFrame) -> pl.DataFrame:
        """Return `state` (file, size, mtime_ns, ctime_ns) with ``sha256``, null where not known."""
        known = self._read("hashes.parquet", HASHES)
        return state.join(known, on=list(STATE), how="left", maintain_order="left")

    def add_hashes(self, fresh: pl.DataFrame, began_ns: int) -> None:
        """Keep `fresh` (as `HASHES`), hashed after `began_ns`, unless changed just before that."""
        changed = pl.max_horizontal("mtime_ns", "ctime_ns")
        settled = fresh.drop_nulls(s.SHA256).filter(changed < began_ns - SETTLED_NS)
        self._merge("hashes.parquet", HASHES, settled, key=s.FILE)

    def verdicts(self, contents: pl.DataFrame) -> pl.DataFrame:
        """Return `contents` with ``decodes`` by ``sha256``, null where not known."""
        known = self._read("verdicts.parquet", VERDICTS).filter(decoder=DECODER)
        known = known.select(s.SHA256, DECODES)
        return contents.join(known, on=s.SHA256, how="left", maintain_order="left")

    def add_verdicts(self, fresh: pl.DataFrame) -> None:
        """Keep `fresh` (sha256, decodes)."""
        rows = fresh.with_columns(pl.lit(DECODER).alias("decoder")).select(VERDICTS.names())
        self._merge("verdicts.parquet", VERDICTS, rows, key=s.SHA256)

    def _read(self, name: str, schema: pl.Schema) -> pl.DataFrame:
        """Return a table; what is absent, broken or of another version knows nothing."""
        path = self.folder / name if self.folder else None
        try:
            frame = pl.read_parquet(path, glob=False) if path and path.is_file() else None
        except (pl.exceptions.PolarsError, OSError):
            frame = None
        return (
            frame if frame is not None and frame.schema == schema else pl.DataFrame(schema=schema)
        )

    def _merge(self, name: str, schema: pl.Schema, fresh: pl.DataFrame, key: str) -> None:
        if self.folder is None or not fresh.height:
            return
        kept = self._read(name, schema).join(fresh, on=key, how="anti")
        merged = pl.concat([kept, fresh.select(pl.col(c).cast(t) for c, t in schema.items())])
        write_parquet(self.folder / name, merged.sort(key))
