"""Pick-a-Pic (v1 and v2): a row is one person's choice between two pictures of a prompt.

Parquet files, in ``data/`` or at the top, with the pictures' bytes inside. ``label_0`` and
``label_1`` are 1 and 0, 0 and 1, or .5 twice for a tie. The parts ``validation_unique`` and
``test_unique`` repeat rows of ``validation`` and ``test``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.progress import progress
from pamela.data.formats import base, files
from pamela.data.formats.files import shown
from pamela.data.formats.tables_rows import cells
from pamela.data.importing.preferences.rankings import with_prompt_ids
from pamela.data.importing.preferences.release import ChoiceRelease, images_of

USER: Final = "user_id"
PROMPT: Final = "caption"
LABELS: Final = ("label_0", "label_1")
UIDS: Final = ("image_0_uid", "image_1_uid")
PICTURES: Final = ("jpg_0", "jpg_1")
MODELS: Final = ("model_0", "model_1")
TIME: Final = "created_at"
GIVEN: Final = "has_label"
REQUIRED: Final = (USER, PROMPT, *UIDS, *LABELS, *PICTURES)
OPTIONAL: Final = pl.Schema(
    {TIME: pl.Datetime("us"), GIVEN: pl.Boolean(), **dict.fromkeys(MODELS, pl.String())}
)
TAKEN: Final = (*REQUIRED, *OPTIONAL)
REPEATED: Final = "_unique"  # parts whose rows another part has too
PICTURES_AT_ONCE: Final = 256  # rows whose pictures are held in memory
COLUMNS: Final = """\
data/*.parquet, or SRC itself: user_id, caption, image_0_uid, image_1_uid,
  label_0, label_1 (1 and 0, 0 and 1, .5 twice: a tie), jpg_0, jpg_1 (the
  pictures' bytes); optional model_0, model_1, created_at, has_label
  the parts validation_unique and test_unique are left out: they repeat rows"""
NO_SPLITS: Final = "its own parts (train, validation, test) are not kept: split.folds are made"


def read(src: Path) -> ChoiceRelease:
    """Read the release at `src`: its folder, or one of its files.

    Raises
    ------
    PamelaError
        If there is no file, one cannot be read or lacks a column, or an id is no file's name.
    """
    root = src.parent
    paths, repeated = _paths(src)
    tables = [_choices(path, root) for path in paths]
    rows = pl.concat(tables)
    given = rows.filter(GIVEN)
    if not given.height:
        raise PamelaError(f"{shown(src, root)}: no row has a choice; copy it again")
    images, notes = _images(given)
    others = sorted({c for path in paths for c in pl.read_parquet_schema(path)} - {*TAKEN})
    left_out = [*others, *notes]
    if rows.height > given.height:
        left_out.append(f"{rows.height - given.height:,} rows without a choice ({GIVEN} is false)")
    ignored = {
        "choices": left_out,
        "files": [f"{path.name} (repeats rows)" for path in repeated],
    }
    return ChoiceRelease(
        choices=given.select(s.USER, s.IMAGE_A, s.IMAGE_B, s.CHOICE, s.CHOSEN_AT),
        images=images,
        folder=src if src.is_dir() else root,
        files=tuple(paths),
        notes=(NO_SPLITS,),
        ignored=ignored,
        unpack=lambda home: _unpack(paths, root, home),
    )


def _paths(src: Path) -> tuple[list[Path], list[Path]]:
    """Return the files to be read, and those whose rows they have already."""
    if src.is_file():
        return [src], []
    found = [path for home in (src / "data", src) for path in sorted(home.glob("*.parquet"))]
    if not found:
        raise PamelaError(
            f"{src.name}: no .parquet file, there or in data/; give the folder with Pick-a-Pic's "
            "files, or one of them"
        )
    parts = {_part(path) for path in found}
    repeated = [p for p in found if _part(p).removesuffix(REPEATED) in parts - {_part(p)}]
    return [path for path in found if path not in repeated], repeated


def _part(path: Path) -> str:
    """Return ``train`` of ``train-00000-of-00645-ab12.parquet``."""
    return path.name.partition("-")[0].removesuffix(".parquet")


def _choices(path: Path, root: Path) -> pl.DataFrame:
    """Return a file's rows without pictures, in our columns."""
    frame = files.scan_table(path, root)
    files.require_columns(frame, REQUIRED, path, root)
    there = frame.collect_schema()
    wanted = [c for c in (*TAKEN, *base.SOURCE) if c in there and c not in PICTURES]
    missing = [pl.lit(None, dtype).alias(c) for c, dtype in OPTIONAL.items() if c not in there]
    with files.reading(path, root):
        rows = base.whole_floats_as_integers(frame.select(wanted).collect(), [USER])
        return rows.with_columns(missing).select(
            s.identifier(USER).alias(s.USER),
            *(s.identifier(uid).alias(ours)
              for uid, ours in zip(UIDS, (s.IMAGE_A, s.IMAGE_B), strict=True)),
            _choice().alias(s.CHOICE),
            cells.time(TIME, there.get(TIME, OPTIONAL[TIME])).alias(s.CHOSEN_AT),
            pl.col(GIVEN).cast(pl.Boolean).fill_null(True),
            base.said(PROMPT).alias(s.PROMPT),
            *(base.category(model) for model in MODELS),
            *base.SOURCE,
        )  # fmt: skip


def _choice() -> pl.Expr:
    """Return the choice; labels that say none stay as they are, for validate to set apart."""
    first, second = (pl.col(label).cast(pl.Float64, strict=False) for label in LABELS)
    said = pl.concat_str([pl.col(c).cast(pl.String).fill_null("") for c in LABELS], separator=" ")
    return (
        pl.when((first == 1) & (second == 0)).then(pl.lit(s.CHOSE_A))
        .when((first == 0) & (second == 1)).then(pl.lit(s.CHOSE_B))
        .when((first == 0.5) & (second == 0.5)).then(pl.lit(s.TIE))
        .otherwise(said)
    )  # fmt: skip


def _images(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    sides = zip((s.IMAGE_A, s.IMAGE_B), MODELS, strict=True)
    named = [
        rows.select(pl.col(column).alias(s.IMAGE), s.PROMPT,
                    pl.col(model).alias(s.GENERATOR), *base.SOURCE)
        for column, model in sides
    ]  # fmt: skip
    file = pl.lit("images/") + pl.col(s.IMAGE) + ".jpg"
    listed = pl.concat(named).with_columns(file.alias(s.FILE))
    images, notes = images_of(listed, (s.PROMPT, s.GENERATOR))
    _reject_paths(images)
    return with_prompt_ids(images), notes


def _reject_paths(images: pl.DataFrame) -> None:
    """Raise on an id that is no plain file name: each picture is written under its id."""
    odd = images.filter(~pl.col(s.IMAGE).str.contains(r"^[\w-][\w.-]*$"))
    if odd.height:
        row = odd.row(0, named=True)
        raise PamelaError(
            f"{row[s.SOURCE_FILE]} row {row[s.SOURCE_ROW]}: picture id {row[s.IMAGE]!r} cannot be "
            "a file's name; letters, digits, '_', '.' and '-' are expected"
        )


def _unpack(paths: list[Path], root: Path, home: Path) -> None:
    """Write every picture once, as ``images/<uid>.jpg``; a row without bytes leaves none."""
    written: set[str] = set()
    with progress("unpack", len(paths)) as advance:
        for path in paths:
            with files.reading(path, root):
                _unpack_file(path, home / "images", written)
            advance(1)


def _unpack_file(path: Path, folder: Path, written: set[str]) -> None:
    for uid, picture in zip(UIDS, PICTURES, strict=True):
        frame = pl.scan_parquet(path, glob=False).select(s.identifier(uid), picture)
        for rows in frame.drop_nulls().collect_batches(chunk_size=PICTURES_AT_ONCE):
            for name, content in rows.iter_rows():
                if name not in written:
                    _write(folder / f"{name}.jpg", content)
                    written.add(name)


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise PamelaError(f"{file}: cannot be written ({error.strerror or error})") from None
