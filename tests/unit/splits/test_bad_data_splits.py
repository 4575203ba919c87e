"""One picture under two ids: on one side of our own folds, and nobody is moved to get it there."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core.paths import Project
from pamela.params import SplitParams, load_params
from pamela.splits import assignment, near_duplicates
from pamela.splits.founders import find_founders
from pamela.splits.split import Split, split_dataset
from tests.helpers.bad_data import NAME, run
from tests.helpers.folders import all_rows, images_of, make_project, ratings_of, write_tables
from tests.helpers.split_kit import NO_CHOICES

USERS, PICTURES = 24, 24
PARAMS = SplitParams(folds=3, val_share=0.1, seed=0)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with 24 users and 24 pictures in 12 prompts, each rated by everyone."""
    project = make_project(tmp_path / "p", ingest={"datasets": [NAME]}, split={"folds": 3})
    users = pl.DataFrame({"user_id": [f"u{u}" for u in range(USERS)]})
    write_tables(project.raw / NAME, ratings_of(USERS, PICTURES), users, images_of(PICTURES))
    return project


def same_picture(project: Project, one: str, other: str) -> None:
    """Give two ids the same content."""
    folder = project.raw / NAME / "images"
    shutil.copyfile(folder / f"{one}.png", folder / f"{other}.png")


def without_prompt_ids(project: Project) -> None:
    """Leave the prompt_id column out."""
    path = project.raw / NAME / "images.csv"
    pl.read_csv(path, infer_schema=False).drop("prompt_id").write_csv(path)


def add_batch(project: Project, images: list[tuple[str, str, str]]) -> None:
    """Add a batch of pictures (id, the id whose content it has, prompt_id) that all users rate."""
    folder = project.batches / NAME / "b1"
    (folder / "images").mkdir(parents=True)
    for image, content, _ in images:
        source = project.raw / NAME / "images" / f"{content}.png"
        shutil.copyfile(source, folder / "images" / f"{image}.png")
    (folder / "dataset.yaml").write_text(f"name: {NAME}\nscale: [1, 5]\n")
    pl.DataFrame(
        [(image, f"images/{image}.png", "again", prompt) for image, _, prompt in images],
        schema=["image_id", "file", "prompt", "prompt_id"],
        orient="row",
    ).write_csv(folder / "images.csv")
    pl.DataFrame(
        [(f"u{u}", image, 3) for u in range(USERS) for image, _, _ in images],
        schema=["user_id", "image_id", "rating"],
        orient="row",
    ).write_csv(folder / "ratings.csv")


def split(project: Project) -> Split:
    """Run ingest, validate and split."""
    run(project)
    return split_dataset(project, NAME, load_params(project.params_file).split)


def sides(result: Split) -> dict[tuple[str, int], str]:
    """Return ``{(image, fold): side}``."""
    return {(i, f): side for _, f, i, side in result.sides.images.iter_rows()}


def of(result: Split, image: str) -> list[str]:
    """Return the sides of one image, by fold."""
    return [side for (i, _), side in sorted(sides(result).items()) if i == image]


def test_two_ids_for_one_picture_without_prompts(project: Project) -> None:
    """two-ids-no-prompt"""
    without_prompt_ids(project)
    before = split(project)
    late = next(f"i{k}" for k in range(1, PICTURES) if of(before, f"i{k}") != of(before, "i0"))
    same_picture(project, "i0", late)
    after = split(project)
    assert of(after, late) == of(after, "i0") == of(before, "i0")
    moved = {i for (i, f), side in sides(after).items() if sides(before)[i, f] != side}
    assert moved == {late}  # it joins the one that came first


