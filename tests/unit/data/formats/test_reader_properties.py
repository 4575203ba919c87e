"""Every reader, on any input: what it accepts comes through whole, anything else is one line.

Round trips write random datasets in each format and read them again. The other tests put random,
broken or mangled content in the place of each file and allow two outcomes only: the dataset is
read, rows and all, or a `PamelaError` says in one line what is wrong.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.data.formats import read_folder
from pamela.data.formats.base import NOTHING
from pamela.data.formats.para import CATEGORIES, TRAITS
from tests.helpers.folders import release_row
from tests.helpers.miniatures import PARTS

# --- random datasets ------------------------------------------------------------------------------
LETTERS = st.characters(categories=["Ll", "Lo", "Nd"])
IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6).filter(
    lambda text: text == s.one_spelling(text)
)
# Names that a file system and every spelling of Unicode leaves alone:
NAMES = st.text(LETTERS, min_size=1, max_size=6).filter(
    lambda text: unicodedata.is_normalized("NFC", text)
)
CATEGORY = (
    st.none()
    | st.sampled_from(["a, b", 'the "c"', "d=e", "f\ng", "né"])
    | st.text(st.characters(categories=["Ll"]), min_size=1, max_size=5).filter(
        lambda text: text == text.lower() and text not in NOTHING
    )
)
RATINGS = st.none() | st.floats(-1e9, 1e9)


@dataclass(frozen=True)
class World:
    """A random dataset: users and images with one category each, and the rows in their order."""

    users: dict[str, str | None]
    images: dict[str, str | None]
    rows: list[tuple[str, str, float | None]]


@st.composite
def worlds(draw: st.DrawFn, image_ids: st.SearchStrategy[str] = IDS) -> World:
    """Draw a dataset in which everybody rates and every image is rated."""
    users = draw(st.dictionaries(IDS, CATEGORY, min_size=1, max_size=4))
    images = draw(st.dictionaries(image_ids, CATEGORY, min_size=1, max_size=4))
    pairs = [(user, image) for user in users for image in images]
    extra = draw(st.lists(st.sampled_from(pairs), max_size=3))
    # the five parts of the release must not be empty, nor all of the ratings in one
    rows = [
        (*pair, draw(RATINGS if k >= 5 else st.floats(0, 10)))
        for k, pair in enumerate([*pairs, *extra, *pairs[:1] * 4])
    ]
    return World(users, images, draw(st.permutations(rows[5:])) + rows[:5])


Expected = list[tuple[str | None, str | None, float | None]]


def write_csv(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]], **form: Any
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, **form)
    writer.writerows([header, *(["" if v is None else v for v in row] for row in rows)])
    path.write_bytes(text.getvalue().encode())


def write_features(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    np.savez(folder / "features.npz", image_id=np.array(["x"]), features=np.eye(1))


def as_tables(world: World, folder: Path) -> Expected:
    write_features(folder)
    header = "name: d\nscale: [-1.0e+9, 1.0e+9]\nfeatures: features.npz\n"
    (folder / "dataset.yaml").write_text(header)
    write_csv(folder / "ratings.csv", ("user_id", "image_id", "rating"), world.rows)
    write_csv(folder / "users.csv", ("user_id", "gender"), [*world.users.items()])
    images = [(image, None, None, group) for image, group in world.images.items()]
    write_csv(folder / "images.csv", ("image_id", "file", "prompt", "group"), images)
    return [*world.rows]


def as_parquet(world: World, folder: Path) -> Expected:
    rows = as_tables(world, folder)
    for path in [*folder.glob("*.csv")]:
        frame = pl.read_csv(path, infer_schema=False)
        if "rating" in frame.columns:
            frame = frame.with_columns(pl.col("rating").cast(pl.Float64, strict=False))
        frame.write_parquet(path.with_suffix(".parquet"))
        path.unlink()
    return rows


def as_release(world: World, folder: Path) -> Expected:
    number = {image: k for k, image in enumerate(world.images)}
    cut = len(world.rows) - 4
    parts = [world.rows[:cut], *([row] for row in world.rows[cut:])]
    for part, listed in zip(PARTS, parts, strict=True):
        path = folder / "PAMELA" / "annotations" / f"pamela_{part}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            release_row(
                user,
                image,
                rating,
                image_path=f"images/{number[image]}.jpg",
                image_metadata={"prompt": None, "group": world.images[image], "type": "Art"},
                user_demographics={"gender": world.users[user]},
            )
            for user, image, rating in listed
        ]
        path.write_text(json.dumps(rows, ensure_ascii=len(rows) % 2 == 0), encoding="utf-8")
    return [*world.rows]


def as_lapis(world: World, folder: Path) -> Expected:
    write_features(folder)
    number = {image: k for k, image in enumerate(world.images)}
    header = ["image_id", "image_filename", "participant_id", "rating", "age", "nationality"]
    header += ["demo_gender", "demo_edu", "demo_colorblind", "Art Interest VAIAK"]
    rows = [
        (image, f"{number[image]}.jpg", user, rating, 30, None, world.users[user], None, None, 2)
        for user, image, rating in world.rows
    ]
    write_csv(folder / "annotation" / "LAPIS_PIAA.csv", header, rows)
    return [*world.rows]


def as_para(world: World, folder: Path) -> Expected:
    write_features(folder)
    header = ("sessionId", "imageName", "userId", "aestheticScore", "semantic")
    rows = [
        ("session1", f"{image}.jpg", user, rating, world.images[image])
        for user, image, rating in world.rows
    ]
    write_csv(folder / "annotation" / "PARA-Images.csv", header, rows)
    people = [
        (user, "18-21", told, *[None] * 3, *[5] * len(TRAITS)) for user, told in world.users.items()
    ]
    columns = ("userId", "age", *CATEGORIES, *TRAITS)
    write_csv(folder / "annotation" / "PARA-UserInfo.csv", columns, people)
    return [(user, f"session1/{image}.jpg", rating) for user, image, rating in world.rows]


def as_flickr_aes(world: World, folder: Path) -> Expected:
    write_features(folder)
    rows = [(user, f"{image}.jpg", rating) for user, image, rating in world.rows]
    path = folder / "FLICKR-AES_image_labeled_by_each_worker.csv"
    write_csv(path, ("worker", " imagePair", " score"), rows)
    return [*rows]


def as_eva(world: World, folder: Path) -> Expected:
    write_features(folder)
    votes = [(image, user, rating) for user, image, rating in world.rows]
    data = folder / "data"
    write_csv(data / "votes_filtered.csv", ("image_id", "user_id", "score"), votes, delimiter="=")
    header = ("id", "age", "region", "photographic_level_id", "gender_id", "eyecheck")
    people = [(user, 1990, None, None, told, None) for user, told in world.users.items()]
    write_csv(data / "users.csv", header, people, delimiter="=")
    write_csv(data / "image_content_category.csv", ("image_id", "sort"), [*world.images.items()])
    return [*world.rows]


@dataclass(frozen=True)
class Writer:
    """How a world is written in one format, and where its categories come back."""

    write: Callable[[World, Path], Expected]
    image_ids: st.SearchStrategy[str]
    users: str | None  # the demographic, None where the format has no users
    images: str | None = s.GROUP


WRITERS = {
    "tables": Writer(as_tables, IDS, "gender"),
    "tables as Parquet": Writer(as_parquet, IDS, "gender"),
    "pamela": Writer(as_release, IDS, "gender"),
    "lapis": Writer(as_lapis, IDS, "demo_gender", None),
    "para": Writer(as_para, NAMES, "gender"),
    "flickr-aes": Writer(as_flickr_aes, NAMES, None, None),
    "eva": Writer(as_eva, NAMES, "gender"),
}


@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=25)
@given(data=st.data())
def test_any_dataset_survives_the_round_trip(form: str, data: st.DataObject) -> None:
    writer = WRITERS[form]
    world = data.draw(worlds(writer.image_ids))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "d"
        expected = writer.write(world, folder)
        tables = read_folder(folder, "d", folder.parent)
        ratings = tables.ratings.collect()
    assert ratings.select(s.USER, s.IMAGE, s.RATING).rows() == expected
    assert set(tables.images[s.IMAGE]) == {image for _, image, _ in expected}
    assert tables.images.height == len(world.images)
    if writer.users is not None:
        assert dict(tables.users.select(s.USER, writer.users).iter_rows()) == world.users
    if writer.images is not None:
        groups = tables.images.sort(s.SOURCE_FILE, s.SOURCE_ROW)[writer.images].to_list()
        assert sorted(map(str, groups)) == sorted(map(str, world.images.values()))
