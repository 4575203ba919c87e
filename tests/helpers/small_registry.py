"""A registry of made-up bundles, and what is read of it; MLflow's database is real."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

from pamela.core.paths import Project
from pamela.registry import registration, versions
from tests.helpers.made_up import make_project, params_of, write_bundle

MODELS = ("paper", "population", "group_mean")


def make_registry(root: Path) -> Project:
    """Register three versions, each promoted over the one before; return their project."""
    project = make_project(root)
    params = params_of(project)
    assert registration.register_if_empty(project, params) == "1"
    for number, model in enumerate(MODELS[1:], 2):
        bundle = write_bundle(project, model)
        assert registration.register_challenger(project, params, bundle=bundle) == str(number)
        better = registration.Promotion(f"{model} is better")
        registration.set_champion(project, params, str(number), better)
    return project


def copy_registry(project: Project, root: Path) -> Project:
    """Copy a project whose registry knows nothing of where it was made."""
    copied = Project(shutil.copytree(project.root, root))
    with sqlite3.connect(root / "mlflow.db") as db:
        for column in ("source", "storage_location"):
            places = project.root.as_uri(), root.as_uri()
            db.execute(f"update model_versions set {column} = replace({column}, ?, ?)", places)
    return copied


def aliases(project: Project) -> dict[str, str]:
    """Return ``{alias: version}``."""
    return versions.aliases_of(project, params_of(project))


def tags(project: Project, number: str) -> dict[str, str]:
    """Return the tags of a version."""
    listed = versions.list_versions(project, params_of(project))
    return next(v.tags for v in listed if v.version == number)


def copy_of(project: Project, number: str) -> Path:
    """Return the folder of a version's files."""
    return project.root / tags(project, number)["path"]


def damage(path: Path) -> None:
    """Flip a bit in the middle of a file; its size and time stay as they were."""
    content, stat = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
