"""``pamela study serve``: the pages that participants see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from pamela.cli.model import CHAMPION_URI, ModelOption, load_reward
from pamela.core.errors import require
from pamela.core.paths import Project

NAME_HELP: Final = "What the study is called; the same name goes on with it."
ADVICE: Final = "give another --port (0: any free one) or --host"
PACKAGES: Final = ("nicegui", "fastapi", "uvicorn")


def serve_command(
    name: Annotated[str, typer.Option("--name", help=NAME_HELP)],
    consent: Annotated[
        Path,
        typer.Option(metavar="FILE.md", help="What people read and agree to first (Markdown)."),
    ],
    dataset: Annotated[
        str | None, typer.Option(help="Whose pictures are rated; needed with several.")
    ] = None,
    ratings: Annotated[int, typer.Option(min=0, max=500, help="Pictures a person rates.")] = 20,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Prompts to steer, one a line; by default steer.prompts of the dataset's.",
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Compare pictures that were made already: prompt_id, arm, file; optional prompt, "
            "user_id (CSV or Parquet).",
        ),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=0, max=500, help="Pairs that are shown again, for test-retest.")
    ] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of orders, sides and prompts.")] = 0,
    model: ModelOption = CHAMPION_URI,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8020,
) -> None:
    """Let people take part, on loopback, until stopped; answers are kept in data/studies/NAME/."""
    for package in PACKAGES:
        require(package, "pamela study serve")
    project = Project.here()
    from pamela.params import load_params
    from pamela.serving.http.listening import listen
    from pamela.study.opening import Wishes, open_study

    listener = listen(host, port, ADVICE)  # before anything is begun
    wishes = Wishes(name, consent, dataset, ratings, repeats, seed, prompts, pairs)
    params = load_params(project.params_file)
    with open_study(project, params, load_reward(model), wishes) as study:
        from pamela.study.web.server import serve

        serve(study, listener, host)
