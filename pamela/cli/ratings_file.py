"""A person's ratings in a file: CSV, Parquet or JSON lines, each fault named by its row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import base, files
from pamela.serving.types import CatalogImage, ImageLike

PICTURE: Final = "image"  # the column with a picture's path
COLUMNS: Final = (PICTURE, s.IMAGE, s.PROMPT, s.RATING)
TABLES: Final = (".csv", ".parquet")
LINES: Final = (".jsonl", ".ndjson")


class RatingsFile:
    """Rows of a CSV, Parquet or JSON lines file: image or image_id, rating, optional prompt.

    Parameters
    ----------
    path : the file. Paths of pictures in it are relative to its folder.

    Raises
    ------
    PamelaError
        If it cannot be read, lacks a column, or a row names no picture or no number.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        frame = _read(path)
        given = [c for c in frame.columns if c not in (s.SOURCE_FILE, s.SOURCE_ROW)]
        self.left_out = [c for c in given if c not in COLUMNS]
        files.require_columns(frame, [s.RATING], path, path.parent)
        if PICTURE not in given and s.IMAGE not in given:
            raise PamelaError(
                f"{path.name}: neither a column {PICTURE} (a path) nor {s.IMAGE}; the file has "
                f"{', '.join(given)}"
            )
        files.require_cells(frame, COLUMNS, path, path.parent)
        absent = [pl.lit(None, pl.String).alias(c) for c in COLUMNS if c not in given]
        frame = base.whole_floats_as_integers(frame, [c for c in (s.IMAGE,) if c in given])
        self.rows = frame.with_columns(absent).select(
            s.SOURCE_ROW,
            _filled(PICTURE),
            s.identifier(s.IMAGE),
            _filled(s.PROMPT),
            base.number(s.RATING),
            said=base.text(s.RATING),
        )
        self._check()

    def __len__(self) -> int:
        return self.rows.height

    @property
    def names(self) -> list[str]:
        """What a message calls each row."""
        said = pl.coalesce(PICTURE, s.IMAGE)
        pictures = self.rows.select(said)[PICTURE].to_list()
        rows = self.rows[s.SOURCE_ROW].to_list()
        return [f"{self.path.name} row {r} ({p})" for r, p in zip(rows, pictures, strict=True)]

    def images(self, dataset: str) -> list[ImageLike]:
        """Return the pictures of the rows."""
        pairs = self.rows.select(PICTURE, s.IMAGE).iter_rows()
        return [
            self.path.parent / file if file else CatalogImage(dataset, key) for file, key in pairs
        ]

    def _check(self) -> None:
        if self.rows.is_empty():
            raise PamelaError(f"{self.path.name}: the table has no rows; give at least one rating")
        both = pl.col(PICTURE).is_not_null() & pl.col(s.IMAGE).is_not_null()
        neither = pl.col(PICTURE).is_null() & pl.col(s.IMAGE).is_null()
        self._reject(neither, f"names no picture; fill in {PICTURE} or {s.IMAGE}")
        self._reject(both, f"has both {PICTURE} and {s.IMAGE}; leave one of them empty")
        self._reject(pl.col(s.RATING).is_null(), "rating {said!r} is not a number; correct it")

    def check_scale(self, dataset: str, low: float, high: float) -> None:
        """Raise at the first rating that is off the scale of `dataset`."""
        off = ~pl.col(s.RATING).is_between(low, high)
        self._reject(off, f"rating {{said}} is off the scale {low:g}..{high:g} of {dataset}")

    def _reject(self, faulty: pl.Expr, why: str) -> None:
        rows = self.rows.filter(faulty)
        if rows.height:
            row = rows.row(0, named=True)
            raise PamelaError(f"{self.path.name} row {row[s.SOURCE_ROW]}: {why.format(**row)}")


def _filled(column: str) -> pl.Expr:
    text = base.text(column)
    return pl.when(text.str.strip_chars() != "").then(text).alias(column)


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise PamelaError(f"{path}: no such file; give a CSV, Parquet or JSON lines file")
    if path.suffix in TABLES:
        return files.read_table(path, path.parent)
    if path.suffix in LINES:
        return _read_lines(path)
    raise PamelaError(
        f"{path.name}: unknown suffix {path.suffix!r}; give {', '.join((*TABLES, *LINES))}"
    )


def _read_lines(path: Path) -> pl.DataFrame:
    """Read JSON lines, every cell as text."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PamelaError(f"{path.name}: not readable as UTF-8 text ({error})") from None
    rows = [(i, _object(path, i, line)) for i, line in enumerate(lines, 1) if line.strip()]
    columns = list(dict.fromkeys(key for _, row in rows for key in row))
    data = {c: [_cell(row.get(c)) for _, row in rows] for c in columns}
    frame = pl.DataFrame(data, schema=dict.fromkeys(columns, pl.String))
    number = pl.Series(s.SOURCE_ROW, [i for i, _ in rows], dtype=pl.Int64)
    return frame.with_columns(number, pl.lit(path.name).alias(s.SOURCE_FILE))


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PamelaError(f"{path.name} row {number}: not readable as JSON ({error})") from None
    if not isinstance(row, dict):
        raise PamelaError(f"{path.name} row {number}: not a JSON object; give one per line")
    return row


def _cell(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
