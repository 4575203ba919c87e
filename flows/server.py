"""Servers on free loopback ports: one Prefect server for a whole run, on the project's database."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from flows import family
from flows.command import ROOM, temporary_folder
from flows.environment import API_URL, environment, require_given_server
from flows.service.left_runs import end_left_runs
from pamela.core.errors import DiskFullError, PamelaError
from pamela.core.files import tells_full, writing_to
from pamela.core.paths import Project

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 5.0  # then it is killed: its database bears that
SEND_TIMEOUT_S = 3.0  # each, of logs and events
RESTARTS = 3
# Prefect's names for a database other than the project's own
SHARED_DATABASE = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")
LEAST_ROOM = 1 << 20  # bytes that a server needs for its database and log


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as reply:  # noqa: S310, our own
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


class _Kept:
    """A server that is started again, at the same address, if it dies before it is stopped.

    What talks to it meanwhile tries again for a minute: a cycle goes on.
    """

    def __init__(self, name: str, log: Path, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self.name, self.log, self._start = name, log, start
        self.process = start()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._keeper = threading.Thread(target=self._keep, name=f"{name} server", daemon=True)

    def keep(self) -> None:
        self._keeper.start()

    def _keep(self) -> None:
        for _ in range(RESTARTS):
            self.process.wait()
            with self._lock:
                if self._stopping.is_set():
                    return
                _say(f"the {self.name} server ended and is started again; {self.log} says why")
                self.process = self._start()
        self.process.wait()
        if not self._stopping.is_set():
            _say(f"error: the {self.name} server ended {RESTARTS + 1} times: see {self.log}")

    def stop(self) -> None:
        with self._lock:
            self._stopping.set()
        process = self.process
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # its own session: its workers end with it
        try:
            process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


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
    with writing_to(project.prefect_home):
        project.prefect_home.mkdir(exist_ok=True)
    family.lead(project)
    env = {**env, family.MARK: os.environ.get(family.MARK, "")}  # `env` may be older
    family.end_orphans(project)  # one that was left would hold the database
    log.unlink(missing_ok=True)

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as stream:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=project.root,
                env=env,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    kept = _Kept(name, log, start)
    try:
        _wait_until_up(name, kept.process, url, log)
        kept.keep()
        yield
    finally:
        kept.stop()


def _wait_until_up(name: str, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _answers(url):
        if process.poll() is not None:
            _refuse_full(name, log)
            raise PamelaError(f"the {name} server ended at once: see {log}")
        if time.monotonic() > deadline:
            raise PamelaError(
                f"the {name} server did not answer in {START_TIMEOUT_S:.0f} s: see {log}"
            )
        time.sleep(0.2)


def _refuse_full(name: str, log: Path) -> None:
    """Raise if a server may have ended for want of room: its log itself may be cut off by that."""
    asked = [str(log.parent), temporary_folder()]
    full = [folder for folder in asked if shutil.disk_usage(folder).free < LEAST_ROOM]
    if full or tells_full(log.read_text(encoding="utf-8", errors="replace")):
        raise DiskFullError(
            f"the {name} server ended at once, as no space is left in {' or '.join(full or asked)}"
            f"; {ROOM}"
        )


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
        _end_left_runs(project, url)
        try:
            yield url
        finally:
            _send_what_waits()


def _end_left_runs(project: Project, url: str) -> None:
    """Let Prefect's page say of killed commands' runs that they are over; it holds nothing up."""
    if family.others(project) or any(map(os.environ.get, SHARED_DATABASE)):
        return  # `make ui` and `make repro` may run at once, on one database; or other people's
    with contextlib.suppress(OSError, ValueError, KeyError):
        end_left_runs(url)


def _send_what_waits() -> None:
    """Let Prefect send its logs and events while the server is there.

    At the end of the process it would try for more than a minute, in vain.
    """
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=SEND_TIMEOUT_S)
