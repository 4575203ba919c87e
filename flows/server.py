"""Servers on free loopback ports: one Prefect server for a whole run, on the project's database."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from flows.environment import API_URL, environment, require_given_server
from pamela.core.errors import PamelaError
from pamela.core.paths import Project

START_TIMEOUT_S = 120.0


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextlib.contextmanager
def running(
    name: str, arguments: list[str], url: str, log: Path, project: Project, env: dict[str, str]
) -> Iterator[None]:
    """Run a server while the block lasts; the block begins once ``url/health`` answers.

    Parameters
    ----------
    name : what a message calls it.
    arguments : of this Python: ``-m``, the module and its own.
    log : file that holds what the server says.
    """
    project.prefect_home.mkdir(exist_ok=True)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=project.root,
            env=env,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_up(name, process, url, log)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # its own session: its workers end with it
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_up(name: str, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _answers(url):
        if process.poll() is not None:
            raise PamelaError(f"the {name} server ended at once: see {log}")
        if time.monotonic() > deadline:
            raise PamelaError(
                f"the {name} server did not answer in {START_TIMEOUT_S:.0f} s: see {log}"
            )
        time.sleep(0.2)


@contextlib.contextmanager
def server(project: Project) -> Iterator[str]:
    """Start the project's Prefect server, yield its API URL, stop it.

    An API URL that is already set is yielded as it is and its server left alone.
    """
    given = os.environ.get(API_URL)
    if given:
        require_given_server()
        yield given
        return
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    command = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = project.prefect_home / "server.log"
    env = environment(project, PREFECT_API_URL=url)
    with running("Prefect", command, url, log, project, env):
        yield url
