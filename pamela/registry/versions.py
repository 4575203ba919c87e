"""Finding the versions of MLflow's registered model ``pamela``, with the alias ``champion``.

`pamela.registry.registration` makes them. Every score looks its model up here, so that nothing
beyond the database's own reader is imported unless a version is kept elsewhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pamela.core.errors import PamelaError, require
from pamela.core.paths import Project
from pamela.params import Params, load_params, tracking_uri
from pamela.registry import sqlite_reader
from pamela.registry.reachable import said_by, shown
from pamela.registry.sqlite_reader import Version

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAME = "pamela"
CHAMPION = "champion"
_SET_AGAIN = (
    f"ask for models:/{NAME}/VERSION, or set the alias again: `make ui`, Models, {NAME}, a "
    f"version, Aliases, {CHAMPION}"
)
URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[^/@]+))")


def list_versions(project: Project, params: Params, name: str = NAME) -> list[Version]:
    """Return the registered versions, oldest first; none when there is no such model."""
    known = sqlite_reader.known_versions(tracking_uri(params, project.root), name)
    if known is not None:
        return known
    database = sqlite_reader.database_file(tracking_uri(params, project.root))
    if database is not None and not database.exists():
        return []  # asking MLflow would create it
    require("mlflow", "a registry other than the project's own database")
    from mlflow.exceptions import MlflowException

    from pamela.registry.publish import client_of

    try:
        return _ask_mlflow(client_of(project, params), name)
    except MlflowException as error:
        raise PamelaError(
            f"{said_by()} {shown(tracking_uri(params, project.root))}: no MLflow registry there "
            f"({(str(error).splitlines() or [''])[0]})"
        ) from None


def _ask_mlflow(client: MlflowClient, name: str) -> list[Version]:
    aliases: dict[str, list[str]] = {}
    for model in client.search_registered_models(f"name = '{name}'"):
        for alias, number in model.aliases.items():
            aliases.setdefault(str(number), []).append(alias)
    found = client.search_model_versions(f"name = '{name}'")
    return [
        Version(
            str(v.version), tuple(sorted(aliases.get(str(v.version), []))), v.tags, v.source or ""
        )
        for v in sorted(found, key=lambda v: int(v.version))
    ]


def champion(project: Project, params: Params) -> Version | None:
    """Return the version that the alias ``champion`` points at, or None."""
    versions = list_versions(project, params)
    return next((v for v in versions if CHAMPION in v.aliases), None)


def resolve(uri: str, project: Project, params: Params | None = None) -> Path:
    """Return the local folder of ``models:/pamela@champion`` or ``models:/pamela/3``.

    Raises
    ------
    PamelaError
        On another kind of URI, an unknown name, alias or version, or lost files; it says what
        there is.
    """
    parsed = URI.fullmatch(uri)
    if not parsed:
        raise PamelaError(
            f"{uri}: not a model URI; write models:/{NAME}@{CHAMPION} or models:/{NAME}/1"
        )
    params = params or load_params(project.params_file)
    versions = list_versions(project, params, parsed["name"])
    chosen = choose(uri, versions, parsed["alias"], parsed["version"])
    local = project.root / chosen.path if chosen.path else None
    if local is not None and local.is_dir():
        return local
    return _download(uri, project, params, chosen)


def choose(uri: str, versions: list[Version], alias: str | None, version: str | None) -> Version:
    """Return the version that `uri` names by alias or number; the error says what there is."""
    if not versions:
        raise PamelaError(
            f"{uri}: no such registered model; run `make repro`, which registers {NAME}"
        )
    wanted = [v for v in versions if (alias in v.aliases if alias else v.version == version)]
    if wanted:
        return wanted[0]
    aliases = sorted(a for v in versions for a in v.aliases)
    what = f"alias {alias!r}" if alias else f"version {version!r}"
    how = f"; {_SET_AGAIN}" if alias == CHAMPION else ""
    raise PamelaError(
        f"{uri}: no {what}; there are versions {', '.join(v.version for v in versions)} and "
        f"aliases {', '.join(aliases) or '(none)'}{how}"
    )


def _download(uri: str, project: Project, params: Params, version: Version) -> Path:
    require("mlflow", f"{uri}: a version that is kept elsewhere")
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        place = download_artifacts(
            artifact_uri=version.source, tracking_uri=tracking_uri(params, project.root)
        )
    except (MlflowException, OSError):
        raise PamelaError(
            f"{uri}: the files of version {version.version} are gone "
            f"({version.path or version.source}); run `make repro`, or register it again"
        ) from None
    return Path(place)
