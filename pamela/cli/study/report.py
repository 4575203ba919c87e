"""``pamela study report``: what a study found."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pamela.cli.study.serve import NAME_HELP
from pamela.core.paths import Project

if TYPE_CHECKING:
    from rich.console import Console

    from pamela.reporting.presentation.html import Cell
    from pamela.study.report.page import StudyReport


def report_command(name: Annotated[str, typer.Option("--name", help=NAME_HELP)]) -> None:
    """Say what a study found: Elo, win rates, how people answered; a page and tables as Parquet.

    On a terminal as tables, else one JSON object per figure. May be asked while it is served.
    """
    project = Project.here()
    from pamela.study.report.page import StudyReport

    report = StudyReport(project, name)
    page = os.path.relpath(report.write())
    if sys.stdout.isatty():
        from pamela.reporting.presentation.terminal import PlainConsole

        print_report(report, PlainConsole())
        print(page)
        return
    for row in report.results.iter_rows(named=True):
        typer.echo(json.dumps(row, ensure_ascii=False))
    print(page, file=sys.stderr)


def _short(cell: Cell) -> str:
    """Return a value with its interval, ``58% [30-83]``."""
    low, _, high = cell.small.replace("%", "").partition(" to ")
    return f"{cell.text} [{low}-{high}]" if high else cell.text


def print_report(report: StudyReport, console: Console) -> None:
    """Print a study's sentences and tables."""
    from pamela.reporting.presentation.terminal import PlainTable

    for sentence in report.sentences:
        console.print(sentence)
    for table in report.tables:
        shown = PlainTable(table.title, title_justify="left")
        for number, column in enumerate(table.columns):
            shown.add_column(column, justify="right" if number else "left")
        for row in table.rows:
            shown.add_row(*map(_short, row))
        console.print(shown)
