"""A read-only glance at MLflow's SQLite file, without importing MLflow (which takes 4 s).

Used where a cached run only asks "is it all there?" and where a model is looked up to be loaded.
Everything here answers ``None`` when it cannot tell (another store, another schema, no file); the
caller then asks MLflow itself. A damaged file is an error that says so. Nothing is ever written
here.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote, urlparse

from pamela.core.errors import PamelaError

SQLITE = "sqlite:///"
PATH = "path"  # the tag that holds a version's folder


@dataclass(frozen=True)
class KnownRun:
    """A finished run as the database holds it."""

    run_id: str
    artifact_uri: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Version:
    """A registered model version.

    Attributes
    ----------
    version : its number, as text.
    aliases : the names that point at it.
    source : where MLflow says its files are.
    created : when it was registered, in milliseconds since 1970.
    """

    version: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
    source: str
    created: int = 0

    @property
    def path(self) -> str | None:
        """Its folder relative to the project root, or None (kept elsewhere).

        Others may write a server's tags: one that leads out of the project says nothing.
        """
        path = self.tags.get(PATH, "")
        inside = path and not path.startswith("/") and ".." not in path.split("/")
        return path if inside else None


def database_file(uri: str) -> Path | None:
    """Return the file of a SQLite tracking URI, or None for any other store."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def is_absent(database: Path) -> bool:
    """Tell whether there is no database at this path: no file, or one of 0 bytes."""
    return not database.is_file() or not database.stat().st_size


def local_path(uri: str) -> Path | None:
    """Return the folder of a local artifact URI (``file://`` or a bare path), else None."""
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(uri) if not parsed.scheme else None


def known_experiment(
    uri: str, experiment: str, column: Literal["experiment_id", "artifact_location"]
) -> str | None:
    """Return the id of an active experiment, or where its artifacts go."""
    query = (
        "SELECT experiment_id, artifact_location FROM experiments "
        "WHERE name = ? AND lifecycle_stage = 'active'"
    )
    rows = _rows(uri, query, experiment)
    if not rows:
        return None
    found = dict(zip(("experiment_id", "artifact_location"), rows[0], strict=True))
    return str(found[column])


def known_runs(uri: str, experiment: str) -> list[KnownRun] | None:
    """Return the finished, not deleted runs of an experiment, oldest first, with their tags."""
    query = """
        SELECT r.run_uuid, r.artifact_uri, t.key, t.value
        FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id
        JOIN tags t ON t.run_uuid = r.run_uuid
        WHERE e.name = ? AND e.lifecycle_stage = 'active' AND r.lifecycle_stage = 'active'
          AND r.status = 'FINISHED'
        ORDER BY r.start_time
    """
    rows = _rows(uri, query, experiment)
    if rows is None:
        return None
    runs: dict[str, KnownRun] = {}
    for run_id, artifact_uri, key, value in rows:
        runs.setdefault(run_id, KnownRun(run_id, artifact_uri, {})).tags[key] = value
    return list(runs.values())


def known_versions(uri: str, name: str) -> list[Version] | None:
    """Return the versions of a registered model, oldest first."""
    versions = _rows(
        uri,
        "SELECT version, source, creation_time FROM model_versions WHERE name = ? "
        "AND current_stage != 'Deleted_Internal' ORDER BY version",
        name,
    )
    tags = _rows(uri, "SELECT version, key, value FROM model_version_tags WHERE name = ?", name)
    aliases = _rows(uri, "SELECT version, alias FROM registered_model_aliases WHERE name = ?", name)
    if versions is None or tags is None or aliases is None:
        return None
    return [
        Version(
            str(number),
            tuple(sorted(alias for v, alias in aliases if v == number)),
            {key: value for v, key, value in tags if v == number},
            str(source),
            int(created or 0),
        )
        for number, source, created in versions
    ]


def known_aliases(uri: str, name: str) -> dict[str, str] | None:
    """Return ``{alias: version}`` of a registered model, also where there is no such version."""
    rows = _rows(uri, "SELECT alias, version FROM registered_model_aliases WHERE name = ?", name)
    return None if rows is None else {alias: str(number) for alias, number in rows}


def _rows(uri: str, query: str, *values: str) -> list[tuple[str, ...]] | None:
    path = database_file(uri)
    if path is None or not path.is_file():
        return None
    with contextlib.closing(
        sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5)
    ) as connection:
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.OperationalError:  # another schema, or locked for long
            return None
        except sqlite3.DatabaseError as error:
            raise PamelaError(
                f"{path}: damaged ({error}); move it away (`mv {path.name} {path.name}.damaged`) "
                "and run `make repro`: it makes a new one, with the champion and the last results"
            ) from None
