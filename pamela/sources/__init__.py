"""Dataset formats: one module each, all giving the same three tables (`pamela.sources.base`).

A new format is a module with ``detect(folder)`` and ``read(folder, name, root)`` and a line in
`FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pamela.errors import PamelaError
from pamela.sources import pamela_release, tables
from pamela.sources.base import Tables
from pamela.sources.files import shown

__all__ = ["FORMATS", "Format", "Tables", "read_batch", "read_folder"]


@dataclass(frozen=True)
class Format:
    """How a kind of dataset is recognised and read."""

    detect: Callable[[Path], bool]
    read: Callable[[Path, str, Path], Tables]
    looks_like: str


FORMATS: Final[dict[str, Format]] = {
    "tables": Format(tables.detect, tables.read, tables.DATASET_FILE),
    "pamela": Format(pamela_release.detect, pamela_release.read, "PAMELA/annotations/"),
}


def read_folder(folder: Path, name: str, root: Path, kind: str | None = None) -> Tables:
    """Read `folder` as dataset `name` by the format `kind`, or by the first that recognises it.

    Raises
    ------
    PamelaError
        If no format recognises the folder, or on a structural fault of the one that does.
    """
    if kind is None:
        kind = next((k for k, form in FORMATS.items() if form.detect(folder)), None)
    if kind is None:
        wanted = " or ".join(f"{form.looks_like} ({k})" for k, form in FORMATS.items())
        raise PamelaError(f"{shown(folder, root)}: no known dataset: there is no {wanted}")
    return FORMATS[kind].read(folder, name, root)


def read_batch(folder: Path, name: str, root: Path) -> Tables:
    """Read `folder` as a batch of new ratings for dataset `name` (always the tables format)."""
    return tables.read(folder, name, root, batch=True)
