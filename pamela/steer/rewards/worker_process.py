"""One worker process (`pamela.steer.worker`): started, asked within a time, ended for certain."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

WORKER: Final = Path(__file__).parents[1] / "worker.py"
LONGEST_LINE: Final = 1 << 20  # bytes of an answer; more is none
LOG_TAIL: Final = 4096  # bytes of standard error that are searched for its last line
LONGEST_QUOTE: Final = 160
_END_S: Final = 5.0  # a worker whose input ends is killed after this


class WorkerFailure(Exception):
    """The worker died, was silent for too long, or gave no sound answer; another may do better."""


class WorkerRefusal(Exception):
    """The worker cannot work here: a new one would say the same.

    Attributes
    ----------
    absent : whether a package is not installed.
    """

    def __init__(self, reason: str, *, absent: bool = False) -> None:
        super().__init__(reason)
        self.absent = absent


class WorkerProcess:
    """A running worker.

    Parameters
    ----------
    command : the program and its arguments; it leads a group of processes of its own, so that
        Ctrl-C in a terminal reaches this process alone, which then ends it.
    folder : that it runs in.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                cwd=folder,
                start_new_session=True,
                env=_environment(),
            )
        except OSError as error:
            self._log.close()
            raise WorkerRefusal(f"{command[0]} does not start ({error.strerror})") from None
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        out = self._process.stdout
        threading.Thread(target=_read_lines, args=(out, self._lines), daemon=True).start()
        self.close = weakref.finalize(self, _end, self._process, self._log)  # also at exit

    def send(self, message: dict[str, Any]) -> None:
        """Write one line; a worker that does not read it blocks nobody."""
        line = json.dumps(message).encode() + b"\n"
        threading.Thread(target=_write, args=(self._process.stdin, line), daemon=True).start()

    def receive(self, timeout_s: float) -> dict[str, Any]:
        """Return the next message.

        Raises
        ------
        WorkerFailure
            If none came in time, or what came is no message.
        WorkerRefusal
            If it says that it cannot work.
        """
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise WorkerFailure(f"gave no answer within {timeout_s:g} s") from None
        if not line:
            raise WorkerFailure(f"ended ({self._status()}){self._last_words()}")
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            words = line[:LONGEST_QUOTE].decode(errors="replace").strip()
            raise WorkerFailure(f"answered no message but {words!r}")
        if "fatal" in message:
            raise WorkerRefusal(str(message["fatal"]), absent=message.get("absent") is True)
        return message

    def _status(self) -> str:
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def _last_words(self) -> str:
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - LOG_TAIL))
        lines = self._log.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f": {last[-LONGEST_QUOTE:]}" if last else ""


def worker_command(python: Path, name: str, device: str) -> list[str]:
    """Return the command of the worker `name`; ``-I`` keeps this process's Python out of it."""
    return [str(python), "-I", "-u", str(WORKER), name, "--device", device]


def _environment() -> dict[str, str]:
    """Return the environment without what would lead another Python to this one's packages."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    return {key: value for key, value in os.environ.items() if key not in ours}


def _read_lines(out: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    """Queue the lines of `out`, then an empty one; of an endless line, a piece is enough."""
    while line := out.readline(LONGEST_LINE):
        lines.put(line)
        if not line.endswith(b"\n"):
            break
    lines.put(b"")


def _write(pipe: IO[bytes], line: bytes) -> None:
    with suppress(OSError, ValueError):  # it died, or was ended: the missing answer says so
        pipe.write(line)
        pipe.flush()


def _end(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """Kill the worker and whatever it started; no file of ours is in its hands."""
    with suppress(ProcessLookupError, PermissionError):  # it is gone already
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_END_S)
    for file in (process.stdin, process.stdout, log):
        with suppress(OSError, ValueError):
            if file is not None:
                file.close()
