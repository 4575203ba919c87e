"""Two datasets through every stage: the smoke world, and a made one on a scale of 0 to 100.

The made dataset has no splits, other demographics than the world, and users and images of the same
ids; its raters like bright pictures.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from tests.conftest import ROOT, copy_project, merge, must
from tests.helpers import yaml
from tests.helpers.folders import split_rows_of
from tests.helpers.smoke import SMOKE
from tests.helpers.stages import run_cycle, run_pipeline, run_stages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
USERS, IMAGES, FOLDS = 16, 40, 2
BOTH = ["synthetic", "mine"]
JOINT = {
    "ingest": {"datasets": BOTH},
    "split": {"folds": FOLDS},
    "evaluate": {"shots": [0, 5], "margins": [0.0, 1.0]},
    # the gate is asked whether it judges each dataset, not whether a tiny model got better
    "retrain": {"tolerance": 1.0},
}


def make_dataset(folder: Path) -> None:
    """Write the made dataset: every rater sees every picture."""
    rng = np.random.default_rng(0)
    brightness = rng.uniform(0.1, 0.9, IMAGES)
    (folder / "images").mkdir(parents=True)
    for k, value in enumerate(brightness):
        pixels = np.clip(255 * value + rng.normal(0, 12, (48, 48, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{k}.png")
    rating = 100 * brightness[None, :] + rng.normal(0, 12, (USERS, IMAGES))
    table = np.rint(rating.clip(0, 100)).astype(int)
    user, image = np.divmod(np.arange(USERS * IMAGES), IMAGES)
    header = {"name": "mine", "scale": [0, 100]}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(header))
    pl.DataFrame(
        {"user_id": [f"{u}" for u in user], "image_id": image, "rating": table.ravel()}
    ).write_csv(folder / "ratings.csv")
    pl.DataFrame(
        {"user_id": [f"{u}" for u in range(USERS)], "school": ["arts", "law"] * (USERS // 2)}
    ).write_csv(folder / "users.csv")
    pl.DataFrame(
        {
            "image_id": range(IMAGES),
            "file": [f"images/{k}.png" for k in range(IMAGES)],
            "prompt": [f"grey {k}" for k in range(IMAGES)],
        }
    ).write_csv(folder / "images.csv")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("joint") / "project", merge(SMOKE, JOINT))
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks")
    make_dataset(folder / "data" / "raw" / "mine")
    run_pipeline(folder)
    return folder


def table(project: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(project / name)


def test_each_dataset_keeps_its_scale_users_and_demographics(project: Path) -> None:
    users = table(project, "data/validated/users.parquet")
    own = users.filter(dataset="mine")
    assert own["school"].null_count() == 0
    assert own["gender"].null_count() == own.height
    assert users.filter(dataset="synthetic")["school"].null_count() == users.height - own.height
    ratings = table(project, "data/validated/ratings.parquet").filter(dataset="mine")
    assert ratings.height == USERS * IMAGES
    assert ratings["rating"].max() > 50


def test_every_test_row_is_asked_once_and_by_the_folds_of_its_dataset(project: Path) -> None:
    asked = table(project, "reports/predictions.parquet").filter(pictures="new")
    keys = ["dataset", "model", "population", "shots", "user_id", "image_id"]
    assert asked.select(keys).is_duplicated().sum() == 0
    folds = dict(asked.group_by("dataset").agg(pl.col("fold").unique().sort()).iter_rows())
    assert folds == {"synthetic": [0], "mine": [0, 1]}
    assert asked["rating"].is_between(1, 5).all()
    splits = split_rows_of(Project(project))
    for part, population in (("test_seen", "seen"), ("test_unseen", "unseen")):
        mine = asked.filter(dataset="mine", model="population", population=population)
        rows = mine.filter(pl.col("shots").is_null() | (pl.col("shots") == 0))
        given = splits.filter(dataset="mine", part=part).select(
            "fold", "user_id", "image_id", expected=1 + pl.col("rating") / 25
        )
        both = rows.join(given, on=["fold", "user_id", "image_id"])
        assert both.height == rows.height == given.height
        assert (both["rating"] - both["expected"]).abs().max() < 1e-6


def test_evaluation_headline_and_report_speak_of_each_dataset(project: Path) -> None:
    found = table(project, "reports/evaluation.parquet").filter(
        metric="srocc", aggregation="user", population="seen"
    )
    values = {(d, m): v for d, m, v in found.select("dataset", "model", "value").iter_rows()}
    assert values["mine", "population"] > 0.7  # brightness is easy to see
    assert values["synthetic", "population"] is not None
    headline = json.loads((project / "metrics/evaluation.json").read_text())
    assert len(headline) < 25
    for name in BOTH:
        assert any(key.startswith(f"{name}_") for key in headline)
    page = (project / "reports/index.html").read_text()
    for name in BOTH:
        assert f"Results on {name}" in page
    card = (project / "MODEL_CARD.md").read_text()
    assert "on 0 to 100" in card
    fitted = json.loads((project / "models/population/fold_0/fit.json").read_text())["chosen"]
    assert set(fitted["dataset_weights"]) == set(BOTH)


def test_people_of_either_dataset_are_scored_on_their_scale(project: Path) -> None:
    code = """
