"""``python -m flows.retrain --serve`` for real: what the page shows, and what a kill leaves."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest

from benchmarks.soak.invariants import processes_of
from tests.conftest import command_env, copy_project

T = TypeVar("T")
RUN = "PREFECT__FLOW_RUN_ID"  # of its process
SERVING = re.compile(r"at (http://\S+)/api")


def wait_for(what: str, condition: Callable[[], T | None], seconds: float = 240) -> T:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.25)
    pytest.fail(f"{what} did not happen in {seconds:.0f} s")


class Service:
    """The command in a project whose inbox is empty."""

    def __init__(self, project: Path, log: Path) -> None:
        self.log = log
        quick = {"PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1"}
        with log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows.retrain", "--serve"],
                cwd=project, env=command_env(**quick), stdout=stream, stderr=subprocess.STDOUT,
            )  # fmt: skip

        def address() -> str:
            assert self.process.poll() is None, log.read_text()
            found = SERVING.search(log.read_text())
            return found[1] if found else ""

        self.url = wait_for("the server's start", address)

    def ask(self, what: str, **asked: Any) -> Any:
        return httpx.post(f"{self.url}/api/{what}", json=asked).raise_for_status().json()

    def runs(self, state: str) -> list[dict[str, Any]]:
        """Return the runs in a state, 200 at most."""
        found: list[dict[str, Any]] = self.ask("flow_runs/filter", flow_runs=_in(state))
        return found

    def count(self, state: str) -> int:
        number: int = self.ask("flow_runs/count", flow_runs=_in(state))
        return number

    def cycle(self) -> psutil.Process | None:
        """Return the process that runs a cycle now."""
        for process in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):
                if RUN in process.environ():
                    return process
        return None


def _in(state: str) -> dict[str, Any]:
    return {"state": {"name": {"any_": [state]}}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    cron = "* * * * * */2"  # with seconds: every two
    return copy_project(tmp_path / "project", {"retrain": {"cron": cron, "watch_s": 0.5}})


@pytest.fixture
def start(project: Path, tmp_path: Path) -> Iterator[Callable[[str], Service]]:
    services: list[Service] = []

    def started(name: str) -> Service:
        services.append(Service(project, tmp_path / name))
        return services[-1]

    yield started
    for one in services:
        if one.process.poll() is None:
            one.process.kill()


def killed_in_a_cycle(service: Service, project: Path) -> str:
    """Deliver a batch, kill the service in the cycle that it starts, and return that run's ID."""
    batch = project / "data/inbox/synthetic/b1"
    batch.mkdir(parents=True)
    (batch / "_DONE").touch()
    cycle = wait_for("its cycle", service.cycle)
    cycle.suspend()  # however busy the machine is, it is in its middle when the service goes
    run = cycle.environ()[RUN]
    service.process.send_signal(signal.SIGKILL)
    service.process.wait()
    wait_for("their end", lambda: not processes_of(project), 30)
    shutil.rmtree(batch)
    return run


@pytest.mark.slow  # two servers are started
@pytest.mark.timeout(900)
def test_a_service_that_is_killed_leaves_nothing_and_the_next_goes_on(
    project: Path, start: Callable[[str], Service]
) -> None:
    """Guards the sqlalchemy pin too: with a newer one scheduled runs are never created."""
    first = start("first")
    idle = wait_for("a scheduled run", lambda: first.runs("Completed"))[0]
    assert idle["auto_scheduled"]
    assert idle["name"] == "retrain · nothing to do"
    assert idle["state"]["message"] == "nothing to do: no complete batch in data/inbox"
    assert "nothing to do" in first.ask("artifacts/filter")[0]["data"]

    killed = killed_in_a_cycle(first, project)
    second = start("second")
    (dead,) = second.runs("Crashed")
    assert dead["id"] == killed
    assert dead["state"]["message"] == "the service that ran it was killed"
    before = second.count("Completed")
    wait_for("the next run", lambda: second.count("Completed") > before)
    assert second.count("Late") == 0, "what was missed is one run"
    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(timeout=180) == 0
    assert "Traceback" not in second.log.read_text()
    # the watcher outlives what it watches by the moment that it takes to see that it is gone
    wait_for("the end of all it started", lambda: not processes_of(project), 10)
