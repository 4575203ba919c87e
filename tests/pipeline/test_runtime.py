"""Prefect for real: a failing task is retried and seen, a user's fault is not; it imports."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import command_env, copy_project, run_in

FLOW = """
from pathlib import Path
from flows.runtime import main, stage, step
from pamela.core.errors import PamelaError

@step("flaky")
def flaky():
    seen = Path("seen")
    seen.write_text(seen.read_text() + "x" if seen.exists() else "x")
    if len(seen.read_text()) == 1:
        raise OSError("a disk hiccup")

@step("faulty")
def faulty():
    Path("tries").write_text((Path("tries").read_text() if Path("tries").exists() else "") + "x")
    raise PamelaError("data/ratings.csv: row 3: mend it")

@stage("trial")
def trial():
    flaky()
    if Path("break").exists():
        faulty()

if __name__ == "__main__":
    main(trial)
"""


def test_prefect_server_imports():
    """Guards the fastapi pin: a newer one makes every flow fail."""
    done = subprocess.run(
        [sys.executable, "-c", "import prefect.server.api.server"],
        capture_output=True, text=True, env=command_env(), timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("runtime") / "project")
    (folder / "flows" / "trial.py").write_text(FLOW)
    return folder


def task_runs(url: str) -> dict[str, object]:
    from prefect.client.orchestration import PrefectClient

    async def read():
        async with PrefectClient(url) as client:
            return await client.read_task_runs()

    return {run.name.rsplit("-", 1)[0]: run for run in asyncio.run(read())}


def test_a_task_that_fails_once_is_retried_and_the_stage_finishes(project, prefect_api):
    done = run_in(project, "python", "-m", "flows.trial", PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "step 'flaky' failed: OSError('a disk hiccup')" in done.stderr
    assert (project / "seen").read_text() == "xx"
    run = task_runs(prefect_api)["flaky"]
    assert run.state_name == "Completed"
    assert run.run_count == 2


def test_a_users_fault_is_one_line_and_not_retried(project, prefect_api):
    (project / "break").touch()
    done = run_in(project, "python", "-m", "flows.trial", PREFECT_API_URL=prefect_api)
    assert done.returncode == 1
    assert (project / "tries").read_text() == "x"
    assert "error: data/ratings.csv: row 3: mend it" in done.stderr.splitlines()
    assert done.stderr.count("\n") == 1, "one line, no traceback"