import json, pamela, polars as pl
reward = pamela.load("models:/pamela@champion")
images = pl.read_parquet("data/validated/images.parquet")
dark_bright = images.filter(dataset="mine").sort("image_id")["file"].to_list()
world = images.filter(dataset="synthetic")["file"].to_list()[:3]
users = pl.read_parquet("data/splits/users.parquet").filter(fold=0, side="train")
one = users.filter(dataset="mine")["user_id"][0]
mine = reward.score(user=f"mine/{one}", images=dark_bright)
other = users.filter(dataset="synthetic")["user_id"][0]
theirs = reward.score(user=f"synthetic/{other}", images=world)
me = reward.adapt(ratings=[], demographics={"school": "arts"}, dataset="mine")
told = reward.score(user=me, images=dark_bright[:1])[0]
try:
    reward.adapt(ratings=[], demographics={"gender": "female"}, dataset="mine")
    said = ""
except pamela.core.errors.PamelaError as error:
    said = str(error)
print(json.dumps({"mine": [s.rating for s in mine], "source": mine[0].source,
    "theirs": [s.rating for s in theirs], "told": told.source, "said": said}))
"""
    found = json.loads(must(project, "python", "-c", code).strip().splitlines()[-1])
    assert all(0 <= r <= 100 for r in found["mine"])
    assert max(found["mine"]) > 20  # not a number of 1..5
    assert all(1 <= r <= 5 for r in found["theirs"])
    assert (found["source"], found["told"]) == ("seen", "demographics")
    assert "unknown demographic 'gender' in dataset mine: known are school" in found["said"]


def test_weights_of_an_unknown_dataset_stop_the_run_at_once(project: Path) -> None:
    path = project / "params.yaml"
    kept = path.read_text()
    raw = yaml.safe_load(kept)
    raw["train"]["dataset_weights"] = {"synthetic": 1, "theirs": 2}
    path.write_text(yaml.safe_dump(raw))
    told = "train.dataset_weights names theirs, which is not in ingest.datasets"
    try:
        with pytest.raises(PamelaError, match=told):
            run_stages(project, "train")
    finally:
        path.write_text(kept)


def test_the_comparison_is_made_on_request_and_shown(project: Path) -> None:
    out = must(project, "python", "-m", "benchmarks.joint", "--here")
    assert "on mine, seen: alone" in out
    rows = json.loads((project / "reports/joint.json").read_text())
    assert {row["dataset"] for row in rows} == set(BOTH)
    run_stages(project, "report")
    page = (project / "reports/index.html").read_text()
    assert "Do the other datasets help?" in page
    assert any(row["verdict"] in page for row in rows)


def test_a_batch_of_either_dataset_is_judged_in_each(project: Path) -> None:
    must(project, "git", "add", "-A")
    must(project, "git", "commit", "-q", "-m", "first run")
    batch = project / "data/inbox/mine/more"
    batch.mkdir(parents=True)
    (batch / "dataset.yaml").write_text(yaml.safe_dump({"name": "mine", "scale": [0, 100]}))
    user, image = np.divmod(np.arange(6 * IMAGES), IMAGES)  # six: some are training users of fold 0
    new = {"user_id": [f"new{u}" for u in user], "image_id": image, "rating": 40 + image % 20}
    pl.DataFrame(new).write_csv(batch / "ratings.csv")
    (batch / "_DONE").touch()
    run_cycle(project)
    record = json.loads((project / "reports/gate.json").read_text())
    held = [check for check in record["checks"] if check["kind"] == "hold-out"]
    assert {check["dataset"] for check in held} == set(BOTH)
    assert {check["wanted"] for check in held} == {"at least -1"}
    (newest,) = [check for check in record["checks"] if check["rows_of"] == "newest"]
    assert 0 < newest["rows"] < 6 * IMAGES
    assert record["group"] == ["mine/more"]
