"""What `pamela batches` lists: every batch, wherever it lies, with its ratings and why."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from pamela.cli.app import app
from pamela.core.paths import Project
from pamela.retraining import batches
from pamela.retraining.intake.contents import state_of
from pamela.retraining.intake.refusals import refuse
from pamela.retraining.lock import one_at_a_time
from pamela.retraining.overview import Row, overview
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    return project


def batch(home: Path, name: str, rows: int, *, done: bool = True) -> Path:
    folder = home / name
    folder.mkdir(parents=True)
    (folder / "ratings.csv").write_text("user_id,image_id,rating\n" + "u,i,3\n" * rows)
    if done:
        (folder / "_DONE").touch()
    return folder


def test_every_batch_is_listed_with_its_ratings_and_why(project: Project) -> None:
    batch(project.inbox, "synthetic/new", 3)
    half = batch(project.inbox, "synthetic/half", 2, done=False)
    (half / "choices.csv").write_text("user_id,image_a,image_b,choice\nu,i,j,a\n")
    batch(project.inbox, "other/x", 1)
    bad = batch(project.inbox, "synthetic/bad", 4)
    refuse(project, bad, "synthetic/bad: a reason", state_of(bad))
    (project.inbox / "ratings.csv").touch()
    batch(project.inbox, os.fsdecode(b"synthetic/\xff"), 1)
    kept = batch(project.batches, "synthetic/kept", 5)
    batch(project.batches, "synthetic/fresh", 6)
    batch(project.batches, "synthetic/poor", 7)
    batches.set_aside(project, ["synthetic/poor"], {"why": "it made the model worse"})
    validated = project.validated / "ratings.parquet"
    validated.mkdir(parents=True)
    pl.DataFrame({"a": [1, 2, 3]}).write_parquet(validated / "synthetic@kept.parquet")
    apart = project.quarantine / "synthetic" / "ratings.parquet"
    apart.parent.mkdir(parents=True)
    where = project.relative(kept) + "/ratings.csv"
    pl.DataFrame(
        {"rule": ["unknown_image", "rating_missing", "unknown_image"],
         "source_file": [where, where, "data/raw/synthetic/ratings.csv"]}
    ).write_parquet(apart)  # fmt: skip
    *rows, aside = overview(project, ["synthetic"])
    assert rows == [
        Row("synthetic/half", "not complete", 2, None, "without _DONE", 1),
        Row("synthetic/new", "ready", 3, None, "the next retrain takes it up"),
        Row("synthetic/\N{REPLACEMENT CHARACTER}", "ready", None, None,
            "the next retrain takes it up"),
        Row("other/x", "foreign", 1, None, "its dataset is not in ingest.datasets"),
        Row("synthetic/bad", "refused", 4, None, "a reason"),
        Row("data/inbox/ratings.csv", "misplaced", None, None,
            "a file in no batch's folder: nobody reads it"),
        Row("synthetic/fresh", "accepted", 6, None, "the pipeline has not run on it yet"),
        Row("synthetic/kept", "accepted", 5, 2, "rating_missing 1, unknown_image 1"),
    ]  # fmt: skip
    assert (aside.batch, aside.state, aside.ratings) == ("synthetic/poor", "set aside", 7)
    assert aside.why.startswith("it made the model worse (20")


def test_the_command_lists_and_takes_back(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    batch(project.batches, "synthetic/poor", 7)
    batches.set_aside(project, ["synthetic/poor"], {"why": "worse"})
    listed = CliRunner().invoke(app, ["batches"])
    assert [json.loads(line)["state"] for line in listed.output.splitlines()] == ["set aside"]
    with one_at_a_time(project):
        blocked = CliRunner().invoke(app, ["batches", "take-back", "poor"])
    assert "another retrain is running" in str(blocked.exception)
    taken = CliRunner().invoke(app, ["batches", "take-back", "poor"])
    assert taken.exit_code == 0, taken.output
    assert (project.batches / "synthetic/poor/ratings.csv").is_file()
    assert ">accepted<" in (project.reports / "retraining.html").read_text()
