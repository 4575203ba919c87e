"""What an import found, as one block of text: counts, scale, splits, overlaps, omissions."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.data import image_files
from pamela.data.formats import Tables
from pamela.data.leakage import count_overlaps, describe_overlaps, released_image_sides
from pamela.data.remarks import ScaleUse, remarks, scale_use

WIDTH: Final = 80
KEY: Final = 14  # columns that the names of the lines take


@dataclass(frozen=True)
class ImportSummary:
    """What an import found.

    Attributes
    ----------
    ratings, choices, ties : their rows, and the share of ties among the choices.
    users, listed : people who rated or chose; rows of the users table, and those among them.
    images, rated : rows of the images table; those of them that are rated or chosen between.
    use : how the ratings fill the scale; None where no rating is a number.
    splits : rows of each of the release's own parts.
    pictures, missing_pictures : picture files that came in; named ones that are not there.
    ignored : columns that were not taken over, by table.
    faults : rows that will be quarantined, by what is wrong with them, as far as import looks.
    unnamed, junk : files that no annotation names; those that an operating system left behind.
    overlaps : `pamela.data.leakage` of the release's own splits; empty without any.
    remarks : `pamela.data.remarks`: what is odd about the whole.
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
    listed: tuple[int, int] = (0, 0)
    rated: int = 0
    use: ScaleUse | None = None
    remarks: list[str] = field(default_factory=list)
    choices: int = 0
    ties: float = 0.0

    def __str__(self) -> str:
        """Return the summary as lines for a terminal."""
        parts = ", ".join(f"{part} {n:,}" for part, n in self.splits.items())
        missing = f", {self.missing_pictures:,} named but absent" if self.missing_pictures else ""
        faults = ", ".join(f"{n:,} {what}" for what, n in self.faults.items())
        did, judged = self._verbs()
        lines = {
            "ratings": self._ratings(),
            "choices": f"{self.choices:,} between two images, {self.ties:.1%} of them ties",
            "users": f"{self.users:,} who {did}, {self._match()}",
            "demographics": ", ".join(self.demographics) or "none",
            "images": f"{self.images:,}, {self.rated:,} of them {judged}",
            "pictures": f"{self.pictures:,} files{missing}",
            "features": self.features or "none",
            "splits": parts or "none of its own (split.folds will be made)",
            "left out": "; ".join(self._left_out()) or "no column",
            "faulty rows": f"{faults} (validate sets them apart)" if faults else "none seen so far",
        }
        if not self.choices:
            del lines["choices"]
        if self.splits:
            found = describe_overlaps(self.overlaps)
            lines["overlaps"] = "; ".join(found) or "none: no user, image or content on two sides"
        every = [*lines.items(), *(("WARNING", remark) for remark in self.remarks)]
        lines_shown = (_wrapped(f"  {key:<{KEY}}", value) for key, value in every)
        return "\n".join([f"{self.folder}:", *lines_shown])

    @property
    def faulty_share(self) -> float:
        """Share of the ratings and choices that are plainly faulty, as far as import looks."""
        return sum(self.faults.values()) / max(self.ratings + self.choices, 1)

    def _ratings(self) -> str:
        if not self.ratings and self.choices:
            return "none, so that scores will be on a standardised scale"
        span = f", they run over {self.use.span[0]:g}..{self.use.span[1]:g}" if self.use else ""
        return f"{self.ratings:,} on a scale of {self.scale[0]:g}..{self.scale[1]:g}{span}"

    def _verbs(self) -> tuple[str, str]:
        """Return what people did, and what was done to the images."""
        if not self.choices:
            return "rated", "rated"
        return ("rated or chose", "judged") if self.ratings else ("chose", "chosen between")

    def _match(self) -> str:
        rows, matched = self.listed
        return f"{matched:,} of them among the {rows:,} of the users table" if rows else "unlisted"

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
    """Return what a dataset holds: every row is read, and own splits' pictures hashed.

    Parameters
    ----------
    tables : the dataset as read.
    folder : where it is to lie, for people.
    root : what the paths in `tables` are relative to.
    """
    named = tables.images.get_column(s.FILE).drop_nulls().n_unique()
    present = len(named_pictures(tables, root))
    people, listed = tables.people.get_column(s.USER), tables.users.get_column(s.USER)
    images = tables.images.get_column(s.IMAGE)
    faults = Counter(_rating_faults(tables, root)) + Counter(_choice_faults(tables, root))
    counted = tables.ratings.drop_nulls(s.SPLIT).group_by(s.SPLIT).len()
    rows_of = dict(counted.collect(engine="streaming").iter_rows())
    parts = {part: rows_of[part] for part in s.RELEASE_PARTS if part in rows_of}
    return ImportSummary(
        folder=folder,
        ratings=tables.n_ratings,
        choices=tables.n_choices,
        ties=_ties(tables),
        users=people.len(),
        listed=(listed.len(), people.filter(people.is_in(listed.implode())).len()),
        rated=images.filter(images.is_in(tables.judged.implode())).len(),
        use=scale_use(tables.ratings, tables.scale),
        remarks=remarks([tables]),
        images=tables.images.height,
        scale=tables.scale,
        demographics=tables.demographics,
        splits=parts,
        pictures=present,
        missing_pictures=named - present if tables.has_images else 0,
        features=tables.features.name if tables.features else None,
        ignored=tables.ignored,
        faults=dict(faults),
        overlaps=_overlaps(tables, root) if parts else {},
    )


