"""A person's choices as a table: two pictures and which was chosen; a row per choice."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.serving.arguments.chosen_pictures import SIDES, ChosenPictures
from pamela.serving.arguments.table_rows import filled, numbered, reject_odd_types, reject_rows
from pamela.serving.types import CatalogImage, ImageLike

FILE_A, FILE_B = "file_a", "file_b"  # columns with a picture's path, in place of its id
COLUMNS: Final = (s.IMAGE_A, s.IMAGE_B, FILE_A, FILE_B, s.PROMPT, s.CHOICE)


class ChoicesTable:
    """Rows that name two pictures and which of them was chosen; faults name the row.

    ``image_a`` and ``image_b`` are ids of known pictures, as in ``choices.csv``; ``file_a`` and
    ``file_b`` are paths, for pictures that are not known.

    Parameters
    ----------
    frame : DataFrame; columns other than `COLUMNS` are not read. Rows are numbered from 1, or as
        its column ``source_row`` says.
    name : what a message calls the table.
    folder : what paths of pictures are relative to.

    Raises
    ------
    PamelaError
        If a column is missing, or a row names no picture, two for one side, or no choice.
    """

    def __init__(self, frame: pl.DataFrame, name: str, folder: Path | None = None) -> None:
        self.name, self.folder = name, folder
        given = [c for c in frame.columns if c not in (s.SOURCE_FILE, s.SOURCE_ROW)]
        self.left_out = [c for c in given if c not in COLUMNS]
        self._require_columns(frame, given)
        self.rows = numbered(frame, COLUMNS, (s.IMAGE_A, s.IMAGE_B)).select(
            s.SOURCE_ROW,
            *(s.identifier(column) for column in (s.IMAGE_A, s.IMAGE_B)),
            *(filled(column) for column in (FILE_A, FILE_B, s.PROMPT)),
            filled(s.CHOICE).str.strip_chars(),
        )
        self._check()

    def chosen(self, dataset: str) -> ChosenPictures:
        """Return the choices; ids are those of `dataset`."""
        folder = self.folder or Path()

        def picture(key: str | None, file: str | None) -> ImageLike:
            return folder / file if file else CatalogImage(dataset, key or "")

        sides = self.rows.select(s.IMAGE_A, FILE_A, s.IMAGE_B, FILE_B).iter_rows()
        return ChosenPictures(
            [one for a, at, b, bt in sides for one in (picture(a, at), picture(b, bt))],
            [prompt for prompt in self.rows[s.PROMPT].to_list() for _ in SIDES],
            self.rows[s.CHOICE].to_list(),
            [f"{self.name} row {number}" for number in self.rows[s.SOURCE_ROW].to_list()],
        )

    def _require_columns(self, frame: pl.DataFrame, given: list[str]) -> None:
        there = f"there are {', '.join(given) or 'none'}"[:300]
        if s.CHOICE not in given:
            raise PamelaError(f"{self.name}: no column {s.CHOICE}; {there}")
        for key, file in ((s.IMAGE_A, FILE_A), (s.IMAGE_B, FILE_B)):
            if key not in given and file not in given:
                raise PamelaError(
                    f"{self.name}: neither a column {key} (an id) nor {file} (a path); {there}"
                )
        reject_odd_types(frame, self.name, COLUMNS, "text")

    def _check(self) -> None:
        if self.rows.is_empty():
            raise PamelaError(f"{self.name}: the table has no rows; give at least one choice")
        for key, file in ((s.IMAGE_A, FILE_A), (s.IMAGE_B, FILE_B)):
            both = pl.col(key).is_not_null() & pl.col(file).is_not_null()
            neither = pl.col(key).is_null() & pl.col(file).is_null()
            self._reject(neither, f"names no picture; fill in {key} or {file}")
            self._reject(both, f"has both {key} and {file}; leave one of them empty")
        known = pl.col(s.CHOICE).is_in(list(s.OUTCOMES)).fill_null(False)
        said = pl.col(s.CHOICE).fill_null("").alias("_said")
        self.rows = self.rows.with_columns(said)
        self._reject(~known, f"{{_said!r}} is no choice; give {' or '.join(s.OUTCOMES)}")

    def _reject(self, faulty: pl.Expr, why: str) -> None:
        reject_rows(self.rows, self.name, faulty, why)
