"""The ``pamela`` command: import a dataset, retrain, score pictures, adapt to people, steer.

``pamela --help`` lists the commands. Prefect and DVC are run as commands in the project root; this
package imports neither.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pamela.cli.explain import explain_command
from pamela.cli.import_dataset import ImportCommand, import_command
from pamela.cli.model import CHAMPION_URI, ModelOption, load_reward
from pamela.cli.people.adapt import adapt
from pamela.cli.people.suggest import suggest
from pamela.cli.recommend import recommend_command
from pamela.cli.retraining.batches import batches_app
from pamela.cli.retraining.champion import (
    champion_command,
    promote_command,
    rollback_command,
)
from pamela.cli.score_table import score_table_command
from pamela.cli.serve import serve_command
from pamela.cli.steer import steer_command
from pamela.cli.study import study_app
from pamela.cli.tracking import become
from pamela.core.errors import (
    EXTRAS,
    PamelaError,
    hide_in_tracebacks,
    missing_package,
    require,
    show_warnings_as_lines,
)
from pamela.core.paths import Project

if TYPE_CHECKING:
    from rich.console import Console

    from pamela.serving.types import Score

app = typer.Typer(
    help="Personal reward models for text-to-image generation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("import", cls=ImportCommand)(import_command)
app.command("explain")(explain_command)
app.command("adapt")(adapt)
app.command("suggest")(suggest)
app.command("recommend")(recommend_command)
app.command("score-table")(score_table_command)
app.command("steer")(steer_command)
app.command("serve")(serve_command)
app.add_typer(batches_app, name="batches")
app.add_typer(study_app, name="study")
app.command("champion")(champion_command)
app.command("rollback")(rollback_command)
app.command("promote")(promote_command)


@app.command()
def retrain(
    once: Annotated[
        bool, typer.Option("--once", help="One cycle now: inbox, training, gate.")
    ] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Cycles by schedule and for new batches, until stopped.")
    ] = False,
) -> None:
    """Retrain on the batches that wait in data/inbox/ and promote the challenger if not worse."""
    if once == serve:
        raise PamelaError("say either --once or --serve")
    require("prefect", "pamela retrain")
    mode = "--once" if once else "--serve"
    become(Project.here(), "flows.retrain", mode)


@app.command()
def score(
    # as texts: of a path typer makes a type of pydantic's own, each time anew
    images: Annotated[list[str], typer.Argument(help="Picture files.")],
    user: Annotated[
        str | None,
        typer.Option(
            help="dataset/user, bare where unique, or who was adapted to; none: the population."
        ),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="What the pictures were asked to show.")
    ] = None,
    model: ModelOption = CHAMPION_URI,
    dataset: Annotated[
        str | None, typer.Option(help="Whose scale to answer on, without a user.")
    ] = None,
) -> None:
    """Score pictures for one person: a table on a terminal, else one JSON object per picture."""
    reward, files = load_reward(model), [Path(name) for name in images]
    scores = reward.score(user=user, prompt=prompt, images=files, dataset=dataset)
    rows = [(str(file), score) for file, score in zip(files, scores, strict=True)]
    if sys.stdout.isatty():
        from pamela.reporting.presentation.terminal import PlainConsole

        print_table(rows, user, PlainConsole())
    else:
        last = {"evaluated_version": reward.evaluated_version}
        lines = ({"image": image, **vars(one), **last} for image, one in rows)
        typer.echo("\n".join(json.dumps(line, ensure_ascii=False) for line in lines))


def print_table(rows: Sequence[tuple[str, Score]], user: str | None, console: Console) -> None:
    """Print scores of named pictures as a table; long names are folded, none is cut."""
    from pamela.reporting.presentation.terminal import PlainTable

    first = rows[0][1]
    table = PlainTable(
        f"{user or 'population'} ({first.source}) · {first.model_version}",
        title_justify="left",
    )
    table.add_column("image", overflow="fold")
    for name in ("rating", "std", "percentile"):
        table.add_column(name, justify="right", no_wrap=True)
    for image, one in rows:
        table.add_row(image, f"{one.rating:.2f}", f"{one.std:.2f}", f"{one.percentile:.0f}")
    console.print(table)
    if first.standardised:
        console.print("standardised scale, as nobody rated: 0 is the average training picture")


def main() -> None:
    """Run the command line; a fault the user can mend is one line and exit status 1."""
    hide_in_tracebacks()
    show_warnings_as_lines()
    try:
        app()
    except PamelaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        print(f"error: {missing_package(package, 'this command')}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be read or written
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
