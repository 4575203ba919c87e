"""The PAMELA release's layout: read whole, or one line that names the file."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pamela.data.formats import read_folder
from tests.helpers.folders import (
    reading_fault,
    release_row,
    write_release,
)


def test_release_comes_through(tmp_path: Path) -> None:
    release = write_release(tmp_path / "r")
    for folder in (release, release / "PAMELA"):
        tables = read_folder(folder, "pamela", tmp_path)
        assert tables.scale == (1.0, 5.0)
        assert (tables.ratings.collect().height, tables.users.height, tables.images.height) == (
            13,
            4,
            7,
        )
        assert tables.own_splits
        assert dict(tables.ratings.collect()["split"].value_counts().iter_rows()) == {
            "train": 8,
            "val_seen": 1,
            "val_unseen": 1,
            "test_seen": 1,
            "test_unseen": 2,
        }
        assert tables.demographics == ["age_binned", "gender", "nationality"]
        assert tables.images["file"][3] == "r/PAMELA/images/3.jpg"
        last = tables.ratings.collect().row(-1, named=True)
        assert last["source_file"] == "r/PAMELA/annotations/pamela_test_unseen.json"
        assert last["source_row"] == 2


def test_release_with_nulls_mixed_case_and_ids_of_two_types(tmp_path: Path) -> None:
    release = write_release(tmp_path / "r")
    rows = [
        release_row("a", 0, 3),
        release_row("a", "0", "4", user_demographics={"gender": "female", "nationality": None}),
        release_row("a", 1, None, user_demographics=None),
        release_row("a", 2, 4.5, image_metadata={"prompt": None, "group": "Food", "type": "art"}),
        release_row(None, 3, 2),
    ]
    (release / "PAMELA/annotations/pamela_train.json").write_text(json.dumps(rows))
    tables = read_folder(release, "pamela", tmp_path)
    train = tables.ratings.collect().filter(split="train")
    assert train["image_id"].to_list() == ["0", "0", "1", "2", "3"]
    assert train["rating"].to_list() == [3.0, 4.0, None, 4.5, 2.0]
    assert train["user_id"].to_list() == [*"aaaa", None]
    user = tables.users.row(by_predicate=pl.col("user_id") == "a", named=True)
    assert (user["gender"], user["nationality"]) == ("Female", "Belgian")
    assert set(tables.images["group"]) == {"food"}
    assert set(tables.images["type"]) == {"Art"}


@pytest.mark.parametrize(
    "content", ["", "[", "{}", "[]", "[1]", '[{"a": 1}]', '{"a": [1]}', "[\xff"]
)
def test_a_broken_split_file_is_named(tmp_path: Path, content: str) -> None:
    release = write_release(tmp_path / "r")
    path = release / "PAMELA/annotations/pamela_val_seen.json"
    path.write_bytes(content.encode("latin-1"))
    assert reading_fault(release).startswith("r/PAMELA/annotations/pamela_val_seen.json: ")


def test_a_missing_split_file_is_named(tmp_path: Path) -> None:
    release = write_release(tmp_path / "r")
    (release / "PAMELA/annotations/pamela_test_seen.json").unlink()
    assert "pamela_test_seen.json: no such file" in reading_fault(release)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (release_row("a", 0, 3, image_path="../../x.jpg"), "leaves the dataset's folder"),
        (release_row("a", 1, 3, image_path="images/0.jpg"), "image_id '1' is repeated with two"),
        (release_row("a", 77, 3, image_path="images/77.tiff"), "unknown suffix"),
    ],
)
def test_a_faulty_picture_path_in_the_release_is_named(
    tmp_path: Path, row: dict[str, object], said: str
) -> None:
    release = write_release(tmp_path / "r")
    path = release / "PAMELA/annotations/pamela_val_seen.json"
    good = [release_row("a", 1, 3)] if row["image_id"] == 1 else []
    path.write_text(json.dumps([*good, row]))
    if row["image_id"] == 0:  # the path's other rows would count first
        for other in (release / "PAMELA/annotations").glob("*train.json"):
            other.write_text(json.dumps([release_row("a", 9, 3)]))
    message = reading_fault(release)
    assert said in message
    assert ".json row" in message