def named_pictures(tables: Tables, root: Path) -> list[Path]:
    """Return the picture files that the images table names and that are there, by name."""
    return [root / file for file in _there(tables, root)]


def _there(tables: Tables, root: Path) -> list[str]:
    files = tables.images.get_column(s.FILE).drop_nulls().unique().sort()
    return [file for file in files if (root / file).is_file()]


def _ties(tables: Tables) -> float:
    share = tables.choices.select((pl.col(s.CHOICE) == s.TIE).mean())
    return float(share.collect(engine="streaming").item() or 0.0)


def _known_images(tables: Tables, root: Path) -> pl.LazyFrame:
    """Return (image_id, known, absent) of every image: absent where its picture should be there."""
    absent = pl.lit(tables.has_images) & ~pl.col(s.FILE).is_in(_there(tables, root))
    absent = absent.fill_null(tables.has_images)
    return tables.images.select(s.IMAGE, _absent=absent, _known=pl.lit(True)).lazy()


def _rating_faults(tables: Tables, root: Path) -> dict[str, int]:
    """Return the number of ratings that are plainly faulty, by what is wrong."""
    rating = pl.col(s.RATING)
    known = tables.ratings.join(_known_images(tables, root), on=s.IMAGE, how="left")
    counts = known.select(
        pl.col(s.USER).is_null().sum().alias("without a user"),
        rating.is_null().sum().alias("without a rating"),
        (~rating.is_between(*tables.scale)).sum().alias("off the scale"),
        pl.col("_known").is_null().sum().alias("on an unknown image"),
        pl.col("_absent").sum().alias("on an absent picture"),
    )
    return counts.collect(engine="streaming").row(0, named=True)


def _choice_faults(tables: Tables, root: Path) -> dict[str, int]:
    """Return the number of choices that are plainly faulty, by what is wrong."""
    columns = (s.IMAGE_A, s.IMAGE_B)
    images, joined = _known_images(tables, root), tables.choices
    for column in columns:
        theirs = images.select(pl.all().name.suffix(f"_{column}"))
        joined = joined.join(theirs, left_on=column, right_on=f"{s.IMAGE}_{column}", how="left")
    unknown = pl.any_horizontal(pl.col(f"_known_{column}").is_null() for column in columns)
    absent = pl.any_horizontal(f"_absent_{column}" for column in columns)
    counts = joined.select(
        pl.col(s.USER).is_null().sum().alias("without a user"),
        (~pl.col(s.CHOICE).is_in(list(s.OUTCOMES))).fill_null(True).sum().alias("without a choice"),
        (pl.col(s.IMAGE_A) == pl.col(s.IMAGE_B)).sum().alias("of an image against itself"),
        unknown.sum().alias("on an unknown image"),
        absent.sum().alias("on an absent picture"),
    )
    return counts.collect(engine="streaming").row(0, named=True)


def _overlaps(tables: Tables, root: Path) -> dict[str, int]:
    rows = tables.ratings.select(s.USER, s.IMAGE, s.SPLIT).drop_nulls().collect()
    files = tables.images.drop_nulls(s.FILE).select(s.IMAGE, s.FILE)
    hashes = image_files.hash_files(files.get_column(s.FILE).to_list(), root)
    contents = files.join(hashes, on=s.FILE)
    sides = released_image_sides(rows)
    return count_overlaps(rows.rename({s.SPLIT: s.PART}), sides, contents)
