"""``pamela explain --user U``: what raises and lowers a person's score, as a table or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pamela.cli.model import CHAMPION_URI, ModelOption, load_reward

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table

    from pamela.explain.result import Explanation

WIDTH = 60  # columns at least; a wider terminal is used


def explain_command(
    user: Annotated[str, typer.Option(help="dataset/user, bare where unique.")],
    model: ModelOption = CHAMPION_URI,
    top: Annotated[int, typer.Option(min=1, help="Rows of each table, each way.")] = 5,
    plot: Annotated[Path | None, typer.Option(help="Also draw it to this PNG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as one object.")] = False,
) -> None:
    """Say which looks, metadata, words and prompts raise and lower a person's score."""
    explanation = load_reward(model).explain(user=user)
    if plot is not None:  # before anything is told: what fails here says only why
        explanation.plot(plot)
    if as_json:
        typer.echo(json.dumps(explanation.to_dict(), ensure_ascii=False))
        return
    print_explanation(explanation, top)
    if plot is not None:
        typer.echo(f"drawn: {plot}")


def print_explanation(explanation: Explanation, top: int) -> None:
    """Print sentences and tables."""
    from pamela.explain.result import sentences
    from pamela.reporting.presentation.terminal import PlainConsole

    console = PlainConsole()
    if console.width < WIDTH:
        console = PlainConsole(width=WIDTH)
    console.print(
        f"{explanation.user} ({explanation.source}), {explanation.model_version}, "
        f"on {explanation.pictures_seen:,} training pictures"
    )
    for sentence in sentences(explanation):
        console.print(sentence)
    for table in explanation_tables(explanation, top):
        console.print()
        console.print(table)
    for note in explanation.notes:
        console.print(f"Note: {note}.")


def explanation_tables(explanation: Explanation, top: int) -> list[Table]:
    """Return the tables that have rows, at most `top` rows each way."""
    from pamela.explain.result import ends, preferred, telling_words

    found = []
    if explanation.concepts.height:
        looks = preferred(explanation.concepts).head(2 * top)
        found.append(_table("Looks, with the other looks held", looks, _look))
    for title, (up, down), label in (
        ("Metadata, against the average picture", ends(explanation.levels, top), _level),
        ("Words of prompts, with against without", telling_words(explanation.words, top), _word),
        ("Prompts", ends(explanation.prompts, top), _prompt),
    ):
        if up.height + down.height:
            found.append(_table(title, up.vstack(down.reverse()), label))
    return found


def _table(title: str, frame: pl.DataFrame, label: Callable[[dict[str, Any]], str]) -> Table:
    from rich import box

    from pamela.reporting.presentation.terminal import PlainTable

    table = PlainTable(
        title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1),
        pad_edge=False, leading=0,
    )  # fmt: skip
    table.add_column("", overflow="fold")
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("95 %", justify="right", no_wrap=True)
    for row in frame.iter_rows(named=True):
        known = row["ci_low"] is not None
        table.add_row(
            label(row),
            f"{row['effect']:+.2f}",
            f"{row['ci_low']:+.2f} to {row['ci_high']:+.2f}" if known else "-",
        )
    return table


def _look(row: dict[str, Any]) -> str:
    against = row["against"]
    return (
        f"{row['words']} (rather than {against})" if against else f"{row['words']} ({row['theme']})"
    )


def _level(row: dict[str, Any]) -> str:
    return f"{row['column']}: {row['level']}"


def _word(row: dict[str, Any]) -> str:
    return f"{row['word']} ({row['pictures']} pictures)"


def _prompt(row: dict[str, Any]) -> str:
    text: str = row["prompt"]
    return text if len(text) <= 90 else f"{text[:88]} …"
