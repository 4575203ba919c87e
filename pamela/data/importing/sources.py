"""What is to be converted: the tables that people have, opened, with what each is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import files
from pamela.data.formats.files import shown
from pamela.data.formats.tables_rows import choices, ratings
from pamela.data.importing import open_tables
from pamela.data.importing.open_tables import Opener
from pamela.data.importing.options import TABLES, TableOptions
from pamela.data.importing.reshape import ABOUT_IMAGES, Opened

RATINGS: Final = "ratings"
CHOICES: Final = "choices"
USERS: Final = "users"
IMAGES: Final = "images"
REQUIRED: Final = {RATINGS: ratings.REQUIRED, CHOICES: choices.REQUIRED}
OPTIONAL: Final = {RATINGS: ratings.OPTIONAL, CHOICES: choices.OPTIONAL}
OF_EITHER: Final = {s.IMAGE_A: "file_a", s.IMAGE_B: "file_b"}  # where choices name their pictures
KNOWN: Final = (*ABOUT_IMAGES, *OF_EITHER.values(),
                *(c for some in (REQUIRED, OPTIONAL) for t in some for c in some[t]))  # fmt: skip


@dataclass(frozen=True)
class Source:
    """What is to be converted.

    Attributes
    ----------
    tables : ratings or choices and, where given, users and images; with source_file and source_row.
    names : what each is called in messages.
    folder : what the pictures' paths are relative to.
    paths : the files that were read.
    opener : what opened them, which knows why one cannot be read.
    """

    tables: Opened
    names: Mapping[str, str]
    folder: Path
    paths: tuple[Path, ...]
    opener: Opener | None = None

    @property
    def rows(self) -> str:
        """The table that people stand in: the ratings, else the choices."""
        return RATINGS if RATINGS in self.tables else CHOICES

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Turn what Polars raises on a broken file into one line that names it."""
        try:
            yield
        except files.BROKEN as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
            fault = self.opener.find_fault() if self.opener else None
            names = ", ".join(self.names.values())
            raise fault or PamelaError(f"{names}: not readable as tables ({reason})") from None

    def require_columns(self, opened: Opened, table: str, columns: Sequence[str]) -> None:
        """Raise if a table lacks a column."""
        separator = self.opener.separators.get(self.names[table], ",") if self.opener else ","
        files.require_columns(
            opened[table], columns, Path(self.names[table]), Path(), separator=separator
        )

    def require_cells(self, opened: Opened, demographics: Sequence[str]) -> None:
        """Raise if a column that is taken over holds other things than text and numbers."""
        for table, frame in opened.items():
            wanted = (*KNOWN, *demographics)
            columns = [c for c in frame.collect_schema() if table == USERS or c in wanted]
            files.require_cells(frame, columns, Path(self.names[table]), Path())


def open_source(src: Path, options: TableOptions, scratch: Path) -> Source:
    """Open the tables at `src`: a folder of them, or the file of ratings or of choices alone.

    Raises
    ------
    PamelaError
        If there are neither ratings nor choices, or a table is of no kind that is read.
    """
    folder = src if src.is_dir() and open_tables.kind_of(src) is None else src.parent
    opener = Opener(options, scratch, src.parent)
    opened: dict[str, pl.LazyFrame] = {}
    paths: dict[str, Path] = {}
    wanted: Sequence[str] = TABLES
    if folder != src:
        rows = opener.open(src)
        table = CHOICES if _holds_choices(rows, options) else RATINGS
        opened[table], paths[table] = rows, src
        wanted = (USERS, IMAGES) if table == CHOICES else ()  # choices say nothing of pictures
    for table in wanted:
        path = open_tables.find(folder, table, src.parent)
        if path is not None:
            opened[table], paths[table] = opener.open(path), path
    if not {RATINGS, CHOICES} & opened.keys():
        raise PamelaError(
            f"{src.name}: no ratings table there, nor one of choices; call it ratings.csv (or "
            f"{', '.join(open_tables.KINDS[1:])}), or choices.csv, or give the file itself"
        )
    names = {table: shown(path, src.parent) for table, path in paths.items()}
    return Source(opened, names, folder, tuple(paths.values()), opener)


def _holds_choices(table: pl.LazyFrame, options: TableOptions) -> bool:
    """Tell whether a file names two images a row."""
    there = table.collect_schema().names()
    ours = {entry.ours for entry in options.columns if entry.theirs in there}
    return {s.IMAGE_A, s.IMAGE_B} <= {*there, *ours}
