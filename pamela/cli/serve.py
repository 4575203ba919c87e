"""``pamela serve``: the champion over HTTP."""

from __future__ import annotations

import os
from typing import Annotated, Final

import typer

from pamela.cli.model import CHAMPION_URI, ModelOption
from pamela.core.errors import require

PACKAGES: Final = ("fastapi", "fastapi_offline", "python_multipart", "uvicorn")


def serve_command(
    model: ModelOption = CHAMPION_URI,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="0: any free one. [default: of params.yaml]"),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. [default: of params.yaml]")
    ] = None,
) -> None:
    """Serve a model over HTTP: score, adapt, suggest, explain. Follows the champion as it moves."""
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # as `pamela.cli.model.load_reward`
    for package in PACKAGES:
        require(package, "pamela serve")
    from pamela.serving.http.server import serve
    from pamela.serving.loading import project_here

    serve(model, project_here(), host, port)
