"""The simulated raters and the release that they rate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import folder_sha256
from pamela.reporting import synthetic_calibration
from pamela.synthetic import design, release
from pamela.synthetic import vocabulary as v
from pamela.synthetic.raters.world import World
from pamela.synthetic.release import build_release
from pamela.synthetic.rendering.render import render, scene_of
from tests.helpers.world_kit import make

SMALL = {
    "seed": 3,
    "train_users": 24,
    "unseen_users": 8,
    "train_images": 60,
    "heldout_images": 40,
    "ratings": 1000,
    "image_size": 64,
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
        part: json.loads((place / f"pamela_{part}.json").read_text()) for part in design.PART_ROWS
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


def test_other_code_in_any_file_builds_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = shutil.copytree(Path(release.__file__).parent, tmp_path / "synthetic")
    monkeypatch.setattr(release, "__file__", str(package / "release.py"))
    code = [release._manifest(params())["code"]]
    files = sorted(package.rglob("*.py"))
    assert package / "rendering" / "render.py" in files
    for path in files:
        path.write_text(path.read_text() + "# changed\n")
        code.append(release._manifest(params())["code"])
    assert len(set(code)) == 1 + len(files)


@pytest.mark.slow
def test_the_world_scales_up_to_a_million_ratings() -> None:
    size = {"train_users": 2200, "unseen_users": 600, "train_images": 14_000,
            "heldout_images": 6_000, "ratings": 1_000_000}  # fmt: skip
    made = make(**size)
    assert made.rated.height == 1_000_000
    facts = {fact.name: fact.here for fact in synthetic_calibration.rating_facts(made.rated)}
    assert facts["largest deviation of a style's mean"] < synthetic_calibration.MEAN_TOLERANCE


def test_a_world_too_small_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(PamelaError, match="no ratings in val_unseen"):
        build_release(params(ratings=20), tmp_path / "a", tmp_path / "t")
    with pytest.raises(PamelaError, match="unseen_users"):
        build_release(params(unseen_users=1), tmp_path / "a", tmp_path / "t")
    assert list(tmp_path.iterdir()) == []
