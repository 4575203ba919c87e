"""A server is kept up while a command needs it, and stopped with it."""

from __future__ import annotations

import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from prefect import Flow, Task

from flows import server
from flows.family import MARK
from flows.server import free_port, running
from flows.service.left_runs import MESSAGE, end_left_runs
from pamela.core.errors import DiskFullError, PamelaError
from pamela.core.paths import Project
from tests.conftest import command_env
from tests.helpers.disks import Mount, fill

SMALL = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def process_at(url: str, seconds: float = 20) -> int:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as reply:
                return int(reply.read())
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # not of the tests' own process
    monkeypatch.setattr(server.family, "lead", lambda _: monkeypatch.setenv(MARK, "the mark"))


def test_one_that_dies_is_started_again_at_its_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running("small", ["-c", SMALL, str(port)], url, tmp_path / "log", Project(tmp_path),
                 command_env()):  # fmt: skip
        first = process_at(url)
        assert psutil.Process(first).environ()[MARK] == "the mark"
        os.kill(first, signal.SIGKILL)
        assert process_at(url) != first
    assert "the small server ended and is started again" in capsys.readouterr().err
    with pytest.raises(urllib.error.URLError):
        process_at(url, 0)


def test_one_that_does_not_start_is_told(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with (
        pytest.raises(PamelaError, match="the small server ended at once: see "),
        running("small", ["-c", "1/0"], url, tmp_path / "log", Project(tmp_path), command_env()),
    ):
        pass


def test_one_that_finds_no_room_is_told(tmp_path: Path, small_disk: Mount) -> None:
    small_disk(tmp_path / "home", 64)
    fill(tmp_path / "home")
    url = f"http://127.0.0.1:{free_port()}"
    with (
        pytest.raises(DiskFullError, match=r"as no space is left in .*home; make room"),
        running("small", ["-c", "1/0"], url, tmp_path / "home" / "log", Project(tmp_path),
                command_env()),
    ):  # fmt: skip
        pass


def test_runs_of_a_killed_command_are_over(prefect_api: str) -> None:
    """The tests' own server; its database is nobody else's."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.states import Running

    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        run = client.create_flow_run(Flow(lambda: None, name="killed"), state=Running())
        task = client.create_task_run(
            Task(lambda: None, name="its step"), run.id, "0", state=Running()
        )
        assert end_left_runs(prefect_api) >= 1
        found = client.read_flow_run(run.id).state, client.read_task_run(task.id).state
        assert [state and (state.name, state.message) for state in found] == [
            ("Crashed", MESSAGE),
            ("Crashed", MESSAGE),
        ]
        assert end_left_runs(prefect_api) == 0
