"""A person's ratings as a table: image or image_id, rating, optional prompt; a row per picture."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import base
from pamela.serving.arguments.table_rows import filled, numbered, reject_odd_types, reject_rows
from pamela.serving.types import CatalogImage, ImageLike

PICTURE: Final = "image"  # the column with a picture's path
COLUMNS: Final = (PICTURE, s.IMAGE, s.PROMPT, s.RATING)
SAID: Final = "said"  # the rating as it was written
MOST_NAMED: Final = 10  # rows that a message lists


class RatingsTable:
    """Rows that name a picture and hold its rating; faults name the row.

    Parameters
    ----------
    frame : DataFrame; columns other than `COLUMNS` are not read. Rows are numbered from 1, or as
        its column ``source_row`` says.
    name : what a message calls the table.
    folder : what paths of pictures are relative to.

    Raises
    ------
    PamelaError
        If a column is missing, or a row names no picture, two, or a rating that is no number.
    """

    def __init__(self, frame: pl.DataFrame, name: str, folder: Path | None = None) -> None:
        self.name, self.folder = name, folder
        given = [c for c in frame.columns if c not in (s.SOURCE_FILE, s.SOURCE_ROW)]
        self.left_out = [c for c in given if c not in COLUMNS]
        self._require_columns(frame, given)
        self.rows = numbered(frame, COLUMNS, (s.IMAGE,)).select(
            s.SOURCE_ROW,
            filled(PICTURE),
            s.identifier(s.IMAGE),
            filled(s.PROMPT),
            base.number(s.RATING),
            filled(s.RATING).alias(SAID),
        )
        self._check()

    def __len__(self) -> int:
        return self.rows.height

    @property
    def names(self) -> list[str]:
        """What a message calls each row."""
        said = pl.coalesce(PICTURE, s.IMAGE)
        pictures = self.rows.select(said)[PICTURE].to_list()
        numbers = self.rows[s.SOURCE_ROW].to_list()
        return [f"{self.name} row {n} ({p})" for n, p in zip(numbers, pictures, strict=True)]

    @property
    def prompts(self) -> list[str | None]:
        """The prompt of each row, or None."""
        return self.rows[s.PROMPT].to_list()

    @property
    def ratings(self) -> list[float]:
        """The rating of each row."""
        return self.rows[s.RATING].to_list()

    def images(self, dataset: str) -> list[ImageLike]:
        """Return the pictures of the rows; ids are those of `dataset`."""
        folder = self.folder or Path()
        pairs = self.rows.select(PICTURE, s.IMAGE).iter_rows()
        return [folder / file if file else CatalogImage(dataset, key) for file, key in pairs]

    def require_ratings(self) -> None:
        """Raise at the first row without a rating."""
        self._reject(pl.col(SAID).is_null(), "has no rating; fill it in, or leave the row out")

    def drop_unrated(self) -> str:
        """Leave out the rows without a rating, as in a sheet that is filled in partly.

        Returns
        -------
        Which ones, as text; empty where all have one.

        Raises
        ------
        PamelaError
            If no row has a rating.
        """
        empty = self.rows.filter(pl.col(SAID).is_null())[s.SOURCE_ROW].to_list()
        if len(empty) == len(self):
            raise PamelaError(f"{self.name}: no rating is filled in; give at least one")
        self.rows = self.rows.filter(pl.col(SAID).is_not_null())
        some = ", ".join(map(str, empty[:MOST_NAMED]))
        return f"{some}, ..." if len(empty) > MOST_NAMED else some

    def check_scale(self, dataset: str, low: float, high: float) -> None:
        """Raise at the first rating that is off the scale of `dataset`."""
        off = ~pl.col(s.RATING).is_between(low, high)
        self._reject(off, f"rating {{said}} is off the scale {low:g}..{high:g} of {dataset}")

    def _require_columns(self, frame: pl.DataFrame, given: list[str]) -> None:
        there = f"there are {', '.join(given) or 'none'}"[:300]
        if s.RATING not in given:
            raise PamelaError(f"{self.name}: no column {s.RATING}; {there}")
        if PICTURE not in given and s.IMAGE not in given:
            raise PamelaError(
                f"{self.name}: neither a column {PICTURE} (a path) nor {s.IMAGE}; {there}"
            )
        reject_odd_types(frame, self.name, COLUMNS, "text or numbers")

    def _check(self) -> None:
        both = pl.col(PICTURE).is_not_null() & pl.col(s.IMAGE).is_not_null()
        neither = pl.col(PICTURE).is_null() & pl.col(s.IMAGE).is_null()
        self.rows = self.rows.filter(~(neither & pl.col(SAID).is_null()))  # a blank line
        if self.rows.is_empty():
            raise PamelaError(f"{self.name}: the table has no rows; give at least one rating")
        self._reject(neither, f"names no picture; fill in {PICTURE} or {s.IMAGE}")
        self._reject(both, f"has both {PICTURE} and {s.IMAGE}; leave one of them empty")
        no_number = pl.col(s.RATING).is_null() & pl.col(SAID).is_not_null()
        self._reject(no_number, "rating {said!r} is not a number; correct it")

    def _reject(self, faulty: pl.Expr, why: str) -> None:
        reject_rows(self.rows, self.name, faulty, why)
