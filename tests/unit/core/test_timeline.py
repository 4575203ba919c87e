"""What a stage records of its times, and what is read from it."""

from __future__ import annotations

import pytest

from pamela.core import timeline
from pamela.core.paths import Project
from pamela.core.timeline import Span, Timeline, unbroken


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv(timeline.FILE_ENV, "")  # what `begin` sets goes with the test
    return Project(tmp_path)


def fit(model, fold, *, curve=(), kind=timeline.FIT):
    timeline.record(timeline.STEP_BEGINS, name=kind, what=[model, fold])
    for step, value in enumerate(curve):
        timeline.record_metrics(step, {"val_loss": value})
    timeline.record(timeline.STEP, name=kind, what=[model, fold], start=1.0 + fold)


def test_a_model_is_fitted_from_its_first_fold_to_its_last(project):
    timeline.begin(project, "train", started=0.5)
    for fold in (0, 1):
        for model in ("paper", "paper_2"):
            fit(model, fold)
    timeline.record(timeline.END)
    found = Timeline.of(project, "train")
    assert found.whole == Span(0.5, found.events[-1]["time"])
    assert found.step(timeline.FIT, "paper") == Span(1.0, found.events[6]["time"])
    assert found.step(timeline.FIT, "paper", 1) == Span(2.0, found.events[6]["time"])
    assert found.step(timeline.FIT, "mf") is None


def test_points_of_a_curve_keep_when_they_came_and_another_step_is_no_fold(project):
    timeline.begin(project, "train", started=0.5)
    fit("paper", 0, curve=(3.0, 2.0))
    fit("paper", 0, curve=(9.0,), kind="fit the champion on all ratings")
    times = Timeline.of(project, "train").metric_times
    events = Timeline.of(project, "train").events
    assert times == {
        ("paper", 0, "val_loss", 0): events[2]["time"],
        ("paper", 0, "val_loss", 1): events[3]["time"],
    }


def test_a_killed_stage_has_no_times_and_its_last_line_may_be_cut_off(project):
    timeline.begin(project, "train", started=0.5)
    fit("paper", 0)
    path = timeline.file_of(project, "train")
    path.write_text(path.read_text() + '{"kind": "ste')
    found = Timeline.of(project, "train")
    assert found.whole is None
    assert found.step(timeline.FIT, "paper") is None
    assert found.until(99.0) == Span(0.5, 99.0)
    assert Timeline.of(project, "steer").until(99.0) is None


def test_a_stage_that_nobody_watches_records_nothing(project):
    timeline.record(timeline.END)
    assert list(project.root.iterdir()) == []


def test_a_run_is_what_ran_on_into_one_another():
    old, train, report = Span(0.0, 10.0), Span(1000.0, 1100.0), Span(1150.0, 1200.0)
    assert unbroken([old, None, train, report]) == Span(1000.0, 1200.0)
    assert unbroken([None]) is None
