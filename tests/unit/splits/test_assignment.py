"""Splits: nobody held out is trained on, nobody ever moves, near-duplicates stay together."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.params import SplitParams
from pamela.splits import assignment, draws
from pamela.splits.founders import find_founders
from pamela.splits.split import (
    Split,
    counts,
    describe,
    split_dataset,
    validated_datasets,
    write_splits,
)
from tests.helpers.folders import all_rows, split_rows_of

PARAMS = SplitParams(folds=5, val_share=0.1, seed=0)
IDS = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=40, unique=True)


def table(schema: dict[str, object], rows: list[dict[str, object]]) -> pl.DataFrame:
    """Return rows as a canonical table; what is not given is null."""
    return pl.DataFrame(rows, schema=schema, orient="row")  # type: ignore[arg-type]


def write(
    project: Project, ratings: list[dict[str, object]], prompts: dict[str, str | None] | None = None
) -> None:
    """Write validated tables of dataset ``d`` that hold `ratings`; users and images follow."""
    users = sorted({str(r["user_id"]) for r in ratings})
    images = sorted({str(r["image_id"]) for r in ratings} | set(prompts or {}))
    d = {"dataset": "d"}
    project.validated.mkdir(parents=True, exist_ok=True)
    table(dict(s.RATINGS_SCHEMA), [{**d, "rating": 3.0, **r} for r in ratings]).write_parquet(
        project.validated / "ratings.parquet"
    )
    pl.DataFrame({"dataset": "d", "user_id": users}).write_parquet(
        project.validated / "users.parquet"
    )
    rows = [{**d, "image_id": i, "prompt_id": (prompts or {}).get(i), "sha256": i} for i in images]
    table(dict(s.IMAGES_SCHEMA), rows).write_parquet(project.validated / "images.parquet")


def full(users: int, images: int, **more: object) -> list[dict[str, object]]:
    """Return a rating of every user for every image."""
    return [
        {"user_id": f"u{u}", "image_id": f"i{i}", "rating": 1.0 + (u * i) % 5, **more}
        for u in range(users)
        for i in range(images)
    ]


def split(project: Project, params: SplitParams = PARAMS) -> Split:
    return split_dataset(project, "d", params)


def side_of(sides: pl.DataFrame, key: str) -> dict[tuple[int, str], str]:
    """Return ``{(fold, id): side}``."""
    return {(row["fold"], row[key]): row["side"] for row in sides.iter_rows(named=True)}


def stay(before: pl.DataFrame, after: pl.DataFrame, key: str) -> bool:
    """Tell whether everyone is where they were before."""
    return side_of(after, key).items() >= side_of(before, key).items()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


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
    first = split(project)
    rows = first.rows.collect()
    write(project, full(30, 30)[::-1])
    again = split(project)
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
    before = split(project).part_counts(0)["train"]["sha256"]
    assert before == "86d362d664a5e3f7ef098c7ac08fc145a59d562f1680493d88b2e644e1b486ad"
    rows = released()
    rows[0] = {**rows[0], change: values[change]}
    write(project, rows)
    assert split(project).part_counts(0)["train"]["sha256"] != before


# --- small studies -------------------------------------------------------------------------------
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
        find_founders(ratings, keys),
        params,
    )
    assert sides.folds == min(5, people, prompts)
    for frame, count in ((sides.users, people), (sides.images, prompts)):
        tested = frame.filter(side="test").group_by("fold").len()["len"]
        assert tested.len() == sides.folds
        dealt = count < draws.LEAST * sides.folds
        assert tested.max() - tested.min() <= (1 if dealt else count)  # type: ignore[operator]
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


def test_dealt_sides_are_pinned() -> None:
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


# --- a release's own splits -----------------------------------------------------------------------
def released() -> list[dict[str, object]]:
    """Users a, b known; c unseen in validation, d in test; images 0..3 train, 4 val, 5 test."""
    rows = [(u, str(i), "train") for u in "ab" for i in range(4)]
    rows += [("a", "4", "val_seen"), ("c", "4", "val_unseen")]
    rows += [("b", "5", "test_seen"), ("d", "5", "test_unseen")]
    return [{"user_id": u, "image_id": i, "split": part} for u, i, part in rows]


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
