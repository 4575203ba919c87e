"""One Prefect server for a whole run: on a free loopback port, on the project's own database."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from flows.environment import environment
from pamela.core.errors import PamelaError
from pamela.core.paths import Project

SERVER_TIMEOUT_S = 120.0


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
def server(project: Project) -> Iterator[str]:
    """Start the project's Prefect server, yield its API URL, stop it.

    An API URL that is already set is yielded as it is and its server left alone.
    """
    given = os.environ.get("PREFECT_API_URL")
    if given:
        yield given
        return
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    project.prefect_home.mkdir(exist_ok=True)
    log = project.prefect_home / "server.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1",
             "--port", str(port)],
            cwd=project.root,
            env=environment(project, PREFECT_API_URL=url),
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait_until_up(process, url, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + SERVER_TIMEOUT_S
    while not _answers(url):
        if process.poll() is not None:
            raise PamelaError(f"the Prefect server ended at once: see {log}")
        if time.monotonic() > deadline:
            raise PamelaError(
                f"the Prefect server did not answer in {SERVER_TIMEOUT_S:.0f} s: see {log}"
            )
        time.sleep(0.2)
