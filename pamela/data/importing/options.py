"""What a person says of their own tables, so that nothing has to be guessed."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.repeats import Mode

TABLES: Final = ("ratings", "choices", "users", "images")
SEPARATOR_NAMES: Final = {
    "comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|", "blank": " ",
}  # fmt: skip
# Commas separate the entries of --map where another NAME= follows: a column's name may have some.
ENTRIES: Final = re.compile(r",(?=\s*[A-Za-z_][\w.]*=)")


@dataclass(frozen=True)
class ColumnName:
    """One entry of ``--map``: our column is what their table calls otherwise.

    Attributes
    ----------
    table : the one table that is meant; None: every table that has such a column.
    """

    table: str | None
    ours: str
    theirs: str

    def __str__(self) -> str:
        """Return the entry as it is typed."""
        return f"{self.table + '.' if self.table else ''}{self.ours}={self.theirs}"


@dataclass(frozen=True)
class TableOptions:
    """The options of ``pamela import tables``.

    Attributes
    ----------
    columns : what their columns are (``--map``).
    wide : whether the ratings have a column per rater (or per image), not a row per rating.
    drop : columns to leave out.
    demographics : columns of the ratings (else the choices) that say something of the user.
    separator, encoding : of text files; None is what the suffix says, and UTF-8.
    decimal_comma : whether ``4,5`` is a number.
    scale : lowest and highest rating, where no dataset.yaml says it.
    repeats : what several ratings of one picture by one person are, where no dataset.yaml says it.
    pictures : folder in which pictures are looked for by the end of their path.
    """

    columns: tuple[ColumnName, ...] = ()
    wide: bool = False
    drop: tuple[str, ...] = ()
    demographics: tuple[str, ...] = ()
    separator: str | None = None
    encoding: str | None = None
    decimal_comma: bool = False
    scale: tuple[float, float] | None = None
    repeats: Mode | None = None
    pictures: Path | None = None

    @property
    def given(self) -> bool:
        """Whether any option was given."""
        return self != TableOptions()

    def record(self) -> dict[str, Any]:
        """Return what was given, for ``import.json``."""
        given = {key: value for key, value in asdict(self).items() if value}
        if self.columns:
            given["columns"] = [str(entry) for entry in self.columns]
        if self.pictures:
            given["pictures"] = str(self.pictures)
        return given


def parse_columns(entries: Sequence[str]) -> tuple[ColumnName, ...]:
    """Return the entries of ``--map``, each ``OURS=THEIRS`` or ``TABLE.OURS=THEIRS``."""
    return tuple(
        _column_name(entry) for one in entries for entry in ENTRIES.split(one) if entry.strip()
    )


def _column_name(entry: str) -> ColumnName:
    ours, equals, theirs = entry.partition("=")
    table, dot, column = ours.strip().rpartition(".")
    if not equals or not column or not theirs.strip() or (dot and table not in TABLES):
        raise PamelaError(
            f"--map {entry.strip()}: give OURS=THEIRS, such as rating=score, or "
            f"TABLE.OURS=THEIRS with {', '.join(TABLES)}, such as users.user_id=id"
        )
    return ColumnName(table or None, column, theirs.strip())


def parse_names(text: str | None) -> tuple[str, ...]:
    """Return names that are separated by commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def parse_scale(text: str | None) -> tuple[float, float] | None:
    """Return ``--scale LOWEST,HIGHEST``."""
    if text is None:
        return None
    ends = [s.written_number(end) for end in text.strip("[] ").split(",")]
    if len(ends) == 2:
        low, high = ends
        if low is not None and high is not None and -math.inf < low < high < math.inf:
            return low, high
    raise PamelaError(f"--scale {text}: give LOWEST,HIGHEST, such as 1,5")


def parse_separator(text: str | None) -> str | None:
    """Return ``--separator``: one ASCII character, or its name."""
    if text is None:
        return None
    mark = SEPARATOR_NAMES.get(text.lower(), text)
    if len(mark) != 1 or not mark.isascii() or mark.isalnum() or mark in '"\r\n':
        raise PamelaError(
            f"--separator {text!r}: give one character, such as ';', or comma, semicolon, tab, pipe"
        )
    return mark


def parse_encoding(text: str | None) -> str | None:
    """Return ``--encoding`` if Python knows a text encoding of that name."""
    if text is None:
        return None
    try:
        "".encode(codecs.lookup(text).name)
    except (LookupError, ValueError):
        raise PamelaError(
            f"--encoding {text}: not a text encoding; give one such as utf-16, latin-1 or cp1252"
        ) from None
    return text