def test_two_ids_for_one_picture_under_two_prompts(project: Project) -> None:
    """two-ids-two-prompts"""
    before = split(project)
    late = next(f"i{k}" for k in range(2, PICTURES) if of(before, f"i{k}") != of(before, "i0"))
    same_picture(project, "i0", late)
    after = split(project)
    mates = [f"i{k}" for k in (0, 1, int(late[1:]) // 2 * 2, int(late[1:]) // 2 * 2 + 1)]
    assert {tuple(of(after, image)) for image in mates} == {tuple(of(before, "i0"))}
    assert "unused" not in after.sides.images["side"]


def test_a_batch_that_ties_two_prompts_moves_nobody(project: Project) -> None:
    """two-ids-batch"""
    before = split(project)
    rows_before = all_rows(before)
    other = next(f"i{k}" for k in range(2, PICTURES) if of(before, f"i{k}") != of(before, "i0"))
    add_batch(project, [("tie", other, "p0"), ("more", "i3", "fresh")])
    after = split(project)
    assert sides(after).items() >= sides(before).items()
    agreed = [
        one if one == two else "unused"
        for one, two in zip(of(before, "i0"), of(before, other), strict=True)
    ]
    assert of(after, "tie") == agreed
    assert "unused" in agreed
    assert of(after, "more") == of(before, "i3")
    rows = all_rows(after).filter(image_id="tie")
    unused = {fold for fold, side in enumerate(agreed) if side == "unused"}
    assert set(rows.filter(part="unused")["fold"]) >= unused
    for fold in unused:
        assert set(rows.filter(fold=fold)["part"]) == {"unused"}
    old = all_rows(after).filter(pl.col("image_id").is_in(["tie", "more"]).not_())
    assert old.equals(rows_before)


# --- any dataset, any batches ---------------------------------------------------------------------
WORLDS = st.lists(  # sources in order: pictures as (prompt or none, content)
    st.lists(
        st.tuples(st.none() | st.sampled_from("ABCDE"), st.sampled_from("rstuvw")), max_size=6
    ),
    min_size=1,
    max_size=4,
)


def origins_of(world: list[list[tuple[str | None, str]]]) -> pl.DataFrame:
    """Return the images and where each came from; ids say nothing of the order."""
    rows = [
        (f"{(7 * n + 3 * row) % 100:02}-{n}-{row}", prompt, content, n, row + 1)
        for n, source in enumerate(world)
        for row, (prompt, content) in enumerate(source)
    ]
    names = ["image_id", "prompt_id", "sha256", "n", "source_row"]
    schema = dict(zip(names, [pl.String] * 3 + [pl.Int64] * 2, strict=True))
    frame = pl.DataFrame(rows, schema=schema, orient="row").sort("image_id")
    batch = pl.format("data/batches/d/{}/images.csv", "n")
    file = pl.when(pl.col("n") == 0).then(pl.lit("data/raw/d/images.csv")).otherwise(batch)
    return frame.with_columns(file.alias("source_file"))


def tables_of(world: list[list[tuple[str | None, str]]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the keyed images and their arrival."""
    frame = origins_of(world)
    origins = frame.select("image_id", "source_file", "source_row")
    return near_duplicates.prompt_keys(frame), near_duplicates.arrival_order(origins)


def world_sides(world: list[list[tuple[str | None, str]]]) -> pl.DataFrame:
    """Return (image_id, fold, side, key, sha256) of every picture."""
    keyed, arrival = tables_of(world)
    keys = near_duplicates.group_keys(keyed, arrival)
    by_two = (
        origins_of(world)
        .sort("n", "source_row")
        .join(pl.DataFrame({"user_id": ["a", "b"]}), how="cross", maintain_order="left_right")
    )
    founders = find_founders(by_two.lazy(), NO_CHOICES, keys).groups
    drawn = assignment._image_sides("d", keys, founders, PARAMS)
    return drawn.join(keyed, on="image_id")


@settings(max_examples=60, deadline=None)
@given(world=WORLDS)
def test_no_content_and_no_prompt_lies_on_two_sides(
    world: list[list[tuple[str | None, str]]],
) -> None:
    """two-ids-two-prompts"""
    found = world_sides(world)
    assert found.height == PARAMS.folds * sum(map(len, world))
    used = found.filter(pl.col("side") != "unused")
    for shared in ("key", "sha256"):
        on = used.group_by("fold", shared).agg(pl.col("side").n_unique())
        assert set(on["side"]) <= {1}, shared
    first = world_sides(world[:1])
    assert "unused" not in first["side"]  # within one source everything finds its side


@settings(max_examples=60, deadline=None)
@given(world=WORLDS)
def test_a_later_batch_moves_nobody(world: list[list[tuple[str | None, str]]]) -> None:
    """two-ids-batch"""
    everything = world_sides(world).select("image_id", "fold", "side").rows()
    for known in range(1, len(world)):
        before = world_sides(world[:known]).select("image_id", "fold", "side").rows()
        assert set(before) <= set(everything)


@settings(max_examples=100, deadline=None)
@given(world=WORLDS, known=st.integers(0, 6))
def test_rows_added_to_a_dataset_move_nobody_unless_they_tie_groups(
    world: list[list[tuple[str | None, str]]], known: int
) -> None:
    """A group's name is that of its first picture, not of its smallest id."""
    before, after = tables_of([world[0][:known]]), tables_of([world[0]])
    old, new = near_duplicates.group_keys(*before), near_duplicates.group_keys(*after)
    both = old.join(new, on="image_id", suffix="_after")
    if both["key"].n_unique() == both["key_after"].n_unique():
        assert both["key"].equals(both["key_after"], check_names=False)
