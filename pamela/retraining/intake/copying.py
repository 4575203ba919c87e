"""From the inbox to ``data/batches/``: files are copied while they are hashed, and then let go.

A file is copied byte by byte to one of our own: whoever still has the file in the inbox open, or a
hard link to it, changes nothing that was accepted. The original is removed only when the accepted
copy holds the same contents. It is moved aside for that under a name of its own, so that a process
that dies meanwhile leaves a folder of which the next one knows what it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from pamela.retraining.intake.contents import DONE, Entry, walk
from pamela.retraining.intake.faults import NotNowError, UnfitError

CHUNK: Final = 1 << 20
# A folder of the inbox whose batch was accepted and that is being removed: `.b1.accepted`.
LEAVING: Final = re.compile(r"\.(?P<name>.+)\.accepted")
Hashes = Mapping[str, str]  # path below the batch -> SHA-256 of the contents


def copy_files(source: Path, target: Path, most: int) -> Hashes:
    """Copy every file of the batch `source` to the folder `target`; return their hashes.

    Folders without a file are left out, as DVC leaves them out.

    Parameters
    ----------
    most : bytes that may be copied.

    Raises
    ------
    UnfitError
        If something in it is no part of a batch (`contents.walk`), or it grows beyond `most`.
    NotNowError
        If it changes meanwhile.
    OSError
        If `target` cannot be written.
    """
    hashes: dict[str, str] = {}
    left = most
    for entry in walk(source):
        to = target / entry.path
        to.parent.mkdir(parents=True, exist_ok=True)
        with _open(entry) as stream, to.open("xb") as out:
            before, digest = _stamp(stream), hashlib.sha256()
            for chunk in _chunks(entry, stream):
                left -= len(chunk)
                if left < 0:
                    raise UnfitError(f"{entry.path}: grew beyond retrain.limits.batch_mb")
                digest.update(chunk)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())  # the original goes when this stands
            if _stamp(stream) != before:
                raise NotNowError(f"{entry.path} changed while it was read")
        hashes[entry.path] = digest.hexdigest()
    return hashes


def hash_files(folder: Path) -> Hashes:
    """Return ``{path: SHA-256}`` of every file of the batch `folder`; errors as `copy_files`."""
    hashes: dict[str, str] = {}
    for entry in walk(folder):
        digest = hashlib.sha256()
        with _open(entry) as stream:
            for chunk in _chunks(entry, stream):
                digest.update(chunk)
        hashes[entry.path] = digest.hexdigest()
    return hashes


@contextlib.contextmanager
def _open(entry: Entry) -> Iterator[BinaryIO]:
    """Open a file for reading; not through a link, nor waiting for a pipe."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(entry.name, flags, dir_fd=entry.folder_fd)
    except FileNotFoundError:
        raise NotNowError(f"{entry.path} vanished while it was read") from None
    except OSError as error:
        raise _unreadable(entry, error) from None
    with os.fdopen(fd, "rb") as stream:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise UnfitError(f"{entry.path}: no regular file; put the file itself there")
        yield stream


def _chunks(entry: Entry, stream: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            chunk = stream.read(CHUNK)
        except OSError as error:
            raise _unreadable(entry, error) from None
        if not chunk:
            return
        yield chunk


def _unreadable(entry: Entry, error: OSError) -> UnfitError:
    return UnfitError(f"{entry.path}: cannot be read ({error.strerror}); see its rights")


def _stamp(stream: BinaryIO) -> tuple[int, int, int]:
    found = os.fstat(stream.fileno())
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


# --- letting the original go ------------------------------------------------------------------
def let_go(folder: Path, accepted: Hashes) -> None:
    """Remove a batch from the inbox if all that lies there is in the accepted copy.

    Raises
    ------
    NotNowError
        If something else lies there by now, which stays, or if it cannot be removed.
    """
    leaving = folder.with_name(f".{folder.name}.accepted")
    try:
        folder.rename(leaving)
    except OSError as error:
        raise NotNowError(
            f"was accepted, and {folder.name} cannot be removed from the inbox ({error.strerror}): "
            "remove it"
        ) from None
    finish_leaving(leaving, accepted)


def finish_leaving(leaving: Path, accepted: Hashes) -> None:
    """Remove the folder that `let_go` has set apart, or put it back; errors as there."""
    try:
        same = hash_files(leaving).items() <= accepted.items()
    except UnfitError:
        same = False
    if not same:
        _put_back(leaving)
    try:
        (leaving / DONE).unlink(missing_ok=True)  # first: half a batch must not look complete
        shutil.rmtree(leaving)
    except OSError as error:
        raise NotNowError(
            f"was accepted, and {leaving} cannot be removed ({error.strerror}): remove it"
        ) from None


def _put_back(leaving: Path) -> None:
    folder = leaving.with_name(LEAVING.sub(r"\g<name>", leaving.name))
    if not os.path.lexists(folder):
        leaving.rename(folder)
        leaving = folder
    raise NotNowError(
        f"what lies in {leaving} is not what was accepted under this name; it stays there: give "
        "the batch another name if it is a new one"
    )


def leaving_folders(home: Path) -> list[tuple[str, Path]]:
    """Return (batch name, folder) of what earlier processes left behind in an inbox folder."""
    found = ((LEAVING.fullmatch(path.name), path) for path in sorted(home.glob(".*.accepted")))
    return [(match["name"], path) for match, path in found if match and not path.is_symlink()]
