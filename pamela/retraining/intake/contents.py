"""What the folder of a batch may hold: regular files that DVC can track and any machine can name.

A batch that breaks a rule here would be taken and then stop every later cycle (``dvc add`` fails on
a file called ``dvc.yaml`` and skips one called ``x.pyc``), so it is refused by name at the door.
Folders are walked by file descriptors: nobody can lead a walk out of the batch by a link.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from pamela.retraining.intake.faults import NotNowError, UnfitError

LONGEST_NAME: Final = 200  # bytes of one name; file systems end at 255, and we append to names
LONGEST_PATH: Final = 1_000  # bytes of a path below the batch
DEEPEST: Final = 16  # folders within folders
MOST_FILES: Final = 1_000_000
# Names that DVC or git take for their own, and those of .dvcignore, which DVC would leave out.
RESERVED: Final = (
    *("dvc.yaml", "dvc.lock", "*.dvc", ".dvcignore", ".git", ".hg", ".gitignore"),
    *("__pycache__", "*.pyc", "*.tmp"),
)
UNPRINTABLE: Final = ("Cc", "Cs", "Zl", "Zp")  # control, half characters, line separators
DONE: Final = "_DONE"  # a batch that holds it is complete
# Ours, at the top of a batch; no part of it: the mark of a refusal, half-written ones included.
REFUSED: Final = "_REFUSED"
OURS: Final = re.compile(rf"{REFUSED}|\.{REFUSED}\.\d+")


@dataclass(frozen=True)
class Entry:
    """One regular file of a batch, while the walk is at it.

    Attributes
    ----------
    path : below the batch, with ``/``.
    folder_fd : descriptor of the folder that it lies in.
    size : bytes.
    """

    path: str
    folder_fd: int
    size: int

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


def walk(folder: Path) -> Iterator[Entry]:
    """Yield every file of the batch in `folder`, in order of their paths.

    Raises
    ------
    UnfitError
        At the first thing that a batch may not hold, naming it.
    NotNowError
        If something vanishes meanwhile.
    """
    if folder.is_symlink():
        raise UnfitError("a link; a batch must be a folder of its own")
    count = 0
    try:
        for top, folders, names, fd in os.fwalk(folder, onerror=_raise, follow_symlinks=False):
            below = os.path.relpath(top, folder)
            prefix = "" if below == "." else f"{below}/"
            if not prefix:
                names = [name for name in names if not OURS.fullmatch(name)]
            _reject_twins(prefix, [*folders, *names])
            folders.sort()
            for name in sorted([*folders, *names]):
                path = prefix + name
                _reject_name(path, name)
                size = _regular_size(path, name, fd)
                if size is not None:
                    count += 1
                    yield Entry(path, fd, size)
            if count > MOST_FILES:
                raise UnfitError(f"more than {MOST_FILES:,} files; give several batches")
    except FileNotFoundError as error:
        raise NotNowError(f"{error.filename} vanished while it was read") from None
    except OSError as error:
        raise UnfitError(
            f"{error.filename or 'a folder'}: cannot be read ({error.strerror}); see its rights"
        ) from None


def _raise(error: OSError) -> None:
    raise error


def _regular_size(path: str, name: str, fd: int) -> int | None:
    """Return the size of a regular file, None for a folder."""
    found = os.lstat(name, dir_fd=fd)
    if stat.S_ISDIR(found.st_mode):
        return None
    if stat.S_ISLNK(found.st_mode):
        raise UnfitError(f"{path}: a link; put the file itself there")
    if not stat.S_ISREG(found.st_mode):
        raise UnfitError(f"{path}: a pipe, socket or device; a batch holds files and folders")
    return found.st_size


def _reject_name(path: str, name: str) -> None:
    """Raise on a name that cannot be kept, or that DVC would take for something else."""
    try:
        length, whole = len(name.encode()), len(path.encode())
    except UnicodeEncodeError:
        raise UnfitError(f"{path}: a name that is not UTF-8; rename it") from None
    if any(unicodedata.category(character) in UNPRINTABLE for character in name):
        raise UnfitError(f"{path}: a name with a control character; rename it")
    if length > LONGEST_NAME or whole > LONGEST_PATH:
        raise UnfitError(
            f"{path}: a name of more than {LONGEST_NAME} bytes (with its folders "
            f"{LONGEST_PATH:,}); shorten it"
        )
    if path.count("/") > DEEPEST:
        raise UnfitError(f"{path}: more than {DEEPEST} folders within folders; flatten them")
    if is_reserved(name):
        raise UnfitError(f"{path}: DVC or git takes this name for its own; rename it or leave out")


def is_reserved(name: str) -> bool:
    """Tell whether DVC or git treat a file or folder of this name in a way of their own."""
    return name == ".dvc" or any(fnmatch(name.casefold(), pattern) for pattern in RESERVED)


def _reject_twins(prefix: str, names: list[str]) -> None:
    """Raise on two names in one folder that are one name on other machines."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        key = unicodedata.normalize("NFC", name).casefold()
        if key in seen:
            raise UnfitError(
                f"{prefix}{name}: differs from {seen[key]} in case or spelling alone, which is one "
                "name on other machines; rename one"
            )
        seen[key] = name


def state_of(folder: Path) -> str:
    """Return a hash of the names, sizes and times of change below `folder`; contents are not read.

    Whatever lies there has a state, what cannot be read included, and nothing is followed. A mark
    of a refusal does not count.
    """
    digest = hashlib.sha256()
    if folder.is_symlink():
        digest.update(os.fsencode(folder.readlink()))
        return digest.hexdigest()
    for place, (top, folders, names) in enumerate(os.walk(folder, followlinks=False)):
        folders.sort()
        for name in sorted([*folders, *names]):
            if place == 0 and OURS.fullmatch(name):
                continue
            digest.update(_state_of_one(Path(top) / name, os.path.relpath(top, folder)))
        if place > MOST_FILES:
            break
    return digest.hexdigest()


def _state_of_one(path: Path, below: str) -> bytes:
    try:
        found = path.lstat()
    except OSError as error:
        return f"{error.errno}\0".encode() + os.fsencode(path.name)
    mode, fields = found.st_mode, (found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    times = () if stat.S_ISDIR(mode) else fields  # of folders: their contents say it
    return os.fsencode(below) + b"\0" + os.fsencode(path.name) + f"\0{mode}{times}".encode()
