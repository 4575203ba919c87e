"""Studies of few people or prompts: folds that work, and nobody moves."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.splits import assignment, draws
from pamela.splits.founders import find_founders
from pamela.splits.split import (
    counts,
    write_splits,
)
from tests.helpers.split_kit import NO_CHOICES, PARAMS, full, split, stay, write

IDS = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=40, unique=True)


@settings(max_examples=25, deadline=None)
@given(
    people=st.integers(2, 24),
    prompts=st.integers(2, 24),
    name=st.text(min_size=1, max_size=8),
    seed=st.integers(0, 9),
)
def test_any_small_study_gets_folds_that_work(
    people: int, prompts: int, name: str, seed: int
) -> None:
    """In every fold somebody and something is tested, and somebody and something is left to learn
    from; where they are assigned in turn, sizes differ by one at most.
    """
    params = PARAMS.model_copy(update={"seed": seed})
    ratings = pl.LazyFrame(full(people, prompts)).with_columns(source_file=pl.lit("ratings.csv"))
    ids = [f"i{i}" for i in range(prompts)]
    keys = pl.DataFrame({"image_id": ids, "key": ids})
    sides = assignment.sides_in_folds(
        name,
        pl.DataFrame({"user_id": [f"u{u}" for u in range(people)]}),
        keys.select("image_id", prompt_id=pl.lit(None, pl.String)),
        keys,
        find_founders(ratings, NO_CHOICES, keys),
        params,
    )
    assert sides.folds == min(5, people, prompts)
    for frame, count in ((sides.users, people), (sides.images, prompts)):
        tested = frame.filter(side="test").group_by("fold").len()["len"]
        assert tested.len() == sides.folds
        spread = count < draws.LEAST * sides.folds
        assert tested.max() - tested.min() <= (1 if spread else count)  # type: ignore[operator]
        assert frame.filter(side="train")["fold"].n_unique() == sides.folds


@settings(max_examples=20, deadline=None)
@given(before=st.integers(5, 23), more=st.integers(1, 40))
def test_who_comes_later_moves_nobody_in_a_small_study(before: int, more: int) -> None:
    """Neither in a later batch nor, as long as the study is small, at the end of its own rows."""
    ids = [f"u{u}" for u in range(before + more)]
    early = draws.deal_sides("d", "user", ids[:before], PARAMS)
    assert stay(early, draws.deal_sides("d", "user", ids, PARAMS), "id")
    founders, everyone = pl.Series(ids[:before]), pl.Series(sorted(ids))
    after = draws.draw_sides("d", "user", everyone, founders, PARAMS)
    assert stay(early, after, "id")
    later = draws.hash_sides("d", "user", ids[before:], PARAMS)
    assert stay(later, after, "id")


def test_a_batch_moves_nobody_in_a_small_study(project: Project) -> None:
    write(project, full(6, 12))
    before = split(project)
    assert before.sides.folds == 5
    batch = {"source_file": "data/batches/d/b1/ratings.csv"}
    rows = [r for r in full(40, 40, **batch) if r not in full(6, 12, **batch)]
    write(project, [*full(6, 12), *rows])
    after = split(project)
    assert after.sides.folds == 5
    assert stay(before.sides.users, after.sides.users, "user_id")
    assert stay(before.sides.images, after.sides.images, "image_id")


def test_a_study_that_its_first_batch_makes_possible_begins_with_it(project: Project) -> None:
    batch = {"source_file": "data/batches/d/b1/ratings.csv"}
    later = {"source_file": "data/batches/d/b2/ratings.csv"}
    first = [*full(1, 12), *(r for r in full(4, 12, **batch) if r["user_id"] != "u0")]
    write(project, first)
    before = split(project)
    assert before.sides.folds == 4
    write(project, [*first, *(r for r in full(30, 12, **later) if int(str(r["user_id"])[1:]) > 3)])
    assert stay(before.sides.users, split(project).sides.users, "user_id")


def test_a_study_of_many_is_hashed_unless_a_fold_would_be_empty() -> None:
    """The splits of larger datasets are what they always were."""
    many = pl.Series([f"u{u}" for u in range(25)])
    unlucky = 0
    for name in (f"d{n}" for n in range(60)):
        found = draws.draw_sides(name, "user", many, many, PARAMS)
        hashed = draws.hash_sides(name, "user", many, PARAMS)
        filled = hashed.filter(side="test")["fold"].n_unique() == 5
        assert found.equals(hashed) == filled
        assert found.filter(side="test")["fold"].n_unique() == 5
        unlucky += not filled
    assert unlucky


def test_the_sides_of_a_small_study_are_pinned() -> None:
    """The same on every machine and in every later version, as the hashed ones."""
    sides = draws.deal_sides("d", "user", [f"u{i}" for i in range(12)], PARAMS)
    home = sides.filter(side="test").sort(pl.col("id").str.slice(1).cast(int))["fold"].to_list()
    assert home == [2, 3, 1, 4, 0, 0, 2, 3, 4, 1, 3, 2]
    val = sides.filter(side="val").select("fold", "id").rows()
    assert val == [(0, "u2"), (1, "u5"), (2, "u9"), (3, "u6"), (4, "u2")]


@pytest.mark.parametrize(
    ("users", "images", "prompts", "why"),
    [
        (3, 12, 12, "3 users have ratings"),
        (12, 3, 3, "3 images are rated"),
        (12, 12, 3, "by prompt_id the rated images are 3 groups, which stay together; leave"),
    ],
)
def test_fewer_folds_are_said(
    project: Project, users: int, images: int, prompts: int, why: str
) -> None:
    """folds-fewer"""
    write(project, full(users, images), {f"i{i}": f"p{i % prompts}" for i in range(images)})
    record = write_splits(project, [split(project)])
    assert record["datasets"]["d"]["folds"] == 3
    assert f"d: 3 folds (fewer than split.folds: {why}" in counts(record)


def test_one_prompt_id_for_all_images_is_named(project: Project) -> None:
    """folds-one-prompt"""
    write(project, full(12, 40), {f"i{i}": "study 1" for i in range(40)})
    said = r"d: all 40 rated images have prompt_id 'study 1', .* leave prompt_id empty where"
    with pytest.raises(PamelaError, match=said):
        split(project)


def test_one_content_for_all_images_is_named(project: Project) -> None:
    """folds-one-content"""
    write(project, full(12, 4))
    path = project.validated / "images.parquet"
    images = pl.read_parquet(path).with_columns(sha256=pl.lit("same"))
    images.write_parquet(path)
    project.tables.mkdir(parents=True)
    origins = images.select(
        pl.lit("images").alias("table"), "dataset", pl.col("image_id").alias("id")
    )
    origins.with_columns(
        source_file=pl.lit("data/raw/d/images.csv"), source_row=pl.int_range(1, pl.len() + 1)
    ).write_parquet(project.tables / "sources.parquet")
    with pytest.raises(PamelaError, match="d: all 4 rated images are tied by equal contents"):
        split(project)


@pytest.mark.parametrize(
    ("users", "images", "said"),
    [
        (1, 40, "d: 1 user has ratings, and nobody can be held out from the others; bring ratings"),
        (40, 1, "d: 1 image is rated, and none can be held out from the others; bring ratings of"),
    ],
)
def test_nobody_to_hold_out_is_said(project: Project, users: int, images: int, said: str) -> None:
    """folds-one-user"""
    write(project, full(users, images))
    with pytest.raises(PamelaError, match=said):
        split(project)


def test_what_validation_took_is_said(project: Project) -> None:
    write(project, full(12, 12))
    said = r"part train of fold 0 is empty .*; lower split\.val_share"
    with pytest.raises(PamelaError, match=said):
        split(project, PARAMS.model_copy(update={"val_share": 1.0}))


def test_an_empty_part_is_a_clear_error(project: Project) -> None:
    """Everybody rates one image of their own: nobody meets what others are tested on."""
    rows = [{"user_id": f"u{k}", "image_id": f"i{k}", "rating": 3.0} for k in range(12)]
    write(project, rows, {f"i{k}": f"p{k // 2}" for k in range(12)})
    said = (
        r"d: part (train|test_\w+) of fold \d is empty "
        r"\(12 users, 12 images in 6 groups by prompt_id\); bring more ratings"
    )
    with pytest.raises(PamelaError, match=said):
        split(project)
