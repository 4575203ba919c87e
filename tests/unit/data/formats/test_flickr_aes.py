"""FLICKR-AES: a header with blanks, workers of whom nothing is known, pictures beside."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from pamela.data.formats import flickr_aes, read_folder
from tests.helpers.folders import reading_fault, write_picture
from tests.helpers.miniatures import flickr_aes as write_flickr_aes

TABLE = flickr_aes.RATINGS[0]


def write_rows(folder: Path, text: str, picture: str = "40K/a.jpg") -> Path:
    folder.mkdir()
    (folder / TABLE).write_bytes(text.encode())
    write_picture(folder / picture)
    return folder


def test_flickr_aes_comes_through_whole(tmp_path: Path) -> None:
    planted = write_flickr_aes(tmp_path / "d")
    assert (planted.folder / TABLE).read_text().startswith("worker, imagePair, score\n")
    tables = read_folder(planted.folder, "d", tmp_path)
    assert tables.scale == planted.scale == (1.0, 5.0)
    ratings = tables.ratings.collect()
    assert ratings.height == planted.ratings
    assert ratings["user_id"].n_unique() == planted.users
    assert tables.users.height == 0
    assert tables.demographics == []
    assert tables.images.height == planted.images
    assert tables.images["file"][0].startswith("d/40K/farm1_")
    assert tables.files == (planted.folder / TABLE,)


def test_blanks_crlf_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    text = "\ufeffworker, imagePair, score\r\nw1, a.jpg, 3\r\nw2,a.jpg ,4.5\r\n"
    ratings = read_folder(write_rows(tmp_path / "d", text), "d", tmp_path).ratings.collect()
    assert ratings.select("user_id", "image_id", "rating").rows() == [
        ("w1", "a.jpg", 3.0),
        ("w2", "a.jpg", 4.5),
    ]


@pytest.mark.parametrize("picture", ["a.jpg", "photos/a.jpg", "FLICKR-AES-001/40K/a.jpg"])
def test_pictures_are_found_wherever_they_lie(tmp_path: Path, picture: str) -> None:
    folder = write_rows(tmp_path / "d", "worker,imagePair,score\nw,a.jpg,1\nw,a,2\n", picture)
    images = read_folder(folder, "d", tmp_path).images
    assert images["file"].to_list() == [f"d/{picture}"] * 2  # a name without a suffix is a .jpg


def test_a_name_composed_otherwise_on_disk_is_the_same_picture(tmp_path: Path) -> None:
    composed, apart = "é.jpg", unicodedata.normalize("NFD", "é.jpg")
    text = f"worker,imagePair,score\nw,{composed},1\nx,{apart},2\n"
    folder = write_rows(tmp_path / "d", text, f"40K/{apart}")
    tables = read_folder(folder, "d", tmp_path)
    assert tables.images.select("image_id", "file").rows() == [(composed, f"d/40K/{apart}")]
    assert tables.ratings.collect()["image_id"].to_list() == [composed, composed]


def test_file_names_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    folder = write_rows(tmp_path / "d", "worker,imagePair,score\nw,a.jpg,1\n")
    broken = bytes(folder / "40K") + b"/\xe9.jpg"
    with open(broken, "wb") as stream:  # noqa: PTH123 (bytes)
        stream.write(b"x")
    assert read_folder(folder, "d", tmp_path).images.height == 1


@pytest.mark.parametrize("column", ["worker", "imagePair", "score"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    text = "worker, imagePair, score\nw,a.jpg,1\n".replace(column, "other")
    assert reading_fault(write_rows(tmp_path / "d", text)).startswith(
        f"d/{TABLE}: no column {column};"
    )


def test_an_empty_table_and_a_gif_are_named(tmp_path: Path) -> None:
    header = "worker, imagePair, score\n"
    assert "the table has no rows" in reading_fault(write_rows(tmp_path / "a", header))
    message = reading_fault(write_rows(tmp_path / "b", header + "w,a.jpg,1\nw,b.gif,2\n"))
    assert message.startswith(f"b/{TABLE} row 2: file 'b.gif' has an unknown suffix")


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write_rows(tmp_path / "d", "worker,imagePair,score\nw,a.jpg,1\nw,b.jpg,1\n")
    write_picture(tmp_path / "b.jpg")
    (folder / "40K" / "b.jpg").symlink_to(tmp_path / "b.jpg")
    assert "is a link that leads out of the dataset's folder" in reading_fault(folder)
