"""``pamela import KIND SRC --name NAME``: a dataset in, checked, recorded and tracked by DVC."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from pamela.core.errors import PamelaError, require
from pamela.core.paths import Project


class ImportCommand(TyperCommand):
    """The command, whose help ends with the files and columns of every kind."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the usual help, then the kinds."""
        super().format_help(ctx, formatter)
        formatter.write(kinds_text())


def kinds_text() -> str:
    """Return what each kind of dataset consists of, at most 80 columns wide."""
    from pamela.data.formats import FORMATS

    lines = ["Kinds: files and columns"]
    for kind, form in FORMATS.items():
        lines += ["", kind, *(f" {line}".rstrip() for line in form.columns.strip().splitlines())]
    return "\n".join(lines) + "\n"


def run_command(project: Project, *command: str) -> int:
    """Run one of the project's commands in its root, with this environment's programs first."""
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", "")
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=project.root, env={**os.environ, "PATH": path}
    ).returncode


def import_command(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="What it is: one of the kinds listed below.")
    ],
    src: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="Its folder. For pamela also the release's zip, or hf://OWNER/NAME@REVISION.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Its name under data/raw/.")],
    link: Annotated[
        bool, typer.Option("--link", help="Hard links instead of copies (one file system).")
    ] = False,
    move: Annotated[bool, typer.Option("--move", help="Move the files out of SRC.")] = False,
    use: Annotated[
        bool, typer.Option("--use", help="Name it in params.yaml: ingest.datasets: [NAME].")
    ] = False,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="With --use: set embed.encoder too.")
    ] = None,
) -> None:
    """Bring a dataset to data/raw/NAME in its own layout, checked, and track it with DVC."""
    from pamela.cli.edit_params import set_params
    from pamela.data.importing.dataset import import_dataset
    from pamela.params import load_params

    if link and move:
        raise PamelaError("say either --link or --move")
    if encoder and not use:
        raise PamelaError("--encoder goes with --use, which sets params.yaml")
    require("dvc", "pamela import")
    project = Project.here()
    if use:
        load_params(project.params_file)  # before anything is brought
    summary = import_dataset(
        project, kind, src, name, "link" if link else "move" if move else "copy"
    )
    target = project.relative(project.raw / name)
    if run_command(project, "dvc", "add", "--quiet", target) != 0:
        raise PamelaError(
            f"{target} is imported, but `dvc add` failed: run `dvc add {target}` and see why"
        )
    typer.echo(str(summary))
    if use:
        changes: dict[str, Any] = {"ingest.datasets": [name]}
        if encoder:
            changes["embed.encoder"] = encoder
        set_params(project.params_file, changes)
        said = ", ".join(f"{key}: {value}".replace("'", "") for key, value in changes.items())
        typer.echo(f"params.yaml now has {said}; next: `dvc repro`")
        return
    typer.echo(
        f"Next, in params.yaml: `ingest.datasets: [{name}]` and `embed.encoder`; then `dvc repro`"
    )
