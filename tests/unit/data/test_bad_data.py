"""Bad and odd tables: files, ids, ratings, repeats and times, each through ingest and validate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pamela.core.paths import Project
from tests.helpers import miniatures
from tests.helpers.bad_data import (
    IMAGES,
    NAME,
    RATINGS,
    USERS,
    Case,
    Spoil,
    all_of,
    batch,
    bytes_in,
    check,
    cut,
    has_user,
    in_parquet,
    kept,
    rated,
    ratings,
    replaced,
    rows,
    warned,
)
from tests.helpers.folders import images_of, ratings_of, write_release

RELEASED = f"data/raw/{NAME}/PAMELA/annotations/pamela_train.json"
COMPOSED, DECOMPOSED = "Jos\u00e9", "Jose\u0301"  # one name, in two spellings of Unicode


# --- how tables are spoiled -----------------------------------------------------------------------
def numbered(folder: Path) -> None:
    """Make all image ids numbers: whole floats in the ratings' Parquet, text in the images."""
    replaced("images.csv", b"\ni", b"\n")(folder)
    number = pl.col("image_id").str.slice(1).cast(pl.Float64)
    in_parquet("ratings", number.alias("image_id"))(folder)


def spelt(users: str, ratings_: str) -> Spoil:
    """Call user u0 one way in the users and another in the ratings."""
    return all_of(
        replaced("users.csv", b"\nu0", f"\n{users}".encode()),
        replaced("ratings.csv", b"\nu0", f"\n{ratings_}".encode()),
    )


def constant(folder: Path) -> None:
    """Let user u0 give nothing but 3s."""
    values = ["3" if row < 6 else v for row, v in enumerate(ratings_of(4, 6)["rating"])]
    ratings(rating=values)(folder)


def removed(name: str) -> Spoil:
    """Take a file away."""
    return lambda folder: (folder / name).unlink()


def aged(*cells: str) -> Spoil:
    """Give the four users an age, or whatever else."""
    frame = pl.DataFrame({"user_id": [f"u{n}" for n in range(4)], "age": cells})
    return lambda folder: frame.write_csv(folder / "users.csv")


def prompted(*cells: str) -> Spoil:
    """Give the six images prompts, and the same as their prompt_ids."""
    texts = [pl.Series(name, cells) for name in ("prompt", "prompt_id")]
    return lambda folder: images_of(6).with_columns(texts).write_csv(folder / "images.csv")


def declared(low: int, high: int) -> Spoil:
    """Declare another scale."""
    return bytes_in("dataset.yaml", f"name: d\nscale: [{low}, {high}]\n".encode())


# --- what must hold -------------------------------------------------------------------------------
def first_rating(value: float) -> Callable[[Project], object]:
    """Look for the value of the first rating."""

    def look(project: Project) -> None:
        assert kept(project).filter(source_row=1)["rating"].to_list() == [value]

    return look


def everyone_knows_their_image(project: Project) -> None:
    """All 24 ratings are there and no user but the four."""
    assert kept(project).height == 24
    assert kept(project, "users").height == 4


def ages(*expected: str | None) -> Callable[[Project], object]:
    """Look for the ages of the four users."""

    def look(project: Project) -> None:
        assert kept(project, "users").sort("user_id")["age"].to_list() == list(expected)

    return look


def prompts_are_known(project: Project) -> None:
    """Nobody wrote `nan`, and pictures without a prompt are no variants of one another."""
    images = kept(project, "images").sort("image_id")
    assert images["prompt"].to_list() == [None, None, None, None, "1.0", "1"]
    assert images["prompt_id"].to_list() == [None, None, None, None, "1", "1"]


def sorted_values(project: Project, expected: list[float]) -> None:
    """Look for the values of all ratings."""
    assert sorted(kept(project)["rating"]) == expected


def release_holds(project: Project) -> None:
    """The miniature of `write_release` is whole."""
    assert (kept(project).height, kept(project, "images").height) == (13, 7)


def eva_ages(project: Project) -> None:
    """EVA's birth years have become bands, which no year is."""
    ages = set(kept(project, "users")["age"].drop_nulls())
    assert ages
    assert all(not age.isdigit() for age in ages)


