"""A person's ratings or choices in a file: CSV, Parquet or JSON lines, faults named by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import files
from pamela.serving.arguments.choices_table import ChoicesTable
from pamela.serving.arguments.ratings_table import RatingsTable

TABLES: Final = (".csv", ".parquet")
LINES: Final = (".jsonl", ".ndjson")


def read_ratings_file(path: Path) -> RatingsTable:
    """Return the rows of a file; paths of pictures in it are relative to its folder.

    Raises
    ------
    PamelaError
        If it cannot be read, lacks a column, or a row names no picture or no number.
    """
    frame = _read(path)
    files.require_columns(frame, [s.RATING], path, path.parent)
    return RatingsTable(frame, path.name, path.parent)


def read_choices_file(path: Path) -> ChoicesTable:
    """Return the choices in a file; paths of pictures in it are relative to its folder.

    Raises
    ------
    PamelaError
        If it cannot be read, lacks a column, or a row names no two pictures or no choice.
    """
    frame = _read(path)
    files.require_columns(frame, [s.CHOICE], path, path.parent)
    return ChoicesTable(frame, path.name, path.parent)


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise PamelaError(f"{path}: no such file; give a CSV, Parquet or JSON lines file")
    if path.suffix in TABLES or path.suffix.lower() == ".csv":
        return files.read_table(path, path.parent)
    if path.suffix in LINES:
        return _read_lines(path)
    raise PamelaError(
        f"{path.name}: unknown suffix {path.suffix!r}; give {', '.join((*TABLES, *LINES))}"
    )


def _read_lines(path: Path) -> pl.DataFrame:
    """Read JSON lines, every cell as text."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # others may stand in a text
    except (OSError, UnicodeDecodeError) as error:
        raise PamelaError(f"{path.name}: not readable as UTF-8 text ({error})") from None
    rows = [(i, _object(path, i, line)) for i, line in enumerate(lines, 1) if line.strip()]
    columns = list(dict.fromkeys(key for _, row in rows for key in row))
    data = {c: [_cell(row.get(c)) for _, row in rows] for c in columns}
    try:
        frame = pl.DataFrame(data, schema=dict.fromkeys(columns, pl.String))
    except UnicodeEncodeError:  # "\ud800" is JSON, and no character
        raise PamelaError(f"{path.name}: a text is not valid Unicode; write it again") from None
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
