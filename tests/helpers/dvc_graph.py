"""The stages of pipeline and ablation as plain data, and their code deps against the imports."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.helpers import yaml
from tests.helpers.import_graph import reached_files
from tests.paths import ROOT

Stage = Mapping[str, Any]

DECLARED: dict[str, Stage] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
MAIN: dict[str, Stage] = {name: one for name, one in DECLARED.items() if "do" not in one}
# stages that are there once per name in the params, as often as not never (`foreach`)
PER_NAME: dict[str, Stage] = {name: one["do"] for name, one in DECLARED.items() if "do" in one}
ABLATION: dict[str, Stage] = yaml.safe_load((ROOT / "ablation/stages.yaml").read_text())["stages"]
# `params:` tracks the values; the package itself only finds its API on first use
UNTRACKED = {"pamela/params.py", "pamela/__init__.py"}


def names(entries: list[Any]) -> list[str]:
    """Return the paths of deps or outs, which may carry options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def outs(stage: Stage) -> list[str]:
    """Return all that a stage writes, metrics included."""
    return names([*stage.get("outs", []), *stage.get("metrics", [])])


def covers(dep: str, path: str) -> bool:
    """Return whether `path` is `dep` or lies below it."""
    return path == dep or path.startswith(f"{dep}/")


def code_deps(stage: Stage) -> list[str]:
    """Return a stage's deps on code."""
    return [dep for dep in names(stage["deps"]) if dep.startswith(("pamela/", "flows/"))]


def imported(stage: Stage) -> set[str]:
    """Return the files of the project that the stage's flow may import."""
    return reached_files(stage["cmd"].split()[2])


def undeclared(stage: Stage) -> list[str]:
    """Return the files that a stage imports and that no dep covers."""
    deps = code_deps(stage)
    files = imported(stage) - UNTRACKED
    return sorted(path for path in files if not any(covers(dep, path) for dep in deps))


def idle(stage: Stage) -> list[str]:
    """Return the code deps of which a stage imports nothing."""
    files = imported(stage)
    return [dep for dep in code_deps(stage) if not any(covers(dep, path) for path in files)]


def ask_for_ablation(folder: Path) -> None:
    """Make the ablation known to DVC in the project `folder`, as `make ablation` does."""
    shutil.copyfile(folder / "ablation/stages.yaml", folder / "ablation/dvc.yaml")
