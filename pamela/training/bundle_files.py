"""The SHA-256 of every file of a bundle: a damaged file is found before it is read.

A bundle lists its files in ``SHA256SUMS``, in the format of the command of that name
(``sha256sum -c SHA256SUMS``). What lies beside them, such as MLflow's description, is not listed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from pamela.core.errors import PamelaError
from pamela.core.files import file_sha256, folder_sha256

SUMS: Final = "SHA256SUMS"
HASH_DIGITS: Final = 16  # hex digits of a hash that names a bundle
LINE: Final = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>[\w-][\w.-]*(?:/[\w-][\w.-]*)*)")
REPAIR: Final = (
    "so it is not used: `make repro` brings models/bundle and registered versions back where "
    "another copy is left (DVC looks at a file again once you `touch` it), `pamela rollback` "
    "serves the version before"
)


def write_sums(folder: Path) -> None:
    """Write ``SHA256SUMS`` of all files below `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines))


def has_sums(folder: Path) -> bool:
    """Tell whether a bundle lists its files; one of format 1 or 2 does not."""
    return (folder / SUMS).is_file()


def damaged_files(folder: Path, names: Collection[str] | None = None) -> list[str]:
    """Return the listed files that are missing or differ; the list itself if it is no list.

    Parameters
    ----------
    names : look at these alone; one that is not listed counts as damaged.
    """
    try:
        listed = _read_sums(folder)
    except (OSError, ValueError):
        return [SUMS]
    asked: Iterable[str] = listed if names is None else names
    return [name for name in asked if not _is_intact(folder / name, listed.get(name))]


def require_intact(folder: Path, names: Collection[str]) -> None:
    """Raise if one of these files of a bundle is not as it was written.

    Raises
    ------
    PamelaError
        Naming the file and what to do.
    """
    for name in damaged_files(folder, names):
        path = folder / name
        what = "no such file" if not path.is_file() else f"damaged or replaced ({SUMS} differs)"
        raise PamelaError(f"{path}: {what}, {REPAIR}")


def bundle_hash(folder: Path, unlisted: Collection[str] = ()) -> str:
    """Return the hash that names a bundle: of ``SHA256SUMS``, which has those of all its files.

    Parameters
    ----------
    unlisted : names beside a bundle's own files, where it has no such list.

    Raises
    ------
    PamelaError
        If the folder is no bundle.
    """
    if not (folder / "bundle.json").is_file():
        raise PamelaError(
            f"{folder}: no bundle.json, so nothing to register; run `dvc repro train`"
        )
    whole = file_sha256(folder / SUMS) if has_sums(folder) else folder_sha256(folder, unlisted)
    return whole[:HASH_DIGITS]


def _read_sums(folder: Path) -> dict[str, str]:
    """Return ``{name: digest}``; a name cannot leave the folder."""
    listed: dict[str, str] = {}
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        found = LINE.fullmatch(line)
        if found is None:
            raise ValueError(line)
        listed[found["name"]] = found["digest"]
    if not listed:
        raise ValueError("empty")
    return listed


def _is_intact(path: Path, digest: str | None) -> bool:
    try:
        return digest is not None and file_sha256(path) == digest
    except OSError:
        return False
