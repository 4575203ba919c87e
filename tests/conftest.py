"""What the tests share: a project of their own in a temporary folder, and running commands there.

`copy_project` makes a copy of the repository's code with git and DVC set up; `run_in` runs one of
its commands with nothing of this process's environment that would lead back here. Where neither
the process nor DVC is the point, `tests.helpers.stages.run_stages` is ten times cheaper.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The same examples in every run, so that a change fails by what it changed. To look for new ones:
# `pytest --hypothesis-profile=explore`.
settings.register_profile("steady", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("steady")

ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # the same numbers however many cores; one core a worker
os.environ.update(ONE_THREAD)  # before anything imports numpy or torch

from flows.environment import QUIET  # noqa: E402
from flows.server import server  # noqa: E402
from pamela.core.paths import Project  # noqa: E402
from tests.helpers import extras, yaml  # noqa: E402
from tests.helpers.disks import Mount, small_disks  # noqa: E402
from tests.paths import ROOT  # noqa: E402

CODE = ("pamela", "flows", "expectations", "ablation")
FILES = (
    "dvc.yaml", "params.yaml", "pyproject.toml", ".gitignore", ".dvcignore", "data/withdrawn.csv",
)  # fmt: skip
# What would point a command at this process's project, server or registry:
OURS = ("PAMELA_FAMILY", "PREFECT_API_URL", "PREFECT_HOME", "MLFLOW_TRACKING_URI", "PAMELA_REASON")
# The modules that take longest, the longest first: so two workers finish at about the same time.
LONGEST = (
    "test_smoke.py",
    "test_shared_data.py",
    "test_full_run.py",
    "test_retrain.py",
    "test_joint_training.py",
    "test_ablation_run.py",
    "test_shared_cycle.py",
    "test_correlations.py",
    "test_import_kinds.py",
    "test_dvc_sharing.py",
    "test_learned_features.py",
    "test_embedded_clip.py",
    "test_memory.py",
)
RANK = {name: rank for rank, name in enumerate(LONGEST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest modules first."""
    items.sort(key=lambda item: RANK.get(item.path.name, len(RANK)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests did not run for want of an extra."""
    skipped = terminalreporter.stats.get("skipped", [])
    for line in extras.summary(str(report.longrepr) for report in skipped):
        terminalreporter.write_line(line)


def merge(base: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `overrides`, section by section."""
    merged = dict(base)
    for key, value in overrides.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) else value
    return merged


def override_params(folder: Path, overrides: Mapping[str, Any]) -> None:
    """Change keys of ``folder/params.yaml``, e.g. ``{"train": {"max_epochs": 2}}``."""
    path = folder / "params.yaml"
    merged = merge(yaml.safe_load(path.read_text()), overrides)
    path.write_text(yaml.safe_dump(merged))


def command_env(**more: str) -> dict[str, str]:
    """Return the environment for a command in another project."""
    kept = {key: value for key, value in os.environ.items() if key not in OURS}
    bin_dir = str(Path(sys.executable).parent)
    return {
        **kept,
        **QUIET,
        **ONE_THREAD,
        "PATH": bin_dir + os.pathsep + kept.get("PATH", ""),
        **more,
    }


def run_in(
    folder: Path, *command: str, timeout: float = 600, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `command` (``python`` is this interpreter) in `folder`; its output comes back as text."""
    words = [sys.executable if command[0] == "python" else command[0], *command[1:]]
    return subprocess.run(
        words, cwd=folder, env=command_env(**env), capture_output=True, text=True, timeout=timeout
    )


def must(folder: Path, *command: str, timeout: float = 600, **env: str) -> str:
    """Run `command` and return its stdout; a failure fails the test with its last output."""
    done = run_in(folder, *command, timeout=timeout, **env)
    tail = (done.stdout + done.stderr)[-4000:]
    assert done.returncode == 0, f"{' '.join(command)}: status {done.returncode}\n{tail}"
    return done.stdout


def copy_project(folder: Path, overrides: Mapping[str, Any] | None = None) -> Path:
    """Copy the repository's code and params to `folder`; git and DVC are set up there."""
    folder.mkdir(parents=True, exist_ok=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    for name in CODE:
        shutil.copytree(ROOT / name, folder / name, ignore=ignore, dirs_exist_ok=True)
    for name in FILES:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    for name in ("raw", "batches", "inbox", "external"):
        (folder / "data" / name).mkdir(parents=True, exist_ok=True)
        (folder / "data" / name / ".gitkeep").touch()
    override_params(folder, overrides or {})
    # what `dvc init` writes, without the seconds that it takes
    (folder / ".dvc").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore"):
        shutil.copyfile(ROOT / name, folder / name)
    must(folder, "git", "init", "-q", "-b", "main")
    must(folder, "git", "config", "user.email", "tests@example.org")
    must(folder, "git", "config", "user.name", "tests")
    must(folder, "git", "add", "-A")
    must(folder, "git", "commit", "-q", "-m", "start")
    return folder


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of one Prefect server for all tests of this worker."""
    home = tmp_path_factory.mktemp("server")
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("PREFECT_API_URL", raising=False)
            patch.setenv("PREFECT_HOME", str(home / ".prefect"))
            url = stack.enter_context(server(Project(home)))
        yield url


@pytest.fixture
def small_disk() -> Iterator[Mount]:
    """Return a function that mounts a small file system; skip where that is not allowed."""
    with small_disks() as mount:
        yield mount
