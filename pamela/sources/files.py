"""Reading single files of a dataset: what cannot be read becomes one line that names the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from pamela import schema as s
from pamela.errors import PamelaError

TABLE_SUFFIXES = (".parquet", ".csv")


def shown(path: Path, root: Path) -> str:
    """Return `path` for people: relative to the project root where it lies below it."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def find_table(folder: Path, stem: str, root: Path) -> Path | None:
    """Return ``<stem>.parquet`` or ``<stem>.csv`` of `folder`, or None.

    Raises
    ------
    PamelaError
        If both are there, or if only another suffix is.
    """
    found = [p for suffix in TABLE_SUFFIXES if (p := folder / f"{stem}{suffix}").is_file()]
    if len(found) > 1:
        raise PamelaError(
            f"{shown(folder, root)}: both {found[0].name} and {found[1].name}; keep one of them"
        )
    if found:
        return found[0]
    others = sorted(p.name for p in folder.glob(f"{stem}.*") if p.is_file())
    if others:
        raise PamelaError(
            f"{shown(folder, root)}/{others[0]}: unknown suffix; give {stem}.csv or {stem}.parquet"
        )
    return None


def read_table(path: Path, root: Path) -> pl.DataFrame:
    """Read a CSV (every cell as text) or Parquet file, with source_file and 1-based source_row.

    Blank lines at the end of a CSV file are no rows.

    Raises
    ------
    PamelaError
        If the file is empty, truncated, not UTF-8, or otherwise not what its suffix says.
    """
    name = shown(path, root)
    if path.stat().st_size == 0:
        raise PamelaError(f"{name}: the file is empty (0 bytes); copy it again")
    try:
        is_csv = path.suffix == ".csv"
        frame = _read_csv(path) if is_csv else pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        kind = {".parquet": "Parquet", ".csv": "UTF-8 CSV"}[path.suffix]
        raise PamelaError(f"{name}: not readable as {kind} ({_reason(error)})") from None
    reserved = sorted({s.DATASET, s.SOURCE_FILE, s.SOURCE_ROW} & set(frame.columns))
    if reserved:
        raise PamelaError(f"{name}: the column name {reserved[0]} is reserved; rename the column")
    return frame.with_columns(
        pl.lit(name).alias(s.SOURCE_FILE),
        (pl.int_range(pl.len(), dtype=pl.Int64) + 1).alias(s.SOURCE_ROW),
    )


def _read_csv(path: Path) -> pl.DataFrame:
    frame = pl.read_csv(path, infer_schema=False, glob=False)
    names = [c.strip() for c in frame.columns]
    repeated = [c for c in frame.columns if c.endswith("_duplicated_0")]
    if repeated or len(set(names)) < len(names):
        raise pl.exceptions.DuplicateError(
            f"a column is named twice: {(repeated or names)[0].removesuffix('_duplicated_0')}"
        )
    frame = frame.rename(dict(zip(frame.columns, names, strict=True)))
    filled = frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series().arg_true()
    return frame.head(int(filled[-1]) + 1 if len(filled) else 0)


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def require_columns(frame: pl.DataFrame, columns: Sequence[str], path: Path, root: Path) -> None:
    """Raise if a column of `columns` is missing, naming the file, the column and what is there."""
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        there = ", ".join(c for c in frame.columns if c not in (s.SOURCE_FILE, s.SOURCE_ROW))
        raise PamelaError(
            f"{shown(path, root)}: no column {missing[0]}; the file has {there}"[:300]
        )


def require_cells(frame: pl.DataFrame, columns: Iterable[str]) -> None:
    """Raise if a column holds lists, structs or bytes, which no canonical column can."""
    for column in columns:
        dtype = frame.schema.get(column)
        if dtype is not None and (dtype.is_nested() or dtype in (pl.Binary, pl.Object)):
            where = frame.get_column(s.SOURCE_FILE)[0] if frame.height else "table"
            raise PamelaError(f"{where}: column {column} holds {dtype}; give text or numbers")
