"""Why a text table cannot be read: the encoding, the separator, a quote, or one row's cells.

Looked for only when Polars has refused a file, so that the line for people says which row it is
and what would read it.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from pamela.core.errors import PamelaError

# What people put between cells, as a message names it and as ``--separator`` takes it.
SEPARATORS: Final = {
    ",": ("','", "','"),
    ";": ("';'", "';'"),
    "\t": ("tabs", "tab"),
    "|": ("'|'", "'|'"),
    "=": ("'='", "'='"),
}
LONGEST_CELL: Final = 1 << 20  # characters; a longer one is a quote that nobody closed
ENCODING_OPTION: Final = "add --encoding with the file's own, such as latin-1 or cp1252"


class TableFault(PamelaError):
    """A table that cannot be read as it is.

    Attributes
    ----------
    option : what ``pamela import tables`` offers instead, as the end of a sentence; may be empty.
    """

    def __init__(self, message: str, option: str = "") -> None:
        super().__init__(message)
        self.option = option

    def with_option(self) -> PamelaError:
        """Return the fault for somebody who can give options."""
        return PamelaError(f"{self}, or {self.option}" if self.option else str(self))


def find_fault(path: Path, name: str, separator: str) -> TableFault | None:
    """Return what is wrong with the CSV file at `path`, or None if nothing is found.

    Parameters
    ----------
    name : what the file is called in messages.
    separator : what should stand between its cells.
    """
    try:
        return (
            _not_utf8(path, name)
            or _other_separator(path, name, separator)
            or _bad_row(path, name, separator)
            or _lone_quote(path, name)
        )
    except OSError:
        return None


def other_separator(header: str, separator: str) -> str | None:
    """Return what seems to stand between the cells of `header` in place of `separator`."""
    counts = {mark: header.count(mark) for mark in SEPARATORS if mark != separator}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] > header.count(separator) else None


def separator_fault(name: str, found: str, wanted: str) -> TableFault:
    """Return the fault of a table whose cells are separated by `found`."""
    said, option = SEPARATORS[found]
    ours = SEPARATORS.get(wanted, (repr(wanted),))[0]
    return TableFault(
        f"{name}: its cells are separated by {said}, not by {ours}; save it with {ours}",
        f"add --separator {option}",
    )


def _not_utf8(path: Path, name: str) -> TableFault | None:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return TableFault(
                    f"{name}: not UTF-8 text (byte 0x{line[error.start]:02X} in line {number}); "
                    "save it as UTF-8",
                    ENCODING_OPTION,
                )
    return None


def _other_separator(path: Path, name: str, separator: str) -> TableFault | None:
    with path.open(encoding="utf-8-sig") as stream:
        found = other_separator(stream.readline(LONGEST_CELL), separator)
    return separator_fault(name, found, separator) if found else None


def _bad_row(path: Path, name: str, separator: str) -> TableFault | None:
    """Return the first row with more cells than the header, or with a quote that does not close."""
    before, row = csv.field_size_limit(LONGEST_CELL), 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            cells = csv.reader(stream, delimiter=separator, strict=True)
            named = len(next(cells, []))
            for row, found in enumerate(cells, 1):
                if len(found) > named:
                    mark = SEPARATORS.get(separator, (repr(separator),))[0]
                    more = any(cell.strip() for cell in found[named:])
                    advice = f"put a cell that holds {mark} in quotes" if more else (
                        f"take {mark} away from its end"
                    )  # fmt: skip
                    return TableFault(
                        f"{name} row {row}: {len(found)} cells, but the header names {named}; "
                        f"{advice}"
                    )
    except csv.Error:
        return TableFault(
            f"{name} row {row + 1}: a quote that is not closed, or stands inside a quoted cell; "
            "close it, and write a quote of the text itself twice"
        )
    finally:
        csv.field_size_limit(before)
    return None


def _lone_quote(path: Path, name: str) -> TableFault | None:
    """Return the first line with an odd number of quotes: one stands inside a bare cell."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.count(b'"') % 2:
                return TableFault(
                    f"{name} line {number}: a quote by itself; put the cell in quotes, and write a "
                    "quote of the text itself twice"
                )
    return None
