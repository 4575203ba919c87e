"""The simulated raters and the release that they rate."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pamela import schema as s
from pamela.errors import PamelaError
from pamela.io import folder_sha256
from pamela.synthetic import plan, taste
from pamela.synthetic import vocabulary as v
from pamela.synthetic.people import NATIONALITIES
from pamela.synthetic.raters import World
from pamela.synthetic.release import build_release
from pamela.synthetic.release_facts import GROUP_FACTS, OVERALL_MEAN, STYLE_FACTS
from pamela.synthetic.render import render, scene_of

SMALL = {
    "seed": 3,
    "train_users": 24,
    "unseen_users": 8,
    "train_images": 60,
    "heldout_images": 40,
    "ratings": 1000,
    "image_size": 64,
}
FULL = {
    "seed": 7,
    "train_users": 156,
    "unseen_users": 43,
    "train_images": 3554,
    "heldout_images": 1523,
    "ratings": 69904,
    "image_size": 128,
}


def params(**changes: int) -> Any:
    return SimpleNamespace(**{**SMALL, **changes})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("world")
    build_release(params(), root / "synthetic", root / "truth")
    return root / "synthetic", root / "truth"


def annotations(folder: Path) -> dict[str, list[dict[str, Any]]]:
    place = folder / "PAMELA" / "annotations"
    return {
        part: json.loads((place / f"pamela_{part}.json").read_text()) for part in plan.PART_ROWS
    }


def test_the_files_are_the_releases(built: tuple[Path, Path]) -> None:
    folder, _ = built
    fields = {
        "participant_id", "image_id", "image_path", "original_score", "image_metadata",
        "user_demographics",
    }  # fmt: skip
    for entries in annotations(folder).values():
        assert entries
        for entry in entries:
            assert set(entry) == fields
            assert entry["original_score"] in (1, 2, 3, 4, 5)
            assert set(entry["user_demographics"]) == {"age", "age_binned", "gender", "nationality"}
            metadata = entry["image_metadata"]
            assert set(metadata) == {"prompt", "group", "style", "type", "generator"}
            assert (metadata["style"] is None) == (metadata["type"] == v.PHOTO)


def test_nobody_and_nothing_is_on_two_sides(built: tuple[Path, Path]) -> None:
    parts = annotations(built[0])
    users = {part: {e["participant_id"] for e in entries} for part, entries in parts.items()}
    images = {part: {e["image_id"] for e in entries} for part, entries in parts.items()}
    assert users[s.VAL_SEEN] | users[s.TEST_SEEN] <= users[s.TRAIN]
    assert not users[s.VAL_UNSEEN] & users[s.TEST_UNSEEN]
    assert not (users[s.VAL_UNSEEN] | users[s.TEST_UNSEEN]) & users[s.TRAIN]
    val, test = (images[a] | images[b] for a, b in plan_pairs())
    assert not val & test
    assert not (val | test) & images[s.TRAIN]
    pairs = [(e["participant_id"], e["image_id"]) for entries in parts.values() for e in entries]
    assert len(pairs) == len(set(pairs))


def plan_pairs() -> tuple[tuple[str, str], tuple[str, str]]:
    return (s.VAL_SEEN, s.VAL_UNSEEN), (s.TEST_SEEN, s.TEST_UNSEEN)


def test_the_pictures_are_those_of_the_prompts(built: tuple[Path, Path]) -> None:
    folder, truth = built
    images = pl.read_parquet(truth / "images.parquet")
    assert images.height == SMALL["train_images"] + SMALL["heldout_images"]
    assert images.get_column(s.PROMPT).is_unique().all()
    for row in images.head(5).iter_rows(named=True):
        path = folder / "PAMELA" / "images" / f"{int(row[s.IMAGE]):06d}.jpg"
        shown = np.asarray(Image.open(path).convert("RGB")).astype(int)
        drawn = render(row[s.PROMPT], row["seed"], SMALL["image_size"])
        assert np.abs(shown - drawn).mean() < 14
        scene = scene_of(row[s.PROMPT], row["seed"])
        for name in v.ATTRIBUTES:
            assert row[name] == scene.attributes.get(name)


def test_the_truth_says_what_each_rated_pair_is_worth(built: tuple[Path, Path]) -> None:
    folder, truth = built
    utility = pl.read_parquet(truth / "utility.parquet")
    rated = sum(len(entries) for entries in annotations(folder).values())
    assert utility.height == rated
    world = World.load(truth)
    images = pl.read_parquet(truth / "images.parquet")
    row = utility.row(17, named=True)
    image = images.filter(pl.col(s.IMAGE) == row[s.IMAGE]).row(0, named=True)
    scene = scene_of(image[s.PROMPT], image["seed"])
    assert world.utility([row[s.USER]], [scene])[0, 0] == pytest.approx(row["utility"])


def test_a_second_call_does_nothing_and_other_params_build_again(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, truth = built
    before = folder.stat().st_mtime_ns
    build_release(params(), folder, truth)
    assert folder.stat().st_mtime_ns == before
    build_release(params(), tmp_path / "a", tmp_path / "t")
    assert folder_sha256(tmp_path / "a") == folder_sha256(folder)
    assert folder_sha256(tmp_path / "t") == folder_sha256(truth)
    build_release(params(seed=4), tmp_path / "a", tmp_path / "t")
    assert folder_sha256(tmp_path / "a") != folder_sha256(folder)


def test_a_world_too_small_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(PamelaError, match="no ratings in val_unseen"):
        build_release(params(ratings=20), tmp_path / "a", tmp_path / "t")
    with pytest.raises(PamelaError, match="unseen_users"):
        build_release(params(unseen_users=1), tmp_path / "a", tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


# --- at full size, without drawing ----------------------------------------------------------------
@pytest.fixture(scope="module")
def full() -> tuple[World, list[plan.Item], pl.DataFrame]:
    from pamela.synthetic.release import rate_pairs

    size = params(**FULL)
    world = World.create(size)
    items = plan.plan_items(size, world)
    rated = rate_pairs(size, world, items, plan.plan_ratings(size, world, items))
    scenes = [items[i].scene for i in rated.get_column("item")]
    shared = world.shared_utility([item.scene for item in items])
    return (
        world,
        items,
        rated.with_columns(
            pl.Series(s.TYPE, [scene.type for scene in scenes]),
            pl.Series(s.GROUP, [scene.group for scene in scenes]),
            pl.Series(s.STYLE, [scene.style for scene in scenes]),
            pl.Series("shared", shared[rated.get_column("item").to_numpy()]),
        ),
    )


def test_sizes_are_the_releases(full: tuple[World, list[plan.Item], pl.DataFrame]) -> None:
    world, _, rated = full
    rows = dict(rated.group_by(s.PART).len().iter_rows())
    for part, count in plan.PART_ROWS.items():
        assert abs(rows[part] / count - 1) < 0.01
    assert rated.height == 69_904
    people = world.users
    assert people.height == 199
    assert people.get_column("nationality").n_unique() == len(NATIONALITIES) == 23
    assert people.get_column("age").min() >= 19
    assert people.get_column("age").max() <= 60
    per_user = rated.filter(pl.col(s.PART) == s.TRAIN).group_by(s.USER).len().get_column("len")
    assert 300 < per_user.mean() < 340
    assert per_user.std() > 60
    unseen = rated.filter(pl.col(s.PART).is_in([s.VAL_UNSEEN, s.TEST_UNSEEN]))
    assert 70 < unseen.height / unseen.get_column(s.USER).n_unique() < 90
    raters = dict(rated.group_by(s.TYPE).agg(pl.col(s.USER).n_unique()).iter_rows())
    assert abs(raters[v.ART] - 97) < 12
    assert abs(raters[v.PHOTO] - 95) < 12


def test_means_are_the_published_ones(full: tuple[World, list[plan.Item], pl.DataFrame]) -> None:
    train = full[2].filter(pl.col(s.PART) == s.TRAIN)
    assert train.get_column(s.RATING).mean() == pytest.approx(OVERALL_MEAN, abs=0.05)
    groups = train.group_by(s.TYPE, s.GROUP).agg(pl.col(s.RATING).mean())
    for kind, group, mean in groups.iter_rows():
        assert mean == pytest.approx(GROUP_FACTS[kind, group][1], abs=0.13), (kind, group)
    styles = train.drop_nulls(s.STYLE).group_by(s.STYLE).agg(pl.col(s.RATING).mean())
    for style, mean in styles.iter_rows():
        assert mean == pytest.approx(STYLE_FACTS[style][1], abs=0.16), style
    shares = train.get_column(s.RATING).value_counts(normalize=True).get_column("proportion")
    assert len(shares) == 5
    assert shares.min() > 0.05


def within_user(rated: pl.DataFrame, column: str) -> float:
    scores = (
        rated.group_by(s.USER)
        .agg(pl.corr(column, s.RATING, method="spearman").alias("r"), pl.len())
        .filter(pl.col("len") >= 10)
    )
    return float(scores.get_column("r").mean())  # type: ignore[arg-type]


def test_what_can_be_known_is_about_what_was_published(
    full: tuple[World, list[plan.Item], pl.DataFrame],
) -> None:
    """The shared opinion leaves room above .45, the personal one above the shared."""
    test = full[2].filter(pl.col(s.PART) == s.TEST_SEEN)
    assert 0.49 < within_user(test, "shared") < 0.58
    assert 0.61 < within_user(test, "utility") < 0.69


def test_shared_taste_depends_on_what_is_seen(
    full: tuple[World, list[plan.Item], pl.DataFrame],
) -> None:
    world, items, _ = full
    scenes = [item.scene for item in items]
    appeal = world.appeal(scenes)
    cells = taste.cell_opinions(scenes, world.spread)
    assert appeal.std() > 0.45
    assert appeal.var() > 1.2 * cells.var()


def test_ratings_use_the_scale_as_each_person_does() -> None:
    world = World.create(params())
    users = world.users.get_column(s.USER).to_list()
    flat = np.full((len(users), 4000), 3.0)
    ratings = world.rate(flat, users, np.random.default_rng(0))
    assert ratings.min() >= 1
    assert ratings.max() <= 5
    bias = world.people.get_column("bias").to_numpy()
    assert np.corrcoef(ratings.mean(axis=1), bias)[0, 1] > 0.95
    assert np.corrcoef(ratings.std(axis=1), world.noise_std(users))[0, 1] > 0.9


def test_own_taste_is_own_and_unknown_people_are_named() -> None:
    world = World.create(params())
    users = world.users.get_column(s.USER).to_list()
    scenes = [scene_of("A photo of a cat", seed) for seed in range(30)]
    utility = world.utility(users, scenes)
    assert utility.shape == (len(users), 30)
    np.testing.assert_allclose(world.utility(users[3:5], scenes), utility[3:5])
    assert (utility - world.shared_utility(scenes)).std(axis=0).mean() > 0.2
    with pytest.raises(PamelaError, match="'nobody'"):
        world.utility(["nobody"], scenes)


@pytest.mark.parametrize("rating", [1.2, 1.89, 3.16, 4.7])
def test_opinion_and_rating_are_inverse(rating: float) -> None:
    opinion = taste.opinion_of(np.array([rating]), 1.2)
    assert taste.rating_of(opinion, 1.2)[0] == pytest.approx(rating, abs=1e-9)
    noisy = opinion + 1.2 * np.random.default_rng(0).normal(size=200_000)
    assert np.clip(np.rint(noisy), 1, 5).mean() == pytest.approx(rating, abs=0.02)


def test_apportioning_keeps_the_total() -> None:
    parts = plan.apportion(17, np.array([5.0, 3.0, 0.5]))
    assert parts.sum() == 17
    assert (np.diff(parts) < 0).all()
