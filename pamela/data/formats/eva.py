"""EVA: photographs rated 0 to 10, in files with ``=`` between the cells.

``votes_filtered.csv`` (else ``votes.csv``), ``users.csv``, and, where given,
``image_content_category.csv`` (commas) and ``region_index.csv``, all at the top, in ``data/`` or in
``annotation/``; pictures ``<image_id>.jpg`` in any folder. What the users table calls age is a
birth year; the codes of the other columns, often written as floats, become the words that the
release gives for them. An empty ``eyecheck`` is an answer: of a list of boxes none was ticked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import ages, base, files, layout, published
from pamela.data.formats.base import Tables
from pamela.data.formats.files import shown

SCALE: Final = (0.0, 10.0)
STUDY_YEAR: Final = 2020  # of publication: ages are bands, so a year more or less moves few users
SEPARATOR: Final = "="
VOTES: Final = ("votes_filtered.csv", "votes.csv")
USERS: Final = "users.csv"
CATEGORIES: Final = "image_content_category.csv"
REGIONS: Final = "region_index.csv"
PICTURES: Final = "images"
PHOTOGRAPH: Final = "Photograph"
USER: Final = "id"
BIRTH_YEAR: Final = "age"
SCORE: Final = "score"
CATEGORY: Final = "sort"
CODED: Final = {  # our column: theirs
    "region": "region",
    "photographic_level": "photographic_level_id",
    "gender": "gender_id",
    "eyecheck": "eyecheck",
}
LEVELS: Final = {"0": "none", "1": "beginner", "2": "amateur", "3": "professional"}
GENDERS: Final = {"1": "male", "2": "female"}
EYES: Final = {"0": "none", "1": "glasses", "2": "colour blind", "1,2": "both"}
GROUPS: Final = {
    "1": "animals",
    "2": "architectures and city scenes",
    "3": "human",
    "4": "natural and rural scenes",
    "5": "still life",
    "6": "other",
}
COLUMNS: Final = """\
data/votes_filtered.csv, else data/votes.csv (= between the cells): image_id,
  user_id, score (0..10); its other columns are left out
data/users.csv (=): id, age (a birth year), region, photographic_level_id,
  gender_id, eyecheck
