"""What every benchmark shares: the rows that it returns, and a copy of the project to work in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from pamela.core.paths import Project

Entry = dict[str, Any]


def entry(name: str, value: float, unit: str, baseline: float | None = None) -> Entry:
    """Return one row; ratio = value / baseline."""
    ratio = round(value / baseline, 3) if baseline else None
    rounded = None if baseline is None else round(baseline, 3)
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "baseline": rounded,
        "ratio": ratio,
    }


def clone(project: Project, folder: Path) -> Project:
    """Return a copy of the project's tracked and new files in `folder`, without any output."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=project.root, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    for name in filter(None, listed.split("\0")):
        source, target = project.root / name, folder / name
        if source.is_file() and not name.startswith(("metrics/", "reports/")):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for command in (["git", "init", "-q"], ["git", "add", "-A"]):
        subprocess.run(command, cwd=folder, check=True)
    return Project(folder)
