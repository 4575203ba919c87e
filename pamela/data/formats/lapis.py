"""LAPIS, in both layouts: artworks rated 0 to 100, one wide table with everything in it.

Now published: ``annotation/LAPIS_PIAA.csv``, 18 columns; earlier: ``annotation/
LAPIS_individualratings_metaANDdemodata.csv``. Names of artists are Latin-1 in places, ratings and
demographics may be empty, ages may read "28 years", a rater may have rated a work twice, and a few
works have no picture. ``imgs_known`` is left out: a spreadsheet has turned its cells into dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.data.formats import ages, base, layout, published
from pamela.data.formats.base import Tables

SCALE: Final = (0.0, 100.0)  # a slider from 0 to 100
PICTURES: Final = "images"
ART: Final = "Art"  # the type of all works, as the PAMELA release calls it
AGE: Final = "age"
PEOPLE: Final = (AGE, "nationality", "demo_gender", "demo_edu", "demo_colorblind")
INTEREST: Final = "Art Interest VAIAK"  # mean of the seven items, 0..6
ITEMS: Final = (*(f"VAIAK{k}" for k in range(1, 8)), *(f"2VAIAK{k}" for k in range(1, 5)))
USER: Final = "participant_id"
METADATA: Final = ((s.GROUP, "genre"), (s.STYLE, "style"))  # (our column, theirs)


@dataclass(frozen=True)
class Layout:
    """One form of the table: which column is what.

    Attributes
    ----------
    described : whether `METADATA` must be there; copies of the newer table are about without it.
    """

    rating: str
    file: str
    interest: tuple[str, ...]
    described: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are required."""
        theirs = tuple(column for _, column in METADATA) if self.described else ()
        return (s.IMAGE, self.file, USER, self.rating, *PEOPLE, *self.interest, *theirs)


LAYOUTS: Final = {
    "LAPIS_PIAA.csv": Layout("rating", "image_filename", (INTEREST,), described=False),
    "LAPIS_individualratings_metaANDdemodata.csv": Layout("response", "file", ITEMS, True),
}
COLUMNS: Final = """\
annotation/LAPIS_PIAA.csv (Latin-1 bytes are read): image_id, image_filename,
  participant_id, rating (0..100), age, nationality, demo_gender, demo_edu,
  demo_colorblind, Art Interest VAIAK; genre and style where they are there;
  its other columns are left out
or, earlier, annotation/LAPIS_individualratings_metaANDdemodata.csv: file,
  image_id, response (0..100), participant_id, the same five demographics,
  style, genre, VAIAK1..VAIAK7, 2VAIAK1..2VAIAK4
images/: the pictures, under image_filename or file
features.npz: instead of the pictures, or beside them"""


def detect(folder: Path) -> bool:
    """Tell whether `folder` holds one of the two tables."""
    return layout.has_file(folder, tuple(LAYOUTS))


def read(folder: Path, name: str, root: Path) -> Tables:
    """Read LAPIS in `folder` as dataset `name` and check its structure.

    Raises
    ------
    PamelaError
        On a structural fault: no or an unreadable table, a missing column, a work with two
        pictures, a path that leaves the folder, neither pictures nor features.
    """
    path = layout.require_file(folder, tuple(LAYOUTS), root, "LAPIS")
    form = LAYOUTS[path.name]
    told = [column for _, column in METADATA]
    rows, others = published.read_rows(path, root, form.columns, optional=told, latin1=True)
    metadata = [(ours, theirs) for ours, theirs in METADATA if theirs in rows.columns]
    users, user_notes = published.users_of(_people(rows, form), name, [*PEOPLE, *form.interest])
    images, image_notes = published.images_of(
        _works(rows, form, metadata), name, [ours for ours, _ in metadata]
    )
    images = images.with_columns(pl.lit(ART).alias(s.TYPE))
    placed = layout.place_pictures(images, folder, root, PICTURES)
    columns = {s.USER: USER, s.IMAGE: s.IMAGE, s.RATING: form.rating}
    mapped = [f"{AGE} in years (taken as bands)", *_banded(form)]
    mapped += ages.impossible_ages(rows, ages.years(AGE))
    mapped += [f"no column {c}: works have no {c}" for c in told if c not in rows.columns]
    return Tables(
        name=name,
        scale=SCALE,
        ratings=published.ratings_of(rows, name, columns, numbered=True).lazy(),
        words=base.words_of(rows, columns[s.RATING]),
        users=users,
        folder=folder,
        **vars(placed),
        ignored={path.name: [*others, *mapped, *user_notes, *image_notes]},
        files=(path,),
    )


def _banded(form: Layout) -> list[str]:
    return [f"{INTEREST} (taken in steps of one)"] if INTEREST in form.interest else []


def _people(rows: pl.DataFrame, form: Layout) -> pl.DataFrame:
    categories = [c for c in (*PEOPLE, *form.interest) if c not in (AGE, INTEREST)]
    steps = [ages.unit_band(INTEREST)] if INTEREST in form.interest else []
    return rows.select(
        s.identifier(USER).alias(s.USER),
        ages.age_as_band(AGE),
        *(base.category(c) for c in categories),
        *steps,
        *base.SOURCE,
    )


def _works(rows: pl.DataFrame, form: Layout, metadata: Sequence[tuple[str, str]]) -> pl.DataFrame:
    return rows.select(
        published.number_as_id(s.IMAGE),
        s.identifier(form.file).alias(s.FILE),
        *(base.category(theirs).alias(ours) for ours, theirs in metadata),
        *base.SOURCE,
    )
