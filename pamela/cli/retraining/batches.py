"""``pamela batches``: where every batch of new ratings is; taking back what was set aside."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pamela.core.paths import Project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pamela.retraining.overview import Row

batches_app = typer.Typer(
    help="List the batches of new ratings; take back what was set aside.", add_completion=False
)


@batches_app.callback(invoke_without_command=True)
def list_batches(context: typer.Context) -> None:
    """List the batches of new ratings: waiting, refused and why, accepted, set aside."""
    if context.invoked_subcommand is not None:
        return
    from pamela.params import load_params
    from pamela.retraining.overview import overview

    project = Project.here()
    rows = overview(project, load_params(project.params_file).ingest.datasets)
    if sys.stdout.isatty():
        from pamela.reporting.presentation.terminal import PlainConsole

        print_batches(rows, PlainConsole())
        return
    for row in rows:
        typer.echo(json.dumps(asdict(row), ensure_ascii=False))


def print_batches(rows: Sequence[Row], console: Console) -> None:
    """Print the batches as a table; long texts are folded, none is cut."""
    from pamela.reporting.presentation.terminal import PlainTable

    if not rows:
        console.print("no batches: put one into data/inbox/<dataset>/<batch>/ (data/README.md)")
        return
    table = PlainTable("batches of new ratings", title_justify="left")
    table.add_column("batch", overflow="fold")
    table.add_column("state", no_wrap=True)
    for name in ("ratings", "choices", "quarantined"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for row in rows:
        counted = (row.ratings, row.choices, row.quarantined)
        numbers = ("" if n is None else f"{n:,}" for n in counted)
        table.add_row(row.batch, row.state, *numbers, row.why)
    console.print(table)


@batches_app.command("take-back")
def take_back_command(
    name: Annotated[str, typer.Argument(help="dataset/batch, or the batch where that is unique.")],
) -> None:
    """Put a batch that was set aside back into the training data; the next retrain judges it."""
    from pamela.params import load_params
    from pamela.retraining.batches import take_back
    from pamela.retraining.lock import one_at_a_time
    from pamela.retraining.report.page import renew_page

    project = Project.here()
    params = load_params(project.params_file)
    with one_at_a_time(project):
        label = take_back(project, name)
        print(
            f"{label} is in data/batches again; `pamela retrain --once` trains with it and judges "
            "it once more"
        )
        renew_page(project, params, "the batch is taken back")
