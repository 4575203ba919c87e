"""Bringing a dataset under ``data/raw/NAME``.

Run by ``pamela import tables DIR --name NAME``. The structure is checked by the very readers that
ingest uses, before anything is written; a faulty folder leaves nothing there.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pamela import schema as s
from pamela import sources
from pamela.errors import PamelaError
from pamela.ingest import SYNTHETIC
from pamela.io import atomic_folder
from pamela.progress import progress
from pamela.project import Project
from pamela.sources import Tables
from pamela.sources.files import TABLE_SUFFIXES
from pamela.sources.tables import DATASET_FILE, PICTURES

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # as `pamela.params` has it


@dataclass(frozen=True)
class ImportSummary:
    """What an import found, printed as one block of text."""

    name: str
    folder: str
    ratings: int
    users: int
    images: int
    scale: tuple[float, float]
    demographics: list[str]
    splits: dict[str, int]
    pictures: int
    missing_pictures: int
    features: str | None
    ignored: dict[str, list[str]]

    def __str__(self) -> str:
        """Return the summary as lines for a terminal."""
        splits = ", ".join(f"{part} {n:,}" for part, n in self.splits.items())
        missing = f", {self.missing_pictures:,} named but absent" if self.missing_pictures else ""
        ignored = "; ".join(f"{table}: {', '.join(c)}" for table, c in self.ignored.items())
        lines = {
            "ratings": f"{self.ratings:,} on a scale of {self.scale[0]:g}..{self.scale[1]:g}",
            "users": f"{self.users:,}",
            "demographics": ", ".join(self.demographics) or "none",
            "images": f"{self.images:,}",
            "pictures": f"{self.pictures:,} files{missing}",
            "features": self.features or "none",
            "splits": splits or "none of its own (split.folds will be made)",
            "left out": ignored or "no column",
        }
        return "\n".join(
            [f"{self.folder}:", *(f"  {key:<13} {value}" for key, value in lines.items())]
        )


def check_tables_folder(
    folder: Path, *, batch: bool, name: str | None = None, root: Path | None = None
) -> Tables:
    """Check the structure of a folder in the tables format and return what it holds.

    Parameters
    ----------
    folder : the dataset or the batch.
    batch : whether it is a batch, of which only dataset.yaml and ratings are required.
    name : the dataset's name; the folder's where not given.
    root : what recorded paths are relative to; the folder's parent where not given.

    Raises
    ------
    PamelaError
        On the first structural fault, naming file, row and rule.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise PamelaError(f"{folder}: no such folder; give a folder in the tables format")
    read = sources.tables.read
    return read(folder, name or folder.name, root or folder.parent, batch=batch)


def import_tables(project: Project, src: Path, name: str) -> ImportSummary:
    """Check the dataset in `src` and copy it to ``data/raw/<name>``, in one rename.

    Only the files of the format are copied, links as the files they lead to.

    Raises
    ------
    PamelaError
        On a structural fault, an unfit or reserved name, or a name that is taken.
    """
    target = project.raw / name
    _check_name(project, name, target)
    tables = check_tables_folder(src, batch=False, name=name)
    copied = _named_pictures(tables)
    with atomic_folder(target) as aside:
        if tables.has_images:
            (aside / PICTURES).mkdir()  # says that pictures are shipped, even if all are absent
        _copy([*_format_files(tables), *copied], tables.folder, aside)
    return _summarise(project, tables, target, len(copied))


def _check_name(project: Project, name: str, target: Path) -> None:
    if not NAME.fullmatch(name):
        raise PamelaError(
            f"--name {name!r}: use letters, digits, '_', '.' and '-', a letter or digit first"
        )
    if name == SYNTHETIC:
        raise PamelaError(f"--name {name}: reserved for the embedded dataset; choose another")
    if target.exists() or target.with_name(f"{name}.dvc").exists():
        raise PamelaError(
            f"{project.relative(target)}: exists already; choose another --name, or remove it and "
            f"{name}.dvc first"
        )


def _format_files(tables: Tables) -> list[Path]:
    named = [
        tables.folder / f"{stem}{suffix}"
        for stem in ("ratings", "users", "images")
        for suffix in TABLE_SUFFIXES
    ]
    found = [path for path in named if path.is_file()]
    features = [tables.features] if tables.features is not None else []
    return [tables.folder / DATASET_FILE, *found, *features]


def _named_pictures(tables: Tables) -> list[Path]:
    files = tables.images.get_column(s.FILE).drop_nulls().unique().sort()
    return [path for file in files if (path := tables.folder.parent / file).is_file()]


def _copy(paths: Iterable[Path], source: Path, target: Path) -> None:
    """Copy contents only: the source may be read-only, the copy must not be."""
    paths = list(paths)
    with progress("copy", len(paths)) as advance:
        for path in paths:
            to = target / path.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(path, to)
            except OSError as error:
                raise PamelaError(f"{path}: cannot be copied ({error.strerror})") from None
            advance(1)


def _summarise(project: Project, tables: Tables, target: Path, copied: int) -> ImportSummary:
    ratings = tables.ratings
    splits = ratings.drop_nulls(s.SPLIT).group_by(s.SPLIT).len().sort(s.SPLIT)
    absent = tables.images.get_column(s.FILE).drop_nulls().n_unique() - copied
    return ImportSummary(
        name=tables.name,
        folder=project.relative(target),
        ratings=ratings.height,
        users=ratings.get_column(s.USER).drop_nulls().n_unique(),
        images=tables.images.height,
        scale=tables.scale,
        demographics=tables.demographics,
        splits=dict(splits.iter_rows()),
        pictures=copied,
        missing_pictures=absent if tables.has_images else 0,
        features=tables.features.name if tables.features else None,
        ignored=tables.ignored,
    )
