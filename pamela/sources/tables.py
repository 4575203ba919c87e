"""The tables format: a folder with dataset.yaml, ratings, users, images, pictures or features.

A batch of new ratings is the same folder, of which only dataset.yaml and ratings are required.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pamela import pictures
from pamela import schema as s
from pamela.errors import PamelaError
from pamela.params import first_fault
from pamela.sources import base, files
from pamela.sources.base import Tables
from pamela.sources.files import shown

DATASET_FILE: Final = "dataset.yaml"
PICTURES: Final = "images"
RATINGS_REQUIRED: Final = (s.USER, s.IMAGE, s.RATING)
RATINGS_OPTIONAL: Final = (s.RATED_AT, s.POSITION, s.SPLIT)
IMAGES_REQUIRED: Final = (s.IMAGE, s.FILE, s.PROMPT)
IMAGES_OPTIONAL: Final = (s.TYPE, s.GROUP, s.STYLE, s.GENERATOR, s.PROMPT_ID)
TIME_FORMATS: Final = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
ZONED_FORMAT: Final = "%Y-%m-%d %H:%M:%S%.f%#z"


class DatasetFile(BaseModel):
    """``dataset.yaml``, strictly: an unknown or missing key is an error that names it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Annotated[str, Field(min_length=1)]
    scale: Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=2)]
    features: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> DatasetFile:
        if len(self.scale) != 2 or not self.scale[0] < self.scale[1]:
            raise ValueError(f"scale: give [lowest, highest], not {self.scale}")
        return self


def detect(folder: Path) -> bool:
    """Tell whether `folder` declares itself to be in the tables format."""
    return (folder / DATASET_FILE).is_file()


def read(folder: Path, name: str, root: Path, *, batch: bool = False) -> Tables:
    """Read `folder` as dataset `name` and check its structure.

    Parameters
    ----------
    folder : the dataset, or one batch of it.
    name : what the dataset is called in the project.
    root : project root, which recorded paths are relative to.
    batch : whether users, images and pictures may be absent, and splits do not count.

    Raises
    ------
    PamelaError
        On a structural fault: a missing table, column or scale, an unreadable file, a path that
        leaves the folder, a repeated id, an unknown suffix.
    """
    declared = read_dataset_file(folder, root)
    ratings, dropped = _read_ratings(folder, name, root, batch=batch)
    ignored = {"ratings": dropped}
    users = _read_users(folder, name, root, batch=batch)
    images, ignored["images"] = _read_images(folder, name, root, batch=batch)
    features = _find_features(folder, declared.features, root)
    has_images = (folder / PICTURES).is_dir() or _any_file(images, root)
    if not batch and not has_images and features is None:
        raise PamelaError(
            f"{shown(folder, root)}: neither pictures ({PICTURES}/) nor `features:` in "
            f"{DATASET_FILE}; give one of them"
        )
    return Tables(
        name=name,
        scale=(declared.scale[0], declared.scale[1]),
        ratings=ratings,
        users=users,
        images=images,
        folder=folder,
        features=features,
        has_images=has_images,
        ignored={table: columns for table, columns in ignored.items() if columns},
    )


