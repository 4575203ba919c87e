"""What somebody new might bring: odd files, names and cells beyond the usual faults."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from tests.helpers.bad_data import (
    IMAGES,
    NAME,
    RATINGS,
    USERS,
    Case,
    Spoil,
    batch,
    bytes_in,
    check,
    has_user,
    rated,
    ratings,
    replaced,
    rows,
)
from tests.helpers.folders import ratings_of

YAML = f"data/raw/{NAME}/dataset.yaml"
OTHERWISE = "its cells are separated by ';', not by ','; save it with ','"
LINK = "a link out of the dataset's folder; put the file there"


def recoded(encoding: str) -> Spoil:
    """Write the ratings in another encoding."""
    return lambda folder: (folder / "ratings.csv").write_bytes(
        (folder / "ratings.csv").read_text().encode(encoding)
    )


def begins(start: bytes) -> Spoil:
    """Put something before the ratings."""

    def spoil(folder: Path) -> None:
        path = folder / "ratings.csv"
        path.write_bytes(start + path.read_bytes())

    return spoil


def in_capitals(folder: Path) -> None:
    """Name the ratings as another system does."""
    (folder / "ratings.csv").rename(folder / "RATINGS.CSV")


def compressed(folder: Path) -> None:
    """Compress the ratings under their own name."""
    path = folder / "ratings.csv"
    path.write_bytes(gzip.compress(path.read_bytes()))


def linked(name: str) -> Spoil:
    """Make a file of the dataset a link to one outside."""

    def spoil(folder: Path) -> None:
        outside = folder.parents[1] / name
        (folder / name).rename(outside)
        (folder / name).symlink_to(outside)

    return spoil


def pipe(folder: Path) -> None:
    """Put a named pipe, which nobody writes to, in the place of the ratings."""
    (folder / "ratings.csv").unlink()
    os.mkfifo(folder / "ratings.csv")


def no_header(folder: Path) -> None:
    """Cut the header off."""
    path = folder / "ratings.csv"
    path.write_text(path.read_text().split("\n", 1)[1])


def spark(folder: Path) -> None:
    """Put a folder of parts in the place of the ratings."""
    (folder / "ratings.csv").unlink()
    (folder / "ratings.parquet").mkdir()
    ratings_of(4, 6).write_parquet(folder / "ratings.parquet" / "part-00000.parquet")


def other_scale(folder: Path) -> None:
    """Add a batch on another scale."""
    batch("b", "u0,i0,3")(folder)
    home = folder.parents[1] / "batches" / NAME / "b"
    (home / "dataset.yaml").write_text("name: d\nscale: [0, 10]\n")


def yaml_bomb(folder: Path) -> None:
    """Nest aliases, which would be 9 to the 9th items."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    (folder / "dataset.yaml").write_text("\n".join([*lines, "name: d", "scale: [1, 5]", ""]))


