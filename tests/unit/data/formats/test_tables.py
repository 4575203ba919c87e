"""The readers: what they accept comes through whole, anything else is one line that names it."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import pamela_release, read_batch, read_folder
from tests.helpers.folders import (
    images_of,
    ratings_of,
    reading_fault,
    write_picture,
    write_tables,
)

CELLS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tables(tmp_path / "d")


# --- the tables format ----------------------------------------------------------------------------
def test_tables_come_through(folder: Path) -> None:
    tables = read_folder(folder, "name", folder.parent)
    assert tables.scale == (1.0, 5.0)
    assert (tables.ratings.collect().height, tables.users.height, tables.images.height) == (
        24,
        4,
        6,
    )
    assert tables.demographics == ["gender"]
    assert tables.users["gender"].to_list() == ["f", "m", None, "f"]
    assert tables.has_images
    assert not tables.own_splits
    assert tables.ratings.collect()["dataset"].unique().to_list() == ["name"]
    assert tables.ratings.collect()["source_file"].unique().to_list() == ["d/ratings.csv"]
    assert tables.ratings.collect()["source_row"].to_list() == list(range(1, 25))
    assert tables.images["file"][0] == "d/images/i0.png"


def test_ids_are_text_with_leading_zeros(tmp_path: Path) -> None:
    ratings = ratings_of(1, 2).with_columns(user_id=pl.lit("007"), image_id=pl.Series(["01", "1"]))
    images = images_of(2).with_columns(image_id=pl.Series(["01", "1"]))
    users = pl.DataFrame({"user_id": ["007"]})
    tables = read_folder(write_tables(tmp_path / "d", ratings, users, images), "d", tmp_path)
    assert tables.ratings.collect()["user_id"].to_list() == ["007", "007"]
    assert tables.ratings.collect()["image_id"].to_list() == ["01", "1"]


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Int8, pl.Float64, pl.String, pl.Categorical])
def test_ids_of_any_parquet_type_become_the_same_text(folder: Path, dtype: pl.DataType) -> None:
    (folder / "ratings.csv").unlink()
    ids = pl.Series("user_id", ["7", "8"])
    column = (
        ids.cast(dtype) if dtype in (pl.String, pl.Categorical) else ids.cast(pl.Int64).cast(dtype)
    )
    pl.DataFrame({"user_id": column, "image_id": ["i0", "i1"], "rating": [1, 5]}).write_parquet(
        folder / "ratings.parquet"
    )
    assert read_folder(folder, "d", folder.parent).ratings.collect()["user_id"].to_list() == [
        "7",
        "8",
    ]


def test_a_rating_that_is_no_finite_number_is_null_and_keeps_its_row(tmp_path: Path) -> None:
    cells = ["3", "", "nan", "inf", "-inf", "good", " 4 ", "2.5"]
    ratings = ratings_of(1, 8).with_columns(rating=pl.Series(cells))
    tables = read_folder(write_tables(tmp_path / "d", ratings), "d", tmp_path)
    assert tables.ratings.collect()["rating"].to_list() == [3.0, *[None] * 5, 4.0, 2.5]
    assert tables.ratings.collect()["source_row"].to_list() == list(range(1, 9))


def test_byte_order_mark_crlf_and_trailing_blank_lines(folder: Path) -> None:
    body = b"\xef\xbb\xbfuser_id, image_id,rating\r\nu0,i0,5\r\nu\xc3\xa9,i1,1\r\n\r\n\r\n"
    (folder / "ratings.csv").write_bytes(body)
    tables = read_folder(folder, "d", folder.parent)
    assert tables.ratings.collect().select("user_id", "image_id", "rating").rows() == [
        ("u0", "i0", 5.0),
        ("ué", "i1", 1.0),
    ]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2026-01-31T12:00:00", dt.datetime(2026, 1, 31, 12)),
        ("2026-01-31 12:00:00.250", dt.datetime(2026, 1, 31, 12, 0, 0, 250_000)),
        ("2026-01-31T12:00:00+02:00", dt.datetime(2026, 1, 31, 10)),
        ("2026-01-31T12:00:00Z", dt.datetime(2026, 1, 31, 12)),
        ("2026-01-31", dt.datetime(2026, 1, 31)),
        ("", None),
    ],
)
def test_times(tmp_path: Path, cell: str, expected: dt.datetime | None) -> None:
    ratings = ratings_of(1, 2).with_columns(rated_at=pl.Series([cell, "2026-02-01 00:00:00"]))
    tables = read_folder(write_tables(tmp_path / "d", ratings), "d", tmp_path)
    assert tables.ratings.collect()["rated_at"].to_list() == [expected, dt.datetime(2026, 2, 1)]


@pytest.mark.parametrize(
    ("column", "cell"),
    [("rated_at", "yesterday"), ("position", "1.5"), ("split", "training")],
)
def test_a_cell_that_cannot_be_read_is_named(tmp_path: Path, column: str, cell: str) -> None:
    good = {"rated_at": "2026-01-01", "position": "1", "split": "train"}[column]
    ratings = ratings_of(1, 3).with_columns(pl.Series(column, [good, "", cell]))
    message = reading_fault(write_tables(tmp_path / "d", ratings))
    assert message.startswith(f"d/ratings.csv row 3: {column} {cell!r}")


def test_columns_outside_the_format_are_reported(tmp_path: Path) -> None:
    ratings = ratings_of(1, 2).with_columns(mood=pl.lit("x"))
    tables = read_folder(write_tables(tmp_path / "d", ratings), "d", tmp_path)
    assert tables.ignored == {"ratings": ["mood"]}


@pytest.mark.parametrize("name", ["ratings.csv", "images.csv", "dataset.yaml"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert name in reading_fault(folder) or "no known dataset" in reading_fault(folder)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("ratings", "user_id"),
        ("ratings", "image_id"),
        ("ratings", "rating"),
        ("users", "user_id"),
        ("images", "image_id"),
        ("images", "file"),
        ("images", "prompt"),
    ],
)
def test_a_missing_column_is_named(folder: Path, name: str, column: str) -> None:
    path = folder / f"{name}.csv"
    frame = pl.read_csv(path, infer_schema=False)
    frame.rename({column: "other"}).write_csv(path)
    assert reading_fault(folder).startswith(f"d/{name}.csv: no column {column}")


@pytest.mark.parametrize("name", ["ratings", "users", "images"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01", b"PAR1", b"a,b\n1,2,3\n"])
def test_an_unreadable_table_is_named(folder: Path, name: str, suffix: str, content: bytes) -> None:
    (folder / f"{name}.csv").unlink()
    (folder / f"{name}.{suffix}").write_bytes(content)
    assert reading_fault(folder).startswith(f"d/{name}.{suffix}")


def test_a_truncated_parquet_file_is_named(folder: Path) -> None:
    path = folder / "ratings.parquet"
    pl.read_csv(folder / "ratings.csv").write_parquet(path)
    (folder / "ratings.csv").unlink()
    path.write_bytes(path.read_bytes()[:-20])
    assert reading_fault(folder).startswith("d/ratings.parquet: not readable as Parquet")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("name: d\n", "missing key scale"),
        ("scale: [1, 5]\n", "missing key name"),
        ("name: d\nscale: [1, 5]\ncolour: red\n", "unknown key colour"),
        ("name: d\nscale: [5, 1]\n", "scale"),
        ("name: d\nscale: [1]\n", "scale"),
        ("name: d\nscale: [1, .inf]\n", "scale"),
        ("name: d\nscale: 1 to 5\n", "scale"),
        ("name: d\nscale: [1, 5\n", "not valid YAML"),
        ("", "scale: [lowest, highest]"),
        ("name: d\nscale: [1, 5]\nfeatures: f.npz\n", "no such file"),
        ("name: d\nscale: [1, 5]\nfeatures: ../f.npz\n", "leaves the dataset's folder"),
    ],
)
def test_dataset_file_is_strict(folder: Path, header: str, said: str) -> None:
    (folder / "dataset.yaml").write_text(header)
    message = reading_fault(folder)
    assert message.startswith("d/dataset.yaml")
    assert said in message


def test_a_repeated_image_and_user_id_are_named_with_both_rows(folder: Path) -> None:
    with (folder / "images.csv").open("a") as stream:
        stream.write("i2,images/i2.png,again,p9\n")
    assert reading_fault(folder).startswith(
        "d/images.csv row 7: image_id 'i2' is repeated (first in row 3)"
    )
    write_tables(folder, users=pl.DataFrame({"user_id": ["a", "b", "a"]}))
    assert reading_fault(folder).startswith(
        "d/users.csv row 3: user_id 'a' is repeated (first in row 1)"
    )


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("../secret.png", "leaves the dataset's folder"),
        ("images/../../secret.png", "leaves the dataset's folder"),
        ("/etc/secret.png", "leaves the dataset's folder"),
        ("C:\\secret.png", "leaves the dataset's folder"),
        ("images/link.png", "link that leads out"),
        ("linked/i0.png", "link that leads out"),
        ("images/i0.gif", "unknown suffix"),
        ("images\\i0.png", "has a backslash; write / between folders and file"),
        ("images/i0", "unknown suffix"),
    ],
)
def test_a_path_that_leaves_the_folder_is_named(folder: Path, file: str, said: str) -> None:
    write_picture(folder.parent / "outside" / "i0.png")
    (folder / "images" / "link.png").symlink_to(folder.parent / "outside" / "i0.png")
    (folder / "linked").symlink_to(folder.parent / "outside")
    frame = pl.read_csv(folder / "images.csv")
    files = frame["file"].to_list()
    frame.with_columns(file=pl.Series([*files[:4], file, files[5]])).write_csv(
        folder / "images.csv"
    )
    message = reading_fault(folder)
    assert message.startswith(f"d/images.csv row 5: file {file!r}")
    assert said in message


def test_a_link_within_the_folder_is_a_picture(folder: Path) -> None:
    (folder / "images" / "i1.png").unlink()
    (folder / "images" / "i1.png").symlink_to("i0.png")
    assert read_folder(folder, "d", folder.parent).images.height == 6


def test_features_may_stand_for_pictures(tmp_path: Path) -> None:
    header = "name: d\nscale: [1, 5]\nfeatures: f.npz\n"
    folder = write_tables(tmp_path / "d", header=header, pictures=False)
    np.savez(folder / "f.npz", image_id=np.array([f"i{i}" for i in range(6)]), features=np.eye(6))
    tables = read_folder(folder, "d", tmp_path)
    assert tables.features == folder / "f.npz"
    assert not tables.has_images
    np.savez(folder / "f.npz", image_id=np.array(["i0"]), features=np.eye(6))
    assert "shape" in reading_fault(folder)
    names = np.array(["i0", "i1"], dtype=object)
    np.savez(folder / "f.npz", image_id=names, features=np.eye(2))
    assert reading_fault(folder).endswith(
        "image_id holds Python objects, which are not read; save it with ids.astype(str)"
    )
    np.savez(folder / "f.npz", image_id=names.astype(str), features=np.array([[1], [2, 3]], object))
    assert "features holds Python objects" in reading_fault(folder)
    (folder / "f.npz").write_bytes(b"PK")
    assert "not an .npz file" in reading_fault(folder)
    (folder / "dataset.yaml").write_text("name: d\nscale: [1, 5]\n")
    assert "neither pictures" in reading_fault(folder)


def test_a_batch_needs_only_its_header_and_ratings(folder: Path) -> None:
    ratings = ratings_of(1, 2).with_columns(split=pl.lit("test_seen"))
    ratings.write_csv(folder / "ratings.csv")
    (folder / "users.csv").unlink()
    (folder / "images.csv").unlink()
    shutil.rmtree(folder / "images")
    batch = read_batch(folder, "d", folder.parent)
    assert (batch.ratings.collect().height, batch.users.height, batch.images.height) == (2, 0, 0)
    assert batch.ratings.collect()["split"].null_count() == 2  # a batch does not choose its side
    assert batch.ignored == {"ratings": ["split"]}
    assert "no images.csv" in reading_fault(folder)
    (folder / "ratings.csv").write_text("user_id,image_id,rating\n")
    assert "no rows" in reading_fault(folder, batch=True)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.tuples(CELLS, CELLS, st.one_of(st.none(), st.floats(1, 5))), min_size=1, max_size=8
    ),
    parquet=st.booleans(),
)
def test_any_ratings_survive_the_round_trip(
    rows: list[tuple[str, str, float | None]], parquet: bool
) -> None:
    frame = pl.DataFrame(
        rows,
        schema={"user_id": pl.String, "image_id": pl.String, "rating": pl.Float64},
        orient="row",
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_tables(Path(temporary) / "d")
        if parquet:
            (folder / "ratings.csv").unlink()
            frame.write_parquet(folder / "ratings.parquet")
        else:
            frame.write_csv(folder / "ratings.csv", quote_style="always")
        read = read_folder(folder, "d", folder.parent).ratings.collect()
    spelt = [(s.one_spelling(u) or None, s.one_spelling(i) or None, r) for u, i, r in rows]
    assert read.select("user_id", "image_id", "rating").rows() == spelt


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["ratings.csv", "users.csv", "images.csv", "dataset.yaml"]),
    content=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)),
)
def test_any_bytes_are_read_or_refused_in_one_line(name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_tables(Path(temporary) / "d", pictures=False)
        (folder / "images").mkdir()
        (folder / name).write_bytes(content)
        assert len(said_of(folder).splitlines()) <= 1


def said_of(folder: Path) -> str:
    """Return what reading `folder` said, or nothing if it was read."""
    try:
        read_folder(folder, "d", folder.parent)
    except PamelaError as error:
        return str(error)
    return ""


def test_a_folder_of_no_known_kind_says_what_was_looked_for(tmp_path: Path) -> None:
    message = reading_fault(tmp_path)
    assert "dataset.yaml" in message
    assert "PAMELA/annotations/" in message
    assert not pamela_release.detect(tmp_path)
    assert os.listdir(tmp_path) == []  # noqa: PTH208