def read_dataset_file(folder: Path, root: Path) -> DatasetFile:
    """Read and check ``dataset.yaml``."""
    path = folder / DATASET_FILE
    name = shown(path, root)
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise PamelaError(
            f"{name}: no such file; declare `name:` and `scale: [lowest, highest]` in it"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise PamelaError(f"{name}: not valid YAML") from None
    if not isinstance(raw, dict):
        raise PamelaError(f"{name}: declare `name:` and `scale: [lowest, highest]` in it")
    try:
        return DatasetFile.model_validate(raw)
    except ValidationError as error:
        raise PamelaError(f"{name}: {first_fault(error)}") from None


def _read_ratings(
    folder: Path, name: str, root: Path, *, batch: bool
) -> tuple[pl.DataFrame, list[str]]:
    path = _require_table(folder, "ratings", root)
    frame = files.read_table(path, root)
    files.require_columns(frame, RATINGS_REQUIRED, path, root)
    known = (*RATINGS_REQUIRED, *RATINGS_OPTIONAL)
    files.require_cells(frame, known)
    if not frame.height:
        raise PamelaError(f"{shown(path, root)}: the table has no rows; give at least one rating")
    dropped = [c for c in frame.columns if c not in (*known, *base.SOURCE)]
    frame = base.whole_floats_as_integers(frame, [s.USER, s.IMAGE]).with_columns(
        pl.lit(name).alias(s.DATASET),
        base.text(s.USER),
        base.text(s.IMAGE),
        base.number(s.RATING),
    )
    frame = _with_splits(frame, dropped, batch=batch)
    frame = _with_times(_with_positions(frame))
    return base.conform(frame, s.RATINGS_SCHEMA), dropped


def _with_splits(frame: pl.DataFrame, dropped: list[str], *, batch: bool) -> pl.DataFrame:
    if s.SPLIT not in frame.columns:
        return frame
    if batch:  # what a batch's rows are for follows from who and what the dataset holds out
        dropped.append(s.SPLIT)
        return frame.drop(s.SPLIT)
    frame = frame.with_columns(base.text(s.SPLIT))
    known = pl.col(s.SPLIT).is_in(s.RELEASE_PARTS)
    _reject_cells(frame.filter(~known), s.SPLIT, f"one of {', '.join(s.RELEASE_PARTS)}")
    return frame


def _with_positions(frame: pl.DataFrame) -> pl.DataFrame:
    if s.POSITION not in frame.columns:
        return frame
    value = base.number(s.POSITION)
    whole = (value % 1 == 0).fill_null(False)
    faulty = frame.filter(base.text(s.POSITION).is_not_null() & ~whole)
    _reject_cells(faulty, s.POSITION, "a whole number")
    return frame.with_columns(value.cast(pl.Int64))


def _with_times(frame: pl.DataFrame) -> pl.DataFrame:
    """Parse ``rated_at``; a zoned time becomes UTC, one without a zone is kept as it is."""
    if s.RATED_AT not in frame.columns:
        return frame
    dtype = frame.schema[s.RATED_AT]
    column = pl.col(s.RATED_AT)
    if isinstance(dtype, pl.Datetime):
        utc = column.dt.convert_time_zone("UTC") if dtype.time_zone else column
        return frame.with_columns(utc.dt.replace_time_zone(None).dt.cast_time_unit("us"))
    if dtype == pl.Date:
        return frame.with_columns(column.cast(pl.Datetime("us")))
    plain = base.text(s.RATED_AT).str.strip_chars().str.replace("T", " ", literal=True)
    parsed = pl.coalesce(
        *(plain.str.to_datetime(f, time_unit="us", strict=False) for f in TIME_FORMATS),
        plain.str.replace(r"[zZ]$", "+00:00")
        .str.to_datetime(ZONED_FORMAT, time_unit="us", strict=False)
        .dt.convert_time_zone("UTC")
        .dt.replace_time_zone(None),
    )
    _reject_cells(
        frame.filter(base.text(s.RATED_AT).is_not_null() & parsed.is_null()),
        s.RATED_AT,
        "a time such as 2026-01-31T12:00:00",
    )
    return frame.with_columns(parsed.alias(s.RATED_AT))


def _reject_cells(rows: pl.DataFrame, column: str, wanted: str) -> None:
    if rows.height:
        row = rows.row(0, named=True)
        raise PamelaError(
            f"{row[s.SOURCE_FILE]} row {row[s.SOURCE_ROW]}: {column} {row[column]!r} is not "
            f"{wanted}; correct the cell"
        )


def _read_users(folder: Path, name: str, root: Path, *, batch: bool) -> pl.DataFrame:
    path = _find_table(folder, "users", root, optional=batch)
    if path is None:
        return base.empty_table(s.USERS_KEYS)
    frame = files.read_table(path, root)
    files.require_columns(frame, [s.USER], path, root)
    files.require_cells(frame, frame.columns)
    demographics = [c for c in frame.columns if c not in (s.USER, *base.SOURCE)]
    frame = base.whole_floats_as_integers(frame, [s.USER, *demographics]).select(
        pl.lit(name).alias(s.DATASET),
        base.text(s.USER),
        *(base.text(c) for c in demographics),
        *base.SOURCE,
    )
    base.reject_empty_ids(frame, s.USER)
    base.reject_repeats(frame, s.USER, advice="one row per user")
    return frame


def _read_images(
    folder: Path, name: str, root: Path, *, batch: bool
) -> tuple[pl.DataFrame, list[str]]:
    path = _find_table(folder, "images", root, optional=batch)
    if path is None:
        return base.empty_table(s.IMAGES_SCHEMA.names()), []
    frame = files.read_table(path, root)
    files.require_columns(frame, IMAGES_REQUIRED, path, root)
    known = (*IMAGES_REQUIRED, *IMAGES_OPTIONAL)
    files.require_cells(frame, known)
    present = [c for c in known if c in frame.columns]
    dropped = [c for c in frame.columns if c not in (*known, *base.SOURCE)]
    frame = base.whole_floats_as_integers(frame, present).with_columns(
        pl.lit(name).alias(s.DATASET), *(base.text(c) for c in present)
    )
    base.reject_empty_ids(frame, s.IMAGE)
    base.reject_repeats(frame, s.IMAGE, advice="one row per picture")
    pictures.check_paths(frame, folder)
    below_root = pl.lit(shown(folder, root) + "/") + pl.col(s.FILE)
    frame = frame.with_columns(below_root.alias(s.FILE))
    return base.conform(frame, s.IMAGES_SCHEMA, base.SOURCE), dropped


def _require_table(folder: Path, stem: str, root: Path) -> Path:
    path = files.find_table(folder, stem, root)
    if path is None:
        raise PamelaError(
            f"{shown(folder, root)}: no {stem}.csv or {stem}.parquet; the tables format needs it"
        )
    return path


def _find_table(folder: Path, stem: str, root: Path, *, optional: bool) -> Path | None:
    find = files.find_table if optional else _require_table
    return find(folder, stem, root)


def _any_file(images: pl.DataFrame, root: Path) -> bool:
    return any((root / file).is_file() for file in images.get_column(s.FILE).drop_nulls())


def _find_features(folder: Path, declared: str | None, root: Path) -> Path | None:
    """Return the declared features file after checking its two arrays' names and shapes."""
    if declared is None:
        return None
    where = f"{shown(folder, root)}/{DATASET_FILE}: features {declared!r}"
    path = folder / declared
    if Path(declared).is_absolute() or not path.resolve().is_relative_to(folder.resolve()):
        raise PamelaError(f"{where} leaves the dataset's folder; name a file inside it")
    if not path.is_file():
        raise PamelaError(f"{where}: no such file; add it or remove the key")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            ids, values = arrays["image_id"].shape, arrays["features"].shape
    except Exception as error:  # numpy, zipfile and zlib each raise their own on broken bytes
        raise PamelaError(
            f"{shown(path, root)}: not an .npz file with image_id and features "
            f"({str(error).splitlines()[0][:80]})"
        ) from None
    if len(ids) != 1 or len(values) != 2 or ids[0] != values[0]:
        raise PamelaError(
            f"{shown(path, root)}: image_id has shape {ids} and features {values}; give (n,) and "
            "(n, d)"
        )
    return path
