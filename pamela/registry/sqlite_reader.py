"""A read-only glance at MLflow's SQLite file, without importing MLflow (which takes 4 s).

Used where a cached run only asks "is it all there?" and where a model is looked up to be loaded.
Everything here answers ``None`` when it cannot tell (another store, another schema, no file); the
caller then asks MLflow itself. Nothing is ever written here.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

SQLITE = "sqlite:///"


@dataclass(frozen=True)
class KnownRun:
    """A finished run as the database holds it."""

    run_id: str
    artifact_uri: str
    tags: dict[str, str]


@dataclass(frozen=True)
class KnownVersion:
    """A registered model version.

    Attributes
    ----------
    version : its number, as text.
    source : where MLflow says its files are.
    aliases : the names that point at it.
    """

    version: str
    source: str
    tags: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


def database_file(uri: str) -> Path | None:
    """Return the file of a SQLite tracking URI, or None for any other store."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def local_path(uri: str) -> Path | None:
    """Return the folder of a local artifact URI (``file://`` or a bare path), else None."""
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(uri) if not parsed.scheme else None


@contextlib.contextmanager
def _reading(uri: str) -> Iterator[sqlite3.Connection | None]:
    path = database_file(uri)
    if path is None or not path.is_file():
        yield None
        return
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        yield connection
    finally:
        connection.close()


def experiment_location(uri: str, experiment: str) -> str | None:
    """Return where the artifacts of an active experiment go."""
    query = "SELECT artifact_location FROM experiments WHERE name = ? AND lifecycle_stage='active'"
    rows = _rows(uri, query, experiment)
    return str(rows[0][0]) if rows else None


def read_experiment_id(uri: str, experiment: str) -> str | None:
    """Return the id of an active experiment."""
    query = "SELECT experiment_id FROM experiments WHERE name = ? AND lifecycle_stage='active'"
    rows = _rows(uri, query, experiment)
    return str(rows[0][0]) if rows else None


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


def known_versions(uri: str, name: str) -> list[KnownVersion] | None:
    """Return the versions of a registered model, oldest first."""
    versions = _rows(
        uri,
        "SELECT version, source FROM model_versions WHERE name = ? "
        "AND current_stage != 'Deleted_Internal' ORDER BY version",
        name,
    )
    tags = _rows(uri, "SELECT version, key, value FROM model_version_tags WHERE name = ?", name)
    aliases = _rows(uri, "SELECT version, alias FROM registered_model_aliases WHERE name = ?", name)
    if versions is None or tags is None or aliases is None:
        return None
    return [
        KnownVersion(
            str(number),
            str(source),
            {key: value for v, key, value in tags if v == number},
            tuple(sorted(alias for v, alias in aliases if v == number)),
        )
        for number, source in versions
    ]


def _rows(uri: str, query: str, *values: str) -> list[tuple[str, ...]] | None:
    with _reading(uri) as connection:
        if connection is None:
            return None
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.Error:
            return None
