"""MLflow runs: found or created by hash, never twice, healed when the database is gone."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from pamela.core import timeline
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet, write_parquet
from pamela.core.paths import Project
from pamela.evaluation.results import Results
from pamela.params import tracking_uri
from pamela.registry import sqlite_reader
from pamela.registry.tracking import publish
from pamela.registry.tracking.runs import run_specs
from pamela.reporting.ablation_runs import all_specs
from pamela.reporting.plots.figures import write_plots
from tests.helpers.made_up import make_project, params_of

RUNS = 9  # seven models, steering, pipeline


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("tracking") / "project")
    params = params_of(project)
    write_plots(Results(project, params), project.reports / "plots")
    (project.reports / "index.html").write_text("<p>report</p>")
    return project, publish.publish(project, params, all_specs(project, params))


@pytest.fixture
def project(published, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return published[0]


def runs_of(project):
    params = params_of(project)
    client = publish.client_of(project, params)
    experiment = publish.experiment_id(client, project, params)
    return client, {r.info.run_name: r for r in client.search_runs([experiment])}


def test_a_first_publish_creates_every_run(published):
    assert [run.created for run in published[1]] == [True] * RUNS
    assert published[1][0].name == "pipeline"


def test_a_second_publish_creates_none(project, published):
    again = publish.publish(project, params_of(project), all_specs(project, params_of(project)))
    assert [(r.name, r.run_id) for r in again] == [(r.name, r.run_id) for r in published[1]]
    assert not any(run.created for run in again)
    assert len(runs_of(project)[1]) == RUNS


def test_the_glance_agrees_with_mlflow(project):
    params = params_of(project)
    assert publish.is_published(project, params, all_specs(project, params))
    known = sqlite_reader.known_runs(tracking_uri(params, project.root), params.report.experiment)
    asked = runs_of(project)[1].values()
    assert {k.run_id: k.tags for k in known} == {r.info.run_id: r.data.tags for r in asked}


def test_a_run_says_what_it_is(project):
    _, runs = runs_of(project)
    run = runs["paper · synthetic"]
    assert run.data.tags["dataset"] == "synthetic"
    assert run.data.tags["reason"] == "dvc repro"
    assert run.data.tags["git_dirty"] in ("true", "false")
    assert {"git_commit", "encoder", "dataset_hash", "model_hash", "stage"} <= set(run.data.tags)
    assert run.data.params["split.val_share"] == "0.1"
    assert run.data.metrics["seen_srocc"] == pytest.approx(0.42)
    assert run.data.metrics["unseen_srocc"] == pytest.approx(0.39)
    assert run.inputs.dataset_inputs[0].dataset.name == "synthetic"
    assert "SROCC: seen users 0.420 [0.400, 0.440]" in run.data.tags["mlflow.note.content"]


def test_runs_stand_below_the_pipelines(project):
    _, runs = runs_of(project)
    whole = runs.pop("pipeline")
    assert "mlflow.parentRunId" not in whole.data.tags
    assert {r.data.tags["mlflow.parentRunId"] for r in runs.values()} == {whole.info.run_id}


def test_the_gain_stands_with_its_interval_where_the_runs_table_shows_it(project):
    _, runs = runs_of(project)
    run = runs["paper · synthetic"]
    gain = run.data.metrics["seen_gain_over_population"]
    assert re.fullmatch(
        rf"{gain:.3f} \[-?0\.\d+, -?0\.\d+\]", run.data.tags["seen_gain_over_population"]
    )


def test_tables_open_in_mlflow_and_are_written_once(project):
    client, runs = runs_of(project)
    for name, file, rows in (
        ("paper · synthetic", "evaluation.json", 10),
        ("paper · synthetic", "search.json", 2),
        ("pipeline", "models.json", 7),
    ):
        run = runs[name]
        written = json.loads(run.data.tags["mlflow.loggedArtifacts"])
        assert written.count({"path": file, "type": "table"}) == 1
        table = json.loads(Path(client.download_artifacts(run.info.run_id, file)).read_text())
        assert len(table["data"]) >= rows
        if file == "evaluation.json":
            assert table["columns"][:5] == ["metric", "population", "value", "ci_low", "ci_high"]
            assert table["data"][0][:3] == ["srocc", "seen", 0.42]
    assert table["columns"][:4] == ["dataset", "model", "seen_srocc", "unseen_srocc"]
    assert len(table["data"]) == 7


def test_the_numbers_that_matter_most_come_first(project):
    (spec,) = (s for s in run_specs(Results(project, params_of(project)))
               if s.name == "paper · synthetic")  # fmt: skip
    keys = [key for key, _, _ in spec.metrics]
    assert keys[:2] == ["seen_srocc", "unseen_srocc"]
    assert [key for key in keys if "/" in key] == keys[-sum("/" in key for key in keys) :]


def test_what_was_chosen_is_a_param_and_what_was_tried_a_table(project):
    client, runs = runs_of(project)
    run = runs["paper · synthetic"]
    chosen = {k: v for k, v in run.data.params.items() if k.startswith("chosen.")}
    assert chosen == {"chosen.rank": "8"}
    file = client.download_artifacts(run.info.run_id, "search.json")
    assert json.loads(Path(file).read_text())["data"] == [["rank 8", 0.5], ["rank 4", 0.4]]


def test_a_dataset_has_its_columns_and_its_size(project):
    _, runs = runs_of(project)
    one = runs["paper · synthetic"].inputs.dataset_inputs[0].dataset
    names = [column["name"] for column in json.loads(one.schema)["mlflow_colspec"]]
    assert {"user_id", "image_id", "rating"} <= set(names)
    assert set(json.loads(one.profile)) == {"ratings", "users", "images"}


def test_a_healed_database_has_the_recorded_times(copy):
    timings(copy)
    (copy.root / "mlflow.db").unlink()
    publish.publish(copy, params_of(copy), all_specs(copy, params_of(copy)))
    client, runs = runs_of(copy)
    run = runs["paper · synthetic"]
    assert (run.info.start_time, run.info.end_time) == (1_000_000, 1_060_000)
    points = client.get_metric_history(run.info.run_id, "training/fold_0_train_loss")
    assert points[0].timestamp == 1_010_000
    whole = runs["pipeline"]
    assert (whole.info.start_time, whole.info.end_time) == (990_000, 1_200_000)


def timings(project):
    """Write what the stages would have recorded of their times."""
    fit = {"name": timeline.FIT, "what": ["paper", 0]}
    events = {
        "train": [
            {"kind": timeline.STAGE, "time": 995, "start": 990},
            {"kind": timeline.STEP_BEGINS, "time": 1000, **fit},
            {"kind": timeline.METRICS, "time": 1010, "step": 0, "values": {"train_loss": 1.0}},
            {"kind": timeline.STEP, "time": 1060, "start": 1000, **fit},
            {"kind": timeline.END, "time": 1100},
        ],
        "report": [
            {"kind": timeline.STAGE, "time": 1150, "start": 1140},
            {"kind": timeline.END, "time": 1200},
        ],
    }
    project.timings.mkdir(parents=True)
    for stage, lines in events.items():
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        timeline.file_of(project, stage).write_text(text)


def test_curves_are_logged_as_steps(project):
    client, runs = runs_of(project)
    run_id = runs["paper · synthetic"].info.run_id
    history = client.get_metric_history(run_id, "by_margin_x100/seen_pairwise_accuracy")
    assert [p.step for p in history] == [0, 50, 100, 150, 200, 300]
    assert [p.value for p in history] == sorted(p.value for p in history)
    shots = client.get_metric_history(run_id, "by_shots/unseen_srocc")
    assert [p.step for p in shots] == [0, 5, 10, 20, 50, 100]
    assert len(client.get_metric_history(run_id, "training/fold_0_train_loss")) == 10


def test_plots_and_report_are_artifacts(project):
    client, runs = runs_of(project)
    pipeline = runs["pipeline"].info.run_id
    assert "report/index.html" in {f.path for f in client.list_artifacts(pipeline, "report")}
    paper = {f.path for f in client.list_artifacts(runs["paper · synthetic"].info.run_id, "plots")}
    assert {"plots/synthetic_margins.png", "plots/training_paper.png"} <= paper


@pytest.fixture
def copy(project, tmp_path):
    """A copy of the published project that a test may change."""
    return Project(shutil.copytree(project.root, tmp_path / "copy"))


def test_a_copied_project_keeps_its_artifacts_to_itself(project, copy):
    params = params_of(copy)
    assert not publish.is_published(
        copy, params, all_specs(copy, params)
    )  # its runs lie in the other folder
    before = sorted(p.name for p in (project.mlartifacts / "runs").iterdir())
    assert all(run.created for run in publish.publish(copy, params, all_specs(copy, params)))
    assert sorted(p.name for p in (project.mlartifacts / "runs").iterdir()) == before
    _, runs = runs_of(copy)
    assert all(str(copy.root) in run.info.artifact_uri for run in runs.values())
    assert publish.is_published(copy, params, all_specs(copy, params))


def test_a_deleted_database_heals(copy):
    (copy.root / "mlflow.db").unlink()
    params = params_of(copy)
    assert not publish.is_published(copy, params, all_specs(copy, params))
    assert all(run.created for run in publish.publish(copy, params, all_specs(copy, params)))
    assert publish.is_published(copy, params, all_specs(copy, params))


def test_only_what_changed_becomes_a_new_run(copy):
    params = params_of(copy)
    publish.publish(copy, params, all_specs(copy, params))
    path = copy.reports / "evaluation.parquet"
    better = (
        pl.when(pl.col("model") == "population").then(pl.col("value") + 0.01).otherwise("value")
    )
    write_parquet(path, read_parquet(path).with_columns(value=better))
    assert not publish.is_published(copy, params, all_specs(copy, params))
    new = {
        run.name for run in publish.publish(copy, params, all_specs(copy, params)) if run.created
    }
    assert new == {"population · synthetic", "pipeline"}
    # a page written again is put into the same run
    (copy.reports / "index.html").write_text("<p>another</p>")
    assert not publish.is_published(copy, params, all_specs(copy, params))
    assert not any(run.created for run in publish.publish(copy, params, all_specs(copy, params)))
    assert publish.is_published(copy, params, all_specs(copy, params))


def test_an_interrupted_run_is_not_left_half_filled(copy, monkeypatch):
    params = params_of(copy)

    def broken(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(publish, "_log_artifacts", broken)
        with pytest.raises(OSError, match="disk full"):
            publish.publish(copy, params, all_specs(copy, params))
    assert runs_of(copy)[1] == {}
    assert all(run.created for run in publish.publish(copy, params, all_specs(copy, params)))


def test_reason_is_a_tag_and_no_part_of_the_identity(project, monkeypatch):
    results = Results(project, params_of(project))
    plain = run_specs(results)
    monkeypatch.setenv("PAMELA_REASON", "retrain: added synthetic/b1")
    told = run_specs(results)
    assert [s.hash for s in told] == [s.hash for s in plain]
    assert {s.tags["reason"] for s in told} == {"retrain: added synthetic/b1"}


def test_the_glance_cannot_tell_about_other_stores(tmp_path):
    assert sqlite_reader.known_runs("http://127.0.0.1:1", "pamela") is None
    assert sqlite_reader.known_versions(f"sqlite:///{tmp_path}/none.db", "pamela") is None
    assert not (tmp_path / "none.db").exists()
    sqlite3.connect(tmp_path / "other.db").execute("create table others (name text)")
    assert sqlite_reader.known_runs(f"sqlite:///{tmp_path}/other.db", "pamela") is None


@pytest.mark.parametrize("harm", ["not a database", "malformed"])
def test_a_damaged_database_is_told_with_what_to_do(copy, harm):
    path = copy.root / "mlflow.db"
    content = path.read_bytes()
    start = 0 if harm == "not a database" else 4096
    path.write_bytes(content[:start] + b"x" * (len(content) - start))
    with pytest.raises(PamelaError, match=rf"mlflow.db: damaged \(.*{harm}.*make repro"):
        publish.is_published(copy, params_of(copy), all_specs(copy, params_of(copy)))


@pytest.mark.parametrize("address", ["postgresql://host/mlflow", "mysql+pymysql://host/mlflow"])
def test_a_database_that_keeps_no_files_needs_a_place_for_them(address, tmp_path, monkeypatch):
    project = make_project(tmp_path)
    params = params_of(project)
    here = (project.mlartifacts / "runs").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert publish.artifact_root(project, params) is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(PamelaError, match=r"tracking\.artifacts is null") as told:
        publish.artifact_root(project, params)
    assert "s3://" in str(told.value)
    for place, uri in {"s3://bucket/x": "s3://bucket/x", "mlartifacts/runs": here}.items():
        tracking = params.tracking.model_copy(update={"artifacts": place})
        shared = params.model_copy(update={"tracking": tracking})
        assert publish.artifact_root(project, shared) == uri
