"""The terminal: text from data is printed as it is, in one place (tables and lines of rich).

Names of files, people and styles may hold ``[brackets]``, ``:codes:`` of emoji or control
characters; rich would take them for markup, for pictures or for commands to the terminal.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

KEPT: Final = "\n\t\u200c\u200d"  # joiners: part of words and of emoji
COMMANDS: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, direction, half characters, lines


def printable(text: str) -> str:
    """Return `text` with all that could command a terminal replaced by a mark."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if one not in KEPT and unicodedata.category(one) in COMMANDS
        else one
        for one in text
    )


def plain(text: str, style: str = "") -> Text:
    """Return `text` for rich to print as it stands there, on one line."""
    return Text(printable(text).replace("\n", " ").replace("\t", " "), style)


class PlainTable(Table):
    """A rich table that takes its title and every cell for plain text."""

    def __init__(self, title: str = "", **settings: Any) -> None:
        style = str(settings.get("title_style") or "table.title")
        super().__init__(title=plain(title, style) if title else None, **settings)

    def add_row(self, *cells: Any, **settings: Any) -> None:
        """Add a row of texts."""
        super().add_row(*(plain(c) if isinstance(c, str) else c for c in cells), **settings)


class PlainConsole(Console):
    """A rich console that takes every string for plain text; styles come from our code alone."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Return `text` as it stands there."""
        return super().render_str(printable(text), **settings)
