"""A project in which every stage counts as run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import copy_project, must
from tests.helpers.dvc_graph import MAIN, names, outs


@pytest.fixture(scope="session")
def made_up_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the pipeline has run (with made-up outputs) and the ablation has not."""
    found = copy_project(tmp_path_factory.mktemp("graph") / "project")
    wanted = {name for one in MAIN.values() for name in (*outs(one), *names(one["deps"]))}
    for name in sorted(wanted, reverse=True):  # a folder after what is in it
        path = found / name
        if path.exists():
            continue
        file = path if path.suffix else path / "file"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"made-up {name}")
    must(found, "python", "-m", "dvc", "commit", "-q", "-f", "dvc.yaml")
    return found


@pytest.fixture
def finished_project(made_up_run: Path, tmp_path: Path) -> Path:
    """A copy of `made_up_run` for a test that changes it."""
    return Path(shutil.copytree(made_up_run, tmp_path / "project", symlinks=True))
