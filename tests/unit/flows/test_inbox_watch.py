"""When the inbox starts a cycle, and that it does not do so again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.service import inbox_watch
from flows.service.inbox_watch import FIRST_RETRY_S, LAST_RETRY_S, Watch
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.params import Params, load_params
from pamela.retraining.inbox import DONE, REFUSED
from tests.paths import ROOT


class Clock:
    now = 0.0
    left = False  # whether a cycle leaves work undone

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(inbox_watch, "time", made)
    monkeypatch.setattr(inbox_watch, "work_waits", lambda *_: made.left)
    return made


@pytest.fixture
def params() -> Params:
    return load_params(ROOT / "params.yaml")


@pytest.fixture
def watch(tmp_path: Path, clock: Clock, params: Params) -> Watch:
    made = Watch(Project(tmp_path))
    assert made.reason(params) == ""
    return made


def drop(watch: Watch, name: str = "b1") -> Path:
    batch = watch.project.inbox / "synthetic" / name
    batch.mkdir(parents=True)
    (batch / "ratings.csv").touch()
    return batch


def cycle(watch: Watch, params: Params) -> str:
    """Ask once; where there is a reason, the cycle that follows takes nothing."""
    reason = watch.reason(params)
    if reason:
        watch.planned()
        assert watch.reason(params) == "", "one at a time"
        watch.ran(params)
    return reason


def test_a_batch_starts_a_cycle_once_it_is_complete(watch: Watch, params: Params) -> None:
    batch = drop(watch)
    assert cycle(watch, params) == ""
    (batch / DONE).touch()
    assert cycle(watch, params) == "new: synthetic/b1"
    assert cycle(watch, params) == ""


def test_a_refused_batch_is_no_reason_until_somebody_wants_it_tried_again(
    watch: Watch, params: Params, clock: Clock
) -> None:
    batch = drop(watch)
    (batch / DONE).touch()
    assert watch.reason(params)
    watch.planned()
    (batch / REFUSED).touch()
    watch.ran(params)
    clock.now = 10 * LAST_RETRY_S
    assert cycle(watch, params) == ""
    (batch / REFUSED).unlink()
    assert cycle(watch, params) == "new: synthetic/b1"


def test_what_a_cycle_left_undone_is_tried_again_at_growing_intervals(
    watch: Watch, params: Params, clock: Clock
) -> None:
    batch = drop(watch)
    (batch / DONE).touch()
    clock.left = True
    tries = [
        clock.now for clock.now in range(0, int(30 * FIRST_RETRY_S), 10) if cycle(watch, params)
    ]
    assert tries == [0, 60, 180, 420, 900]
    (drop(watch, "b2") / DONE).touch()
    assert cycle(watch, params) == "new: synthetic/b2"  # at once
    clock.now += FIRST_RETRY_S
    assert cycle(watch, params) == "left by an earlier cycle"


def test_what_was_left_before_the_service_started_is_a_reason(
    tmp_path: Path, clock: Clock, params: Params
) -> None:
    clock.left = True
    assert Watch(Project(tmp_path)).reason(params) == "left by an earlier cycle"


def test_people_who_withdraw_start_a_cycle(watch: Watch, params: Params, clock: Clock) -> None:
    watch.project.withdrawn.parent.mkdir(exist_ok=True)
    watch.project.withdrawn.write_text("dataset,user_id\n")
    assert cycle(watch, params) == "", "nobody is in it"
    watch.project.withdrawn.write_text("dataset,user_id\nsynthetic,ann\n")
    clock.left = True
    assert cycle(watch, params) == "people withdrew"


def test_a_fault_in_the_params_starts_a_cycle_that_tells_it(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> bool:
        raise PamelaError("reports/gate.json: damaged")

    monkeypatch.setattr(inbox_watch, "work_waits", fault)
    assert inbox_watch.waits(Project(tmp_path), params)
