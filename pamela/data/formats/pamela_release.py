"""The PAMELA release: ``PAMELA/annotations/<split>.json``, pictures at ``PAMELA/<image_path>``."""

from __future__ import annotations

import codecs
import contextlib
import json
import re
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data import image_files
from pamela.data.formats import base
from pamela.data.formats.base import Tables
from pamela.data.formats.files import BROKEN, shown

SCALE: Final = (1.0, 5.0)  # original_score; the release states it, no file declares it
SPLITS: Final = (s.TRAIN, s.VAL_SEEN, s.VAL_UNSEEN, s.TEST_SEEN, s.TEST_UNSEEN)
PARTICIPANT: Final = "participant_id"
SCORE: Final = "original_score"
PATH: Final = "image_path"
CATEGORIES: Final = (s.GROUP, s.STYLE, s.TYPE)
METADATA: Final = (s.PROMPT, *CATEGORIES)
DEMOGRAPHICS: Final = ("age_binned", "gender", "nationality")
DROPPED: Final = "age"  # in years: not categorical, and age_binned says it
COLUMNS: Final = """\
PAMELA/annotations/pamela_{train,val_seen,val_unseen,test_seen,test_unseen}
  .json: each a list of ratings with participant_id, image_id, image_path,
  original_score (1..5), image_metadata (prompt, group, style, type),
  user_demographics (age, age_binned, gender, nationality)
PAMELA/<image_path>: the pictures
The zip file, a folder that holds PAMELA/, or PAMELA/ itself"""

HALF_CHARACTER: Final = re.compile(rb"\\u[dD][89a-fA-F]")  # one of a pair, or one alone
# Everything is read as text, so that an id may be an integer in one row and text in another.
JSON_SCHEMA: Final = pl.Schema(
    [
        *((c, pl.String()) for c in (PARTICIPANT, s.IMAGE, PATH, SCORE)),
        ("image_metadata", pl.Struct([pl.Field(c, pl.String) for c in METADATA])),
        (
            "user_demographics",
            pl.Struct([pl.Field(c, pl.String) for c in (*DEMOGRAPHICS, DROPPED)]),
        ),
    ]
)


def locate(folder: Path) -> Path:
    """Return the folder that holds ``annotations``: `folder`, or ``PAMELA`` in it."""
    inner = folder / "PAMELA"
    return inner if inner.is_dir() else folder


def detect(folder: Path) -> bool:
    """Tell whether `folder` looks like the release."""
    return (locate(folder) / "annotations").is_dir()


def read(folder: Path, name: str, root: Path) -> Tables:
    """Read the release below `folder` as dataset `name` and check its structure.

    Raises
    ------
    PamelaError
        On a structural fault: a missing or unreadable split file, a field that no row has, an
        image with two paths, a path that leaves the folder, an unknown suffix.
    """
    release = locate(folder)
    rows = pl.concat([_read_split(release, split, root) for split in SPLITS])
    rows = rows.with_columns(pl.lit(name).alias(s.DATASET))
    images = _images(rows, release, root)
    return Tables(
        name=name,
        scale=SCALE,
        ratings=base.conform(rows.with_columns(base.number(s.RATING)), s.RATINGS_SCHEMA).lazy(),
        users=_users(rows),
        images=images,
        folder=release,
        features=None,
        has_images=True,
        ignored={"user_demographics": [DROPPED]},
        files=tuple(_split_file(release, split) for split in SPLITS),
        words=base.words_of(rows, s.RATING),
    )


def _split_file(release: Path, split: str) -> Path:
    return release / "annotations" / f"pamela_{split}.json"