def lapis_letters(project: Project) -> None:
    """Latin-1 letters of file names are letters, and lead to the pictures."""
    files = kept(project, "images")["file"]
    assert files.str.contains("dürer").any()
    assert files.str.contains("rené").any()


def twice(project: Project) -> None:
    """Both ratings stand."""
    found = kept(project).filter(user_id="u0", image_id="i0")
    assert found["source_row"].to_list() == [1, 25]


def miniature(make: Callable[..., miniatures.Planted]) -> Spoil:
    """Write one of the releases in miniature, without faults."""
    return lambda folder: make(folder, users=6, images=8, faults=False)


def nothing(folder: Path) -> None:
    """Spoil nothing: the layout itself is the case."""


MISSING = "rating_missing"
FILES = [
    Case(
        "file-latin-1",
        replaced("users.csv", b"u3,f", b"u3,f\xe9m"),
        stops=f"{USERS}: not UTF-8 text (byte 0xE9 in line 5); save it as UTF-8",
    ),
    Case("file-latin-1-lapis", nothing, start=miniature(miniatures.lapis_new), holds=lapis_letters),
    Case(
        "file-equals-delimited",
        replaced("ratings.csv", b",", b"="),
        stops=f"{RATINGS}: its cells are separated by '=', not by ','; save it with ','",
    ),
    Case("file-equals-delimited-eva", nothing, start=miniature(miniatures.eva)),
    Case("birth-year", nothing, start=miniature(miniatures.eva), holds=eva_ages),
    Case(
        "file-header-blanks",
        replaced("ratings.csv", b"user_id,image_id,rating", b"user_id, image_id, rating"),
        holds=everyone_knows_their_image,
    ),
    Case("file-header-blanks-flickr", nothing, start=miniature(miniatures.flickr_aes)),
    Case(
        "file-crlf",
        all_of(*(replaced(f"{t}.csv", b"\n", b"\r\n") for t in ("ratings", "users", "images"))),
        holds=everyone_knows_their_image,
    ),
    Case(
        "file-byte-order-mark",
        all_of(
            *(
                replaced(f"{t}.csv", head, b"\xef\xbb\xbf" + head)
                for t, head in (("ratings", b"user_id,"), ("users", b"user_id,g"))
            ),
            replaced("images.csv", b"image_id,", b"\xef\xbb\xbfimage_id,"),
            replaced("dataset.yaml", b"name", b"\xef\xbb\xbfname"),
        ),
        holds=everyone_knows_their_image,
    ),
    Case(
        "file-byte-order-mark-json",
        replaced("PAMELA/annotations/pamela_train.json", b"[{", b"\xef\xbb\xbf[{"),
        start=write_release,
        holds=release_holds,
    ),
    Case(
        "file-zero-bytes-csv",
        bytes_in("ratings.csv", b""),
        stops=f"{RATINGS}: the file is empty (0 bytes); copy it again",
    ),
    Case(
        "file-zero-bytes-parquet",
        all_of(in_parquet("ratings"), bytes_in("ratings.parquet", b"")),
        stops=f"data/raw/{NAME}/ratings.parquet: the file is empty (0 bytes); copy it again",
    ),
    Case(
        "file-zero-bytes-json",
        bytes_in("PAMELA/annotations/pamela_train.json", b""),
        start=write_release,
        stops=f"{RELEASED}: the file is empty (0 bytes); copy it again",
    ),
    Case("file-truncated-csv", cut("ratings.csv", -4), ratings=rated(MISSING, 24)),
    Case(
        "file-truncated-csv-header",
        cut("ratings.csv", 10),
        stops=f"{RATINGS}: no column image_id; the file has user_id, im",
    ),
    Case(
        "file-truncated-csv-quote",
        replaced("images.csv", b"i3,", b'"i3,'),
        stops=f"{IMAGES} row 4: a quote that is not closed, …",
    ),
    Case(
        "file-truncated-parquet",
        all_of(in_parquet("ratings"), cut("ratings.parquet", -20)),
        stops=f"data/raw/{NAME}/ratings.parquet: not readable as Parquet (…",
    ),
    Case(
        "file-truncated-json",
        cut("PAMELA/annotations/pamela_train.json", -40),
        start=write_release,
        stops=f"{RELEASED}: not readable as a JSON list of ratings (…",
    ),
    Case(
        "file-no-rows",
        bytes_in("ratings.csv", b"user_id,image_id,rating\n"),
        stops=f"{RATINGS}: the table has no rows; give at least one rating",
    ),
]
IDS = [
    Case("id-integer-and-text", numbered, holds=everyone_knows_their_image),
    Case(
        "id-leading-zeros",
        rows("007,i0,3", "7,i0,3"),
        holds=lambda project: (has_user("007", None, 1)(project), has_user("7", None, 1)(project)),
    ),
    Case(
        "id-float-in-csv",
        replaced("ratings.csv", b"u0,i0,", b"u0,0.0,"),
        ratings=rated("unknown_image", 1),
    ),
    Case("id-unicode", spelt("用户-Ω-🙂", "用户-Ω-🙂"), holds=has_user("用户-Ω-🙂", "f", 6)),
    Case(
        "id-unicode-two-spellings",
        spelt(COMPOSED, DECOMPOSED),
        holds=has_user(COMPOSED, "f", 6),
    ),
    Case(
        "id-unicode-repeated",
        rows(f"{COMPOSED},f", f"{DECOMPOSED},f", name="users.csv"),
        stops=f"{USERS} row 6: user_id {COMPOSED!r} is repeated (first in row 5); one row per user",
    ),
    Case("id-blanks", spelt("u0", " u0 "), holds=has_user("u0", "f", 6)),
    Case(
        "id-empty-user",
        replaced("ratings.csv", b"u1,i0,", b",i0,"),
        ratings=rated("user_missing", 7),
    ),
    Case(
        "id-empty-image",
        replaced("ratings.csv", b"u1,i0,", b"u1,,"),
        ratings=rated("unknown_image", 7),
    ),
    Case("id-unknown-image", rows("u0,nowhere,3"), ratings=rated("unknown_image", 25)),
    Case("id-unknown-user", rows("stranger,i0,3"), holds=has_user("stranger", None, 1)),
    Case(
        "id-users-match-nobody",
        replaced("users.csv", b"\nu", b"\nU"),
        holds=lambda project: (
            warned("4 of 4 raters are not in the users table", "'u0'", "'U0'")(project),
            has_user("u0", None, 6)(project),
        ),
    ),
    Case("id-no-users-table", removed("users.csv"), holds=everyone_knows_their_image),
    Case(
        "demographic-nothing",
        replaced("users.csv", b"u1,m", b"u1,N/A"),
        holds=has_user("u1", None, 6),
    ),
    Case(
        "demographic-nothing-by-program",
        aged("\\N", "#DIV/0!", "Unknown", "(null)"),
        holds=ages(None, None, None, None),
    ),
    Case(
        "demographic-nothing-release",
        replaced("PAMELA/annotations/pamela_train.json", b'"Female"', b'"N/A"'),
        holds=has_user("a", "Female", 5),
        start=write_release,
    ),
    Case("demographic-age", aged("25", "25.0", " 25 ", "-"), holds=ages("25", "25", "25", None)),
    Case(
        "demographic-decimals",
        aged("2.5", "2.50", "+2.5", "-"),
        holds=ages("2.5", "2.5", "2.5", None),
    ),
    Case("id-invisible", spelt("u0", "u\u200b0\ufeff"), holds=has_user("u0", "f", 6)),
    Case(
        "demographic-invisible",
        aged("Student", "Stu\u00addent", "\u200bStudent", "\u200b"),
        holds=ages("Student", "Student", "Student", None),
    ),
    Case(
        "prompt-nothing", prompted("nan", "None", "#N/A", "-", "1.0", "1"), holds=prompts_are_known
    ),
    Case(
        "demographic-case",
        aged("Student", "student", "Student", "Retired"),
        holds=ages("Student", "Student", "Student", "Retired"),
    ),
    Case("id-no-demographics", nothing, holds=has_user("u2", None, 6)),
    Case(
        "id-repeated-image",
        rows("i2,images/i2.png,again,p9", name="images.csv"),
        stops=f"{IMAGES} row 7: image_id 'i2' is repeated (first in row 3); one row per picture",
    ),
]
CELLS = {
    "rating-empty": "",
    "rating-nan": "NaN",
    "rating-infinite": "inf",
    "rating-word": "four",
    "rating-decimal-comma": '"4,5"',
}
RATED = [
    *(
        Case(name, rows(f"u0,i0,{cell}"), ratings=rated(MISSING, 25))
        for name, cell in CELLS.items()
    ),
    Case(
        "rating-decimal-comma-bare",
        rows("u0,i0,4,5"),
        stops=f"{RATINGS} row 25: 4 cells, but the header names 3; …",
    ),
    Case(
        "rating-text-number",
        ratings(rating=[" 4 ", *ratings_of(4, 6)["rating"][1:]]),
        holds=first_rating(4.0),
    ),
    Case(
        "rating-half-step",
        ratings(rating=["4.5", *ratings_of(4, 6)["rating"][1:]]),
        holds=first_rating(4.5),
    ),
    Case(
        "rating-off-scale",
        rows("u0,nowhere,5.01", "new,i0,0"),
        ratings=rated("rating_off_scale", 25, 26),
    ),
    Case(
        "rating-true-false",
        all_of(ratings(rating=["True", "false"] * 12), declared(0, 1)),
        holds=lambda project: sorted_values(project, [0.0] * 12 + [1.0] * 12),
    ),
    Case(
        "rating-true-false-other-scale",
        ratings(rating=["True", *["3"] * 11, *["4"] * 12]),
        ratings=rated(MISSING, 1),
        holds=warned(
            "ratings that are no numbers: 1, such as 'True'; write numbers (True and False"
        ),
    ),
    Case(
        "scale-too-wide",
        declared(0, 100),
        holds=warned("within 1..5, which is 4% of the declared scale 0..100"),
    ),
    Case("rater-with-one-rating", rows("single,i0,3"), holds=has_user("single", None, 1)),
    Case("rater-constant", constant, holds=has_user("u0", "f", 6)),
]
FIRST = ratings_of(4, 6)["rating"][0]  # what u0 gave i0, in row 1
OTHER = "1" if FIRST != "1" else "2"
UNLIKE = "1" if ratings_of(4, 6)["rating"][1] != "1" else "2"  # not what u0 gave i1
BATCH = f"data/batches/{NAME}/b/ratings.csv"


