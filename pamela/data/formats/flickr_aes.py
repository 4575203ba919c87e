"""FLICKR-AES: photographs rated 1 to 5 by named workers, about whom nothing else is known.

``FLICKR-AES_image_labeled_by_each_worker.csv`` with the header ``worker, imagePair, score`` (the
second and third name begin with a blank); the pictures in a folder beside, as published ``40K/``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.data import image_files
from pamela.data.formats import base, layout, published
from pamela.data.formats.base import Tables

SCALE: Final = (1.0, 5.0)
RATINGS: Final = (
    "FLICKR-AES_image_labeled_by_each_worker.csv",
    "image_labeled_by_each_worker.csv",
)
PICTURES: Final = "40K"
PHOTOGRAPH: Final = "Photograph"
USER: Final = "worker"
PICTURE: Final = "imagePair"
SCORE: Final = "score"
COLUMNS: Final = """\
FLICKR-AES_image_labeled_by_each_worker.csv: worker, imagePair (the picture's
  name), score (1..5); blanks around the header's names do not matter
40K/ or any other folder: the pictures
features.npz: instead of the pictures, or beside them"""


def detect(folder: Path) -> bool:
    """Tell whether `folder` holds the workers' ratings."""
    return layout.has_file(folder, RATINGS)


def read(folder: Path, name: str, root: Path) -> Tables:
    """Read FLICKR-AES in `folder` as dataset `name` and check its structure.

    Raises
    ------
    PamelaError
        On a structural fault: no or an unreadable table, a missing column, a path that leaves the
        folder, neither pictures nor features.
    """
    path = layout.require_file(folder, RATINGS, root, "FLICKR-AES")
    rows, others = published.read_rows(path, root, (USER, PICTURE, SCORE))
    named = rows.select(s.identifier(PICTURE).alias(s.IMAGE), _file().alias(s.FILE), *base.SOURCE)
    images, _ = published.images_of(named, name)
    images = images.with_columns(pl.lit(PHOTOGRAPH).alias(s.TYPE))
    placed = layout.place_pictures(images, folder, root, PICTURES)
    columns = {s.USER: USER, s.IMAGE: PICTURE, s.RATING: SCORE}
    return Tables(
        name=name,
        scale=SCALE,
        ratings=published.ratings_of(rows, name, columns).lazy(),
        words=base.words_of(rows, columns[s.RATING]),
        users=base.empty_table(s.USERS_KEYS),
        folder=folder,
        **vars(placed),
        ignored={path.name: others} if others else {},
        files=(path,),
    )


def _file() -> pl.Expr:
    """Return the picture's file name; one without a suffix is a JPEG, as all published ones are."""
    picture = s.identifier(PICTURE)
    suffixed = picture.str.to_lowercase().str.contains(r"\.[a-z]+$")
    return pl.when(suffixed).then(picture).otherwise(picture + image_files.SUFFIXES[1])
