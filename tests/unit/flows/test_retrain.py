"""Whole cycles are run by tests/pipeline/test_retrain.py; here: how a cycle ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.settings import PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW, temporary_settings

from flows import retrain, runtime
from pamela.core.paths import Project
from pamela.params import load_params
from tests.paths import ROOT


def test_a_refused_batch_ends_with_exit_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Project(tmp_path), load_params(ROOT / "params.yaml")
    monkeypatch.setattr(retrain, "here", lambda: found)
    monkeypatch.setattr(retrain, "take_batches", lambda *_: {"d/b": "d/b: rating_off_scale"})
    monkeypatch.setattr(retrain, "track_batches", lambda _: {})
    # outside a run's flow Prefect warns of each task's log
    quiet = temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"})
    with quiet, pytest.raises(SystemExit) as end:
        runtime.main(retrain.retrain.fn, words=())  # type: ignore[attr-defined]
    assert end.value.code == 1
    said = capsys.readouterr()
    assert said.out.startswith("nothing to do")  # the rest of the cycle was run all the same
    assert said.err == "error: batch d/b: rating_off_scale\n"
