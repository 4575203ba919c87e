"""What is odd about a whole dataset is said at import and by validate, with examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pamela.core.files import read_json
from pamela.data.formats import flickr_aes, read_batch, read_folder
from pamela.data.importing.dataset import import_dataset
from pamela.data.remarks import remarks
from pamela.validation import validate
from tests.helpers import miniatures
from tests.helpers.bad_data import run
from tests.helpers.folders import images_of, make_project, ratings_of, write_tables


def said(folder: Path) -> list[str]:
    return remarks([read_folder(folder, "d", folder.parent)])


def users(*ids: str) -> pl.DataFrame:
    return pl.DataFrame({"user_id": ids, "gender": ["f"] * len(ids)})


def test_a_sound_dataset_gets_none(tmp_path: Path) -> None:
    assert said(write_tables(tmp_path / "d")) == []


@pytest.mark.parametrize(
    ("rater", "listed"),
    [
        (lambda u: u + ".0", lambda u: u),
        (lambda u: u.zfill(4), lambda u: u),
        (lambda u: f"u0{u}", lambda u: f"u{u}"),
        (lambda u: f"U{u}", lambda u: f"u{u}"),
        (lambda u: f"{u}.PNG", lambda u: u),
        (lambda u: u, lambda u: u + ",0"),
    ],
)
def test_ids_that_match_nobody_are_shown_with_what_they_should_match(
    tmp_path: Path, rater: object, listed: object
) -> None:
    ids = ["1", "2", "3", "4"]
    ratings = ratings_of(4, 6).with_columns(
        user_id=pl.Series([rater(u) for u in ids for _ in range(6)])  # type: ignore[operator]
    )
    known = [listed(u) for u in ids]  # type: ignore[operator]
    folder = write_tables(tmp_path / "d", ratings, users(*known))
    line = next(line for line in said(folder) if "raters" in line)
    assert line.startswith("4 of 4 raters are not in the users table, so nothing is known of them")
    assert repr(rater("1")) in line  # type: ignore[operator]
    assert repr(known[0]) in line
    assert "4 would match but for upper and lower case, leading zeros, a final .0 or" in line


def test_ids_of_images_and_of_features_are_looked_at_as_well(tmp_path: Path) -> None:
    ratings = ratings_of(4, 6).with_columns(image_id=pl.col("image_id") + ".0")
    header = "name: d\nscale: [1, 5]\nfeatures: f.npz\n"
    folder = write_tables(tmp_path / "d", ratings, header=header)
    np.savez(folder / "f.npz", image_id=np.array(["x0", "x1"]), features=np.eye(2))
    found = said(folder)
    assert any("6 of 6 rated images are not in the images table" in line for line in found)
    assert any("6 of 6 images are not in the features file" in line for line in found)
    assert any("'x0', 'x1'" in line for line in found)
    names = np.array([f"i{i}" for i in range(6)]).astype(bytes)
    np.savez(folder / "f.npz", image_id=names[:5], features=np.eye(5))
    assert any("1 of 6 images are not in the features file" in line for line in said(folder))
    np.savez(folder / "f.npz", image_id=names, features=np.diag([np.nan] * 6))
    assert any("features with a NaN or infinity: 6 images" in line for line in said(folder))


def test_a_few_strangers_are_no_remark_but_two_spellings_are(tmp_path: Path) -> None:
    folder = write_tables(tmp_path / "d", users=users("u0", "u1", "U3", "u2"))
    assert said(folder) == [
        "user ids that are spelt in several ways: 1, such as 'U3' and 'u3'; each spelling is a "
        "user of its own"
    ]
    batch = write_tables(tmp_path / "b", ratings_of(1, 2).with_columns(user_id=pl.lit("U0")))
    (batch / "users.csv").unlink()
    every = [read_folder(folder, "d", tmp_path), read_batch(batch, "d", tmp_path)]
    assert "several ways: 2," in remarks(every)[0]


@pytest.mark.parametrize(
    ("scale", "ratings", "line"),
    [
        ("[0, 100]", None, "within 1..5, which is 4% of the declared scale 0..100"),
        ("[1, 5]", ["3"] * 24, "within 3..3, which is 0% of"),
        ("[0, 1]", None, "24 of 24 ratings lie off|of 24 ratings lie off the declared scale 0..1"),
        ("[0, 100]", ["55", *["3", "4"] * 60][:24], None),
    ],
)
def test_a_scale_that_the_ratings_do_not_fill_is_said(
    tmp_path: Path, scale: str, ratings: list[str] | None, line: str | None
) -> None:
    frame = ratings_of(4, 6)
    if ratings:
        frame = frame.with_columns(rating=pl.Series(ratings))
    found = said(write_tables(tmp_path / "d", frame, header=f"name: d\nscale: {scale}\n"))
    if line is None:
        assert found == []
    else:
        assert any(part in "".join(found) for part in line.split("|"))


def test_a_single_typing_error_does_not_hide_a_wrong_scale(tmp_path: Path) -> None:
    frame = ratings_of(20, 20)
    frame = frame.with_columns(rating=pl.Series(["99", *frame["rating"][1:]]))
    header = "name: d\nscale: [0, 100]\n"
    found = said(write_tables(tmp_path / "d", frame, images=images_of(20), header=header))
    assert any("within 1..5" in line for line in found)


def test_ratings_that_are_words_are_shown(tmp_path: Path) -> None:
    yes = ratings_of(4, 6).with_columns(rating=pl.lit("yes"))
    assert "ratings that are no numbers: 24, such as 'yes'; write numbers" in said(
        write_tables(tmp_path / "d", yes)
    )[0]  # fmt: skip
    comma = ratings_of(4, 6).with_columns(rating=pl.lit("4,5"))
    assert "--decimal-comma" in said(write_tables(tmp_path / "e", comma))[0]


def test_one_picture_in_another_spelling_is_said(tmp_path: Path) -> None:
    ratings = ratings_of(4, 6).with_columns(pl.col("image_id").str.replace("i5", "I5.png"))
    (line,) = said(write_tables(tmp_path / "d", ratings))
    assert line.startswith("1 of 6 rated images are not in the images table")
    assert "'I5.png', while that has 'i0'" in line


@pytest.mark.parametrize("name", ["nan", "None", "N/A", "mean", "SD", "age"])
def test_a_user_id_that_reads_like_nobody_is_said(tmp_path: Path, name: str) -> None:
    ratings = ratings_of(4, 6).with_columns(pl.col("user_id").str.replace("u3", name))
    (line,) = said(write_tables(tmp_path / "d", ratings))
    assert line.startswith(f"user ids that read like nobody: {name!r};")
    assert "leave the cell empty" in line
    assert "--drop" in line


def test_a_demographic_that_groups_nobody_is_said(tmp_path: Path) -> None:
    people = pl.DataFrame({"user_id": [f"u{u}" for u in range(24)]}).with_columns(
        born=pl.int_range(24).cast(pl.String) + ".5", gender=pl.lit("f")
    )
    folder = write_tables(tmp_path / "d", ratings_of(24, 6), people)
    (line,) = said(folder)
    assert line.startswith("demographic born: 24 values of 24 users, such as '0.5', '1.5', '2.5'")
    halves = people.with_columns(pl.int_range(24).floordiv(2).cast(pl.String).alias("born"))
    assert said(write_tables(tmp_path / "e", ratings_of(24, 6), halves)) == []


def test_words_in_a_published_release_are_shown_as_well(tmp_path: Path) -> None:
    folder = miniatures.flickr_aes(tmp_path / "d", faults=False).folder
    file = folder / flickr_aes.RATINGS[0]
    rows = pl.read_csv(file, infer_schema=False)
    rows.with_columns(pl.lit("4,5").alias(rows.columns[2])).write_csv(file)
    assert any("no numbers: " in line and "'4,5'" in line for line in said(folder))


def test_import_and_validate_say_the_same(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", ingest={"datasets": ["d"]})
    ratings = ratings_of(4, 6).with_columns(user_id=pl.col("user_id").str.replace("u", "0"))
    source = write_tables(tmp_path / "s", ratings, header="name: d\nscale: [0, 100]\n")
    summary = import_dataset(project, "tables", str(source), "d")
    assert len(summary.remarks) == 2
    shown = " ".join(str(summary).split())
    results = run(project)["d"]
    report = read_json(project.reports / "validation.json")["datasets"]["d"]
    assert report["remarks"] == summary.remarks
    told = validate.counts(project, "d", results)
    for line in summary.remarks:
        assert line in shown
        assert f"d: warning: {line}" in told
    assert "0 of them among the 4 of the users table" in shown
