"""What a cycle survives, end to end: full disks, servers that go, a stage that fails, kills.

The tests run in the order written, on one project: each goes on from what the one before left. All
the while there are secrets, in the environment, in addresses and in what git and DVC know of their
remotes: in the end they are written nowhere.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from benchmarks.soak.invariants import LEFT, Soaked, processes_of
from benchmarks.soak.run import OVERRIDES, soak_project
from flows import retrain
from flows.server import free_port
from pamela.core.errors import PamelaError
from tests.conftest import command_env, must, run_in
from tests.helpers.disks import Mount, fill, small_disks
from tests.helpers.stages import run_cycle
from tests.helpers.taste_project import TRAINED, Planted, first_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
# In the order in which a cycle first writes there: each cycle comes a step further.
SECRET = "made-up-secret-52c8"  # noqa: S105
SECRETS = dict.fromkeys(("MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"), SECRET)
ONCE = ("python", "-m", "flows.retrain", "--once")
FOLDERS = ("data/batches", ".dvc", "data", "challenger", "mlartifacts", "reports")
ROOM_KB = 4000


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


@pytest.fixture(scope="module")
def project(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that ran once; a batch waits that makes the model much better."""
    folder = first_run(tmp_path_factory.mktemp("faults"), planted, OVERRIDES)
    must(folder, "git", "remote", "add", "origin", f"https://ann:{SECRET}@git.example/x.git")
    remote = f"['remote \"elsewhere\"']\n    url = webdavs://ann:{SECRET}@data.example/x\n"
    (folder / ".dvc" / "config.local").write_text(remote)
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


def wait_for(what: str, condition: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds:.0f} s"
        time.sleep(0.1)


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


def test_a_full_disk_under_the_database_is_one_line(
    project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It lies in a folder of its own here: the project's root holds too much to be filled."""
    home = project / "store"
    home.mkdir()
    shutil.copyfile(project / "mlflow.db", home / "mlflow.db")
    with small_disks() as mount, full(home, mount, tmp_path / "aside"):
        with pytest.raises(PamelaError, match="no space is left") as told:
            run_cycle(project, MLFLOW_TRACKING_URI="sqlite:///store/mlflow.db")
        assert "\n" not in str(told.value)
        assert "store: " in str(told.value)
        assert "sqlite3" not in "".join(capfd.readouterr())  # MLflow would log a page
    shutil.rmtree(home)
    assert champion(project) == "1"
    assert left_over(project) == []


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
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It goes between the fit and the registration."""
    port = free_port()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    fit = retrain.challenger.fit_challenger
    with tracking_server(project, port) as process, monkeypatch.context() as patch:

        def fit_and_lose_it(*arguments: object) -> str:
            found = fit(*arguments)  # type: ignore[arg-type]
            end(process)
            return found

        patch.setattr(retrain, "fit_challenger", fit_and_lose_it)
        with pytest.raises(PamelaError, match="no MLflow server answers") as told:
            run_cycle(project, MLFLOW_TRACKING_URI=f"http://ann:{SECRET}@127.0.0.1:{port}")
        assert "\n" not in str(told.value)
        assert SECRET not in "".join([str(told.value), *capfd.readouterr()])
    assert champion(project) == "1"


def test_a_full_tmpdir_is_one_line(project: Path, tmp_path: Path) -> None:
    """SQLite writes there, as Prefect's server makes its database."""
    with small_disks() as mount:
        mount(tmp_path, 64)
        fill(tmp_path)
        done = run_in(project, *ONCE, TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("error: the Prefect server ended at once, as no space is left in")
    assert f"in {tmp_path}; make room" in done.stderr
    assert done.stderr.count("\n") == 1
    assert champion(project) == "1"
    wait_for("the end of all it started", lambda: not processes_of(project), 15)


def prefect_servers(project: Path) -> list[psutil.Process]:
    """Return the Prefect servers that work in `project`."""
    return [one for one in processes_of(project) if {"prefect", "server"} <= set(one.cmdline())]


WORKS = "    print(split.counts("
FAILS_TWICE = """\
    with open("tries", "a+") as tries:
        tries.write("x")
        tries.seek(0)
        if len(tries.read()) < 3:
            raise OSError("a planted fault")
"""


def test_the_next_cycle_completes_whatever_goes_wrong_meanwhile(
    project: Path, tmp_path: Path
) -> None:
    """A stage fails twice, its own Prefect server dies, and the clock was set back."""
    split = project / "flows" / "split.py"
    assert WORKS in split.read_text()
    split.write_text(split.read_text().replace(WORKS, FAILS_TWICE + WORKS))
    ahead = {"at": "2036-01-01T00:00:00Z", "action": "hold", "by": "gate", "why": "so"}
    with (project / "reports" / "promotions.jsonl").open("a") as records:
        records.write(json.dumps(ahead) + "\n")
    log = tmp_path / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, *ONCE[1:]], cwd=project, env=command_env(**SECRETS),
            stdout=stream, stderr=stream,
        )  # fmt: skip
        try:
            wait_for("the first stage", lambda: "planted: " in log.read_text() or process.poll())
            for one in prefect_servers(project):
                one.kill()
            assert process.wait(timeout=600) == 0, log.read_text()
        finally:
            process.kill()
    said = log.read_text()
    assert said.count("the Prefect server ended and is started again") == 1
    assert said.count("a planted fault") == 2
    assert "Traceback" not in said
    assert SECRET not in said
    assert champion(project) == "2"
    assert left_over(project) == []
    wait_for("the end of all it started", lambda: not processes_of(project), 15)


def test_three_cycles_with_random_batches_and_kills(
    project: Path, planted: Planted, prefect_api: str
) -> None:
    """Without poisoned batches: apart from each other they are tried in test_retrain.py."""
    found = soak_project(
        project, planted, 3, 7, say=print, dry=False, without=["poisoned"],
        PREFECT_API_URL=prefect_api, **SECRETS,
    )  # fmt: skip
    assert found == []


def test_no_secret_is_written_anywhere(project: Path) -> None:
    (now,) = project.parent.glob("project*")  # the soak moves it
    known = {now / ".git" / "config", now / ".dvc" / "config.local"}
    files = [path for path in now.rglob("*") if path.is_file() and path not in known]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