data/image_content_category.csv (commas, optional): image_id, sort
data/region_index.csv (=, no header, optional): code, region
images/: the pictures, <image_id>.jpg in any folder
features.npz: instead of the pictures, or beside them"""


def detect(folder: Path) -> bool:
    """Tell whether `folder` holds votes and users."""
    return layout.has_file(folder, VOTES) and layout.has_file(folder, (USERS,))


def read(folder: Path, name: str, root: Path) -> Tables:
    """Read EVA in `folder` as dataset `name` and check its structure.

    Raises
    ------
    PamelaError
        On a structural fault: a missing or unreadable table, a missing column, a path that leaves
        the folder, neither pictures nor features.
    """
    votes_path = layout.require_file(folder, VOTES, root, "EVA")
    users_path = layout.require_file(folder, (USERS,), root, "EVA")
    groups_path = layout.find_file(folder, (CATEGORIES,), root)
    regions_path = layout.find_file(folder, (REGIONS,), root)
    votes, others = published.read_rows(
        votes_path, root, (s.IMAGE, s.USER, SCORE), separator=SEPARATOR
    )
    people, user_others = published.read_rows(
        users_path, root, (USER, BIRTH_YEAR, *CODED.values()), separator=SEPARATOR
    )
    regions = {} if regions_path is None else _regions(regions_path, root)
    users, notes = published.users_of(_people(people, regions), name, ["age", *CODED])
    groups = pl.DataFrame(schema={s.IMAGE: pl.String, s.GROUP: pl.String})
    if groups_path is not None:
        groups = _groups(groups_path, root)
    images = _images(votes, groups, name)
    placed = layout.place_pictures(images, folder, root, PICTURES)
    columns = {s.USER: s.USER, s.IMAGE: s.IMAGE, s.RATING: SCORE}
    birth = f"{BIRTH_YEAR}, a birth year (taken as bands of the age in {STUDY_YEAR})"
    impossible = ages.impossible_ages(people, _age())
    ignored = {
        votes_path.name: others,
        users_path.name: [*user_others, birth, *impossible, *notes],
        **_unvoted(groups_path, groups, images),
    }
    paths = (votes_path, users_path, groups_path, regions_path)
    return Tables(
        name=name,
        scale=SCALE,
        ratings=published.ratings_of(votes, name, columns, numbered=True).lazy(),
        words=base.words_of(votes, columns[s.RATING]),
        users=users,
        folder=folder,
        **vars(placed),
        ignored={file: listed for file, listed in ignored.items() if listed},
        files=tuple(path for path in paths if path is not None),
    )


def _people(rows: pl.DataFrame, regions: Mapping[str, str]) -> pl.DataFrame:
    words = {"region": regions, "photographic_level": LEVELS, "gender": GENDERS, "eyecheck": EYES}
    return rows.select(
        s.identifier(USER).alias(s.USER),
        ages.age_band(_age()).alias("age"),
        *(_words(theirs, words[ours]).alias(ours) for ours, theirs in CODED.items()),
        *base.SOURCE,
    ).with_columns(pl.col("eyecheck").fill_null(EYES["0"]))


def _age() -> pl.Expr:
    return STUDY_YEAR - base.number(BIRTH_YEAR)


def _words(column: str, words: Mapping[str, str]) -> pl.Expr:
    """Return codes as words; a code that the release does not explain stays as it is."""
    code = base.category(column).str.replace_all(r"(\d)\.0+\b", "$1")  # also in a list: 1.0,2.0
    return code.replace(list(words), list(words.values())) if words else code


def _regions(path: Path, root: Path) -> dict[str, str]:
    """Return region names by code."""
    with files.reading(path, root):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    pairs = [line.split(SEPARATOR, 1) for line in lines if line.strip()]
    if not pairs:
        raise PamelaError(f"{shown(path, root)}: the table has no rows; copy it again")
    for row, pair in enumerate(pairs, 1):
        if len(pair) != 2 or not pair[0].strip() or not pair[1].strip():
            raise PamelaError(f"{shown(path, root)} row {row}: not code{SEPARATOR}region")
    return {code.strip(): region.strip() for code, region in pairs}


def _groups(path: Path, root: Path) -> pl.DataFrame:
    """Return (image_id, group) of every categorised image, in words."""
    rows, _ = published.read_rows(path, root, (s.IMAGE, CATEGORY))
    named = rows.select(
        published.number_as_id(s.IMAGE), _words(CATEGORY, GROUPS).alias(s.GROUP), *base.SOURCE
    ).drop_nulls(s.IMAGE)
    base.reject_repeats(
        named.with_columns(pl.lit("").alias(s.DATASET)), s.IMAGE, advice="one category per picture"
    )
    return named.select(s.IMAGE, s.GROUP)


def _images(votes: pl.DataFrame, groups: pl.DataFrame, name: str) -> pl.DataFrame:
    named = votes.select(published.number_as_id(s.IMAGE), *base.SOURCE).with_columns(
        (pl.col(s.IMAGE) + ".jpg").alias(s.FILE)
    )
    images, _ = published.images_of(named, name)
    images = images.drop(s.GROUP).join(groups, on=s.IMAGE, how="left", maintain_order="left")
    images = images.with_columns(pl.lit(PHOTOGRAPH).alias(s.TYPE))
    return base.conform(images, s.IMAGES_SCHEMA, base.SOURCE)


def _unvoted(path: Path | None, groups: pl.DataFrame, images: pl.DataFrame) -> dict[str, list[str]]:
    """Return a note on the categorised images that nobody voted on, if any."""
    rest = groups.join(images, on=s.IMAGE, how="anti").height
    return {path.name: [f"{rest:,} images without a vote"]} if path and rest else {}
