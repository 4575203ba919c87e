"""The tables format: dataset.yaml, ratings, choices, users, images, pictures or features.

Ratings or choices will do, and the users table is optional. A batch of new ratings or choices is
the same folder, of which only those and dataset.yaml are required.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.strict_yaml import read_yaml
from pamela.data import image_files
from pamela.data.csv_faults import TableFault
from pamela.data.formats import base, files
from pamela.data.formats.base import Tables
from pamela.data.formats.files import shown
from pamela.data.formats.tables_rows.choices import Choices, read_choices
from pamela.data.formats.tables_rows.ratings import Ratings, read_ratings
from pamela.data.formats.tables_rows.users import read_users
from pamela.data.repeats import Mode
from pamela.params import first_fault

DATASET_FILE: Final = "dataset.yaml"
PICTURES: Final = "images"
IMAGES_REQUIRED: Final = (s.IMAGE, s.FILE, s.PROMPT)
IMAGES_OPTIONAL: Final = (s.TYPE, s.GROUP, s.STYLE, s.GENERATOR, s.PROMPT_ID)
ROWS: Final = ("ratings", "choices")  # the tables of which at least one is there
CATEGORIES: Final = (*s.METADATA, s.GENERATOR)  # whose spellings differ in case alone
IMAGES_OPTION: Final = "name the ratings' column of picture paths: --map file=COLUMN"
# The arrays of a features file, and how one of Python objects becomes one that can be read.
AS_ARRAY: Final = {"image_id": "ids.astype(str)", "features": "np.stack(rows).astype(np.float32)"}
Shape = tuple[int, ...]
COLUMNS: Final = """\
dataset.yaml: name, scale: [lowest, highest] (where there are ratings);
  optional features (file name), repeats (of one picture by one person:
  mean, first, last, all)
ratings.csv or .parquet: user_id, image_id, rating; optional rated_at (time),
  position (order within the user), split (train, val_seen, val_unseen,
  test_seen, test_unseen, context_unseen)
choices.csv or .parquet (beside the ratings or instead): user_id, image_a,
  image_b, choice (a, b or tie); optional chosen_at (time), position
users.csv or .parquet (optional): user_id, then any categorical demographics
images.csv or .parquet: image_id, file (path inside the folder), prompt;
  optional type, group, style, generator, prompt_id
images/: the pictures; may be absent as a whole where features are given
features.npz (or another name): image_id (n,), features (n, d)"""


class DatasetFile(BaseModel):
    """``dataset.yaml``, strictly: an unknown or missing key is an error that names it.

    The scale is that of the ratings; it may be missing only where there are none.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Annotated[str, Field(min_length=1)]
    scale: (
        Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=2)] | None
    ) = None
    features: str | None = None
    repeats: Mode | None = None

    @model_validator(mode="after")
    def _ordered(self) -> DatasetFile:
        if self.scale is not None and not _ascends(self.scale):
            raise ValueError(f"scale: give [lowest, highest], not {self.scale}")
        return self


