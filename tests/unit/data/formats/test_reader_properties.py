"""Every reader, on any input: what it accepts comes through whole, anything else is one line.

Round trips write random datasets in each format and read them again. The other tests put random,
broken or mangled content in the place of each file and allow two outcomes only: the dataset is
read, rows and all, or a `PamelaError` says in one line what is wrong.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.errors import LONGEST, PamelaError
from pamela.data.formats import RECORD, read_folder
from pamela.data.formats.base import NOTHING
from pamela.data.formats.para import CATEGORIES, TRAITS
from tests.helpers.folders import release_row, write_tables
from tests.helpers.miniatures import MINIATURES, PARTS

STEADY = settings(deadline=None, derandomize=True, database=None)

# --- random datasets ------------------------------------------------------------------------------
LETTERS = st.characters(categories=["Ll", "Lo", "Nd"])
IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6).filter(
    lambda text: text == text.strip() and unicodedata.is_normalized("NFC", text)
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
@settings(STEADY, max_examples=25)
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


# --- any other content ----------------------------------------------------------------------------
JUNK = [
    b"\0",
    b"\r\n",
    b'"',
    b",",
    b"=",
    b"\xff",
    b"\xed\xa0\x80",  # half a character
    b"\xef\xbb\xbf",  # a byte-order mark
    b"\xe2\x80\xa8",  # a line separator
    b"\\ud800",
    b"1e999",
    b"9" * 5000,
    b"NaN",
    b"null",
    b"{}",
    b"[",
    b": ",
    b"&a [*a]",
    b"2026-99-99",
    b"../",
    b"\x1b[2J",
    b"x" * 5000,
]
WHOLE: list[Callable[[bytes], bytes]] = [
    lambda content: content.replace(b"\n", b"\r\n"),
    lambda content: b"\xef\xbb\xbf" + content,
    lambda content: content.decode().encode("utf-16"),
    lambda content: content.replace(b",", b";"),
    lambda content: content.replace(b"1", b"1e999"),
    lambda content: content.replace(b"0", b"-"),
    lambda content: content + content,
    lambda content: b"\n\n" + content,
    lambda content: b"[" * 100_000 + content,
    lambda content: b"{a: " * 2_000 + content,
    lambda content: b"- " * 5_000 + content,
    lambda content: b'{"a":' * 50_000 + content,
    lambda content: b",".join(reversed(content.split(b","))),
    lambda content: b"\n".join(reversed(content.splitlines())),
    lambda content: content.split(b"\n", 1)[-1],  # without the header
]


@st.composite
def mangled(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw something else than `content`: noise, or a few changes to it."""
    noise = st.binary(max_size=80) | st.text(max_size=80).map(str.encode)
    if draw(st.integers(0, 5)) == 0:
        return draw(noise)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        stop = min(len(content), start + draw(st.sampled_from([0, 1, 10, 100, 10_000])))
        change = draw(st.sampled_from(["whole", "cut", "drop", "repeat", "insert", "flip"]))
        if change == "whole":
            try:
                content = draw(st.sampled_from(WHOLE))(content)
            except UnicodeDecodeError:  # it is no text any more
                continue
        elif change == "cut":
            content = content[:start]
        elif change == "drop":
            content = content[:start] + content[stop:]
        elif change == "repeat":
            content = content[:stop] + content[start:]
        elif change == "insert":
            content = content[:start] + draw(st.sampled_from(JUNK) | noise) + content[start:]
        else:
            content = content[:start] + draw(st.binary(max_size=4)) + content[stop:]
    return content


def write_base(kind: str, folder: Path) -> None:
    """Write a small sound dataset of `kind`, with its record."""
    if not kind.startswith("tables"):
        MINIATURES[kind](folder, users=12, images=12, faults=False)
        return
    write_tables(folder)
    ratings = pl.read_csv(folder / "ratings.csv", infer_schema=False).with_columns(
        rated_at=pl.lit("2026-01-02T03:04:05Z"), position=pl.lit("1"), split=pl.lit("train")
    )
    ratings.write_csv(folder / "ratings.csv")
    (folder / RECORD).write_text('{"kind": "tables", "options": {}}')
    if kind == "tables as Parquet":
        for path in [*folder.glob("*.csv")]:
            pl.read_csv(path, infer_schema=False).write_parquet(path.with_suffix(".parquet"))
            path.unlink()


