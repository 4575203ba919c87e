"""Splits: nobody held out is trained on, nobody ever moves, near-duplicates stay together."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core.paths import Project
from pamela.params import SplitParams
from pamela.splits import draws
from pamela.splits.split import (
    counts,
    validated_datasets,
    write_splits,
)
from tests.helpers.folders import all_rows, split_rows_of
from tests.helpers.split_kit import PARAMS, full, released, side_of, split, write

IDS = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=40, unique=True)


# --- our own folds --------------------------------------------------------------------------------
def test_parts_follow_the_sides(project: Project) -> None:
    write(project, full(60, 40))
    result = split(project)
    assert (result.sides.folds, result.sides.own) == (5, False)
    assert all_rows(result).height == 5 * 60 * 40
    users, images = side_of(result.sides.users, "user_id"), side_of(result.sides.images, "image_id")
    expected = {
        ("train", "train"): "train",
        ("train", "val"): "val_seen",
        ("train", "test"): "test_seen",
        ("val", "train"): "context_val",
        ("val", "val"): "val_unseen",
        ("val", "test"): "unused",
        ("test", "train"): "context_unseen",
        ("test", "val"): "unused",
        ("test", "test"): "test_unseen",
    }
    for row in all_rows(result).iter_rows(named=True):
        sides = users[row["fold"], row["user_id"]], images[row["fold"], row["image_id"]]
        assert row["part"] == expected[sides]


def test_nothing_held_out_is_trained_on(project: Project) -> None:
    write(project, full(60, 40))
    for (_,), rows in all_rows(split(project)).group_by("fold"):
        train = rows.filter(part="train")
        for part, column in [
            ("test_seen", "image_id"),
            ("test_unseen", "image_id"),
            ("test_unseen", "user_id"),
            ("context_unseen", "user_id"),
            ("val_unseen", "user_id"),
            ("val_seen", "image_id"),
        ]:
            held = rows.filter(part=part)[column]
            assert held.len()
            assert not set(train[column]) & set(held), (part, column)
        tested = rows.filter(pl.col("part").is_in(["test_seen", "test_unseen"]))["image_id"]
        context = rows.filter(pl.col("part").is_in(["context_unseen", "context_val"]))["image_id"]
        assert not set(tested) & set(context)


@settings(max_examples=50, deadline=None)
@given(ids=IDS, folds=st.integers(2, 7), seed=st.integers(0, 9), share=st.floats(0, 1))
def test_everyone_is_test_in_exactly_one_fold(
    ids: list[str], folds: int, seed: int, share: float
) -> None:
    sides = draws.hash_sides("d", "user", ids, SplitParams(folds=folds, val_share=share, seed=seed))
    assert sides.height == len(ids) * folds
    tests = sides.filter(side="test").group_by("id").len()
    assert sorted(tests["id"]) == sorted(ids)
    assert set(tests["len"]) == {1}


@settings(max_examples=50, deadline=None)
@given(ids=IDS, more=IDS)
def test_who_comes_later_moves_nobody(ids: list[str], more: list[str]) -> None:
    before = draws.hash_sides("d", "user", ids, PARAMS)
    everyone = sorted({*ids, *more}, reverse=True)
    after = draws.hash_sides("d", "user", everyone, PARAMS)
    assert side_of(after, "id").items() >= side_of(before, "id").items()


def test_sides_are_pinned() -> None:
    """The same on every machine and in every later version, else published figures change."""
    sides = draws.hash_sides("d", "user", [f"u{i}" for i in range(12)], PARAMS)
    home = sides.filter(side="test").sort("id")["fold"].to_list()
    assert home == [4, 1, 3, 0, 4, 4, 3, 4, 1, 3, 3, 2]
    assert int(draws.stable_hashes("0/d/user/", ["u0"])[0]) == 0x66B479AFDA60E571


def test_validation_has_its_share() -> None:
    sides = draws.hash_sides("d", "user", [str(i) for i in range(4000)], PARAMS)
    rest = sides.filter(pl.col("side") != "test")
    for (_,), fold in rest.group_by("fold"):
        assert abs((fold["side"] == "val").mean() - 0.1) < 0.02  # type: ignore[operator]
    by_fold = dict(sides.filter(side="val").group_by("fold").agg("id").iter_rows())
    assert len(set(by_fold[0]) & set(by_fold[1])) < 100  # each fold draws its own
    other = draws.hash_sides("d", "prompt", [str(i) for i in range(4000)], PARAMS)
    assert (other["side"] != sides["side"]).sum() > 1000  # user 7 and prompt 7 are independent


def test_appended_ratings_move_nobody(project: Project) -> None:
    write(project, full(30, 30))
    before = split(project)
    rows_before = all_rows(before)
    write(project, [*full(33, 34), {"user_id": "u0", "image_id": "i0", "rating": 2.0}])
    after = split(project)
    assert (
        side_of(after.sides.users, "user_id").items()
        >= side_of(before.sides.users, "user_id").items()
    )
    assert (
        side_of(after.sides.images, "image_id").items()
        >= side_of(before.sides.images, "image_id").items()
    )
    key = ["fold", "user_id", "image_id"]
    moved = rows_before.join(all_rows(after).unique(key), on=key).filter(
        pl.col("part") != pl.col("part_right")
    )
    assert moved.height == 0


def test_near_duplicates_stay_together(project: Project) -> None:
    write(project, full(40, 60), {f"i{i}": f"p{i // 3}" for i in range(60)})
    images = split(project).sides.images.with_columns(
        prompt=pl.col("image_id").str.slice(1).cast(pl.Int64) // 3
    )
    sides = images.group_by("fold", "prompt").agg(pl.col("side").n_unique())
    assert sides.height == 5 * 20
    assert set(sides["side"]) == {1}
    tested = images.filter(side="test").group_by("prompt").agg(pl.col("fold").n_unique())
    assert tested.height == 20
    assert set(tested["fold"]) == {1}


def test_the_order_of_rows_does_not_matter(project: Project) -> None:
    write(project, full(30, 30))
    first = split(project).ratings
    rows = first.rows.collect()
    write(project, full(30, 30)[::-1])
    again = split(project).ratings
    for fold in range(5):
        assert again.part_counts(fold) == first.part_counts(fold)  # with their hashes
    assert again.rows.collect()[::-1].equals(rows)


def test_another_seed_or_prompt_splits_the_same_rows_again(project: Project) -> None:
    write(project, full(30, 20))
    first = all_rows(split(project))
    other = all_rows(split(project, PARAMS.model_copy(update={"seed": 1})))
    assert not other["part"].equals(first["part"])
    write(project, full(30, 20), {f"i{i}": "one prompt" for i in range(0, 20, 2)})
    tied = all_rows(split(project)).filter(
        pl.col("image_id").str.extract(r"(\d+)").cast(int) % 2 == 0
    )
    assert (
        tied.filter(user_id="u0").group_by("fold").agg(pl.col("part").n_unique())["part"].max() == 1
    )
    write(project, full(30, 20))
    assert all_rows(split(project)).equals(first)


@pytest.mark.parametrize("change", ["user_id", "image_id", "rating", "rated_at", "position"])
def test_the_checksum_sees_every_column_and_is_pinned(project: Project, change: str) -> None:
    values = {
        "user_id": "other",
        "image_id": "i9",
        "rating": 2.0,
        "rated_at": dt.datetime(2026, 1, 31),
        "position": 0,
    }
    write(project, released())
    before = split(project).ratings.part_counts(0)["train"]["sha256"]
    assert before == "86d362d664a5e3f7ef098c7ac08fc145a59d562f1680493d88b2e644e1b486ad"
    rows = released()
    rows[0] = {**rows[0], change: values[change]}
    write(project, rows)
    assert split(project).ratings.part_counts(0)["train"]["sha256"] != before


# --- the files ------------------------------------------------------------------------------------
def test_the_files_and_their_hashes(project: Project) -> None:
    write(project, full(40, 30))
    record = write_splits(project, [split(project)])
    assert json.loads((project.splits / "splits.json").read_text()) == record
    assert record["folds"] == 5
    ratings = split_rows_of(project)
    assert ratings.height == 5 * 40 * 30
    for fold, parts in record["datasets"]["d"]["parts"].items():
        for part, entry in parts.items():
            rows = ratings.filter(fold=int(fold), part=part)
            assert entry["rows"] == rows.height
            assert entry["users"] == rows["user_id"].n_unique()
    assert validated_datasets(project) == ["d"]
    assert "d: 5 folds" in counts(record)

    changed = full(40, 30)
    changed[0]["rating"] = 4.5
    write(project, changed)
    again = write_splits(project, [split(project)])
    hashes = [
        {
            (fold, part): entry["sha256"]
            for fold, parts in r["datasets"]["d"]["parts"].items()
            for part, entry in parts.items()
        }
        for r in (record, again)
    ]
    different = [key for key in hashes[0] if hashes[0][key] != hashes[1][key]]
    assert len(different) == 5  # one rating lies in one part of every fold


def test_the_same_content_on_two_sides_is_counted(project: Project) -> None:
    write(project, released())
    images = pl.read_parquet(project.validated / "images.parquet")
    same = pl.when(pl.col("image_id").is_in(["0", "5"])).then(pl.lit("same"))
    images.with_columns(sha256=same.otherwise("sha256")).write_parquet(
        project.validated / "images.parquet"
    )
    record = write_splits(project, [split(project)])
    assert record["datasets"]["d"]["overlaps"]["0"]["same_content_on_two_sides"] == 1
    assert "WARNING: 1 pictures" in counts(record)
