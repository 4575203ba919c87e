"""What produced a result: git state, hashes of datasets and models, versions of the stack."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import polars as pl

from pamela import __version__
from pamela.core import schema as s
from pamela.core.files import read_json, read_parquet, scan_table
from pamela.core.paths import Project
from pamela.models.base import model_hash

STACK = (
    "dvc", "prefect", "mlflow", "lightning", "torch", "open_clip_torch", "great_expectations",
    "polars", "numpy", "scikit-learn", "matplotlib",
)  # fmt: skip
SHORT = 16  # hex digits shown of a hash


@dataclass(frozen=True)
class GitState:
    """The commit that is checked out (``none`` before the first) and whether files differ."""

    commit: str
    dirty: bool


def git_state(project: Project) -> GitState:
    """Return the project's git commit and dirty flag; outside git, ``none`` and dirty."""
    commit = _git(project, "rev-parse", "--verify", "--quiet", "HEAD")
    changes = _git(project, "status", "--porcelain", "--untracked-files=normal")
    return GitState(commit or "none", changes is None or bool(changes))


def _git(project: Project, *args: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *args], cwd=project.root, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def stable_hash(value: Any) -> str:
    """Return a short hash of a JSON-able value, the same in every process."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:SHORT]


def frame_hash(frame: pl.DataFrame) -> str:
    """Return a short hash of a frame's names, types and values, in order."""
    buffer = io.BytesIO()
    frame.rechunk().write_ipc(buffer, compression="uncompressed")
    return hashlib.sha256(buffer.getbuffer()).hexdigest()[:SHORT]


def dataset_hashes(project: Project) -> dict[str, str]:
    """Return ``{dataset: hash}`` over what is validated: ratings, users, images, any choices."""
    frames = [
        read_parquet(project.validated / f"{table}.parquet")
        for table in ("ratings", "users", "images")
    ]
    choices = read_choices(project)
    names = pl.concat([frames[0][s.DATASET], choices[s.DATASET]]).unique().sort().to_list()
    of_choices = [choices] if choices.height else []

    def parts(name: str) -> list[str]:
        own = [f.filter(pl.col(s.DATASET) == name) for f in (*frames, *of_choices)]
        return [frame_hash(f) for f in own[:3]] + [frame_hash(f) for f in own[3:] if f.height]

    return {name: stable_hash(parts(name)) for name in names}


def read_choices(project: Project) -> pl.DataFrame:
    """Return the validated choices; none where validation was before there were any."""
    return scan_table(project.validated / "choices.parquet", s.CHOICES_SCHEMA).collect()


def model_hashes(project: Project, model: str) -> dict[str, str]:
    """Return ``{fold: hash}`` of a model's saved folds; empty for one that is never fitted."""
    folders = sorted((project.models / model).glob("fold_*"))
    return {folder.name: model_hash(folder) for folder in folders}


def encoder_info(project: Project) -> dict[str, Any]:
    """Return the encoder's name, fingerprint and dimensions, as the embed stage wrote them."""
    info: dict[str, Any] = read_json(project.features / "features.json")
    return info


def versions() -> dict[str, str]:
    """Return the versions of Python, pamela and the stack (those that are installed)."""
    found = {"python": platform.python_version(), "pamela": __version__}
    for name in STACK:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
