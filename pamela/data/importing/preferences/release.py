"""A release of choices, and how it is written in the tables format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import write_parquet
from pamela.data.formats import base, layout, published, tables
from pamela.data.formats.files import shown
from pamela.data.importing.convert import Converted

CHOICES: Final = "choices.parquet"
IMAGES: Final = "images.csv"
COLUMNS: Final = (s.USER, s.IMAGE_A, s.IMAGE_B, s.CHOICE, s.CHOSEN_AT)
ABOUT_IMAGES: Final = (s.IMAGE, s.FILE, s.PROMPT, *tables.IMAGES_OPTIONAL)


@dataclass(frozen=True)
class ChoiceRelease:
    """What was read of a release.

    Attributes
    ----------
    choices : DataFrame (user_id, image_a, image_b, choice, and chosen_at where it is known).
    images : DataFrame (image_id, file, prompt, ..., source_file, source_row), one row per picture;
        ``file`` is the end of its path, or where `unpack` puts it.
    folder : the release; pictures are looked for below it.
    files : the files that were read.
    notes : what people should know of the whole.
    ignored : what was not taken over, by file.
    unpack : writes the pictures, which are inside the files, to a dataset's folder.
    """

    choices: pl.DataFrame
    images: pl.DataFrame
    folder: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    ignored: Mapping[str, list[str]] = field(default_factory=dict)
    unpack: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class FileChoices:
    """What one file of a release says.

    Attributes
    ----------
    choices : as of a `ChoiceRelease`, with ``named``: whether the user is a person.
    pictures : rows that name a picture: image_id, file, what is known of it, source_file,
        source_row.
    ignored : columns that were not taken over.
    """

    choices: pl.DataFrame
    pictures: pl.DataFrame
    ignored: list[str]


def write_release(
    release: ChoiceRelease, name: str, home: Path, pictures: Path | None
) -> Converted:
    """Write `release` to the folder `home` in the tables format, and read it from there.

    Parameters
    ----------
    pictures : where the pictures are looked for (``--pictures``); None is the release's folder.

    Returns
    -------
    The dataset; where each picture lies now, without those that were unpacked.

    Raises
    ------
    PamelaError
        On a structural fault, or if no picture is there.
    """
    found: dict[str, Path] = {}
    images = release.images
    if release.unpack is None:
        images, found = _locate(release, pictures)
    known = [c for c in ABOUT_IMAGES if c in images.columns]
    (home / tables.DATASET_FILE).write_text(f"name: {name}\n", encoding="utf-8")
    (home / tables.PICTURES).mkdir(exist_ok=True)
    images.select(known).write_csv(home / IMAGES)
    said = [c for c in COLUMNS if c in release.choices.columns]
    write_parquet(home / CHOICES, release.choices.select(said))
    read = tables.read(home, name, home)
    if release.unpack is not None:
        release.unpack(home)
    ignored = {file: what for file, what in {**read.ignored, **release.ignored}.items() if what}
    return Converted(replace(read, ignored=ignored, notes=release.notes), found)


def _locate(release: ChoiceRelease, pictures: Path | None) -> tuple[pl.DataFrame, dict[str, Path]]:
    """Return the images with their places in the dataset, and where each picture lies now."""
    top = (pictures or release.folder).resolve()
    said = release.folder.name if pictures is None else f"--pictures {pictures}"
    if not top.is_dir():
        raise PamelaError(f"{said}: no such folder")
    placed, any_there = layout.find_pictures(release.images, top, top.parent, tables.PICTURES)
    files = placed.get_column(s.FILE)
    if not any_there:
        raise PamelaError(
            f"{said}: none of the {len(files):,} pictures that {release.files[0].name} names is "
            f"there, first {shown(top / files[0], top)}; unpack them there, or give their folder "
            "with --pictures FOLDER"
        )
    inside = pl.lit(f"{tables.PICTURES}/") + pl.col(s.FILE).str.strip_prefix(f"{tables.PICTURES}/")
    located = placed.with_columns(inside.alias(s.FILE))
    found = dict(zip(located.get_column(s.FILE), (top / file for file in files), strict=True))
    return located, {file: path for file, path in found.items() if path.is_file()}


def images_of(rows: pl.DataFrame, metadata: tuple[str, ...]) -> tuple[pl.DataFrame, list[str]]:
    """Return one row per picture of rows that name one, and notes on what contradicts itself."""
    images, notes = published.images_of(rows, "", metadata)
    return images.select(s.IMAGE, s.FILE, *metadata, *base.SOURCE), notes
