"""Push, pull and experiments with DVC as docs/dvc.md shows them: a clone is clean, never half-made.

The tests run in the order written.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.conftest import copy_project, must
from tests.helpers import yaml
from tests.helpers.smoke import SMOKE
from tests.helpers.stages import run_pipeline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
OVERRIDES = {
    **SMOKE,
    "train": {
        **SMOKE["train"],
        "models": ["group_mean", "population", "residual_ridge", "mf"],
        "champion": "residual_ridge",
    },
}
CLEAN = "Data and pipelines are up to date."


def dvc(folder: Path, *words: str, **env: str) -> str:
    return must(folder, "python", "-m", "dvc", *words, timeout=1200, COLUMNS="200", **env)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished run, pushed to a folder; the ablation was never run."""
    home = tmp_path_factory.mktemp("sharing")
    found = copy_project(home / "project", OVERRIDES)
    run_pipeline(found)
    assert CLEAN in dvc(found, "status")
    dvc(found, "remote", "add", "-q", "-d", "store", str(home / "store"))
    must(found, "git", "add", "-A")
    must(found, "git", "commit", "-q", "-m", "a run")
    dvc(found, "push", "-q")
    return found


@pytest.fixture(scope="module")
def clone(project: Path) -> Path:
    """A clone into which everything was pulled."""
    found = project.parent / "clone"
    subprocess.run(["git", "clone", "-q", str(project), str(found)], check=True)
    for key, value in (("user.email", "tests@example.org"), ("user.name", "tests")):
        must(found, "git", "config", key, value)
    dvc(found, "pull", "-q")
    return found


def test_a_clone_pulls_everything_and_is_clean(project, clone):
    assert CLEAN in dvc(clone, "status")
    assert must(clone, "git", "status", "--porcelain") == ""
    for name in ("reports/index.html", "models/bundle/bundle.json", "data/features/image.npy"):
        assert (clone / name).read_bytes() == (project / name).read_bytes()
    assert "0 stages" in must(clone, "python", "-m", "flows.pipeline")


def test_an_experiment_says_what_it_changed(clone, prefect_api):
    change = ("-n", "factors", "-S", "train.champion=mf")
    dvc(clone, "exp", "run", "-q", *change, PREFECT_API_URL=prefect_api)
    shown = json.loads(dvc(clone, "exp", "show", "--json"))[1]
    one = shown["experiments"][0]["revs"][0]
    assert one["name"] == "factors"
    before, after = (
        entry["data"]["metrics"]["metrics/evaluation.json"]["data"] for entry in (shown, one)
    )
    assert before["champion_seen_srocc"] != after["champion_seen_srocc"]
    assert before["population_seen_srocc"] == after["population_seen_srocc"]
    header = dvc(clone, "exp", "show", "--only-changed", "--md").splitlines()[0]
    assert "train.champion" in header
    assert "champion_seen_srocc" in header
    assert "population_seen_srocc" not in header.replace("minus_population_seen_srocc", "")
    assert "train.seed" not in header
    assert CLEAN in dvc(clone, "status")
    kept = yaml.safe_load((clone / "params.yaml").read_text())
    assert kept["train"]["champion"] == "mf"
