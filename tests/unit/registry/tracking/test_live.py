"""MLflow while the pipeline runs: curves come as they are recorded, and nothing is logged twice."""

from __future__ import annotations

import time

import pytest

from pamela.core import timeline
from pamela.evaluation.results import Results
from pamela.registry.tracking import live, publish
from pamela.registry.tracking.run_metrics import live_fit
from pamela.registry.tracking.runs import SESSION_ENV
from pamela.reporting.ablation_runs import all_specs
from tests.helpers.made_up import make_project, params_of

MODEL = "paper"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv(timeline.FILE_ENV, "")
    monkeypatch.setattr(live, "POLL_S", 0.05)
    return make_project(tmp_path / "project")


def runs_of(project):
    params = params_of(project)
    client = publish.client_of(project, params)
    return client, client.search_runs([publish.experiment_id(client, project, params)])


def wait_for(found, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


def train(project, started, epochs=2):
    """Record what stage train records of one fit."""
    timeline.begin(project, "train", started)
    timeline.record(timeline.STEP_BEGINS, name=timeline.FIT, what=[MODEL, 0])
    history = Results(project, params_of(project)).histories(MODEL).drop("fold")
    for row in history.head(epochs).to_dicts():
        timeline.record_metrics(row.pop("step"), row)
    timeline.record(timeline.STEP, name=timeline.FIT, what=[MODEL, 0], start=started)
    timeline.record(timeline.END)


def fitted(project):
    """Return the run of the model, once its fit is over."""
    what = live_fit(project, MODEL)
    return [run for run in runs_of(project)[1] if run.data.tags.get(publish.LIVE) == what]


def test_a_fit_is_shown_while_it_goes_on_and_completed_by_the_results(project, monkeypatch):
    began = time.time()
    params = params_of(project)
    with live.shown_live(project, params, "a test") as session:
        train(project, began)
        (running,) = wait_for(lambda: fitted(project))
        client, runs = runs_of(project)
        (whole,) = (run for run in runs if run.info.run_name == "pipeline")
        assert whole.info.status == "RUNNING"
        assert running.data.tags["mlflow.parentRunId"] == whole.info.run_id
        key = "training/fold_0_train_loss"
        assert len(client.get_metric_history(running.info.run_id, key)) == 2
        monkeypatch.setenv(SESSION_ENV, session)
        specs = all_specs(project, params)
        made = publish.publish(project, params, specs)
    by_name = {run.name: run.run_id for run in made}
    assert by_name["pipeline"] == whole.info.run_id
    assert by_name[f"{MODEL} · synthetic"] == running.info.run_id
    client, runs = runs_of(project)
    assert len(runs) == len(specs)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert not any({publish.LIVE, publish.OWNER} & set(run.data.tags) for run in runs)
    done = client.get_run(running.info.run_id)
    assert done.info.start_time / 1000 == pytest.approx(began, abs=5)
    assert done.data.metrics["seen_srocc"] == pytest.approx(0.42)
    points = client.get_metric_history(running.info.run_id, key)
    steps = [point.step for point in points]
    assert steps == sorted(set(steps))
    assert len(steps) == 10


def test_the_same_result_again_leaves_no_second_run(project, monkeypatch):
    params = params_of(project)
    before = publish.publish(project, params, all_specs(project, params))
    with live.shown_live(project, params, "again") as session:
        train(project, time.time())
        wait_for(lambda: fitted(project))
        monkeypatch.setenv(SESSION_ENV, session)
        again = publish.publish(project, params, all_specs(project, params))
    assert [run.run_id for run in again] == [run.run_id for run in before]
    assert len(runs_of(project)[1]) == len(before)


def stop_within_a_fit(project):
    with live.shown_live(project, params_of(project), "a test"):
        wait_for(lambda: runs_of(project)[1])
        timeline.begin(project, "train", time.time())
        timeline.record(timeline.STEP_BEGINS, name=timeline.FIT, what=[MODEL, 0])
        wait_for(lambda: len(runs_of(project)[1]) == 2)
        raise ValueError("stopped")


def test_a_pipeline_that_stops_is_shown_as_failed(project):
    with pytest.raises(ValueError, match="stopped"):
        stop_within_a_fit(project)
    assert [run.info.status for run in runs_of(project)[1]] == ["FAILED", "FAILED"]


def test_runs_of_a_killed_process_are_ended_by_the_next(project):
    params = params_of(project)
    client = publish.client_of(project, params)
    experiment = publish.experiment_id(client, project, params)
    machine, number, started = live.owner().split()
    owners = {"gone": f"{machine} {number} 1", "here": live.owner(), "there": f"x {number} 1"}
    for name, owner in owners.items():
        client.create_run(experiment, tags={publish.OWNER: owner}, run_name=name)
    live.close_killed(client, experiment)
    status = {run.info.run_name: run.info.status for run in client.search_runs([experiment])}
    assert status == {"gone": "KILLED", "here": "RUNNING", "there": "RUNNING"}
    assert started


def test_mlflow_that_cannot_be_written_costs_one_line_and_not_the_pipeline(
    project, monkeypatch, capsys
):
    def broken(*_):
        raise OSError("http://name:password@host does not answer")

    monkeypatch.setattr(publish, "client_of", broken)
    with live.shown_live(project, params_of(project), "a test"):
        pass
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "http://***@host does not answer" in said