def _read_split(release: Path, split: str, root: Path) -> pl.DataFrame:
    path = _split_file(release, split)
    name = shown(path, root)
    if not path.is_file():
        raise PamelaError(f"{name}: no such file; the release has one per split")
    if path.stat().st_size == 0:
        raise PamelaError(f"{name}: the file is empty (0 bytes); copy it again")
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
        rows = _read_list(content)
    except (*BROKEN, ValueError, RecursionError) as error:
        reason = (str(error).strip().splitlines() or ["no text"])[0][:120]
        raise PamelaError(f"{name}: not readable as a JSON list of ratings ({reason})") from None
    if not content.lstrip().startswith(b"[") or not rows.height:
        raise PamelaError(f"{name}: not a JSON list of ratings, or an empty one; copy it again")
    for column in (PARTICIPANT, s.IMAGE, PATH, SCORE, "image_metadata"):
        if rows.get_column(column).null_count() == rows.height:
            raise PamelaError(f"{name}: no row has the field {column}; is this the release?")
    read = rows.select(
        s.identifier(PARTICIPANT).alias(s.USER),
        s.identifier(s.IMAGE),
        base.text(PATH),
        pl.col(SCORE).alias(s.RATING),
        *(_field("image_metadata", c) for c in METADATA),
        *(_field("user_demographics", c) for c in DEMOGRAPHICS),
        pl.lit(split).alias(s.SPLIT),
        pl.lit(name).alias(s.SOURCE_FILE),
        (pl.int_range(pl.len(), dtype=pl.Int64) + 1).alias(s.SOURCE_ROW),
    )
    return read.with_columns(
        base.said(s.PROMPT), *(base.category(c) for c in (*CATEGORIES, *DEMOGRAPHICS))
    )


def _read_list(content: bytes) -> pl.DataFrame:
    """Return a JSON list of ratings as a table; NaN and Infinity, which are no JSON, are null.

    Python's own parser is slower, but it reads those, and numbers of any size (as text, as the
    schema has them); it says where a file that is no JSON breaks off, and keeps half characters
    (``\\ud800`` alone), which are refused here, where Polars makes another letter of them.
    """
    if not HALF_CHARACTER.search(content):
        with contextlib.suppress(*BROKEN):
            return pl.read_json(content, schema=JSON_SCHEMA)
    values = json.loads(content, parse_constant=lambda _: None, parse_int=str, parse_float=str)
    plain = json.dumps(values, ensure_ascii=False).encode()
    return pl.read_json(plain, schema=JSON_SCHEMA)


def _field(struct: str, field: str) -> pl.Expr:
    return pl.col(struct).struct.field(field).str.strip_chars().replace("", None).alias(field)


def _users(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per participant, each demographic the most frequent that is not null."""
    listed = base.unify_case(rows.drop_nulls(s.USER), DEMOGRAPHICS)
    return (
        listed.group_by(s.DATASET, s.USER)
        .agg(*(base.most_frequent(c) for c in DEMOGRAPHICS), pl.col(*base.SOURCE).first())
        .sort(s.DATASET, s.USER)
    )


def _images(rows: pl.DataFrame, release: Path, root: Path) -> pl.DataFrame:
    """Return one row per picture; metadata as for users, the path the same in all rows."""
    listed = base.unify_case(rows.drop_nulls(s.IMAGE), CATEGORIES)
    _reject_two_paths(listed)
    images = (
        listed.group_by(s.DATASET, s.IMAGE)
        .agg(
            base.most_frequent(PATH).alias(s.FILE),
            *(base.most_frequent(c) for c in METADATA),
            pl.col(*base.SOURCE).first(),
        )
        .sort(s.DATASET, s.IMAGE)
    )
    image_files.check_paths(images, release)
    below_root = pl.lit(shown(release, root) + "/") + pl.col(s.FILE)
    return base.conform(images.with_columns(below_root.alias(s.FILE)), s.IMAGES_SCHEMA, base.SOURCE)


def _reject_two_paths(rows: pl.DataFrame) -> None:
    first = pl.col(PATH).drop_nulls().first().over(s.IMAGE)
    other = rows.with_columns(_first=first).filter(pl.col(PATH) != pl.col("_first"))
    if other.height:
        row = other.row(0, named=True)
        raise PamelaError(
            f"{row[s.SOURCE_FILE]} row {row[s.SOURCE_ROW]}: image_id {row[s.IMAGE]!r} is repeated "
            f"with two paths ({row['_first']}, {row[PATH]}); one picture per id"
        )
