"""When a cycle trains."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from pamela.core.paths import Project
from pamela.params import Params, load_params
from pamela.retraining import records, triggers
from pamela.retraining.gate.decision import Data, write_decision
from pamela.retraining.triggers import NewData, fired, new_data
from tests.paths import ROOT
from tests.unit.retraining.gate.test_decision import decision

NOW = dt.datetime(2026, 11, 28, 3, tzinfo=dt.UTC)
NOTHING = NewData(Data(), {}, False)


def asked(**trigger: Any) -> Params:
    params = load_params(ROOT / "params.yaml")
    changed = params.retrain.triggers.model_copy(update=trigger)
    retrain = params.retrain.model_copy(update={"triggers": changed})
    return params.model_copy(update={"retrain": retrain})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(
        triggers, "new_counts", lambda _, labels: ({"ratings": 40 * len(labels), "choices": 0}, 3)
    )
    champion = SimpleNamespace(tags={triggers.PROMOTED_AT: "2026-11-20T03:00:00+00:00"})
    monkeypatch.setattr(triggers.versions, "champion", lambda *_: champion)
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("trigger", "found", "reason"),
    [
        ({}, NOTHING, None),
        ({}, NewData(Data(), {"added": ["d/a"]}, False), "40 new ratings in d/a"),
        ({"new_ratings": 41, "new_users": 4}, NewData(Data(), {"added": ["d/a"]}, False), None),
        (
            {"new_ratings": 41, "new_users": 4},
            NewData(Data(), {"added": ["d/a", "d/b"]}, False),
            "80 new ratings in d/a, d/b",
        ),
        (
            {"new_ratings": 41, "new_users": 3},
            NewData(Data(), {"added": ["d/a"]}, False),
            "3 new people in d/a",
        ),
        ({}, NewData(Data(), {"removed": ["d/a"]}, False), "removed d/a"),
        ({}, NewData(Data(), {}, True), "people withdrew"),
        ({"max_age_days": 7.0}, NOTHING, "the champion was last tried 8 days ago"),
        ({"max_age_days": 8.0}, NOTHING, None),
    ],
)
def test_one_reason_is_enough(
    project: Project, trigger: dict[str, Any], found: NewData, reason: str | None
) -> None:
    assert fired(project, asked(**trigger), found, now=NOW) == ([reason] if reason else [])


def test_a_champion_that_was_tried_since_is_not_old(project: Project) -> None:
    at = {"at": "2026-11-28T02:00:00Z", "by": "gate", "version": "2", "why": "no gain"}
    records.append(project, {**at, "action": "idle"})
    assert fired(project, asked(max_age_days=1.0), NOTHING, now=NOW) != []
    records.append(project, {**at, "action": "hold"})
    assert fired(project, asked(max_age_days=1.0), NOTHING, now=NOW) == []


def test_a_clock_that_was_set_back_makes_no_champion_old(project: Project) -> None:
    before = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    assert fired(project, asked(max_age_days=0.001), NOTHING, now=before) == []


def test_a_trial_that_lies_ahead_keeps_no_champion_young(project: Project) -> None:
    """The clock was ahead when it was recorded: else the champion would be old after years."""
    ahead = {"at": "2036-01-01T00:00:00Z", "by": "gate", "version": "2", "why": "no gain"}
    records.append(project, {**ahead, "action": "hold"})
    reason = "the champion was last tried 8 days ago"
    assert fired(project, asked(max_age_days=7.0), NOTHING, now=NOW) == [reason]


def test_new_data_is_what_the_last_decision_has_not_judged(tmp_path: Path) -> None:
    project = Project(tmp_path)
    folder = project.batches / "d"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        (folder / f"{name}.dvc").write_text(f"outs:\n- md5: {name}.dir\n  path: {name}\n")
    assert new_data(project).added == ["d/a", "d/b"]
    judged = Data(batches={"d/a": "a.dir", "d/gone": "1"})
    write_decision(project, decision(data=judged, state="done"))
    found = new_data(project)
    assert (found.added, found.withdrawn) == (["d/b"], False)
    assert found.changes == {"added": ["d/b"], "removed": ["d/gone"]}
    project.withdrawn.write_text("dataset,user_id\n")  # as it is shipped
    assert not new_data(project).withdrawn
    project.withdrawn.write_text("dataset,user_id\nd,u1\n")
    assert new_data(project).withdrawn


def test_a_rejected_batch_that_somebody_took_away_holds_nothing_up(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for home, name in ((project.set_aside, "a"), (project.batches, "b")):
        (home / "d" / name).mkdir(parents=True)
    write_decision(project, decision(to_try=[["d/gone"], ["d/a", "d/lost"], ["d/b"]]))
    assert triggers.pending(project) == [["d/a"], ["d/b"]]
    write_decision(project, decision(to_try=[["d/gone"]]))
    assert triggers.pending(project) == []


def test_ratings_and_choices_and_their_new_people_are_counted(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for name, table, text in (
        ("a", "ratings", "user_id,image_id,rating\nold,i0,3\nnew,i0,4\n"),
        (
            "b",
            "choices",
            "user_id,image_a,image_b,choice\nnew,i0,i1,a\nnewer,i0,i1,tie\n,i0,i1,a\n",
        ),
    ):
        folder = project.batches / "d" / name
        folder.mkdir(parents=True)
        (folder / "dataset.yaml").write_text("name: d\nscale: [1, 5]\n")
        (folder / f"{table}.csv").write_text(text)
    labels = ["d/a", "d/b"]
    assert triggers.new_counts(project, labels) == ({"ratings": 2, "choices": 3}, 3)
    project.validated.mkdir(parents=True)
    users = pl.DataFrame({"dataset": ["d"], "user_id": ["old"]})
    users.write_parquet(project.validated / "users.parquet")
    assert triggers.new_counts(project, labels) == ({"ratings": 2, "choices": 3}, 2)


def test_a_reason_says_what_came(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    found = NewData(Data(), {"added": ["d/a"]}, False)
    for rows, said in (
        ({"ratings": 2, "choices": 1000}, "2 new ratings and 1,000 new choices in d/a"),
        ({"ratings": 0, "choices": 1}, "1 new choices in d/a"),
    ):
        monkeypatch.setattr(triggers, "new_counts", lambda *_, rows=rows: (rows, 0))
        assert fired(project, asked(), found, now=NOW) == [said]
