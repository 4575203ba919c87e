"""Choices in the folds: their part, and that nothing which comes later moves anybody."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.core.split_rows import part_column
from pamela.splits.assignment import Sides, sides_in_folds
from pamela.splits.founders import find_founders
from pamela.splits.parts import PART_OF
from pamela.splits.split import counts, write_splits
from tests.helpers.split_kit import (
    NO_CHOICES,
    PARAMS,
    released,
    side_of,
    split,
    stay,
    table,
    write,
)

Row = dict[str, object]
NO_RATINGS = pl.LazyFrame(schema=s.RATINGS_SCHEMA)


def chosen(users: int, images: int, **more: object) -> list[Row]:
    """Return every user's choice between each image and nine others."""
    return [
        {"user_id": f"u{u}", "image_a": f"i{i}", "image_b": f"i{(i + k) % images}", "choice": said}
        | more
        for u in range(users)
        for i in range(images)
        for k, said in enumerate(("a", "b", "tie") * 3, start=1)
    ]


def write_both(project: Project, ratings: list[Row], choices: list[Row]) -> None:
    """Write validated tables with `choices`; users and images follow."""
    images = {str(row[c]) for row in choices for c in (s.IMAGE_A, s.IMAGE_B)}
    write(project, ratings, dict.fromkeys(images))
    rows = [{"dataset": "d", **row} for row in choices]
    table(dict(s.CHOICES_SCHEMA), rows).write_parquet(project.validated / "choices.parquet")
    users = {str(row["user_id"]) for row in [*ratings, *choices]}
    pl.DataFrame({"dataset": "d", "user_id": sorted(users)}).write_parquet(
        project.validated / "users.parquet"
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_choice_lies_where_its_user_and_both_images_do(project: Project) -> None:
    write_both(project, [], chosen(30, 40))
    found = split(project)
    users = side_of(found.sides.users, "user_id")
    images = side_of(found.sides.images, "image_id")
    for row in found.choices.rows.collect().iter_rows(named=True):
        for fold in range(5):
            one, other = images[fold, row["image_a"]], images[fold, row["image_b"]]
            same = PART_OF[users[fold, row["user_id"]], one] if one == other else "unused"
            assert row[part_column(fold)] == same
    assert {"train", "test_seen", "test_unseen"} <= found.choices.part_counts(0).keys()
    record = write_splits(project, [found])
    assert record["datasets"]["d"]["choices"]["0"] == found.choices.part_counts(0)
    assert "5 folds; fold 0: choices train" in counts(record)


def test_the_order_of_choices_does_not_matter(project: Project) -> None:
    rows = chosen(30, 30)
    write_both(project, [], rows)
    first = split(project)
    write_both(project, [], random.Random(0).sample(rows, len(rows)))
    again = split(project)
    for fold in range(5):
        assert again.choices.part_counts(fold) == first.choices.part_counts(fold)  # with checksums
    for change in ({"choice": "tie"}, {"image_a": "i7"}, {"position": 1}):
        write_both(project, [], [rows[0] | change, *rows[1:]])
        other = split(project)
        assert any(
            other.choices.part_counts(fold) != first.choices.part_counts(fold) for fold in range(5)
        )


KINDS = st.sampled_from(["ratings", "choices", "both"])


@settings(max_examples=30, deadline=None)
@given(kinds=st.lists(KINDS, min_size=2, max_size=4), people=st.integers(2, 30), data=st.data())
def test_no_batch_moves_anybody(kinds: list[str], people: int, data: st.DataObject) -> None:
    """Whatever it brings, ratings or choices, in a study of any size."""
    pictures = data.draw(st.integers(2, 30))
    ratings, choices = [NO_RATINGS], [NO_CHOICES]
    before: Sides | None = None
    for number, kind in enumerate(kinds):
        home = f"data/batches/d/b{number}" if number else "data/raw/d"
        users = pl.DataFrame({"user_id": [f"u{n}" for n in range(people + 2 * number)]})
        images = pl.DataFrame({"image_id": [f"i{n}" for n in range(pictures + 2 * number)]})
        keys = images.with_columns(key="image_id", prompt_id=pl.lit(None, pl.String))
        users, images = (
            one.sample(fraction=1, shuffle=True, seed=number) for one in (users, images)
        )
        rows = users.join(images, how="cross")
        if kind != "choices":
            rated = rows.with_columns(source_file=pl.lit(f"{home}/ratings.csv"))
            ratings.append(rated.lazy())
        if kind != "ratings":
            other = pl.col("image_id").shift(1).fill_null(pl.col("image_id").last())
            ids = rows.select("user_id", image_a="image_id", image_b=other)
            choices.append(ids.with_columns(source_file=pl.lit(f"{home}/choices.csv")).lazy())
        named = (pl.concat(one, how="diagonal") for one in (ratings, choices))
        founders = find_founders(*named, keys)
        after = sides_in_folds("d", users, keys, keys, founders, PARAMS)
        if before is not None:
            assert after.folds == before.folds
            assert stay(before.users, after.users, "user_id")
            assert stay(before.images, after.images, "image_id")
        before = after


def test_founders_come_as_their_source_names_them() -> None:
    """A batch that rates what the study chose between does not bring it forward."""
    own, batch = "data/raw/d/choices.csv", "data/batches/d/b/ratings.csv"
    choices = table(
        dict(s.CHOICES_SCHEMA),
        [
            {"user_id": "u1", "image_a": "i2", "image_b": "i1", "source_file": own},
            {"user_id": "u0", "image_a": "i0", "image_b": "i2", "source_file": own},
        ],
    ).lazy()
    ratings = table(
        dict(s.RATINGS_SCHEMA), [{"user_id": "u0", "image_id": "i0", "source_file": batch}]
    ).lazy()
    keys = pl.DataFrame({"image_id": ["i0", "i1", "i2"], "key": ["i0", "i1", "i2"]})
    found = find_founders(ratings, choices, keys)
    assert found.users.to_list() == ["u1", "u0"]
    assert found.images.to_list() == ["i2", "i1", "i0"]


def test_choices_in_a_release_follow_from_its_sides_and_a_batchs_are_trained_on_or_held_back(
    project: Project,
) -> None:
    def choice(user: str, a: str, b: str, home: str) -> Row:
        file = f"{home}/choices.csv"
        return {"user_id": user, "image_a": a, "image_b": b, "choice": "a", "source_file": file}

    own, batch = "data/raw/d", "data/batches/d/b"
    rows = [
        choice("a", "0", "1", own),
        choice("d", "0", "1", own),
        choice("a", "0", "5", own),
        choice("a", "0", "1", batch),
        choice("new", "0", "1", batch),
        choice("d", "0", "1", batch),
        choice("a", "0", "5", batch),
    ]
    write_both(project, released(), rows)
    parts = split(project).choices.rows.collect()[part_column(0)].to_list()
    assert parts == [
        *("train", "context_unseen", "unused"),
        *("train", "train", "held_back", "held_back"),
    ]


def test_choices_that_leave_nothing_to_test_on_are_an_error(project: Project) -> None:
    pairs = [{"user_id": f"u{u}", "image_a": "i0", "image_b": "i1", "choice": "a"} for u in "abc"]
    write_both(project, [], pairs)
    with pytest.raises(PamelaError, match="bring more ratings or choices"):
        split(project)
