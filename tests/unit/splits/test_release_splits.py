"""A release's own splits are used as they are."""

from __future__ import annotations

import polars as pl
import pytest

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.splits.split import (
    describe,
)
from tests.helpers.folders import all_rows
from tests.helpers.split_kit import released, side_of, split, write


def test_a_release_is_used_as_it_is(project: Project) -> None:
    write(project, released())
    result = split(project)
    assert (result.sides.folds, result.sides.own) == (1, True)
    given_parts = {(r["user_id"], r["image_id"]): r["split"] for r in released()}
    found = {(r["user_id"], r["image_id"]): r["part"] for r in all_rows(result).to_dicts()}
    assert found == given_parts
    users = {key[1]: side for key, side in side_of(result.sides.users, "user_id").items()}
    assert users == {"a": "train", "b": "train", "c": "val", "d": "test"}
    images = {key[1]: side for key, side in side_of(result.sides.images, "image_id").items()}
    assert images == {**dict.fromkeys("0123", "train"), "4": "val", "5": "test"}


def test_a_batch_in_a_release_is_trained_on_or_held_back(project: Project) -> None:
    cases = {
        ("a", "0"): "train",  # known user, training image
        ("new", "0"): "train",
        ("a", "fresh"): "train",
        ("new", "fresh"): "train",
        ("a", "5"): "held_back",  # a test image
        ("a", "4"): "held_back",
        ("new", "5"): "held_back",
        ("d", "0"): "held_back",  # an unseen user
        ("c", "0"): "held_back",
        ("d", "fresh"): "held_back",
    }
    batch = [{"user_id": u, "image_id": i, "rating": 1.0} for u, i in cases]
    write(project, released())
    before = split(project)
    rows_before = all_rows(before)
    write(project, [*released(), *batch])
    after = split(project)
    added = all_rows(after).filter(rating=1.0)
    assert {(r["user_id"], r["image_id"]): r["part"] for r in added.to_dicts()} == cases
    assert all_rows(after).filter(rating=3.0).equals(rows_before)
    assert (
        side_of(after.sides.users, "user_id").items()
        >= side_of(before.sides.users, "user_id").items()
    )
    tests = describe(after, pl.read_parquet(project.validated / "images.parquet"))
    old = describe(before, pl.read_parquet(project.validated / "images.parquet"))
    for part in ("test_seen", "test_unseen", "val_seen", "val_unseen"):
        assert tests["parts"]["0"][part] == old["parts"]["0"][part]


def test_a_release_without_anything_to_train_or_test_on_is_an_error(project: Project) -> None:
    write(project, [r for r in released() if r["split"] != "train"])
    with pytest.raises(PamelaError, match="d: part train of fold 0 is empty"):
        split(project)
    write(project, [r for r in released() if "test" not in str(r["split"])])
    with pytest.raises(PamelaError, match="test_seen and test_unseen"):
        split(project)
    write(project, [r for r in released() if r["split"] != "test_unseen"])
    assert "test_unseen" not in all_rows(split(project))["part"]
