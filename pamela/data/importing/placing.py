"""Where a dataset may stand, finding pictures, and bringing files there, never half done.

A move links first and removes the originals only when the whole dataset stands; where the two
folders lie on different file systems it copies first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.core.progress import progress
from pamela.data import image_files
from pamela.data.formats import layout
from pamela.data.formats.tables import PICTURES
from pamela.data.ingest import SYNTHETIC

How = Literal["copy", "link", "move"]
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # as `pamela.params` has it
NO_LINK: Final = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP)
ADDRESS: Final = r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*/"  # scheme and host of a web address


# --- its name -------------------------------------------------------------------------------------
def check_name(project: Project, name: str, target: Path) -> None:
    """Raise if no dataset `name` may be brought to `target`."""
    if not NAME.fullmatch(name):
        raise PamelaError(
            f"--name {name!r}: use letters, digits, '_', '.' and '-', a letter or digit first"
        )
    if name == SYNTHETIC:
        raise PamelaError(f"--name {name}: reserved for the embedded dataset; choose another")
    if project.raw.exists() and not project.raw.is_dir():
        raise PamelaError(
            f"{project.relative(project.raw)}: a file, where the folder of all datasets should be; "
            "take it away"
        )
    if target.exists() or target.with_name(f"{name}.dvc").exists():
        raise exists_already(project, target)


def exists_already(project: Project, target: Path) -> PamelaError:
    """Return the fault of a name that is taken."""
    shown, record = project.relative(target), target.with_name(f"{target.name}.dvc")
    if record.exists():
        advice = f"choose another --name, or remove it and {record.name} first"
    else:  # whole, as it came by one rename; but whoever brought it did not live to track it
        advice = (
            "choose another --name; if no other import is at work on it, track it with "
            f"`dvc add {shown}`, or remove it"
        )
    return PamelaError(f"{shown}: exists already; {advice}")


# --- its files ------------------------------------------------------------------------------------
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


# --- where pictures lie ---------------------------------------------------------------------------
def locate(images: pl.DataFrame, folder: Path, below: Path | None) -> pl.DataFrame:
    """Return `images` with ``file`` as in the dataset and ``_now``, where the picture should lie.

    Parameters
    ----------
    images : DataFrame with file, source_file and source_row.
    folder : what paths are relative to, which they must not leave.
    below : where pictures are looked for by the end of their paths instead, or None.

    Raises
    ------
    PamelaError
        If a path leaves the folder or is no picture's, or if none is found `below`.
    """
    if below is None:
        images = images.with_columns(pl.col(s.FILE).str.replace(r"^(\./+)+", ""))
        image_files.check_paths(images, folder)
        return images.with_columns(_now=pl.lit(f"{folder}/") + pl.col(s.FILE))
    top = below.resolve()
    if not top.is_dir():
        raise PamelaError(f"--pictures {below}: no such folder")
    named = images.with_columns(_decoded(images.get_column(s.FILE))).with_columns(_end_of_path())
    try:
        located = layout.place_pictures(named, top, top, PICTURES)
    except PamelaError as error:
        raise PamelaError(f"--pictures {below}: {str(error).removeprefix('.: ')}") from None
    now = pl.col(s.FILE).str.strip_prefix("./")
    inside = pl.when(now.str.starts_with(f"{PICTURES}/")).then(now)
    return located.images.with_columns(
        _now=pl.lit(f"{top}/") + now,
        file=inside.otherwise(pl.lit(f"{PICTURES}/") + now),
    )


def _decoded(files: pl.Series) -> pl.Series:
    """Return web addresses with their ``%20`` s as the characters that they stand for."""
    web = files.filter(files.str.contains(r"://.*%|[?&]d=.*%")).unique()
    return files.replace(web, pl.Series(map(unquote, web), dtype=pl.String))


def _end_of_path() -> pl.Expr:
    """Return ``file`` without web host, drive, query and leading folders that lead elsewhere."""
    file = pl.col(s.FILE).str.replace_all("\\", "/", literal=True)
    local = file.str.extract(r"[?&]d=([^&]+)", 1)  # Label Studio's local files
    bare = pl.coalesce(local, file).str.replace(ADDRESS, "").str.replace(r"[?#].*$", "")
    return bare.str.replace(r"^([A-Za-z]:)?(\.{0,2}/)*", "").alias(s.FILE)
