"""What people share beyond one machine, for real and on loopback: PostgreSQL, and S3 by moto.

Each is a process of its own, on a free port, with a password; it ends with the block.
"""

from __future__ import annotations

import getpass
import http.client
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import pytest

from flows.server import free_port
from tests.helpers.small_servers import serving

PASSWORD: Final = "made-up-secret-9a41"  # noqa: S105
PERSON: Final = "pamela"
BUCKET: Final = "pamela"
FOLDERS: Final = "/usr/lib/postgresql/*/bin"  # Debian's, one for each release
HOP: Final = ("connection", "transfer-encoding", "content-length", "date", "server")


def postgresql_programs() -> Path:
    """Return the folder of PostgreSQL's own programs; skip where there are none."""
    found = [Path(place).parent for place in (shutil.which("initdb"),) if place]
    found += sorted(Path("/").glob(FOLDERS.lstrip("/")), key=lambda folder: folder.parent.name)
    for folder in reversed(found):
        if all((folder / name).is_file() for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    pytest.skip(f"needs PostgreSQL's programs (initdb, pg_ctl) on PATH or in {FOLDERS}")


def account() -> dict[str, Any]:
    """Return whom its processes are to belong to: PostgreSQL refuses to run as root."""
    if os.getuid():
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL refuses to run as root, and there is no other account")


class PostgreSQL:
    """A cluster of its own in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.programs, self.folder, self.account = postgresql_programs(), folder, account()
        self.port, self.data = free_port(), folder / "data"
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if self.account:
            for path in (folder, secret):
                os.chown(path, self.account["user"], self.account["group"])
        self._run("initdb", "-D", str(self.data), "-U", PERSON, "-A", "scram-sha-256",
                  "--pwfile", str(secret), "--no-sync", "-E", "UTF8", "--locale", "C")  # fmt: skip
        settings = f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nfsync = off\n"
        settings += "unix_socket_directories = ''\n"
        with (self.data / "postgresql.auto.conf").open("a") as stream:
            stream.write(settings)
        self.start()

    def address(self, database: str, password: str = PASSWORD, driver: str = "") -> str:
        """Return a database's address, with name and password."""
        return f"postgresql{driver}://{PERSON}:{password}@127.0.0.1:{self.port}/{database}"

    def create(self, name: str) -> str:
        """Make a database and return its address."""
        self.ask(f"CREATE DATABASE {name}")
        return self.address(name)

    def ask(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Return what the database answers."""
        import psycopg2

        connection = psycopg2.connect(self.address(database))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
        connection.close()
        return rows

    def start(self) -> None:
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.data), "-l", log, "-w", "start")

    def stop(self) -> None:
        """Break every connection, as a restart of the service does."""
        self._run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop")

    def restart(self) -> None:
        self.stop()
        self.start()

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [str(self.programs / program), *words], cwd=self.folder, check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.account,
        )  # fmt: skip


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Yield a running PostgreSQL; skip where its programs are not installed."""
    postgresql_programs()
    with tempfile.TemporaryDirectory(prefix=f"pamela-{getpass.getuser()}-") as folder:
        server = PostgreSQL(Path(folder))
        try:
            yield server
        finally:
            with suppress(subprocess.CalledProcessError):  # a test may have stopped it
                server.stop()


@contextmanager
def running(words: list[str], port: int, env: dict[str, str], log: Path) -> Iterator[None]:
    """Run a server of this Python's until the block ends; it begins once the port is open."""
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, *words], env=env, cwd=log.parent, stdout=stream, stderr=stream,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


@contextmanager
def object_store(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the environment in which S3 is a moto server with an empty bucket."""
    port = free_port()
    words = ["-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(words, port, dict(os.environ), folder / "moto.log"):
        request = http.client.HTTPConnection("127.0.0.1", port)
        request.request("PUT", f"/{BUCKET}")
        assert request.getresponse().status == 200
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": PERSON,
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def failing_store(behind: str, status: int, code: str) -> Iterator[str]:
    """Yield the address of a proxy before an S3 server that refuses whatever is to be written."""
    host = behind.removeprefix("http://")

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.command in ("PUT", "POST"):
                said = f"<Error><Code>{code}</Code><Message>as planned</Message></Error>"
                return self._answer(status, said.encode(), {"Content-Type": "application/xml"})
            asked = http.client.HTTPConnection(host)
            asked.request(self.command, self.path, body, dict(self.headers))
            found = asked.getresponse()
            kept = {k: v for k, v in found.getheaders() if k.lower() not in HOP}
            return self._answer(found.status, found.read(), kept)

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(Proxy) as address:
        yield address
