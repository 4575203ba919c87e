"""Real human ratings through the same pipeline, where the datasets lie beside the repository."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from pamela.core.dataset import load_fold
from pamela.data.importing.dataset import import_dataset
from tests.conftest import ROOT, copy_project, must, override_params
from tests.helpers import yaml
from tests.helpers.folders import make_project
from tests.helpers.stages import run_stages

SHARED = ROOT.parent / "shared" / "data"
DATASETS = {"oasis_beauty": (508, 99_796, 392), "avt_ai_images": (55, 7_007, 145)}
# Every model on all five folds of the small dataset; on the large one those that learn most.
# `paper` chooses among two of its six configurations: the choice takes most of the time.
PARAMS = {
    "oasis_beauty": {
        "split": {"folds": 2},
        "train": {
            "models": ["group_mean", "population", "paper", "hierarchical"],
            "cv_folds": 2,
            "cv_trials": 2,
        },
        "evaluate": {"bootstrap": 100, "shots": [0, 10], "margins": [0.0, 1.0]},
    },
    "avt_ai_images": {"train": {"cv_trials": 2}, "evaluate": {"bootstrap": 200}},
}

LEARNED_AND_TESTED = ("train", "test_seen", "test_unseen", "context_unseen")

pytestmark = [pytest.mark.slow, pytest.mark.shared_data, pytest.mark.timeout(2700)]


@pytest.mark.parametrize("name", sorted(DATASETS, reverse=True))
def test_a_shared_dataset_goes_through(name, tmp_path):
    source = SHARED / name
    if not source.is_dir():
        pytest.skip(f"{source}: the real-rating datasets are not beside the repository")
    users, ratings, images = DATASETS[name]
    project = copy_project(tmp_path / "project")
    out = must(project, "python", "-m", "pamela.cli", "import", "tables", str(source),
               "--name", name)  # fmt: skip
    assert str(ratings) in out.replace(",", "")
    assert (project / "data" / "raw" / f"{name}.dvc").is_file()

    override_params(project, {"ingest": {"datasets": [name]}, "embed": {"encoder": "precomputed"}})
    override_params(project, PARAMS[name])
    run_stages(project)

    counts = json.loads((project / "reports/validation.json").read_text())
    assert counts["datasets"][name]["rows_in"] == ratings
    assert counts["datasets"][name]["rows_kept"] == ratings
    assert pl.read_parquet(project / "data/validated/users.parquet").height == users
    assert pl.read_parquet(project / "data/validated/images.parquet").height == images
    folds = yaml.safe_load((project / "params.yaml").read_text())["split"]["folds"]
    assert json.loads((project / "data/splits/splits.json").read_text())["folds"] == folds

    assert json.loads((project / "metrics/steering.json").read_text()) == {"skipped": 1}
    assert pl.read_parquet(project / "reports/steering.parquet").height == 0
    report = (project / "reports/index.html").read_text()
    assert name in report
    assert "no generator" in report.lower() or "skipped" in report.lower()

    if name == "oasis_beauty":
        _check_people_differ(project, name)
    _check_bundle(project, name)


def test_people_who_rated_everything_twice_say_what_can_be_reached(tmp_path):
    source = SHARED / "gan_dogs"
    if not source.is_dir():
        pytest.skip(f"{source}: the real-rating datasets are not beside the repository")
    project = make_project(tmp_path / "project", ingest={"datasets": ["gan_dogs"]})
    shutil.copytree(source, project.raw / "gan_dogs")
    run_stages(project.root, "ingest", "validate", "split")
    found = json.loads((project.reports / "validation.json").read_text())["datasets"]["gan_dogs"]
    assert found["rows_kept"] == found["rows_in"] == 5_830
    assert pl.read_parquet(project.splits / "ratings.parquet").height == 5_830
    retest = found["retest"]
    assert (retest["people"], retest["pictures"], retest["passes"]) == (53, 53 * 55, 2.0)
    assert retest["srocc"]["ci_low"] < 0.45 < retest["srocc"]["ci_high"]  # of all 100 people
    assert retest["one_pass_ceiling_srocc"]["value"] == pytest.approx(0.67, abs=0.04)
    assert retest["ceiling_srocc"]["value"] > retest["one_pass_ceiling_srocc"]["ci_high"]


def _check_people_differ(project: Path, name: str) -> None:
    """The signal that the reference trial found is there: both heads above chance and the mean."""
    table = pl.read_parquet(project / "reports/evaluation.parquet").filter(
        dataset=name, metric="srocc", aggregation="user", population="seen"
    )
    value = dict(zip(table["model"], table["value"], strict=True))
    assert value["population"] > 0.31
    assert value["paper"] > 0.25  # an untuned transformer of the reference trial
    assert value["population"] > value["group_mean"]


def _check_bundle(project: Path, name: str) -> None:
    """Known pictures score; a new one is refused, as precomputed features cannot be made."""
    code = f"""
import pamela, polars as pl
reward = pamela.load("models:/pamela@champion")
files = pl.read_parquet("data/validated/images.parquet")["file"].to_list()[:5]
user = reward.users[0]
print([round(s.rating, 6) for s in reward.score(user=user, images=files)])
low, high = reward.bundle.scales[{name!r}]
assert all(low <= s.rating <= high for s in reward.score(user=None, images=files))
"""
    assert len(json.loads(must(project, "python", "-c", code))) == 5


def test_choices_go_from_their_folder_to_the_folds(tmp_path):
    """Real choices between web pages: none is lost, and every fold learns and tests on some."""
    source = SHARED / "website_choices"
    if not source.is_dir():
        pytest.skip(f"{source}: the real choices are not beside the repository")
    project = make_project(tmp_path, ingest={"datasets": ["pages"]})
    import_dataset(project, "tables", str(source), "pages")
    run_stages(project.root, "ingest", "validate", "split", "embed")
    report = json.loads((project.reports / "validation.json").read_text())["datasets"]["pages"]
    assert (report["rows_in"], report["choices"]["rows_kept"]) == (0, 3168)
    ties = 0
    for number in range(5):
        fold = load_fold(project, number)
        assert (len(fold.items), len(fold.people), fold.parts) == (100, 99, {})
        assert sum(map(len, fold.choices.values())) == 3168
        assert min(len(fold.choices_of(part)) for part in LEARNED_AND_TESTED) > 0
        ties += sum(int((one.outcome == 0.5).sum()) for one in fold.choices.values())
    assert ties == 5 * 71
