"""Tables as people have them, written anew in the tables format: then ingest has one path.

What is written is ``dataset.yaml``, ``ratings`` or ``choices`` (or both), ``images.csv`` and, where
something is known of the users, ``users.csv``. Pictures are named, not brought.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.csv_faults import TableFault
from pamela.data.formats import base, published, tables
from pamela.data.formats.base import Tables
from pamela.data.formats.files import shown
from pamela.data.importing import reshape
from pamela.data.importing.options import TableOptions
from pamela.data.importing.placing import locate
from pamela.data.importing.reshape import ABOUT_IMAGES, Opened
from pamela.data.importing.sources import (
    CHOICES,
    IMAGES,
    OF_EITHER,
    OPTIONAL,
    RATINGS,
    REQUIRED,
    USERS,
    Source,
)

NO_PICTURES: Final = "give their folder with --pictures FOLDER"
FILES_OPTION: Final = "name the columns of their paths: --map file_a=COLUMN,file_b=COLUMN"


@dataclass(frozen=True)
class Converted:
    """A dataset in the tables format.

    Attributes
    ----------
    tables : as read from there; ``file`` of a picture as it will lie in the dataset.
    pictures : where each picture lies now, by that ``file``; absent ones are left out.
    """

    tables: Tables
    pictures: dict[str, Path]


def convert(source: Source, name: str, options: TableOptions, home: Path) -> Converted:
    """Write `source` to the folder `home` in the tables format, and read it from there.

    Raises
    ------
    PamelaError
        On a structural fault, in the source's words where it shows there.
    """
    opened = dict(reshape.rename(source.tables, options, source.names))
    with source.explaining():
        if options.wide:
            _require_ratings(source, "--wide")
            opened[RATINGS] = reshape.lengthen(opened[RATINGS], options, source.names[RATINGS])
        if options.decimal_comma:
            opened = {table: reshape.points(frame) for table, frame in opened.items()}
        source.require_cells(opened, options.demographics)
        header = _write_header(source, name, options, home)
        said = [table for table in REQUIRED if table in opened]
        for table in said:
            source.require_columns(opened, table, REQUIRED[table])
        pictures = _write_images(opened, source, options, home)
        left_out = _write_users(opened, source, options, home)
        for table in said:
            left_out |= _write_rows(opened[table], table, options, home)
    found = _found(pictures)
    if found or not header.features:
        (home / tables.PICTURES).mkdir(exist_ok=True)
    read = tables.read(home, name, home)
    if not found and not header.features:
        raise _no_pictures(pictures, options)
    ignored = {t: c for t, c in {**read.ignored, **left_out}.items() if c}
    return Converted(replace(read, ignored=ignored), found)


def _require_ratings(source: Source, option: str) -> None:
    if source.rows != RATINGS:
        raise PamelaError(f"{option} is for ratings; {source.names[CHOICES]} has none")


# --- dataset.yaml ---------------------------------------------------------------------------------
def _write_header(
    source: Source, name: str, options: TableOptions, home: Path
) -> tables.DatasetFile:
    """Write dataset.yaml, the source's own or of the options; the features come with it."""
    own = source.folder / tables.DATASET_FILE
    target = home / tables.DATASET_FILE
    if options.scale is not None:
        _require_ratings(source, "--scale")
        if own.exists():
            raise PamelaError(
                f"--scale: {shown(own, source.folder.parent)} declares it; correct it there, or "
                "take that file away"
            )
        low, high = options.scale
        target.write_text(f"name: {name}\nscale: [{low}, {high}]\n", encoding="utf-8")
    elif own.is_file():
        shutil.copyfile(own, target)
    elif RATINGS not in source.tables:  # choices have no scale
        target.write_text(f"name: {name}\n", encoding="utf-8")
    else:
        raise PamelaError(
            f"{shown(own, source.folder.parent)}: no such file; give --scale LOWEST,HIGHEST, such "
            "as --scale 1,5"
        )
    if options.repeats is not None:
        if tables.read_dataset_file(home, home).repeats is not None:
            raise PamelaError(
                f"--repeats: {shown(own, source.folder.parent)} declares it; correct it there"
            )
        declared = target.read_text(encoding="utf-8").rstrip()
        target.write_text(f"{declared}\nrepeats: {options.repeats}\n", encoding="utf-8")
    header = tables.read_dataset_file(home, home)
    if header.features:
        inside = source.folder / header.features
        if inside.is_file() and inside.resolve().is_relative_to(source.folder.resolve()):
            (home / header.features).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(inside, home / header.features)
    return header


