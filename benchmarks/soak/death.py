"""A process that dies by SIGKILL at a given event: Python runs this file as ``sitecustomize``.

Events are found by the interpreter's audit hooks: a file opened for writing, renamed or removed, a
new folder, a process that is started. `arm` copies this file into a folder that goes into
``PYTHONPATH``, so that every Python process of a command has the hook: the command, DVC, the
stages. ``SOAK_EVENTS`` names a folder in which each process writes what it does; ``SOAK_DEATH``
says which process is to die when.
"""

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Final

CHANGES: Final = (
    "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate",
)  # fmt: skip
STARTS: Final = "subprocess.Popen"
WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS, DEATH, ROOT = "SOAK_EVENTS", "SOAK_DEATH", "SOAK_ROOT"
SPARED: Final = ("flows.family", "prefect")  # the watcher; Prefect's server, which has its own test


def role(argv: list[str]) -> str:
    """Return what a process is: its module, and for DVC what it does."""
    words = argv[argv.index("-m") + 1 :] if "-m" in argv else argv[:1]
    return "-".join(words[:2]) if words[0] == "dvc" else words[0]


def arm(folder: Path) -> Path:
    """Write the hook into `folder`, which is to be in ``PYTHONPATH``."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(__file__, folder / "sitecustomize.py")
    return folder


class _Hook:
    """Counts the events of this process below the project's root; at one of them it dies."""

    def __init__(self, name: str, root: str) -> None:
        self.root = root
        self.log = -1
        if folder := os.environ.get(EVENTS):
            self.log = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        victim, left, group = (os.environ.get(DEATH) or ":-1:").split(":")
        self.left = int(left) if victim == name else -1
        self.group = bool(group)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == STARTS:
            what = " ".join(map(str, arguments[1]))
        elif event in CHANGES or (event == "open" and _for_writing(arguments)):
            what = os.path.abspath(str(arguments[0]))  # noqa: PTH100 (pathlib has events itself)
            if not what.startswith(self.root) or "__pycache__" in what:
                return
        else:
            return
        if self.log >= 0:
            os.write(self.log, f"{event} {what}\n".encode())
        self.left -= 1
        if self.left == 0:
            self._die()

    def _die(self) -> None:
        if self.group:
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def _for_writing(arguments: tuple[Any, ...]) -> bool:
    return isinstance(arguments[2], int) and bool(arguments[2] & WRITING)


if __name__ == "sitecustomize" and os.environ.get(ROOT):
    _role = role(sys.orig_argv)
    if _role not in SPARED:
        sys.addaudithook(_Hook(_role, os.environ[ROOT] + os.sep))
