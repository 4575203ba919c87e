"""Tables as people have them, written anew in the tables format: then ingest has one path.

What is written is ``dataset.yaml``, ``ratings`` or ``choices`` (or both), ``images.csv`` and, where
something is known of the users, ``users.csv``. Pictures are named, not brought.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.csv_faults import TableFault
from pamela.data.formats import base, files, published, tables
from pamela.data.formats.base import Tables
from pamela.data.formats.files import shown
from pamela.data.formats.tables_rows import choices, ratings
from pamela.data.importing import open_tables, reshape
from pamela.data.importing.open_tables import Opener
from pamela.data.importing.options import TABLES, TableOptions
from pamela.data.importing.placing import locate
from pamela.data.importing.reshape import ABOUT_IMAGES, Opened

RATINGS: Final = "ratings"
CHOICES: Final = "choices"
REQUIRED: Final = {RATINGS: ratings.REQUIRED, CHOICES: choices.REQUIRED}
OPTIONAL: Final = {RATINGS: ratings.OPTIONAL, CHOICES: choices.OPTIONAL}
USERS: Final = "users"
IMAGES: Final = "images"
KNOWN: Final = (*ABOUT_IMAGES, *(c for some in (REQUIRED, OPTIONAL) for t in some for c in some[t]))
NO_PICTURES: Final = "give their folder with --pictures FOLDER"


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


def convert(source: Source, name: str, options: TableOptions, home: Path) -> Converted:
    """Write `source` to the folder `home` in the tables format, and read it from there.

    Raises
    ------
    PamelaError
        On a structural fault, in the source's words where it shows there.
    """
    opened = dict(reshape.rename(source.tables, options, source.names))
    with source.explaining():
        if options.wide and RATINGS not in opened:
            raise PamelaError(f"--wide is for ratings; {', '.join(source.names.values())} has none")
        if options.wide:
            opened[RATINGS] = reshape.lengthen(opened[RATINGS], options, source.names[RATINGS])
        if options.decimal_comma:
            opened = {table: reshape.points(frame) for table, frame in opened.items()}
        source.require_cells(opened, options.demographics)
        header = _write_header(source, name, options, home)
        for table in REQUIRED.keys() & opened.keys():
            source.require_columns(opened, table, REQUIRED[table])
        pictures = _write_images(opened, source, options, home)
        left_out = _write_users(opened, source, options, home)
        for table in REQUIRED.keys() & opened.keys():
            left_out |= _write_rows(opened[table], table, options, home)
    found = _found(pictures)
    if found or not header.features:
        (home / tables.PICTURES).mkdir(exist_ok=True)
    read = tables.read(home, name, home)
    if not found and not header.features:
        raise _no_pictures(pictures, options)
    ignored = {t: c for t, c in {**read.ignored, **left_out}.items() if c}
    return Converted(replace(read, ignored=ignored), found)


# --- dataset.yaml ---------------------------------------------------------------------------------
def _write_header(
    source: Source, name: str, options: TableOptions, home: Path
) -> tables.DatasetFile:
    """Write dataset.yaml, the source's own or of the options; the features come with it."""
    own = source.folder / tables.DATASET_FILE
    target = home / tables.DATASET_FILE
    if options.scale is not None:
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
    elif RATINGS in opened:
        images, name = _images_of_ratings(opened[RATINGS]), source.names[RATINGS]
    else:
        raise TableFault(
            f"{source.names[CHOICES]}: no images table beside the choices; give images.csv "
            "(image_id, file, prompt)"
        )
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


def _images_of_ratings(ratings: pl.LazyFrame) -> pl.DataFrame:
    """Return a row per image of a ratings table that says of each rating which picture it is."""
    there = ratings.collect_schema().names()
    if s.FILE not in there:
        raise TableFault("no images table, and the ratings name no picture; give images.csv "
                         "(image_id, file, prompt)", tables.IMAGES_OPTION)  # fmt: skip
    metadata = [c for c in ABOUT_IMAGES if c in there and c != s.FILE]
    rows = ratings.select(s.IMAGE, s.FILE, *metadata, *base.SOURCE).collect(engine="streaming")
    rows = base.whole_floats_as_integers(rows, rows.columns).with_columns(
        s.identifier(s.IMAGE), base.text(s.FILE), *(base.text(c) for c in metadata)
    )
    images, _ = published.images_of(rows, "", metadata)
    none = [c for c in tables.IMAGES_OPTIONAL if c not in there]
    return images.drop(s.SHA256, *none)


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
                f"--demographics takes columns of the ratings; {source.names[USERS]} is there too: "
                "keep one of them"
            )
        users = opened[USERS].drop(*base.SOURCE).collect()
        source.require_columns(opened, USERS, [s.USER])
        base.whole_floats_as_integers(users, users.columns).write_csv(home / "users.csv")
        return {}
    if not options.demographics:
        return {}
    asked = list(options.demographics)
    table = RATINGS if RATINGS in opened else CHOICES
    source.require_columns(opened, table, asked)
    rows = opened[table].select(s.USER, *asked, *base.SOURCE).collect(engine="streaming")
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
    told = (*known, *options.demographics, *ABOUT_IMAGES, *base.SOURCE)
    others = [c for c in schema.names() if c not in told]
    return {table: others}
