"""EVA: ``=`` between the cells, birth years, and codes that stand for words."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from pamela.core.errors import PamelaError
from pamela.data.formats import eva, read_folder
from tests.helpers.folders import reading_fault
from tests.helpers.miniatures import eva as write_eva


def set_users(folder: Path, *rows: str) -> None:
    header = "id=age=region=photographic_level_id=gender_id=eyecheck"
    (folder / "data" / "users.csv").write_text("\n".join([header, *rows]) + "\n")


def test_eva_comes_through_whole(tmp_path: Path) -> None:
    planted = write_eva(tmp_path / "d")
    tables = read_folder(planted.folder, "d", tmp_path)
    assert tables.scale == planted.scale == (0.0, 10.0)
    ratings = tables.ratings.collect()
    assert ratings.height == planted.ratings
    assert ratings["rating"].null_count() == planted.faulty["rating_missing"]
    assert (tables.users.height, tables.images.height) == (planted.users - 1, planted.images)
    assert tuple(tables.demographics) == planted.demographics
    assert len(tables.files) == 4
    home = "d/images/EVA_category/EVA_category/"
    by_id = {row["image_id"]: row for row in tables.images.iter_rows(named=True)}
    assert (by_id["108"]["file"], by_id["108"]["group"]) == (
        f"{home}2/108.jpg",
        "architectures and city scenes",
    )
    assert by_id["999999"]["file"] == f"{home}999999.jpg"  # absent, and said where it would be


def test_birth_years_become_bands_and_codes_words(tmp_path: Path) -> None:
    folder = write_eva(tmp_path / "d", faults=False).folder
    set_users(
        folder,
        "E136=1992.0=156.0=0.0=1.0=1,2",
        "E137=1955=384=3=2=",  # nothing ticked
        "E138==777=9=3=4",
        "E139=2019=250=1=1=0",
        "E140=203=250=1=1=0",
        "E141=1992.0=156.0=2.0=2.0=1",
    )
    tables = read_folder(folder, "d", tmp_path)
    users = tables.users
    assert users["age"].to_list() == ["25-34", "65 and over", None, "under 18", None, "25-34"]
    assert users["region"].to_list()[:3] == ["Mainland China", "Côte d'Ivoire", "777"]
    assert users["photographic_level"].to_list()[:3] == ["none", "professional", "9"]
    assert users["gender"].to_list()[:3] == ["male", "female", "3"]
    assert users["eyecheck"].to_list() == ["both", "none", "4", "none", "none", "glasses"]
    assert users.row(-1)[2:7] == ("25-34", "Mainland China", "amateur", "female", "glasses")
    assert "impossible ages in 1 rows (such as 1817; taken as unknown)" in tables.ignored[eva.USERS]


def test_ids_and_codes_that_a_tool_has_made_floats_are_the_same(tmp_path: Path) -> None:
    planted = write_eva(tmp_path / "d", faults=False)
    before = read_folder(planted.folder, "d", tmp_path)
    data = planted.folder / "data"
    votes = pl.read_csv(data / "votes_filtered.csv", separator="=", infer_schema=False)
    votes.with_columns(pl.col("image_id") + ".0").write_csv(
        data / "votes_filtered.csv", separator="="
    )
    users = pl.read_csv(data / "users.csv", separator="=", infer_schema=False)
    ticked = pl.col("eyecheck").str.replace_all(r"(\d)", "$1.0")  # 1,2 is 1.0,2.0
    users.with_columns(ticked).write_csv(data / "users.csv", separator="=")
    after = read_folder(planted.folder, "d", tmp_path)
    assert "both" in after.users["eyecheck"]
    assert after.users.equals(before.users)
    assert after.images.equals(before.images)
    assert after.ratings.collect().equals(before.ratings.collect())


def test_only_filtered_votes_count_where_there_are_both(tmp_path: Path) -> None:
    planted = write_eva(tmp_path / "d", faults=False)
    votes = planted.folder / "data" / "votes.csv"
    votes.write_text("image_id=user_id=score\n71=E136=10\n")
    assert read_folder(planted.folder, "d", tmp_path).n_ratings == planted.ratings
    (planted.folder / "data" / "votes_filtered.csv").unlink()
    assert read_folder(planted.folder, "d", tmp_path).n_ratings == 1


@pytest.mark.parametrize("place", ["", "annotation", "eva-dataset-master/data"])
def test_the_tables_may_lie_elsewhere(tmp_path: Path, place: str) -> None:
    planted = write_eva(tmp_path / "d")
    there = planted.folder / place
    there.mkdir(parents=True, exist_ok=True)
    for path in [*(planted.folder / "data").iterdir()]:
        path.rename(there / path.name)
    assert read_folder(planted.folder, "d", tmp_path).n_ratings == planted.ratings


def test_categories_and_regions_may_be_absent(tmp_path: Path) -> None:
    planted = write_eva(tmp_path / "d", faults=False)
    (planted.folder / "data" / "image_content_category.csv").unlink()
    (planted.folder / "data" / "region_index.csv").unlink()
    tables = read_folder(planted.folder, "d", tmp_path)
    assert tables.images["group"].null_count() == planted.images
    assert set(tables.users["region"].drop_nulls()) == {"156", "250", "384"}


def test_images_that_nobody_voted_on_are_counted(tmp_path: Path) -> None:
    planted = write_eva(tmp_path / "d", faults=False)
    path = planted.folder / "data" / "image_content_category.csv"
    path.write_text(path.read_text() + '"5","1"\n"6","1"\n')
    tables = read_folder(planted.folder, "d", tmp_path)
    assert tables.ignored[path.name] == ["2 images without a vote"]
    assert tables.images.height == planted.images


@pytest.mark.parametrize("name", ["votes_filtered.csv", "users.csv"])
def test_a_missing_table_is_named(tmp_path: Path, name: str) -> None:
    planted = write_eva(tmp_path / "d")
    (planted.folder / "data" / name).unlink()
    assert name in reading_fault(planted.folder)
    with pytest.raises(PamelaError, match=name):
        eva.read(planted.folder, "d", tmp_path)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        *(("votes_filtered.csv", c) for c in ("image_id", "user_id", "score")),
        *(("users.csv", c) for c in ("id", "age", *eva.CODED.values())),
        *(("image_content_category.csv", c) for c in ("image_id", "sort")),
    ],
)
def test_a_missing_column_is_named(tmp_path: Path, name: str, column: str) -> None:
    planted = write_eva(tmp_path / "d", users=3, images=3, faults=False)
    path = planted.folder / "data" / name
    separator = "," if "category" in name else "="
    frame = pl.read_csv(path, separator=separator, infer_schema=False)
    frame.rename({column: "other"}).write_csv(path, separator=separator)
    assert reading_fault(planted.folder).startswith(f"d/data/{name}: no column {column};")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("region_index.csv", "156=China\n250\n", "row 2: not code=region"),
        ("region_index.csv", "156=\n", "row 1: not code=region"),
        ("image_content_category.csv", "image_id,sort\n71,1\n71,2\n", "row 2: image_id '71' is"),
        ("users.csv", "id,age\nE1,1990\n", "no column id; the file has id,age"),
        ("votes_filtered.csv", "image_id=user_id=score\n", "the table has no rows"),
    ],
)
def test_a_faulty_table_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    planted = write_eva(tmp_path / "d")
    (planted.folder / "data" / name).write_text(text)
    message = reading_fault(planted.folder)
    assert message.startswith(f"d/data/{name}")
    assert said in message


def test_without_pictures_and_features_both_are_asked_for(tmp_path: Path) -> None:
    planted = write_eva(tmp_path / "d")
    shutil.rmtree(planted.folder / "images")
    message = reading_fault(planted.folder)
    assert message.startswith("d: neither pictures (such as images/")
    assert "features.npz" in message