FILES = {
    "tables": ("dataset.yaml", "ratings.csv", "users.csv", "images.csv", RECORD),
    "tables as Parquet": ("ratings.parquet", "users.parquet", "images.parquet"),
    "pamela": ("PAMELA/annotations/pamela_train.json", "PAMELA/annotations/pamela_val_unseen.json"),
    "lapis": ("annotation/LAPIS_PIAA.csv",),
    "lapis-old": ("annotation/LAPIS_individualratings_metaANDdemodata.csv",),
    "para": ("annotation/PARA-Images.csv", "annotation/PARA-UserInfo.csv"),
    "flickr-aes": ("FLICKR-AES_image_labeled_by_each_worker.csv",),
    "eva": (
        "data/votes_filtered.csv",
        "data/users.csv",
        "data/image_content_category.csv",
        "data/region_index.csv",
    ),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a sound dataset of each kind, by its name here."""
    home = tmp_path_factory.mktemp("bases")
    for kind in FILES:
        write_base(kind, home / kind)
        assert read_folder(home / kind, "d", home).n_ratings > 0
    yield home
    shutil.rmtree(home)


def outcome(folder: Path) -> str:
    """Read a dataset, rows and all; return the one line that refused it, or nothing."""
    try:
        tables = read_folder(folder, "d", folder.parent)
    except PamelaError as error:
        return str(error)
    ratings = tables.ratings.collect()
    assert ratings.schema == s.RATINGS_SCHEMA
    assert ratings.height > 0
    assert ratings[s.SOURCE_ROW].min() >= 1  # type: ignore[operator]
    assert bool(ratings[s.RATING].drop_nulls().is_finite().all())
    assert tables.images.select(s.IMAGES_SCHEMA.names()).schema == s.IMAGES_SCHEMA
    assert tables.images[s.IMAGE].is_unique().all()
    assert tables.users[s.USER].is_unique().all()
    return ""


@pytest.mark.parametrize(
    ("kind", "name"), [(k, name) for k, names in FILES.items() for name in names]
)
@settings(STEADY, max_examples=40)
@given(data=st.data())
def test_any_content_is_read_or_refused_in_one_line(
    bases: Path, kind: str, name: str, data: st.DataObject
) -> None:
    path = bases / kind / name
    sound = path.read_bytes()
    try:
        path.write_bytes(data.draw(mangled(sound)))
        line = outcome(bases / kind)
    finally:
        path.write_bytes(sound)
    assert line.isprintable()
    assert len(line) <= LONGEST + len(" ... ")


@pytest.mark.parametrize(
    ("kind", "name"), [(k, name) for k, names in FILES.items() for name in names]
)
def test_an_empty_a_blank_and_a_truncated_file_are_named(bases: Path, kind: str, name: str) -> None:
    path = bases / kind / name
    sound = path.read_bytes()
    try:
        for content in (b"", b"\0" * 100, sound[: len(sound) // 20] if len(sound) > 400 else b"{"):
            path.write_bytes(content)
            line = outcome(bases / kind)
            if not content.strip(b"\0") or path.suffix in (".json", ".parquet"):
                assert path.name in line, content[:20]
    finally:
        path.write_bytes(sound)


@pytest.mark.parametrize("at", range(170, 190))
def test_a_damaged_byte_in_a_parquet_page_is_read_or_refused(bases: Path, at: int) -> None:
    """On some of these bytes Polars panics, which is no exception of its own."""
    path = bases / "tables as Parquet" / "users.parquet"
    sound = path.read_bytes()
    users = {"user_id": [f"u{u}" for u in range(40)], "gender": ["f", "m", "", "f"] * 10}
    try:
        pl.DataFrame(users).write_parquet(path)
        whole = path.read_bytes()
        for value in (b"\0", b"\xff"):
            path.write_bytes(whole[:at] + value + whole[at + 1 :])
            line = outcome(bases / "tables as Parquet")
            assert line == "" or line.startswith("tables as Parquet/users.parquet")
    finally:
        path.write_bytes(sound)


NUMBERS = '"original_score": 1e999', '"original_score": NaN', '"original_score": -Infinity'


@pytest.mark.parametrize("number", [*NUMBERS, f'"original_score": {"9" * 400}'])
def test_a_number_that_is_none_spoils_its_own_row_only(bases: Path, number: str) -> None:
    path = bases / "pamela" / "PAMELA" / "annotations" / "pamela_train.json"
    sound = path.read_text()
    rows = json.loads(sound)
    scores = [row["original_score"] for row in rows]
    try:
        rows[1]["original_score"] = "here"
        path.write_text(json.dumps(rows).replace('"original_score": "here"', number))
        tables = read_folder(bases / "pamela", "d", bases)
    finally:
        path.write_text(sound)
    found = tables.ratings.filter(pl.col(s.SPLIT) == s.TRAIN).collect()[s.RATING].to_list()
    assert found == [scores[0], None, *scores[2:]]


def test_half_a_character_is_refused_and_a_pair_is_one_letter(bases: Path) -> None:
    path = bases / "pamela" / "PAMELA" / "annotations" / "pamela_train.json"
    sound = path.read_text()
    try:
        path.write_text(sound.replace("p000", "p\\ud83d\\ude00"))
        assert "p\U0001f600" in read_folder(bases / "pamela", "d", bases).users[s.USER]
        path.write_text(sound.replace("p000", "p\\ud83d"))
        assert path.name in outcome(bases / "pamela")
    finally:
        path.write_text(sound)