# --- images ---------------------------------------------------------------------------------------
def _write_images(
    opened: Opened, source: Source, options: TableOptions, home: Path
) -> dict[str, Path]:
    """Write images.csv; return where each picture should lie now, by its path in the dataset."""
    if IMAGES in opened:
        source.require_columns(opened, IMAGES, [s.IMAGE])
        images = opened[IMAGES].collect()
        name = source.names[IMAGES]
    else:
        images, name = _images_of_rows(opened, source), source.names[source.rows]
    if s.FILE not in images.columns:
        raise TableFault(
            f"{name}: no column file, the path of a picture; it has {_columns(images)}",
            tables.IMAGES_OPTION,
        )
    images = base.whole_floats_as_integers(images, images.columns)
    images = images.with_columns(base.text(s.FILE).str.strip_chars())
    placed = locate(images, source.folder, options.pictures)
    written = placed.drop("_now", *base.SOURCE, s.DATASET, strict=False)
    written.write_csv(home / "images.csv")
    pairs = placed.select(s.FILE, "_now").drop_nulls().unique(maintain_order=True).iter_rows()
    return {file: Path(now) for file, now in pairs}


def _columns(frame: pl.DataFrame) -> str:
    return ", ".join(c for c in frame.columns if c not in base.SOURCE)


def _images_of_rows(opened: Opened, source: Source) -> pl.DataFrame:
    """Return a row per image of ratings, or choices, that say of each which picture it is."""
    named = opened[RATINGS] if source.rows == RATINGS else _either_picture(opened[CHOICES])
    there = named.collect_schema().names()
    if s.FILE not in there:
        wanted = tables.IMAGES_OPTION if source.rows == RATINGS else FILES_OPTION
        raise TableFault(
            f"{source.names[source.rows]}: no images table, and the {source.rows} name no picture; "
            "give images.csv (image_id, file, prompt)",
            wanted,
        )
    metadata = [c for c in ABOUT_IMAGES if c in there and c != s.FILE]
    rows = named.select(s.IMAGE, s.FILE, *metadata, *base.SOURCE).collect(engine="streaming")
    rows = base.whole_floats_as_integers(rows, rows.columns).with_columns(
        s.identifier(s.IMAGE), base.text(s.FILE), *(base.text(c) for c in metadata)
    )
    images, _ = published.images_of(rows, "", metadata)
    none = [c for c in tables.IMAGES_OPTIONAL if c not in there]
    return images.drop(s.SHA256, *none)


def _either_picture(choices: pl.LazyFrame) -> pl.LazyFrame:
    """Return a row for each of the two pictures of every choice; what is known holds for both."""
    there = choices.collect_schema().names()
    if not set(OF_EITHER.values()) <= set(there):
        return choices
    known = [c for c in ABOUT_IMAGES if c in there and c != s.FILE]
    return pl.concat(
        choices.select(pl.col(image).alias(s.IMAGE), pl.col(file).alias(s.FILE), *known,
                       *base.SOURCE)
        for image, file in OF_EITHER.items()
    )  # fmt: skip


def _found(pictures: Mapping[str, Path]) -> dict[str, Path]:
    return {file: now for file, now in pictures.items() if now.is_file()}


def _no_pictures(pictures: Mapping[str, Path], options: TableOptions) -> PamelaError:
    first = next(iter(pictures.values()), None)
    line = f"none of the {len(pictures):,} pictures that are named is there, first {first}"
    advice = NO_PICTURES if options.pictures is None else "is it the right folder?"
    return PamelaError(f"{line}; {advice}")


# --- users and ratings ----------------------------------------------------------------------------
def _write_users(
    opened: Opened, source: Source, options: TableOptions, home: Path
) -> dict[str, list[str]]:
    """Write users.csv where anything is known of them; return what was not taken over."""
    if USERS in opened:
        if options.demographics:
            raise PamelaError(
                f"--demographics takes columns of the {source.rows}; {source.names[USERS]} is "
                "there too: keep one of them"
            )
        users = opened[USERS].drop(*base.SOURCE).collect()
        source.require_columns(opened, USERS, [s.USER])
        base.whole_floats_as_integers(users, users.columns).write_csv(home / "users.csv")
        return {}
    if not options.demographics:
        return {}
    asked = list(options.demographics)
    source.require_columns(opened, source.rows, asked)
    rows = opened[source.rows].select(s.USER, *asked, *base.SOURCE).collect(engine="streaming")
    rows = base.whole_floats_as_integers(rows, rows.columns).with_columns(
        s.identifier(s.USER), *(base.category(c) for c in asked)
    )
    users, notes = published.users_of(rows, "", asked)
    users.drop(*base.SOURCE, s.DATASET).write_csv(home / "users.csv")
    return {USERS: notes}


def _write_rows(
    rows: pl.LazyFrame, table: str, options: TableOptions, home: Path
) -> dict[str, list[str]]:
    """Write ratings or choices, in their order and piece by piece; typed columns stay typed."""
    schema = rows.collect_schema()
    known = [c for c in (*REQUIRED[table], *OPTIONAL[table]) if c in schema]
    kept = rows.select(known)
    if all(schema[c] == pl.String for c in known):
        kept.sink_csv(home / f"{table}.csv", engine="streaming", maintain_order=True)
    else:
        kept.sink_parquet(home / f"{table}.parquet", engine="streaming", maintain_order=True)
    told = (*known, *options.demographics, *ABOUT_IMAGES, *OF_EITHER.values(), *base.SOURCE)
    others = [c for c in schema.names() if c not in told]
    return {table: others}
