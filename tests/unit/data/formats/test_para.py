"""PARA: half steps, traits, scenes, and one picture's name in two sessions."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pamela.data.formats import para, read_folder
from tests.helpers.folders import reading_fault, write_picture
from tests.helpers.miniatures import para as write_para


def change(path: Path, **columns: str) -> None:
    """Set the first row of some columns of a table."""
    frame = pl.read_csv(path, infer_schema=False)
    first = pl.int_range(pl.len()) == 0
    frame = frame.with_columns(
        pl.when(first).then(pl.lit(v)).otherwise(pl.col(c)).alias(c) for c, v in columns.items()
    )
    frame.write_csv(path)


def test_para_comes_through_whole(tmp_path: Path) -> None:
    planted = write_para(tmp_path / "d")
    headers = {
        name: (planted.folder / "annotation" / name).read_text().partition("\n")[0]
        for name in (para.RATINGS, para.USERS)
    }
    assert headers == {
        para.RATINGS: "sessionId,imageName,userId,aestheticScore,qualityScore,compositionScore,"
        "colorScore,dofScore,contentScore,lightScore,isObjectEmphasis,imgEmotion,"
        "difficultyOfJudgment,contentPreference,willingnessToShare,semantic",
        para.USERS: "userId,age,gender,EducationalLevel,artExperience,photographyExperience,"
        "personality-E,personality-A,personality-N,personality-O,personality-C",
    }
    tables = read_folder(planted.folder, "d", tmp_path)
    assert tables.scale == planted.scale == (1.0, 5.0)
    assert tables.n_ratings == planted.ratings
    assert (tables.users.height, tables.images.height) == (planted.users - 1, planted.images)
    assert tuple(tables.demographics) == planted.demographics
    ratings = tables.ratings.collect()
    halves = ratings["rating"].drop_nulls() % 1
    assert set(halves) == {0.0, 0.5}
    unlisted = set(ratings["user_id"]) - set(tables.users["user_id"])
    assert len(unlisted) == 1
    assert {file.name for file in tables.files} == {para.RATINGS, para.USERS}
    assert "qualityScore" in tables.ignored[para.RATINGS]


def test_a_name_in_two_sessions_is_two_images_each_with_its_picture(tmp_path: Path) -> None:
    planted = write_para(tmp_path / "d", faults=False)
    images = read_folder(planted.folder, "d", tmp_path).images
    same = images.filter(pl.col("image_id").str.ends_with("/iaa_pub0_.jpg"))
    assert same["image_id"].to_list() == ["session1/iaa_pub0_.jpg", "session4/iaa_pub0_.jpg"]
    assert same["file"].to_list() == [f"d/imgs/{name}" for name in same["image_id"]]
    assert set(images["group"]) == {"animal", "scene", "portrait", "food"}
    assert set(images["type"]) == {"Photograph"}


def test_a_picture_of_another_session_does_not_stand_for_an_absent_one(tmp_path: Path) -> None:
    planted = write_para(tmp_path / "d", faults=False)
    (planted.folder / "imgs/session4/iaa_pub0_.jpg").unlink()
    images = read_folder(planted.folder, "d", tmp_path).images
    absent = images.filter(pl.col("image_id") == "session4/iaa_pub0_.jpg")
    assert absent["file"].to_list() == ["d/imgs/session4/iaa_pub0_.jpg"]
    assert not (tmp_path / absent["file"][0]).exists()


def test_traits_become_bands_and_other_cells_stay(tmp_path: Path) -> None:
    planted = write_para(tmp_path / "d", faults=False)
    path = planted.folder / "annotation" / para.USERS
    change(path, age="23", gender=" Female ", **{"personality-E": "10", "personality-A": "high"})
    users = read_folder(planted.folder, "d", tmp_path).users
    first = users.row(0, named=True)
    assert (first["age"], first["gender"]) == ("18-24", "female")  # as the others spell it
    assert (first["personality-E"], first["personality-A"]) == ("9-10", "high")
    assert users["age"][1] == "22-25"  # the release's own band
    assert users["personality-C"].to_list()[:6] == ["5-6", "5-6", "7-8", "7-8", "9-10", "9-10"]


@pytest.mark.parametrize("name", [para.RATINGS, para.USERS])
def test_a_missing_table_is_named(tmp_path: Path, name: str) -> None:
    planted = write_para(tmp_path / "d")
    (planted.folder / "annotation" / name).unlink()
    assert name in reading_fault(planted.folder)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        *((para.RATINGS, c) for c in ("sessionId", "imageName", "userId", "aestheticScore")),
        *((para.USERS, c) for c in ("userId", "age", *para.CATEGORIES, *para.TRAITS)),
    ],
)
def test_a_missing_column_is_named(tmp_path: Path, name: str, column: str) -> None:
    planted = write_para(tmp_path / "d", users=3, images=3, faults=False)
    path = planted.folder / "annotation" / name
    path.write_text(path.read_text().replace(column, "other", 1))
    assert reading_fault(planted.folder).startswith(f"d/annotation/{name}: no column {column};")


def test_a_row_without_a_session_rates_no_image(tmp_path: Path) -> None:
    planted = write_para(tmp_path / "d", faults=False)
    change(planted.folder / "annotation" / para.RATINGS, sessionId="")
    ratings = read_folder(planted.folder, "d", tmp_path).ratings.collect()
    assert ratings["image_id"].null_count() == 1
    assert ratings.height == planted.ratings


def test_two_pictures_that_answer_to_one_name_are_not_guessed_between(tmp_path: Path) -> None:
    planted = write_para(tmp_path / "d", faults=False)
    again = planted.folder / "more" / "session1" / "iaa_pub1_.jpg"
    again.parent.mkdir(parents=True)
    again.write_bytes((planted.folder / "imgs/session1/iaa_pub1_.jpg").read_bytes())
    assert read_folder(planted.folder, "d", tmp_path).images.height == planted.images  # a copy
    write_picture(again, seed=99)
    message = reading_fault(planted.folder)
    assert "imgs/session1/iaa_pub1_.jpg and more/session1/iaa_pub1_.jpg differ" in message


def test_flat_pictures_count_only_where_the_name_is_one_image_s(tmp_path: Path) -> None:
    planted = write_para(tmp_path / "d", faults=False)
    for picture in [*(planted.folder / "imgs").glob("*/*.jpg")]:
        picture.rename(planted.folder / "imgs" / picture.name)
    images = read_folder(planted.folder, "d", tmp_path).images
    lying = images.filter(pl.col("file").str.count_matches("/") == 2)  # d/imgs/x.jpg
    absent = images.join(lying, on="image_id", how="anti")
    twice = ["session1/iaa_pub0_.jpg", "session4/iaa_pub0_.jpg"]  # one picture is left of the two
    assert absent["image_id"].to_list() == twice
    assert not any((tmp_path / file).exists() for file in absent["file"])
    assert all((tmp_path / file).is_file() for file in lying["file"])


def test_a_trait_off_its_scale_is_unknown_and_counted(tmp_path: Path) -> None:
    planted = write_para(tmp_path / "d", faults=False)
    change(
        planted.folder / "annotation" / para.USERS,
        **{"personality-E": "11", "personality-A": "0", "personality-N": "10"},
    )
    tables = read_folder(planted.folder, "d", tmp_path)
    first = tables.users.filter(source_row=1)
    assert first.select("personality-E", "personality-A", "personality-N").row(0) == (
        None, None, "9-10",
    )  # fmt: skip
    assert "traits outside 1..10: 2 (such as 0, 11; taken as unknown)" in tables.ignored[para.USERS]
