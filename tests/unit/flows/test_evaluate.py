"""The flow of stage evaluate, as far as it does what the library cannot."""

from __future__ import annotations

from flows.evaluate import remove_old_scores
from pamela.core.paths import Project
from pamela.params import load_params
from tests.helpers import yaml
from tests.helpers.folders import make_project


def test_scores_that_params_no_longer_name_are_removed_and_nothing_else(tmp_path):
    """DVC leaves the output of a stage that is gone, in a folder that evaluate depends on."""
    project: Project = make_project(tmp_path / "p", evaluate={"external": {"kept": "a.csv"}})
    project.external.mkdir(parents=True)
    for name in ("kept.parquet", "gone.parquet", "somebodys.parquet", ".gitkeep"):
        (project.external / name).touch()
    params = load_params(project.params_file)
    remove_old_scores.fn(project, params)  # before anything ran: there is no dvc.lock
    stages = {"external@kept": {}, "external@gone": {}, "external@long_gone": {}, "train": {}}
    (project.root / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    remove_old_scores.fn(project, params)
    left = sorted(path.name for path in project.external.iterdir())
    assert left == [".gitkeep", "kept.parquet", "somebodys.parquet"]
