"""Finding the versions of MLflow's registered model ``pamela``, with the alias ``champion``.

`pamela.registry.registration` makes them. Every score looks its model up here, so that nothing
beyond the database's own reader is imported unless a version is kept elsewhere.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from pamela.core.errors import PamelaError, require
from pamela.core.paths import Project
from pamela.params import Params, load_params, tracking_uri
from pamela.registry import sqlite_reader
from pamela.registry.copies import (
    BUNDLE_HASH,
    copy_from_elsewhere,
    fetch,
    is_another,
    is_kept_elsewhere,
)
from pamela.registry.reachable import TRACKING_URI, said_by, shown
from pamela.registry.sqlite_reader import Version
from pamela.training.bundle_files import REPAIR

if TYPE_CHECKING:
    from mlflow import MlflowClient

Answer = TypeVar("Answer")
NAME = "pamela"
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
BEST: Final = "best"  # the best champion so far, which the gate compares with
# Tags of a version that serves or served, of the last time that it came to it.
PROMOTED_AT: Final = "promoted_at"
PROMOTED_BY: Final = "promoted_by"
PROMOTED_BECAUSE: Final = "promoted_because"
PROMOTED_OVER: Final = "promoted_over"  # the version that served before; empty where none did
PROMOTED_AS: Final = "promoted_as"  # what kind of decision it was
PROMOTED_NTH: Final = "promoted_nth"  # how many times the alias had come to a version, this one too
DECISION: Final = "decision"  # its id in the records; written last of these
PROMOTION: Final = (
    PROMOTED_AT,
    PROMOTED_BY,
    PROMOTED_BECAUSE,
    PROMOTED_OVER,
    PROMOTED_AS,
    PROMOTED_NTH,
    DECISION,
)
FIRST: Final = "the first registered model"
AGAIN: Final = "it served before the registry was lost"
HEALER, HEAL = "pamela", "heal"  # by whom and as what an alias moves where something was amiss
_SET_AGAIN = (
    f"ask for models:/{NAME}/VERSION, or set the alias again: `make ui`, Models, {NAME}, a "
    f"version, Aliases, {CHAMPION}"
)
URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[^/@]+))")


def list_versions(project: Project, params: Params, name: str = NAME) -> list[Version]:
    """Return the registered versions, oldest first; none when there is no such model."""
    known = sqlite_reader.known_versions(tracking_uri(params, project.root), name)
    return _ask_mlflow(project, params, name, _versions, []) if known is None else known


def aliases_of(project: Project, params: Params) -> dict[str, str]:
    """Return ``{alias: version}``, also of aliases that point at no version that there is."""
    known = sqlite_reader.known_aliases(tracking_uri(params, project.root), NAME)
    return _ask_mlflow(project, params, NAME, _aliases, {}) if known is None else known


def nth_promotion(version: Version) -> int:
    """Return how many promotions there had been when a version last came to serve; 0: unknown."""
    told = version.tags.get(PROMOTED_NTH, "")
    return int(told) if told.isdecimal() else 0


@dataclass(frozen=True)
class RegisteredModel:
    """The registered model of a project at a moment.

    Attributes
    ----------
    aliases : ``{alias: version}``, also where there is no such version.
    """

    project: Project
    params: Params
    versions: list[Version]
    aliases: dict[str, str]

    @classmethod
    def look(cls, project: Project, params: Params) -> RegisteredModel:
        """Return it as it is now."""
        return cls(project, params, list_versions(project, params), aliases_of(project, params))

    def version(self, number: str | None) -> Version | None:
        """Return a version by its number."""
        return next((v for v in self.versions if v.version == number), None)

    @property
    def champion(self) -> Version | None:
        """The version that serves."""
        return self.version(self.aliases.get(CHAMPION))


def _ask_mlflow(
    project: Project,
    params: Params,
    name: str,
    ask: Callable[[MlflowClient, str], Answer],
    nothing: Answer,
) -> Answer:
    """Return what MLflow answers; `nothing` where its database is not there."""
    database = sqlite_reader.database_file(tracking_uri(params, project.root))
    if database is not None and sqlite_reader.is_absent(database):
        return nothing  # asking MLflow would create it
    require("mlflow", "a registry other than the project's own database")
    from mlflow.exceptions import MlflowException

    from pamela.registry.tracking.publish import client_of

    try:
        return ask(client_of(project, params), name)
    except MlflowException as error:
        raise PamelaError(
            f"{said_by()} {shown(tracking_uri(params, project.root))}: no MLflow registry there "
            f"({(str(error).splitlines() or [''])[0]})"
        ) from None


def _aliases(client: MlflowClient, name: str) -> dict[str, str]:
    found = client.search_registered_models(f"name = '{name}'")
    return {alias: str(number) for model in found for alias, number in model.aliases.items()}


def _versions(client: MlflowClient, name: str) -> list[Version]:
    aliases: dict[str, list[str]] = {}
    for alias, number in _aliases(client, name).items():
        aliases.setdefault(number, []).append(alias)
    found = client.search_model_versions(f"name = '{name}'")
    return [
        Version(
            str(v.version),
            tuple(sorted(aliases.get(str(v.version), []))),
            v.tags,
            v.source or "",
            v.creation_timestamp or 0,
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
    if not versions:
        _reject_other_database(uri, tracking_uri(params, project.root))
    chosen = choose(uri, versions, parsed["alias"], parsed["version"])
    if BUNDLE_HASH in chosen.tags and is_kept_elsewhere(chosen):
        require("mlflow", f"{uri}: a version that is kept elsewhere")
        return copy_from_elsewhere(project, chosen)
    local = project.root / chosen.path if chosen.path else None
    if local is not None and local.is_dir():
        fault = is_another(local, chosen.tags.get(BUNDLE_HASH))  # its files: when it is loaded
        if fault:
            raise PamelaError(
                f"{uri}: version {chosen.version} in {chosen.path}: {fault}, {REPAIR}"
            )
        return local
    return _recorded(uri, project, params, chosen)


def _reject_other_database(uri: str, address: str) -> None:
    """Raise where the environment names a database that is not there: no run would mend that."""
    database = sqlite_reader.database_file(address)
    if TRACKING_URI in os.environ and database is not None and sqlite_reader.is_absent(database):
        raise PamelaError(
            f"{uri}: {TRACKING_URI} is {shown(address)}, and nothing is there; correct the "
            "variable, or unset it"
        )


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


def _recorded(uri: str, project: Project, params: Params, version: Version) -> Path:
    """Return where MLflow says that the files are, or what it keeps, fetched."""
    recorded = sqlite_reader.local_path(version.source)
    if recorded is not None and recorded.is_dir():
        return recorded
    if recorded is not None:
        raise PamelaError(
            f"{uri}: the files of version {version.version} are gone "
            f"({version.path or version.source}), {REPAIR}"
        )
    require("mlflow", f"{uri}: a version that is kept elsewhere")
    folder = Path(tempfile.mkdtemp(prefix="pamela-"))  # nothing names a copy of it
    fetch(version.source, tracking_uri(params, project.root), folder)
    return folder
