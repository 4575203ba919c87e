"""Text from data on the terminal: nothing in it is markup, an emoji's code or a command."""

from __future__ import annotations

import io
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pamela.cli.app import print_table
from pamela.reporting.presentation.terminal import PlainConsole, PlainTable, printable
from pamela.serving.types import Score
from tests.paths import ROOT

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=20)
SCORE = Score(3.2, 0.9, 71.0, "seen", "paper-1")


def printed(console: type[Console], show) -> str:
    stream = io.StringIO()
    show(console(file=stream, width=200, force_terminal=False))
    return stream.getvalue()


@settings(deadline=None)
@given(TEXTS)
def test_lines_and_tables_hold_the_text_as_it_is(text):
    wanted = " ".join(printable(text).split())

    def show(console):
        console.print(text)
        table = PlainTable(text)
        table.add_column("x", no_wrap=True)
        table.add_row(text)
        console.print(table)

    out = " ".join(printed(PlainConsole, show).replace("│", " ").split())
    assert out.startswith(wanted)
    assert out.count(wanted) >= 3 or not wanted


def test_the_name_of_a_file_is_no_markup_whatever_console_prints_it():
    for name in ("render[final].png", "a[/]b.png", "[red]x[/red].png", "b:smiley:.png", "\x1b[2Jc"):
        rows = [(name, SCORE)]
        for console in (PlainConsole, Console):
            out = printed(console, lambda c, rows=rows, name=name: print_table(rows, name, c))
            assert out.count(printable(name)) == 2
            assert "\x1b" not in out


def test_rich_prints_by_way_of_the_plain_console_alone():
    """A console or table of rich itself would read markup in what the data say."""
    made = re.compile(r"(?<!Plain)\b(?:Console|Table)\((?!Console|Table)")
    imports = re.compile(r"from rich\.(?:console|table) import", re.M)
    for path in sorted((ROOT / "pamela").rglob("*.py")):
        text = path.read_text()
        if path.name in ("terminal.py", "progress.py") or not imports.search(text):
            continue
        assert not made.search(text), path