def again(*more: str, **columns: Any) -> Spoil:
    """Have u0 rate i0 once more, other than before, with more columns in all rows."""
    return all_of(ratings(**columns), rows(",".join(["u0", "i0", OTHER, *more])))


TWICE = [
    Case("repeat-exact", rows(f"u0,i0,{FIRST}"), ratings=rated("rating_repeated", 25)),
    Case("repeat-conflicting", rows(f"u0,i0,{OTHER}"), ratings=rated("rating_contradicted", 1, 25)),
    Case(
        "repeat-later-time",
        again("2026-01-02", rated_at="2026-01-01"),
        holds=twice,
    ),
    Case(
        "repeat-later-position",
        again("25", position=[str(n) for n in range(1, 25)]),
        holds=twice,
    ),
    Case(
        "repeat-same-time",
        again("2026-01-01", rated_at="2026-01-01"),
        ratings=rated("rating_contradicted", 1, 25),
    ),
    Case("repeat-of-a-faulty-row", rows("u0,i0,"), ratings=rated(MISSING, 25)),
    Case(
        "repeat-in-batch",
        batch("b", f"u0,i0,{FIRST}", f"u0,i1,{UNLIKE}", "late,i0,3"),
        ratings=rated("rating_repeated", 1, file=BATCH),
        holds=has_user("late", None, 1),
    ),
    Case(
        "time-in-future",
        ratings(rated_at=["2999-01-01T00:00:00", *["2026-01-01"] * 23]),
        ratings=rated("rated_in_future", 1),
    ),
    Case(
        "time-unreadable",
        ratings(rated_at=["yesterday", *["2026-01-01"] * 23]),
        stops=f"{RATINGS} row 1: rated_at 'yesterday' is not a time such as 2026-01-31T12:00:00; "
        "correct the cell",
    ),
]
CASES = [*FILES, *IDS, *RATED, *TWICE]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path / "project")
