"""What an interrupted cycle leaves of the tables is a reason to bring them up to date first."""

from __future__ import annotations

from pathlib import Path

import pytest

from pamela.core.paths import Project
from pamela.params import Params, load_params
from pamela.retraining import waiting
from tests.paths import ROOT

TABLES = ("images.parquet", "users.parquet", "ratings.parquet/synthetic@monday.parquet")


@pytest.fixture
def params() -> Params:
    return load_params(ROOT / "params.yaml")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project that has run, with one accepted batch in its tables."""
    monkeypatch.setattr(waiting.versions, "champion", lambda *_: "1")
    project = Project(tmp_path)
    (project.batches / "synthetic" / "monday").mkdir(parents=True)
    for name in (*TABLES, "ratings.parquet/synthetic.parquet"):
        path = project.validated / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return project


@pytest.mark.parametrize("lost", TABLES)
def test_tables_that_are_not_whole_lag(project: Project, params: Params, lost: str) -> None:
    assert not waiting.tables_lag(project, params)
    (project.validated / lost).unlink()
    assert waiting.tables_lag(project, params)


def test_a_batch_that_left_the_data_lags(project: Project, params: Params) -> None:
    (project.batches / "synthetic" / "monday").rmdir()
    assert waiting.tables_lag(project, params)


def test_batches_of_other_datasets_and_a_project_that_never_ran_do_not(
    project: Project, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.batches / "other" / "monday").mkdir(parents=True)
    assert not waiting.tables_lag(project, params)
    (project.validated / TABLES[0]).unlink()
    monkeypatch.setattr(waiting.versions, "champion", lambda *_: None)
    assert not waiting.tables_lag(project, params)
