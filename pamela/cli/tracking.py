"""Putting an imported dataset under DVC, or saying in one line why that is not possible."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final, NoReturn

from pamela.core.errors import PamelaError
from pamela.core.paths import Project

HELP: Final = "Having any troubles?"  # where DVC sends people, after the reason


def become(project: Project, *command: str) -> NoReturn:
    """Go on as one of the project's commands, in its root: whoever stops this one stops that."""
    os.chdir(project.root)
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", *command], _environment())


def _environment() -> dict[str, str]:
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", "")
    return {**os.environ, "PATH": path}


def require_dvc(project: Project) -> None:
    """Raise if DVC cannot work in the project, before anything is brought.

    Raises
    ------
    PamelaError
        If there is no ``.dvc`` folder, or no git repository though DVC is set up to need one.
    """
    config = project.root / ".dvc" / "config"
    if not config.is_file():
        raise PamelaError(
            f"{project.root}: no .dvc/config, so DVC cannot track data here; run `dvc init`"
        )
    above = (project.root, *project.root.parents)
    if "no_scm" in config.read_text(encoding="utf-8") or os.environ.get("GIT_DIR"):
        return
    if not any((folder / ".git").exists() for folder in above):
        raise PamelaError(
            f"{project.root}: no git repository, which DVC needs (a zip of the repository has no "
            ".git); run `git init` there and import again"
        )


def track_with_dvc(project: Project, folder: Path) -> None:
    """Run ``dvc add``; if that fails, leave neither its record nor its ignore file.

    Raises
    ------
    PamelaError
        With DVC's own reason.
    """
    record, ignore = folder.with_name(f"{folder.name}.dvc"), folder.with_name(".gitignore")
    before = ignore.read_bytes() if ignore.is_file() else None
    target = project.relative(folder)
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", target],
        cwd=project.root,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode == 0:
        return
    record.unlink(missing_ok=True)
    if before is not None:
        ignore.write_bytes(before)
    else:
        ignore.unlink(missing_ok=True)
    raise PamelaError(f"{target}: `dvc add` failed ({_reason(done.stdout)}); nothing was imported")


def _reason(said: str) -> str:
    """Return the line in which DVC says what is wrong."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and HELP not in line]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no message"])[0][:300]
