"""LAPIS in both layouts: what it maps, what it survives, and what it refuses in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pamela.data.formats import ages, lapis, read_folder
from tests.helpers.folders import reading_fault, write_picture
from tests.helpers.miniatures import Planted, lapis_new, lapis_old

NEW = "annotation/LAPIS_PIAA.csv"
OLD = "annotation/LAPIS_individualratings_metaANDdemodata.csv"
HEADER = (
    "image_id,image_filename,participant_id,rating,age,nationality,demo_gender,demo_edu,"
    "demo_colorblind,Art Interest VAIAK\n"
)


def write_rows(folder: Path, *rows: str | bytes) -> Path:
    """Write the newer layout with these lines, and a picture a.jpg."""
    lines = [row if isinstance(row, bytes) else row.encode() for row in rows]
    path = folder / NEW
    path.parent.mkdir(parents=True)
    path.write_bytes(HEADER.encode() + b"".join(line + b"\n" for line in lines))
    write_picture(folder / "images" / "a.jpg")
    return folder


@pytest.mark.parametrize("make", [lapis_new, lapis_old])
def test_both_layouts_come_through_whole(tmp_path: Path, make: Callable[..., Planted]) -> None:
    planted = make(tmp_path / "lapis")
    tables = read_folder(planted.folder, "art", tmp_path)
    assert tables.scale == planted.scale == (0.0, 100.0)
    assert tables.n_ratings == planted.ratings
    assert (tables.users.height, tables.images.height) == (planted.users, planted.images)
    assert tuple(tables.demographics) == planted.demographics
    assert tables.has_images
    assert not tables.own_splits
    assert set(tables.images["dataset"]) == {"art"}
    assert tables.images["prompt"].null_count() == planted.images
    assert set(tables.images["type"]) == {"Art"}
    present = [(tmp_path / file).is_file() for file in tables.images["file"]]
    assert present.count(False) == planted.faulty_images["image_missing"] == 1
    ratings = tables.ratings.collect()
    assert ratings["rating"].null_count() == planted.faulty["rating_missing"]
    assert ratings["source_row"].to_list() == list(range(1, planted.ratings + 1))


def test_styles_and_genres_of_the_older_layout_are_style_and_group(tmp_path: Path) -> None:
    tables = read_folder(lapis_old(tmp_path / "d", faults=False).folder, "d", tmp_path)
    first = tables.images.row(by_predicate=pl.col("image_id") == "4", named=True)
    assert (first["style"], first["group"]) == ("Cubism", "portrait")
    assert first["file"] == "d/images/Cubism/albrecht-dürer_work-4.jpg"


def test_all_18_published_columns_are_taken_over_or_named(tmp_path: Path) -> None:
    folder = lapis_new(tmp_path / "d", faults=False).folder
    with (folder / NEW).open(encoding="latin-1") as stream:
        assert stream.readline() == (
            "image_id,image_filename,rating,response time,participant_id,age,nationality,"
            "demo_gender,demo_edu,demo_colorblind,Art Interest VAIAK,imgs_known,artist,title,genre,"
            "style,4_styles,2_styles\n"
        )
    tables = read_folder(folder, "d", tmp_path)
    assert tables.images["group"].n_unique() == 7
    assert tables.images["style"].n_unique() == 26
    assert tables.images.select(pl.col("group", "style").null_count()).row(0) == (0, 0)
    assert set(tables.users["age"].drop_nulls()) <= set(ages.AGE_BANDS)
    left = {"response time", "imgs_known", "artist", "title", "4_styles", "2_styles"}
    assert left < set(tables.ignored["LAPIS_PIAA.csv"])


def test_a_newer_table_without_genre_and_style_says_so(tmp_path: Path) -> None:
    tables = read_folder(write_rows(tmp_path / "d", "1,a.jpg,p1,50,30,,,,,"), "d", tmp_path)
    assert tables.images.select("group", "style").row(0) == (None, None)
    notes = tables.ignored["LAPIS_PIAA.csv"]
    assert {"no column genre: works have no genre", "no column style: works have no style"} <= set(
        notes
    )


@pytest.mark.parametrize(
    ("said", "band"),
    [
        ("28 years", "25-34"),
        ("28 Years old", "25-34"),
        ("28.0", "25-34"),
        (" 64 yrs ", "55-64"),
        ("28y", "25-34"),
        ("28 y.o.", "25-34"),
        ("28 jaar", "25-34"),
        ("20s", "20s"),  # a decade, no age
        ("25-34", "25-34"),
        ("prefer not to say", "prefer not to say"),
        ("190", None),
        ("1990 years", None),
    ],
)
def test_ages_in_words_are_ages(tmp_path: Path, said: str, band: str | None) -> None:
    tables = read_folder(write_rows(tmp_path / "d", f"1,a.jpg,p1,50,{said},,,,,"), "d", tmp_path)
    assert tables.users["age"].to_list() == [band]
    notes = [note for note in tables.ignored["LAPIS_PIAA.csv"] if "impossible" in note]
    assert bool(notes) == (band is None)


def test_latin_1_bytes_and_utf_8_in_one_file_are_both_read(tmp_path: Path) -> None:
    folder = write_rows(
        tmp_path / "d",
        b"1,a.jpg,p1,50,30,Fran\xe7ais,female,x,No,1.5",
        "2,a.jpg,p2,60,30,Français,female,x,No,1.5",
    )
    assert read_folder(folder, "d", tmp_path).users["nationality"].to_list() == ["Français"] * 2


def test_raters_without_demographics_stay_and_ages_become_bands(tmp_path: Path) -> None:
    folder = write_rows(
        tmp_path / "d",
        "1,a.jpg,p1,50,,,,,,",
        "1,a.jpg,p2,50,17,x,nan,NA,No,0.4",
        "1,a.jpg,p3,50,18.0,x,male,b,No,2",
        "1,a.jpg,p4,50,64.9,x,male,b,No,3.99",
        "1,a.jpg,p5,50,65,x,male,b,No,none",
        "1,a.jpg,p6,50,190,x,male,b,No,5",
    )
    users = read_folder(folder, "d", tmp_path).users
    assert users["age"].to_list() == [None, "under 18", "18-24", "55-64", "65 and over", None]
    assert users["demo_gender"].to_list() == [None, None, "male", "male", "male", "male"]
    assert users["demo_edu"].to_list() == [None, None, "b", "b", "b", "b"]
    interest = users["Art Interest VAIAK"].to_list()
    assert interest == [None, "0 to 1", "2 to 3", "3 to 4", None, "5 to 6"]


def test_a_rater_told_in_two_ways_is_noted(tmp_path: Path) -> None:
    rows = [f"1,a.jpg,p1,{k},30,x,{g},b,No,2" for k, g in enumerate(("male", "female", "male"))]
    tables = read_folder(write_rows(tmp_path / "d", *rows), "d", tmp_path)
    assert tables.users["demo_gender"].to_list() == ["male"]
    notes = tables.ignored["LAPIS_PIAA.csv"]
    assert "demo_gender of 1 user_ids that have several (the most frequent counts)" in notes


def test_what_differs_in_case_only_is_one_value(tmp_path: Path) -> None:
    folder = lapis_new(tmp_path / "d", faults=False).folder
    text = (folder / NEW).read_bytes()
    (folder / NEW).write_bytes(
        text.replace(b"portrait", b"Portrait", 1).replace(b"female", b"Female", 3)
    )
    tables = read_folder(folder, "d", tmp_path)
    assert "Portrait" not in tables.images["group"]
    assert "Female" not in tables.users["demo_gender"]
    assert not [note for note in tables.ignored["LAPIS_PIAA.csv"] if "several" in note]


def test_a_table_that_other_tools_have_saved_is_the_same(tmp_path: Path) -> None:
    """Column names in another case, ids as floats, paths with backslashes."""
    folder = lapis_old(tmp_path / "d", faults=False).folder
    before = read_folder(folder, "d", tmp_path)
    frame = pl.read_csv(folder / OLD, infer_schema=False, encoding="latin-1")
    frame = frame.with_columns(
        pl.col("image_id") + ".0", pl.col("file").str.replace("/", "\\", literal=True)
    )
    frame.rename({"genre": "Genre", "style": "STYLE", "age": "Age"}).write_csv(folder / OLD)
    after = read_folder(folder, "d", tmp_path)
    assert after.images.equals(before.images)
    assert after.users.equals(before.users)
    assert after.ratings.collect().equals(before.ratings.collect())


def test_a_row_without_a_file_name_does_not_take_the_work_s_picture(tmp_path: Path) -> None:
    rows = ("1,,p1,5,,,,,,", "1,a.jpg,p2,5,,,,,,", "1,,p3,5,,,,,,")
    tables = read_folder(write_rows(tmp_path / "d", *rows), "d", tmp_path)
    assert tables.images["file"].to_list() == ["d/images/a.jpg"]
    assert tables.n_ratings == 3


def test_a_work_with_two_pictures_is_named_with_its_row(tmp_path: Path) -> None:
    folder = write_rows(tmp_path / "d", "1,a.jpg,p1,5,,,,,,", "1,b.jpg,p2,5,,,,,,")
    assert reading_fault(folder).startswith(
        f"d/{NEW} row 2: image_id '1' is repeated with two paths"
    )


@pytest.mark.parametrize("column", lapis.LAYOUTS["LAPIS_PIAA.csv"].columns)
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    folder = write_rows(tmp_path / "d", "1,a.jpg,p1,5,,,,,,")
    path = folder / NEW
    pl.read_csv(path, infer_schema=False).rename({column: "other"}).write_csv(path)
    assert reading_fault(folder).startswith(f"d/{NEW}: no column {column}; the file has")


def test_a_path_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    for name in ("../a.jpg", "/etc/a.jpg"):
        folder = write_rows(tmp_path / f"d{len(name)}", f"1,{name},p1,5,,,,,,")
        assert "leaves the dataset's folder" in reading_fault(folder)


def test_features_may_stand_for_the_pictures_and_one_of_both_is_needed(tmp_path: Path) -> None:
    planted = lapis_new(tmp_path / "d", faults=False)
    shutil.rmtree(planted.folder / "images")
    message = reading_fault(planted.folder)
    assert message.startswith("d: neither pictures (such as images/")
    assert "nor features.npz" in message
    ids = np.array([str(1000 + k) for k in range(planted.images)])
    path = planted.folder / "features.npz"
    np.savez(path, image_id=ids, features=np.eye(planted.images))
    tables = read_folder(planted.folder, "d", tmp_path)
    assert (tables.has_images, tables.features) == (False, path)
    path.write_bytes(b"PK")
    assert reading_fault(planted.folder).startswith("d/features.npz: not an .npz file")


def test_the_folder_around_and_flat_pictures_do_not_matter(tmp_path: Path) -> None:
    planted = lapis_old(tmp_path / "LAPIS", faults=False)
    for picture in [*planted.folder.rglob("*.jpg")]:
        picture.rename(planted.folder / "images" / picture.name)
    outer = tmp_path / "outer"
    outer.mkdir()
    (outer / "__MACOSX").mkdir()
    planted.folder.rename(outer / "LAPIS github")
    tables = read_folder(outer, "d", tmp_path)
    assert tables.n_ratings == planted.ratings
    assert all((tmp_path / file).is_file() for file in tables.images["file"])


def test_two_tables_of_one_name_are_not_guessed_between(tmp_path: Path) -> None:
    folder = lapis_new(tmp_path / "d").folder
    shutil.copytree(folder / "annotation", folder / "copy")
    message = reading_fault(folder)
    assert "the same table twice" in message
    assert f"d/{NEW}" in message
