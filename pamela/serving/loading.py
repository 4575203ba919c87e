"""Where a model is: a registered version, or a bundle folder."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.serving.arguments.texts import read_text, shown
from pamela.training.bundle import Bundle, load_bundle


def open_bundle(uri: str | Path) -> tuple[Bundle, Project | None]:
    """Load the bundle that `pamela.load` names; return it with the project around it.

    Raises
    ------
    PamelaError
        If there is no such model; the message says what exists.
    """
    if not isinstance(uri, str | PathLike):
        raise PamelaError(f"load {shown(uri)}; give a bundle folder or models:/NAME@ALIAS")
    if isinstance(uri, str):
        read_text(uri, "load")
    if str(uri).startswith("models:/"):
        from pamela.registry.versions import resolve

        project = Project.here()
        return load_bundle(resolve(str(uri), project)), project
    folder = Path(uri)
    if not os.path.isdir(folder):  # noqa: PTH112 (false, where `Path.is_dir` raises)
        raise PamelaError(f"{folder}: no such folder; give a bundle folder or models:/NAME@ALIAS")
    return load_bundle(folder), project_here()


def project_here() -> Project | None:
    """Return the project around the working directory, if there is one."""
    try:
        return Project.here()
    except PamelaError:
        return None
