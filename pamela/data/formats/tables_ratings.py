"""Ratings in the tables format: from a file of any size to canonical rows, chunk by chunk."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import file_sha256, read_json, read_parquet, write_json, write_parquet
from pamela.data import partitions
from pamela.data.formats import base, files
from pamela.data.formats.base import Kept
from pamela.data.formats.files import shown
from pamela.data.partitions import ChunkWriter, PartCache

REQUIRED: Final = (s.USER, s.IMAGE, s.RATING)
OPTIONAL: Final = (s.RATED_AT, s.POSITION, s.SPLIT)
# Tried in this order on the cells that the ones before could not read.
TIME_FORMATS: Final = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
ZONED_FORMAT: Final = "%Y-%m-%d %H:%M:%S%.f%#z"
WANTED: Final = {
    s.SPLIT: f"one of {', '.join(s.RELEASE_PARTS)}",
    s.POSITION: "a whole number",
    s.RATED_AT: "a time such as 2026-01-31T12:00:00",
}
UNREADABLE: Final = "_unreadable_"  # prefix of a column that marks cells


@dataclass(frozen=True)
class Ratings:
    """A ratings file as canonical rows.

    Attributes
    ----------
    rows : LazyFrame with `pamela.core.schema.RATINGS_SCHEMA`.
    dropped : columns that were not taken over.
    kept : the rows as a Parquet file in the cache, where there is one.
    """

    rows: pl.LazyFrame
    dropped: list[str]
    kept: Kept | None


def read_ratings(
    path: Path, name: str, root: Path, *, batch: bool, cache: PartCache | None = None
) -> Ratings:
    """Read ``ratings.csv`` or ``.parquet`` as the ratings of dataset `name`.

    The whole file is read once, to know that it can be; with a `cache` only when it is not there
    already, as a Parquet file.

    Raises
    ------
    PamelaError
        If the file cannot be read, lacks a column or has no rows, or at the first cell of rated_at,
        position or split that cannot be read.
    """
    frame = files.scan_table(path, root)
    files.require_columns(frame, REQUIRED, path, root)
    known = (*REQUIRED, *OPTIONAL)
    files.require_cells(frame, known, path, root)
    dropped = [c for c in frame.collect_schema() if c not in (*known, *base.SOURCE)]
    if batch and s.SPLIT in frame.collect_schema():
        frame = frame.drop(s.SPLIT)  # a batch's rows follow from who and what the dataset holds out
        dropped.append(s.SPLIT)
    if cache is not None:
        code = partitions.code_version(base, files, s, partitions, sys.modules[__name__])
        key = partitions.key_of("ratings", name, shown(path, root), batch, file_sha256(path), code)
        kept = _kept(cache.obtain(key, lambda entry: _keep(frame, name, path, root, entry)))
        return Ratings(pl.scan_parquet(kept.file, glob=False), dropped, kept)
    marked = _marked(frame, name, path, root)
    _read_through(marked, path, root, None)
    return Ratings(marked.select(s.RATINGS_SCHEMA.names()), dropped, None)


def _kept(entry: Path) -> Kept:
    facts = read_json(entry / "facts.json")
    return Kept(
        file=entry / "ratings.parquet",
        sha256=partitions.manifest(entry)["ratings.parquet"],
        rows=facts["rows"],
        own_splits=facts["own_splits"],
        raters=read_parquet(entry / "raters.parquet"),
    )


def _keep(frame: pl.LazyFrame, name: str, path: Path, root: Path, entry: Path) -> None:
    writer = ChunkWriter(entry / "ratings.parquet", s.RATINGS_SCHEMA)
    facts = _read_through(_marked(frame, name, path, root), path, root, writer)
    writer.close()
    write_parquet(entry / "raters.parquet", facts.raters)
    write_json(entry / "facts.json", {"rows": facts.rows, "own_splits": facts.own_splits})


# --- from cells to values ---------------------------------------------------------------------
def _marked(frame: pl.LazyFrame, name: str, path: Path, root: Path) -> pl.LazyFrame:
    """Return canonical rows, and for each optional column a mark at the cells it cannot read."""
    with files.reading(path, root):
        frame = base.whole_floats_as_integers(frame, [s.USER, s.IMAGE])
    schema = frame.collect_schema()
    values = {c: value for c, value in _values(schema).items() if c in schema}
    said = {c: base.text(c).is_not_null() for c in values}
    marks = [(said[c] & v.is_null()).alias(UNREADABLE + c) for c, v in values.items()]
    canonical = frame.with_columns(
        pl.lit(name).alias(s.DATASET),
        s.identifier(s.USER),
        s.identifier(s.IMAGE),
        base.number(s.RATING),
        *(value.alias(column) for column, value in values.items()),
        *marks,
    )
    return base.conform(canonical, s.RATINGS_SCHEMA, [UNREADABLE + c for c in values])


def _values(schema: pl.Schema) -> dict[str, pl.Expr]:
    """Return how the optional columns are read; a cell that cannot be read is null."""
    split, position = base.text(s.SPLIT), base.number(s.POSITION)
    whole = (position % 1 == 0) & (position.abs() < 2**63)
    return {
        s.SPLIT: pl.when(split.is_in(s.RELEASE_PARTS)).then(split),
        s.POSITION: pl.when(whole).then(position).cast(pl.Int64, strict=False),
        s.RATED_AT: _time(schema.get(s.RATED_AT, pl.String())),
    }


def _time(dtype: pl.DataType) -> pl.Expr:
    """Return ``rated_at`` as a time; a zoned one becomes UTC, one without a zone stays as it is."""
    column = pl.col(s.RATED_AT)
    if isinstance(dtype, pl.Datetime):
        utc = column.dt.convert_time_zone("UTC") if dtype.time_zone else column
        return utc.dt.replace_time_zone(None).dt.cast_time_unit("us")
    if dtype == pl.Date:
        return column.cast(pl.Datetime("us"))
    plain = base.text(s.RATED_AT).str.strip_chars().str.replace("T", " ", literal=True)
    found = _parsed(plain, ZONED_FORMAT)
    for form in reversed(TIME_FORMATS):  # mostly the first reads all cells, the rest never run
        first = _parsed(plain, form)
        found = pl.when(first.is_not_null() | plain.is_null()).then(first).otherwise(found)
    return found


def _parsed(cells: pl.Expr, form: str) -> pl.Expr:
    if form != ZONED_FORMAT:
        return cells.str.to_datetime(form, time_unit="us", strict=False)
    zoned = cells.str.replace(r"[zZ]$", "+00:00")
    times = zoned.str.to_datetime(form, time_unit="us", strict=False)
    return times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


# --- the pass over the file -------------------------------------------------------------------
@dataclass(frozen=True)
class _Facts:
    rows: int
    own_splits: bool
    raters: pl.DataFrame


def _read_through(
    marked: pl.LazyFrame, path: Path, root: Path, writer: ChunkWriter | None
) -> _Facts:
    """Read all rows in order, hand them to `writer`, and raise at the first unreadable cell."""
    marks = [c for c in marked.collect_schema() if c.startswith(UNREADABLE)]
    raters = pl.DataFrame(schema={c: s.RATINGS_SCHEMA[c] for c in (*s.USERS_KEYS, *base.SOURCE)})
    facts = _Facts(0, False, raters)
    with files.reading(path, root):
        for chunk in marked.collect_batches(
            chunk_size=partitions.CHUNK, maintain_order=True, engine="streaming"
        ):
            _reject_unreadable(chunk, marks, path, root)
            rows = chunk.select(s.RATINGS_SCHEMA.names())
            facts = _add(facts, rows)
            if writer is not None:
                writer.write(rows)
    if not facts.rows:
        raise PamelaError(f"{shown(path, root)}: the table has no rows; give at least one rating")
    return facts


def _add(facts: _Facts, rows: pl.DataFrame) -> _Facts:
    keys = list(s.USERS_KEYS)
    here = rows.select(*keys, *base.SOURCE).drop_nulls(s.USER)
    new = here.unique(keys, keep="first", maintain_order=True).join(
        facts.raters, on=keys, how="anti", maintain_order="left"
    )
    return replace(
        facts,
        rows=facts.rows + rows.height,
        own_splits=facts.own_splits or rows.get_column(s.SPLIT).null_count() < rows.height,
        raters=facts.raters.vstack(new),
    )


def _reject_unreadable(chunk: pl.DataFrame, marks: Sequence[str], path: Path, root: Path) -> None:
    if not marks or not chunk.select(pl.any_horizontal(marks).any()).item():
        return
    first = chunk.filter(pl.any_horizontal(marks)).head(1)
    row = first.get_column(s.SOURCE_ROW).item()
    column = next(m for m in marks if first.get_column(m).item()).removeprefix(UNREADABLE)
    cells = files.scan_table(path, root).filter(pl.col(s.SOURCE_ROW) == row).select(column)
    raise PamelaError(
        f"{shown(path, root)} row {row}: {column} {cells.collect().item()!r} is not "
        f"{WANTED[column]}; correct the cell"
    )
