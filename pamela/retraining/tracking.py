"""What DVC recorded of a folder, read without DVC: its ``.dvc`` file, its hash, its cache.

DVC names a folder by the MD5 of a JSON list of its files, each with path and MD5, sorted by path.
The list itself lies in the cache as ``<md5>.dir``.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.core.strict_yaml import read_yaml

FOLDER: Final = ".dir"  # at the end of a folder's hash
# What DVC leaves out: its own habits, and our .dvcignore.
LEFT_OUT: Final = (".git", ".hg", ".dvc", "__pycache__", "*.pyc", "*.tmp")
Listing = Mapping[str, str]  # path below the folder -> MD5 of the contents


def dvc_file(folder: Path) -> Path:
    """Return where DVC's pointer to `folder` lies."""
    return folder.with_name(f"{folder.name}.dvc")


def tracked_hash(folder: Path) -> str | None:
    """Return the hash under which DVC tracks `folder`, or None if it does not.

    Raises
    ------
    PamelaError
        If the pointer cannot be read.
    """
    path = dvc_file(folder)
    try:
        out = read_yaml(path)["outs"][0]
        return str(out["md5"])
    except FileNotFoundError:
        return None
    except (KeyError, IndexError, TypeError):
        raise PamelaError(
            f"{path}: no pointer of DVC's (outs, md5); `git checkout` it, or `dvc add` the folder"
        ) from None


def listing(folder: Path) -> Listing:
    """Return the MD5 of every file below `folder`, as DVC would see it."""
    found: dict[str, str] = {}
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _left_out(name)]
        for name in names:
            if not _left_out(name):
                path = Path(top) / name
                with contextlib.suppress(OSError):  # a link that leads nowhere: a missing file
                    found[path.relative_to(folder).as_posix()] = _file_md5(path)
    return found


def _file_md5(path: Path) -> str:
    with path.open("rb") as stream:  # MD5 is DVC's choice
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _left_out(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in LEFT_OUT)


def listing_hash(files: Listing) -> str:
    """Return DVC's hash of a folder with these files."""
    rows = [{"md5": files[path], "relpath": path} for path in sorted(files)]
    text = json.dumps(rows, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + FOLDER


def folder_hash(folder: Path) -> str:
    """Return DVC's hash of `folder` as it is now."""
    return listing_hash(listing(folder))


# --- DVC's cache and remotes ------------------------------------------------------------------
def cached_listing(project: Project, md5: str) -> Listing | None:
    """Return the files of a tracked folder from DVC's cache; None if the list is not there."""
    try:
        rows = json.loads(_in_cache(project, md5).read_text(encoding="utf-8"))
        files = {str(row["relpath"]): str(row["md5"]) for row in rows}
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return files if listing_hash(files) == md5 else None


def is_cached(project: Project, md5: str) -> bool:
    """Tell whether DVC's cache holds a tracked folder whole."""
    files = cached_listing(project, md5)
    return files is not None and all(_in_cache(project, md5).is_file() for md5 in files.values())


def discard_damaged(project: Project, md5: str, folder: Path, found: Listing) -> None:
    """Remove what DVC's cache holds of a tracked folder under a name that it does not deserve.

    DVC takes whatever lies there for sound: it would neither add nor fetch it again, and a checkout
    would bring the damage back.

    Parameters
    ----------
    found : `listing` of `folder` now; a file there may be the cache's own, by a hard link.
    """
    expected = cached_listing(project, md5)
    if expected is None:
        _in_cache(project, md5).unlink(missing_ok=True)
        return
    for path, content in expected.items():
        entry, here = _in_cache(project, content), folder / path
        if not entry.is_file():
            continue
        linked = path in found and here.samefile(entry)
        if (found[path] if linked else _file_md5(entry)) != content:
            entry.unlink()


def has_remote(project: Project) -> bool:
    """Tell whether a DVC remote is set up."""
    return any(section.strip("'").startswith("remote ") for section in _config(project))


def _in_cache(project: Project, md5: str) -> Path:
    where = _config(project).get("cache", "dir", fallback="cache")
    return project.root / ".dvc" / where / "files" / "md5" / md5[:2] / md5[2:]


def _config(project: Project) -> configparser.ConfigParser:
    """Return ``.dvc/config`` with ``config.local``; what cannot be read says nothing."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    for name in ("config", "config.local"):
        try:
            parser.read(project.root / ".dvc" / name, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
    return parser
