"""Dataset formats: one module each, all giving the same three tables (`pamela.data.formats.base`).

A new format is a module with ``detect(folder)``, ``read(folder, name, root)`` and ``COLUMNS``, and
a line in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pamela.core.errors import PamelaError
from pamela.core.files import read_json
from pamela.data.formats import eva, flickr_aes, lapis, pamela_release, para, tables
from pamela.data.formats.base import Tables
from pamela.data.formats.files import shown

__all__ = ["FORMATS", "RECORD", "Format", "Tables", "read_batch", "read_folder"]

RECORD: Final = "import.json"  # beside an imported dataset: its kind, and notes for people


@dataclass(frozen=True)
class Format:
    """How a kind of dataset is recognised and read.

    Attributes
    ----------
    detect : whether a folder looks like it.
    read : ``read(folder, name, root)`` gives its tables.
    looks_like : what `detect` looks for, in a few words.
    columns : its files and their columns, for ``pamela import --help``; lines of at most 78.
    """

    detect: Callable[[Path], bool]
    read: Callable[[Path, str, Path], Tables]
    looks_like: str
    columns: str


FORMATS: Final[dict[str, Format]] = {
    "tables": Format(tables.detect, tables.read, tables.DATASET_FILE, tables.COLUMNS),
    "pamela": Format(
        pamela_release.detect,
        pamela_release.read,
        "PAMELA/annotations/",
        pamela_release.COLUMNS,
    ),
    "lapis": Format(lapis.detect, lapis.read, " or ".join(lapis.LAYOUTS), lapis.COLUMNS),
    "para": Format(para.detect, para.read, para.RATINGS, para.COLUMNS),
    "flickr-aes": Format(
        flickr_aes.detect, flickr_aes.read, flickr_aes.RATINGS[0], flickr_aes.COLUMNS
    ),
    "eva": Format(eva.detect, eva.read, f"{eva.VOTES[0]} and {eva.USERS}", eva.COLUMNS),
}


def read_folder(folder: Path, name: str, root: Path, kind: str | None = None) -> Tables:
    """Read `folder` as dataset `name`.

    Parameters
    ----------
    folder : the dataset.
    name : what it is called in the project.
    root : project root, which recorded paths are relative to.
    kind : a key of `FORMATS`; where not given, the one in the folder's ``import.json``, else the
        first that recognises the folder.

    Raises
    ------
    PamelaError
        If no format recognises the folder, or on a structural fault of the one that does.
    """
    record = _record(folder, root)
    kind = kind or record.kind
    if kind is None:
        kind = next((k for k, form in FORMATS.items() if form.detect(folder)), None)
    if kind is None:
        wanted = ", ".join(f"{form.looks_like} ({k})" for k, form in FORMATS.items())
        raise PamelaError(f"{shown(folder, root)}: no known dataset: there is none of {wanted}")
    return replace(FORMATS[kind].read(folder, name, root), notes=record.notes)


@dataclass(frozen=True)
class Record:
    """What ``import.json`` says: the kind, and what the import said of the whole."""

    kind: str | None = None
    notes: tuple[str, ...] = ()


def _record(folder: Path, root: Path) -> Record:
    path = folder / RECORD
    if not path.is_file():
        return Record()
    record = read_json(path)
    kind = record.get("kind") if isinstance(record, dict) else None
    if not isinstance(kind, str) or kind not in FORMATS:
        raise PamelaError(
            f"{shown(path, root)}: kind {kind!r} is not one of {', '.join(FORMATS)}; import the "
            "dataset again"
        )
    return Record(kind, tuple(map(str, record.get("notes", []))))


def read_batch(folder: Path, name: str, root: Path) -> Tables:
    """Read `folder` as a batch of new ratings for dataset `name` (always the tables format)."""
    return tables.read(folder, name, root, batch=True)
