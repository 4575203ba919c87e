"""Any other content than a dataset is read or refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.errors import LONGEST, PamelaError
from pamela.data.formats import RECORD, read_folder
from tests.helpers.folders import write_tables
from tests.helpers.miniatures import MINIATURES

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
@settings(max_examples=40)
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
