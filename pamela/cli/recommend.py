"""``pamela recommend --user U``: the pictures of the catalog that a person likes best."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
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
from pamela.core.paths import Project

if TYPE_CHECKING:
    from rich.console import Console

    from pamela.serving.types import Ranked

SHEETS = "recommended"  # the folder of contact sheets, below reports/
LONGEST = 100  # characters of a user in a file's name


def recommend_command(
    user: Annotated[
        str | None,
        typer.Option(help="dataset/user, a saved person's name; none: the population."),
    ] = None,
    n: NumberOption = 20,
    dataset: CatalogOption = None,
    model: ModelOption = CHAMPION_URI,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help=f"The contact sheet; by default reports/{SHEETS}/USER.png.",
        ),
    ] = None,
) -> None:
    """Name the known pictures that a person likes best, those not yet rated first."""
    from pamela.serving.gallery.contact_sheet import write_sheet

    if sheet is not None and sheet.suffix.lower() != ".png":
        raise PamelaError(f"--sheet {sheet}: name a file that ends in .png")
    reward = load_reward(model)
    found = reward.rank(user=user, n=n, dataset=dataset)
    drawn = any(one.file and one.file.is_file() for one in found)
    if sheet is not None and not drawn:
        raise PamelaError(f"--sheet {sheet}: none of these pictures has a file here to draw")
    if drawn:
        sheet = sheet or _default_sheet(user or dataset)
        write_sheet(found, sheet)
    if sys.stdout.isatty():
        from pamela.reporting.presentation.terminal import PlainConsole

        print_ranked(found, user, PlainConsole())
        print(
            f"contact sheet: {relative(sheet)}" if drawn else "no picture has a file here: no sheet"
        )
        return
    for one in found:
        typer.echo(json.dumps(_row(one), ensure_ascii=False))


def _default_sheet(user: str | None) -> Path:
    name = re.sub(r"[^\w.-]+", "_", user or "population").strip(".")[:LONGEST]
    return Project.here().reports / SHEETS / f"{name}.png"


def _row(one: Ranked) -> dict[str, object]:
    named = {"image_id": one.image_id, "file": relative(one.file), "prompt": one.prompt}
    return {**named, "rated": one.rated, **asdict(one.score)}


def print_ranked(found: Sequence[Ranked], user: str | None, console: Console) -> None:
    """Print what a person likes best as a table."""
    from pamela.reporting.presentation.terminal import PlainTable

    first = found[0].score
    table = PlainTable(
        f"{user or 'population'} ({first.source}) · {first.model_version}", title_justify="left"
    )
    table.add_column("", justify="right")
    table.add_column("image_id")
    table.add_column("prompt", overflow="ellipsis", no_wrap=True)
    for name in ("rating", "std", "percentile"):
        table.add_column(name, justify="right", no_wrap=True)
    for place, one in enumerate(found, 1):
        score = one.score
        mark = " (rated)" if one.rated else ""
        table.add_row(
            str(place), f"{one.image_id}{mark}", one.prompt or "",
            f"{score.rating:.2f}", f"{score.std:.2f}", f"{score.percentile:.0f}",
        )  # fmt: skip
    console.print(table)
