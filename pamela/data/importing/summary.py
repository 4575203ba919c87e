"""What an import found, as one block of text: counts, scale, splits, overlaps, omissions."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.data import image_files
from pamela.data.formats import Tables
from pamela.data.leakage import count_overlaps, describe_overlaps, released_image_sides

WIDTH: Final = 80
KEY: Final = 14  # columns that the names of the lines take


@dataclass(frozen=True)
class ImportSummary:
    """What an import found.

    Attributes
    ----------
    splits : rows of each of the release's own parts.
    pictures, missing_pictures : picture files that came in; named ones that are not there.
    ignored : columns that were not taken over, by table.
    faults : rows that will be quarantined, by what is wrong with them, as far as import looks.
    unnamed, junk : files that no annotation names; those that an operating system left behind.
    overlaps : `pamela.data.leakage` of the release's own splits; empty without any.
    """

    folder: str
    ratings: int
    users: int
    images: int
    scale: tuple[float, float]
    demographics: list[str]
    splits: dict[str, int]
    features: str | None
    ignored: dict[str, list[str]]
    faults: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
    missing_pictures: int = 0
    unnamed: int = 0
    junk: int = 0
    overlaps: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the summary as lines for a terminal."""
        parts = ", ".join(f"{part} {n:,}" for part, n in self.splits.items())
        missing = f", {self.missing_pictures:,} named but absent" if self.missing_pictures else ""
        faults = ", ".join(f"{n:,} {what}" for what, n in self.faults.items())
        lines = {
            "ratings": f"{self.ratings:,} on a scale of {self.scale[0]:g}..{self.scale[1]:g}",
            "users": f"{self.users:,}",
            "demographics": ", ".join(self.demographics) or "none",
            "images": f"{self.images:,}",
            "pictures": f"{self.pictures:,} files{missing}",
            "features": self.features or "none",
            "splits": parts or "none of its own (split.folds will be made)",
            "left out": "; ".join(self._left_out()) or "no column",
            "faulty rows": f"{faults} (validate sets them apart)" if faults else "none seen so far",
        }
        if self.splits:
            found = describe_overlaps(self.overlaps)
            lines["overlaps"] = "; ".join(found) or "none: no user, image or content on two sides"
        lines_shown = (_wrapped(f"  {key:<{KEY}}", value) for key, value in lines.items())
        return "\n".join([f"{self.folder}:", *lines_shown])

    def _left_out(self) -> list[str]:
        said = [f"{table}: {', '.join(c)}" for table, c in self.ignored.items()]
        if self.unnamed:
            said.append(f"files that no annotation names: {self.unnamed:,}")
        if self.junk:
            said.append(f"files of an operating system (__MACOSX, .DS_Store): {self.junk:,}")
        return said


def _wrapped(key: str, value: str) -> str:
    indent = " " * len(key)
    return textwrap.fill(
        value, WIDTH, initial_indent=key, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def summarise(tables: Tables, folder: str, root: Path) -> ImportSummary:
    """Return what a dataset holds: every rating row is read, and own splits' pictures hashed.

    Parameters
    ----------
    tables : the dataset as read.
    folder : where it is to lie, for people.
    root : what the paths in `tables` are relative to.
    """
    named = tables.images.get_column(s.FILE).drop_nulls().n_unique()
    present = len(named_pictures(tables, root))
    counts = _count(tables)
    ratings = counts.pop("ratings")
    counted = tables.ratings.drop_nulls(s.SPLIT).group_by(s.SPLIT).len()
    rows_of = dict(counted.collect(engine="streaming").iter_rows())
    parts = {part: rows_of[part] for part in s.RELEASE_PARTS if part in rows_of}
    return ImportSummary(
        folder=folder,
        ratings=ratings,
        users=tables.raters.height,
        images=tables.images.height,
        scale=tables.scale,
        demographics=tables.demographics,
        splits=parts,
        pictures=present,
        missing_pictures=named - present if tables.has_images else 0,
        features=tables.features.name if tables.features else None,
        ignored=tables.ignored,
        faults={what: n for what, n in counts.items() if n},
        overlaps=_overlaps(tables, root) if parts else {},
    )


def named_pictures(tables: Tables, root: Path) -> list[Path]:
    """Return the picture files that the images table names and that are there, by name."""
    files = tables.images.get_column(s.FILE).drop_nulls().unique().sort()
    return [path for file in files if (path := root / file).is_file()]


def _count(tables: Tables) -> dict[str, int]:
    """Return the number of ratings, and of those that are plainly faulty, by what is wrong."""
    known = tables.images.select(s.IMAGE).with_columns(_known=pl.lit(True)).lazy()
    rating = pl.col(s.RATING)
    counts = tables.ratings.join(known, on=s.IMAGE, how="left").select(
        pl.len().alias("ratings"),
        pl.col(s.USER).is_null().sum().alias("without a user"),
        rating.is_null().sum().alias("without a rating"),
        (~rating.is_between(*tables.scale)).sum().alias("off the scale"),
        pl.col("_known").is_null().sum().alias("on an unknown image"),
    )
    return counts.collect(engine="streaming").row(0, named=True)


def _overlaps(tables: Tables, root: Path) -> dict[str, int]:
    rows = tables.ratings.select(s.USER, s.IMAGE, s.SPLIT).drop_nulls().collect()
    files = tables.images.drop_nulls(s.FILE).select(s.IMAGE, s.FILE)
    hashes = image_files.hash_files(files.get_column(s.FILE).to_list(), root)
    contents = files.join(hashes, on=s.FILE)
    sides = released_image_sides(rows)
    return count_overlaps(rows.rename({s.SPLIT: s.PART}), sides, contents)
