"""Bringing files into a dataset's folder: copied, hard-linked or moved, never half done.

A move links first and removes the originals only when the whole dataset stands; where the two
folders lie on different file systems it copies first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pamela.core.errors import PamelaError
from pamela.core.progress import progress

How = Literal["copy", "link", "move"]
NO_LINK: Final = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP)


def place(files: Mapping[Path, Path], how: How) -> None:
    """Put every key (a file, links followed) at its value; a move keeps the originals as yet.

    Raises
    ------
    PamelaError
        If a file cannot be read or written, or linked where links are asked for.
    """
    with progress(how, len(files)) as advance:
        for source, target in files.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                _place_one(source, target, how)
            except OSError as error:
                verb = "linked" if how == "link" else "copied"
                raise PamelaError(
                    f"{source}: cannot be {verb} ({error.strerror or error}){_advice(error, how)}"
                ) from None
            advance(1)


def remove_originals(files: Mapping[Path, Path], top: Path) -> None:
    """Finish a move: remove the keys of `files`, and the folders up to `top` that this empties."""
    for source in files:
        source.unlink()
    folders = {
        parent for source in files for parent in source.parents if parent.is_relative_to(top)
    }
    for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        with contextlib.suppress(OSError):  # something else is still in it
            folder.rmdir()


def _place_one(source: Path, target: Path, how: How) -> None:
    if how != "copy":
        try:
            os.link(source.resolve(), target)
            return
        except OSError as error:
            if how == "link" or error.errno not in NO_LINK:
                raise
    shutil.copyfile(source, target)  # contents only: the source may be read-only


def _advice(error: OSError, how: How) -> str:
    if how == "link" and error.errno in NO_LINK:
        return "; hard links need one file system that has them: import without --link"
    return "; nothing was imported"