def _ascends(scale: list[float]) -> bool:
    return len(scale) == 2 and scale[0] < scale[1]


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
    batch : whether images and pictures may be absent, and splits do not count.

    Raises
    ------
    PamelaError
        On a structural fault: a missing table or column, ratings without a scale, an unreadable
        file, a path that leaves the folder, a repeated id, an unknown suffix.
    """
    declared = read_dataset_file(folder, root)
    scale = s.STANDARD_SCALE if declared.scale is None else (declared.scale[0], declared.scale[1])
    ratings, choices = _read_rows(folder, name, root, declared, batch=batch)
    users = read_users(folder, name, root)
    images, ignored = _read_images(folder, name, root, batch=batch)
    features = _find_features(folder, declared.features, root)
    has_images = (folder / PICTURES).is_dir() or _any_file(images, root)
    if not batch and not has_images and features is None:
        raise PamelaError(
            f"{shown(folder, root)}: neither pictures ({PICTURES}/) nor `features:` in "
            f"{DATASET_FILE}; give one of them"
        )
    dropped = {
        "ratings": ratings.dropped if ratings else [],
        "choices": choices.dropped if choices else [],
        "images": ignored,
    }
    tables = Tables(
        name=name,
        scale=scale,
        scale_declared=declared.scale is not None,
        declared_repeats=declared.repeats,
        ratings=ratings.rows if ratings else pl.LazyFrame(schema=s.RATINGS_SCHEMA),
        counted=ratings.counted if ratings else None,
        words=ratings.words if ratings else base.Words(),
        users=users,
        images=images,
        folder=folder,
        features=features,
        has_images=has_images,
        ignored={table: columns for table, columns in dropped.items() if columns},
        files=_read_files(folder, root),
    )
    if choices is None:
        return tables
    return replace(
        tables, choices=choices.rows, choices_counted=choices.counted, other_words=choices.words
    )


def _read_rows(
    folder: Path, name: str, root: Path, declared: DatasetFile, *, batch: bool
) -> tuple[Ratings | None, Choices | None]:
    """Read the ratings and the choices; at least one of the two tables is there."""
    of_ratings, of_choices = (files.find_table(folder, stem, root) for stem in ROWS)
    if of_ratings is None and of_choices is None:
        raise _no_table(folder, ROWS, root)
    choices = None if of_choices is None else read_choices(of_choices, name, root)
    if of_ratings is None:
        return None, choices
    if declared.scale is None:
        raise TableFault(
            f"{shown(folder / DATASET_FILE, root)}: missing key scale; declare "
            f"`scale: [lowest, highest]` of {of_ratings.name} in it",
            "give --scale LOWEST,HIGHEST",
        )
    scale = (declared.scale[0], declared.scale[1])
    return read_ratings(of_ratings, name, root, scale, batch=batch), choices


def _read_files(folder: Path, root: Path) -> tuple[Path, ...]:
    found = (files.find_table(folder, stem, root) for stem in (*ROWS, "users", "images"))
    return (folder / DATASET_FILE, *(path for path in found if path is not None))


def read_dataset_file(folder: Path, root: Path) -> DatasetFile:
    """Read and check ``dataset.yaml``."""
    path = folder / DATASET_FILE
    name = shown(path, root)
    try:
        files.reject_link_out(path, folder, root)
        raw = read_yaml(path, name)
    except FileNotFoundError:
        raise TableFault(
            f"{name}: no such file; declare `name:` and `scale: [lowest, highest]` in it",
            "give --scale LOWEST,HIGHEST",
        ) from None
    if not isinstance(raw, dict):
        raise PamelaError(f"{name}: declare `name:` and `scale: [lowest, highest]` in it")
    try:
        return DatasetFile.model_validate(raw)
    except ValidationError as error:
        raise PamelaError(f"{name}: {first_fault(error)}") from None


def _read_images(
    folder: Path, name: str, root: Path, *, batch: bool
) -> tuple[pl.DataFrame, list[str]]:
    path = files.find_table(folder, "images", root)
    if path is None and not batch:
        raise _no_table(folder, ["images"], root, IMAGES_OPTION)
    if path is None:
        return base.empty_table(s.IMAGES_SCHEMA.names()), []
    frame = files.read_table(path, root)
    files.require_columns(frame, IMAGES_REQUIRED, path, root)
    known = (*IMAGES_REQUIRED, *IMAGES_OPTIONAL)
    files.require_cells(frame, known, path, root)
    present = [c for c in known if c in frame.columns]
    dropped = [c for c in frame.columns if c not in (*known, *base.SOURCE)]
    frame = base.whole_floats_as_integers(frame, present).with_columns(
        pl.lit(name).alias(s.DATASET),
        *(_cell(c) for c in present),
    )
    frame = base.unify_case(frame, [c for c in CATEGORIES if c in present])
    base.reject_empty_ids(frame, s.IMAGE)
    base.reject_repeats(frame, s.IMAGE, advice="one row per picture")
    image_files.check_paths(frame, folder)
    below_root = pl.lit(shown(folder, root) + "/") + pl.col(s.FILE)
    frame = frame.with_columns(below_root.alias(s.FILE))
    return base.conform(frame, s.IMAGES_SCHEMA, base.SOURCE), dropped


def _cell(column: str) -> pl.Expr:
    """Return how a column of the images table is read."""
    if column == s.IMAGE:
        return s.identifier(column)
    if column == s.PROMPT:
        return base.said(column)
    return base.category(column) if column in (*CATEGORIES, s.PROMPT_ID) else base.text(column)


def _no_table(folder: Path, stems: Sequence[str], root: Path, option: str = "") -> TableFault:
    """Return the fault of a folder that has none of the tables `stems`."""
    there = [p.name for p in folder.glob("*") if p.is_file()]
    near = sorted(name for name in there if any(_is_like(name, stem) for stem in stems))
    hint = f" (there is {near[0]}: rename it)" if near else ""
    wanted = ", nor ".join(f"{stem}.csv or {stem}.parquet" for stem in stems)
    needed = "it" if len(stems) == 1 else "one of them"
    return TableFault(
        f"{shown(folder, root)}: no {wanted}; the tables format needs {needed}{hint}", option
    )


def _is_like(name: str, stem: str) -> bool:
    """Tell whether a file's name is `stem` in another case, or with more behind it."""
    return name.lower().startswith(stem)


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
    return check_features(path, root)


def check_features(path: Path, root: Path) -> Path:
    """Return a features file after checking its two arrays' names and shapes.

    Raises
    ------
    PamelaError
        If it is no ``.npz`` with ``image_id`` (n,) and ``features`` (n, d), or holds pickles.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            ids, values = (_array_shape(arrays, key, path, root) for key in AS_ARRAY)
    except PamelaError:
        raise
    except Exception as error:  # numpy, zipfile and zlib each raise their own on broken bytes
        reason = (str(error).splitlines() or [type(error).__name__])[0][:80]
        raise PamelaError(
            f"{shown(path, root)}: not an .npz file with image_id and features ({reason})"
        ) from None
    if len(ids) != 1 or len(values) != 2 or ids[0] != values[0]:
        raise PamelaError(
            f"{shown(path, root)}: image_id has shape {ids} and features {values}; give (n,) and "
            "(n, d)"
        )
    return path


def _array_shape(arrays: Mapping[str, np.ndarray], key: str, path: Path, root: Path) -> Shape:
    """Return an array's shape; one of Python objects, which is a pickle, says how to save it."""
    try:
        array = arrays[key]
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        raise PamelaError(
            f"{shown(path, root)}: {key} holds Python objects, which are not read; save it with "
            f"{AS_ARRAY[key]}"
        ) from None
    if key == "features" and array.dtype.kind not in "fiu":
        raise PamelaError(f"{shown(path, root)}: features holds {array.dtype}; give numbers")
    return array.shape
