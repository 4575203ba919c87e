"""What a cycle survives, end to end: full disks, a tracking server that goes, kills (a short soak).

The tests run in the order written, on one project: each goes on from what the one before left.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from benchmarks.soak.invariants import LEFT, Soaked
from benchmarks.soak.run import OVERRIDES, soak_project
from flows import retrain
from flows.server import free_port
from pamela.core.errors import PamelaError
from tests.conftest import command_env, override_params
from tests.helpers.disks import Mount, fill, small_disks
from tests.helpers.stages import run_cycle
from tests.helpers.taste_project import TRAINED, Planted, first_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
# In the order in which a cycle first writes there: each cycle comes a step further.
FOLDERS = ("data/batches", ".dvc", "data", "challenger", "mlartifacts", "reports")
ROOM_KB = 4000


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


@pytest.fixture(scope="module")
def project(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that ran once; a batch waits that makes the model much better."""
    folder = first_run(tmp_path_factory.mktemp("faults"), planted, OVERRIDES)
    planted.batch(folder / "data/inbox/planted/good", [f"u{k:02d}" for k in range(TRAINED)], 20, 1)
    return folder


def champion(project: Path) -> str:
    return Soaked.aliases_of(project)["champion"]


@contextmanager
def full(folder: Path, mount: Mount, aside: Path) -> Iterator[None]:
    """Let `folder` be a small file system without room; what is written there stays afterwards."""

    def put(source: Path, target: Path) -> None:
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)

    folder.mkdir(exist_ok=True)
    put(folder, aside)
    used = sum(path.stat().st_size for path in aside.rglob("*") if path.is_file())
    mount(folder, 2 * used // 1024 + ROOM_KB)
    put(aside, folder)
    fill(folder)
    yield
    (folder / "filler").unlink()
    shutil.rmtree(aside)
    put(folder, aside)


def left_over(project: Path) -> list[Path]:
    return [p for p in project.rglob("*") if LEFT.fullmatch(p.name) and ".git" not in p.parts]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    project: Path, tmp_path: Path, name: str
) -> None:
    folder, aside = project / name, tmp_path / "aside"
    with small_disks() as mount, full(folder, mount, aside):
        with pytest.raises(PamelaError, match="no space is left") as told:
            run_cycle(project)
        assert "\n" not in str(told.value)
        assert champion(project) == "1"
        assert left_over(project) == []
    shutil.rmtree(folder)  # what the file system hid
    shutil.copytree(aside, folder, symlinks=True)


@contextmanager
def tracking_server(project: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Serve the project's tracking database over HTTP."""
    command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", "sqlite:///mlflow.db"]
    process = subprocess.Popen(
        [sys.executable, *command], cwd=project, env=command_env(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            time.sleep(0.2)
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def test_a_tracking_server_that_goes_in_the_middle_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes between the fit and the registration."""
    port = free_port()
    override_params(project, {"tracking": {"uri": f"http://127.0.0.1:{port}"}})
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    fit = retrain.challenger.fit_challenger
    with tracking_server(project, port) as process, monkeypatch.context() as patch:

        def fit_and_lose_it(*arguments: object) -> str:
            found = fit(*arguments)  # type: ignore[arg-type]
            end(process)
            return found

        patch.setattr(retrain, "fit_challenger", fit_and_lose_it)
        with pytest.raises(PamelaError, match="no MLflow server answers") as told:
            run_cycle(project)
        assert "\n" not in str(told.value)
    override_params(project, {"tracking": {"uri": "sqlite:///mlflow.db"}})
    assert champion(project) == "1"


def test_with_room_and_server_the_next_cycle_completes(project: Path) -> None:
    run_cycle(project)
    assert champion(project) == "2"
    assert left_over(project) == []


def test_five_cycles_with_random_batches_and_kills(
    project: Path, planted: Planted, prefect_api: str
) -> None:
    found = soak_project(project, planted, 5, 7, say=print, dry=False, PREFECT_API_URL=prefect_api)
    assert found == []
