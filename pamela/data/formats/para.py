"""PARA: photographs rated 1 to 5 in half steps, their raters' traits in a second table.

``annotation/PARA-Images.csv`` (a row per rating), ``annotation/PARA-UserInfo.csv``,
``imgs/<sessionId>/<imageName>``. A name may occur in several sessions: an image is both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.data.formats import ages, base, layout, published
from pamela.data.formats.base import Tables

SCALE: Final = (1.0, 5.0)
RATINGS: Final = "PARA-Images.csv"
USERS: Final = "PARA-UserInfo.csv"
PICTURES: Final = "imgs"
PHOTOGRAPH: Final = "Photograph"
SESSION: Final = "sessionId"
PICTURE: Final = "imageName"
USER: Final = "userId"
SCORE: Final = "aestheticScore"
SCENE: Final = "semantic"
AGE: Final = "age"
CATEGORIES: Final = ("gender", "EducationalLevel", "artExperience", "photographyExperience")
TRAITS: Final = tuple(f"personality-{trait}" for trait in "EANOC")  # Big Five
TRAIT_RANGE: Final = (1, 10)
COLUMNS: Final = """\
annotation/PARA-Images.csv: sessionId, imageName, userId, aestheticScore (1..5
  in half steps), semantic; its other columns are left out
annotation/PARA-UserInfo.csv: userId, age, gender, EducationalLevel,
  artExperience, photographyExperience, personality-E, -A, -N, -O, -C
imgs/<sessionId>/<imageName>: the pictures
features.npz: instead of the pictures, or beside them; its image_id is
  <sessionId>/<imageName>"""


def detect(folder: Path) -> bool:
    """Tell whether `folder` holds PARA's ratings."""
    return layout.has_file(folder, (RATINGS,))


def read(folder: Path, name: str, root: Path) -> Tables:
    """Read PARA in `folder` as dataset `name` and check its structure.

    Raises
    ------
    PamelaError
        On a structural fault: a missing or unreadable table, a missing column, a path that leaves
        the folder, neither pictures nor features.
    """
    ratings_path = layout.require_file(folder, (RATINGS,), root, "PARA")
    users_path = layout.require_file(folder, (USERS,), root, "PARA")
    wanted = (SESSION, PICTURE, USER, SCORE, SCENE)
    rows, others = published.read_rows(ratings_path, root, wanted)
    rows = rows.with_columns(_image())
    people, user_others = published.read_rows(users_path, root, (USER, AGE, *CATEGORIES, *TRAITS))
    users, user_notes = published.users_of(_people(people), name, [AGE, *CATEGORIES, *TRAITS])
    scenes = rows.select(
        s.IMAGE, pl.col(s.IMAGE).alias(s.FILE), base.category(SCENE).alias(s.GROUP), *base.SOURCE
    )
    images, image_notes = published.images_of(scenes, name, [s.GROUP])
    images = images.with_columns(pl.lit(PHOTOGRAPH).alias(s.TYPE))
    placed = layout.place_pictures(images, folder, root, PICTURES)
    traits = "personality-E/-A/-N/-O/-C of 1..10 (taken in steps of two)"
    ignored = {
        ratings_path.name: [*others, *image_notes],
        users_path.name: [
            *user_others,
            traits,
            *user_notes,
            *ages.impossible_ages(people, ages.years(AGE)),
            *_impossible_traits(people),
        ],
    }
    columns = {s.USER: USER, s.IMAGE: s.IMAGE, s.RATING: SCORE}
    return Tables(
        name=name,
        scale=SCALE,
        ratings=published.ratings_of(rows, name, columns).lazy(),
        words=base.words_of(rows, columns[s.RATING]),
        users=users,
        folder=folder,
        **vars(placed),
        ignored={file: notes for file, notes in ignored.items() if notes},
        files=(ratings_path, users_path),
    )


def _image() -> pl.Expr:
    """Return ``sessionId/imageName``; null where either is empty."""
    parts = [s.identifier(SESSION), s.identifier(PICTURE)]
    return pl.concat_str(parts, separator="/").alias(s.IMAGE)


def _people(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        s.identifier(USER).alias(s.USER),
        ages.age_as_band(AGE),
        *(base.category(c) for c in CATEGORIES),
        *(_trait(c) for c in TRAITS),
        *base.SOURCE,
    )


def _trait(column: str) -> pl.Expr:
    """Return a trait of 1..10 as the five bands ``1-2`` to ``9-10``; another number is null."""
    value = base.number(column)
    low = ((value - 1) / 2).floor().cast(pl.Int64, strict=False) * 2 + 1
    band = pl.concat_str([low.cast(pl.String), (low + 1).cast(pl.String)], separator="-")
    word = pl.when(value.is_null()).then(base.category(column))
    return pl.when(value.is_between(*TRAIT_RANGE)).then(band).otherwise(word).alias(column)


def _impossible_traits(rows: pl.DataFrame) -> list[str]:
    """Return a note on the traits that lie outside 1..10, which are taken as unknown, if any."""
    value = pl.concat_list(base.number(c) for c in TRAITS).list.explode()
    off = rows.select(value.alias("_trait")).filter(~pl.col("_trait").is_between(*TRAIT_RANGE))
    if not off.height:
        return []
    examples = ", ".join(f"{value:g}" for value in off["_trait"].unique().sort().head(3))
    return [f"traits outside 1..10: {off.height:,} (such as {examples}; taken as unknown)"]
