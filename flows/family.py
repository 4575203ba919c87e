"""Nothing stays running: what a command started ends with it, also after SIGKILL.

A command that starts others (`lead`) writes a mark into its environment, which every process below
it inherits, and starts a watcher (``python -m flows.family HEAD``). The watcher waits until the
command is gone, however it went, and then kills every process that bears its mark: Prefect's
server, DVC, a running stage. A stage that ran on after its command could have the last word over
the next run. Whoever takes a project's lock or starts its server ends such orphans first, in case
a watcher was killed as well (`end_orphans`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pamela.core.paths import Project

MARK = "PAMELA_FAMILY"  # heads of the families that a process belongs to, the outermost first
LOOK_S = 1.0  # the pipe says at once that the head is gone; this is for a copy of its end
TRIES = 20

_pipe: int | None = None  # its other end is the watcher's: it closes when this process is gone


def lead(project: Project) -> None:
    """Make this process the head of a family that ends with it; once per process."""
    global _pipe
    if _pipe is not None:
        return
    head = _head(os.getpid(), project)
    reading, _pipe = os.pipe()
    subprocess.Popen(
        [sys.executable, "-m", "flows.family", head],
        cwd=Path(__file__).parents[1],  # where this package lies
        stdin=reading,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # neither Ctrl-C nor a terminal that closes ends it before its time
    )
    os.close(reading)
    os.environ[MARK] = " ".join([*os.environ.get(MARK, "").split(), head])


def end_orphans(project: Project) -> int:
    """End what commands of this project left running that are gone themselves; return how many.

    Processes are known by their mark, never by their name: nobody else's is touched.
    """
    ours = _of(project)
    mine = set(os.environ.get(MARK, "").split())

    def orphaned(heads: set[str]) -> bool:
        return any(head.endswith(ours) and not _lives(head) for head in heads - mine)

    return _end(orphaned)


def others(project: Project) -> bool:
    """Tell whether another command of this project runs."""
    import psutil

    ours, mine = _of(project), set(os.environ.get(MARK, "").split())
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            heads = set(process.environ().get(MARK, "").split()) - mine
            if any(head.endswith(ours) and _lives(head) for head in heads):
                return True
    return False


def _head(pid: int, project: Project) -> str:
    return f"{pid}:{_started(pid)}{_of(project)}"


def _of(project: Project) -> str:
    return f":{hashlib.blake2b(str(project.root).encode(), digest_size=6).hexdigest()}"


def _lives(head: str) -> bool:
    pid, started, _ = head.split(":")
    return _started(int(pid)) == started


def _started(pid: int) -> str:
    """Return when a process started, as text that no change of the clock alters; "" if none."""
    import psutil

    if psutil.LINUX:  # there `create_time` moves with the clock
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        fields = text.rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return ""


def _end(meant: Callable[[set[str]], bool]) -> int:
    """Kill every process whose heads are `meant`, until none is left; return how many were."""
    import psutil

    ended: set[int] = set()
    for _ in range(TRIES):  # one may have started another meanwhile
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                marks = process.environ().get(MARK, "")
                if marks and process.pid != os.getpid() and meant(set(marks.split())):
                    found.append(process)
        if not found:
            break
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=2)
        ended.update(process.pid for process in found)
    return len(ended)


def _watch(head: str) -> None:
    """Wait until `head` is gone, then end its family."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while _lives(head):
        if select.select([0], [], [], LOOK_S)[0]:
            break
    while _lives(head):  # on its way out, or about to hand its place to another program
        time.sleep(0.05)
    _end(lambda heads: head in heads)


if __name__ == "__main__":
    _watch(sys.argv[1])
