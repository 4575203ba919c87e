"""``pamela suggest``: what to rate next."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pamela.cli.model import (
    CHAMPION_URI,
    CatalogOption,
    ModelOption,
    NumberOption,
    load_reward,
    relative,
)
from pamela.core.errors import PamelaError

if TYPE_CHECKING:
    from rich.console import Console

    from pamela.serving.types import Suggestion


def suggest(
    user: Annotated[
        str | None,
        typer.Option(help="dataset/user, a saved person's name; none: somebody quite new."),
    ] = None,
    n: NumberOption = 10,
    dataset: CatalogOption = None,
    model: ModelOption = CHAMPION_URI,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write a sheet to fill in with ratings, for `pamela adapt`.",
        ),
    ] = None,
) -> None:
    """Name the pictures whose ratings would teach most about what a person likes."""
    reward = load_reward(model)
    found = reward.suggest(user=user, n=n, dataset=dataset)
    if sheet is not None:
        _write_sheet(sheet, found)
    if sys.stdout.isatty():
        from pamela.reporting.presentation.terminal import PlainConsole

        print_suggestions(found, user, PlainConsole())
        if sheet is not None:
            print(
                f"fill in the ratings in {sheet}, then: pamela adapt --ratings {sheet} --name NAME"
            )
        return
    for one in found:
        row = {
            "image_id": one.image_id,
            "file": relative(one.file),
            "prompt": one.prompt,
            "before": one.before,
            "left": one.left,
        }
        typer.echo(json.dumps(row, ensure_ascii=False))


def _write_sheet(path: Path, found: Sequence[Suggestion]) -> None:
    """Write image_id, rating (empty), file and prompt of each; an existing file is not replaced."""
    try:
        with path.open("x", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(["image_id", "rating", "file", "shows"])
            rows.writerows([one.image_id, "", relative(one.file), one.prompt] for one in found)
    except FileExistsError:
        raise PamelaError(f"{path}: there already; name another file") from None
    except OSError as error:
        raise PamelaError(f"{path}: {error.strerror}") from None


def print_suggestions(found: Sequence[Suggestion], user: str | None, console: Console) -> None:
    """Print what to rate next as a table."""
    from pamela.reporting.presentation.terminal import PlainTable

    if not found:
        console.print("nothing is left to rate: all training pictures are")
        return
    table = PlainTable(f"to rate next: {user or 'somebody new'}", title_justify="left")
    table.add_column("image_id")
    table.add_column("file", overflow="fold")
    table.add_column("prompt", overflow="ellipsis", no_wrap=True)
    table.add_column("left", justify="right")
    for one in found:
        table.add_row(one.image_id, relative(one.file) or "", one.prompt or "", f"{one.left:.2f}")
    console.print(table)
    console.print(
        f"left: how far the difference of two pictures may be off; {found[0].before:.2f} before"
    )