CASES = [
    Case("odd-utf-16", recoded("utf-16"), stops=f"{RATINGS}: UTF-16 text; save it as UTF-8 CSV"),
    Case(
        "odd-semicolons",
        replaced("ratings.csv", b",", b";"),
        stops=f"{RATINGS}: {OTHERWISE}",
    ),
    Case(
        "odd-semicolons-and-a-comma",
        replaced("ratings.csv", b"user_id,image_id,rating\n", b"user_id;image_id;rating;why\n"),
        stops=f"{RATINGS}: {OTHERWISE}",
    ),
    Case(
        "odd-cell-too-many",
        rows("u0,i0,3,a word"),
        stops=f"{RATINGS} row 25: 4 cells, but the header names 3; put a cell that holds ',' in "
        "quotes",
    ),
    Case(
        "odd-comma-at-the-end",
        rows("u0,i0,3,"),
        stops=f"{RATINGS} row 25: 4 cells, but the header names 3; take ',' away from its end",
    ),
    Case(
        "odd-spark-folder",
        spark,
        stops=f"data/raw/{NAME}/ratings.parquet: a folder, as Spark writes; put one file of that "
        "name there",
    ),
    Case("odd-gzip", compressed, stops=f"{RATINGS}: compressed (gzip); unpack it"),
    Case(
        "odd-spreadsheet",
        bytes_in("ratings.csv", b"PK\x03\x04" + bytes(99)),
        stops=f"{RATINGS}: a zip archive or a spreadsheet; unpack it, or save it as UTF-8 CSV",
    ),
    Case(
        "odd-carriage-returns",
        replaced("ratings.csv", b"\n", b"\r"),
        stops=f"{RATINGS}: its lines end in CR alone, as on old Macs; save it as UTF-8 CSV",
    ),
    *(
        Case(f"odd-{name}", begins(start), stops=f"{RATINGS}: {said}")
        for name, start, said in (
            ("old-spreadsheet", b"\xd0\xcf\x11\xe0", "a spreadsheet (.xls); save it as UTF-8 CSV"),
            ("web-page", b"<!DOCTYPE html>", "HTML or XML, no table; download the file itself"),
            (
                "lfs-pointer",
                b"version https://git-lfs.github.com/spec/v1\n",
                "a pointer of Git LFS; fetch the file: git lfs pull",
            ),
            ("json-in-csv", b'[{"user_id": "u0"}]', "JSON; save it as UTF-8 CSV"),
            ("parquet-in-csv", b"PAR1", "Parquet; end its name in .parquet"),
            (
                "separator-line",
                b"sep=,\n",
                "a first line 'sep=...', for spreadsheets alone; take that line out",
            ),
            (
                "comment-line",
                b"# from the study\n",
                "a comment where the header should be; take it out",
            ),
            (
                "title-line",
                b"My study,,\n",
                "not readable as UTF-8 CSV (several columns have no "
                "name; the first line must be the header)",
            ),
        )
    ),
    Case(
        "odd-utf-16-unmarked",
        recoded("utf-16-le"),
        stops=f"{RATINGS}: no text (bytes of value 0), or UTF-16 without a mark; save it as UTF-8 "
        "CSV",
    ),
    Case(
        "odd-name-case",
        in_capitals,
        stops=f"data/raw/{NAME}: no ratings.csv or ratings.parquet, nor choices.csv or "
        "choices.parquet; the tables format needs one of them "
        "(there is RATINGS.CSV: rename it)",
    ),
    Case(
        "odd-yaml-date",
        bytes_in("dataset.yaml", b"name: d\nscale: [2026-02-30, 5]\n"),
        stops=f"{YAML}:2: not valid YAML (2026-02-30 is no date or time: day is out of range for "
        "month; put it in quotes if it is text)",
    ),
    Case(
        "odd-no-header",
        no_header,
        stops=f"{RATINGS}: no column user_id; the file has u0, i0, 5",
    ),
    Case(
        "odd-blank-line",
        replaced("ratings.csv", b"\nu1,i0", b"\n\nu1,i0"),
        ratings=rated("user_missing", 7),
    ),
    Case(
        "odd-quote",
        rows('"u0,i0,3'),
        stops=f"{RATINGS} row 25: a quote that is not closed, or stands inside a quoted cell; "
        "close it, and write a quote of the text itself twice",
    ),
    Case(
        "odd-quote-inside",
        bytes_in("users.csv", b'user_id,gender\nu0,5" f\nu1,m\nu2,f\nu3,f\n'),
        stops=f"{USERS} line 2: a quote by itself; put the cell in quotes, and write a quote of "
        "the text itself twice",
    ),
    Case("odd-table-link", linked("ratings.csv"), stops=f"{RATINGS}: {LINK}"),
    Case("odd-yaml-link", linked("dataset.yaml"), stops=f"{YAML}: {LINK}"),
    Case(
        "odd-pipe",
        pipe,
        stops=f"data/raw/{NAME}: no ratings.csv or ratings.parquet, nor choices.csv or "
        "choices.parquet; the tables format needs one of them",
    ),
    Case(
        "odd-yaml-key-twice",
        bytes_in("dataset.yaml", b"name: d\nscale: [1, 5]\nscale: [1, 7]\n"),
        stops=f'{YAML}:3: not valid YAML (found duplicate key "scale")',
    ),
    Case("odd-yaml-bomb", yaml_bomb, stops=f"{YAML}: …"),
    Case(
        "odd-yaml-object",
        bytes_in("dataset.yaml", b"name: !!python/object/apply:os.getcwd []\nscale: [1, 5]\n"),
        stops=f"{YAML}:1: not valid YAML (could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/object/apply:os.getcwd')",
    ),
    Case(
        "odd-yaml-nested", bytes_in("dataset.yaml", b"[" * 1500), stops=f"{YAML}: not valid YAML…"
    ),
    Case(
        "odd-column-rule",
        replaced("users.csv", b"gender", b"rule"),
        stops=f"{USERS}: the column name 'rule' is reserved; rename the column, or leave it out",
    ),
    Case(
        "odd-column-underscore",
        replaced("users.csv", b"gender", b"_row"),
        stops=f"{USERS}: the column name '_row' is reserved; rename the column, or leave it out",
    ),
    Case(
        "odd-column-without-name",
        replaced("users.csv", b"gender", b""),
        stops=f"{USERS}: a column has no name; rename the column, or leave it out",
    ),
    Case("odd-id-slash", rows("a/../b,i0,3"), holds=has_user("a/../b", None, 1)),
    Case("odd-id-long", rows(f"{'x' * 100_000},i0,3"), holds=has_user("x" * 100_000, None, 1)),
    Case("odd-id-line-break", rows('"u\n9",i0,3'), holds=has_user("u\n9", None, 1)),
    Case("odd-id-nul", rows("u\0,i0,3"), holds=has_user("u\0", None, 1)),
    Case("odd-rating-huge", rows("new,i0,1e999"), ratings=rated("rating_missing", 25)),
    Case("odd-rating-hexadecimal", rows("new,i0,0x4"), ratings=rated("rating_missing", 25)),
    Case("odd-rating-other-digits", rows("new,i0,４"), ratings=rated("rating_missing", 25)),
    Case(
        "odd-file-suffix-case",
        replaced("images.csv", b"i5.png", b"i5.PNG"),
        ratings=rated("image_missing", 6, 12, 18, 24),
        images=(("image_missing", IMAGES, 6),),
    ),
    Case("odd-file-dot", replaced("images.csv", b"images/i5", b"./images/i5")),
    Case("odd-file-twice", replaced("images.csv", b"images/i5", b"images/i4")),
    Case(
        "odd-time-epoch",
        ratings(rated_at=["1700000000", *["2026-01-01"] * 23]),
        stops=f"{RATINGS} row 1: rated_at '1700000000' is not a time such as 2026-01-31T12:00:00; "
        "correct the cell",
    ),
    Case(
        "odd-position-huge",
        ratings(position=["9" * 30, *["1"] * 23]),
        stops=f"{RATINGS} row 1: position '{'9' * 30}' is not a whole number; correct the cell",
    ),
    Case(
        "odd-batch-scale",
        other_scale,
        stops=f"data/batches/{NAME}/b/dataset.yaml: scale [0, 10] is not that of dataset {NAME}, "
        "[1, 5]; convert the ratings",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path / "project")
