"""Fits side by side in processes are those that one process makes, and end together."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import psutil
import pytest

from pamela.compute.processes import in_threads, run_all, side_by_side
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.training import side_by_side as fits
from tests.helpers.stages import run_stage
from tests.unit.training.test_train import params, project  # noqa: F401, a fixture

MODELS = ["user_mean", "population", "paper", "residual_ridge", "hierarchical"]


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    if number == 1:
        raise PamelaError("no rows")
    return number


def test_models_are_the_same_bytes_as_of_one_process(
    project: Project,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = params(models=MODELS, champion="hierarchical")

    def contents() -> dict[str, bytes]:
        run_stage("train", project, SimpleNamespace(train=asked))
        files = [p for p in project.models.rglob("*") if p.is_file()]
        return {str(p): p.read_bytes() for p in files}

    alone = contents()
    monkeypatch.setattr(fits, "process_count", lambda _: 2)
    assert contents() == alone


def test_a_fault_is_told_with_the_piece_and_ends_the_rest() -> None:
    with side_by_side(2) as opened:
        assert opened is not None
        with pytest.raises(PamelaError, match=r"^piece 1: no rows$"):
            run_all(refuse, [(0,), (1,)], ["piece 0", "piece 1"])
        assert opened.over
        with pytest.raises(PamelaError, match="piece 2: stopped"):
            opened.run("piece 2", refuse, 2)
    assert not any(psutil.pid_exists(pid) for pid in opened.pids)


def test_a_process_that_is_killed_is_told_with_what_it_worked_on() -> None:
    with side_by_side(2), pytest.raises(PamelaError, match=r"^paper, fold 3: its process was"):
        run_all(die, [(0,)], ["paper, fold 3"])


def test_results_keep_the_order_of_the_jobs() -> None:
    with side_by_side(2):
        assert run_all(refuse, [(3,), (2,), (0,)], ["a", "b", "c"]) == [3, 2, 0]
    assert run_all(refuse, [(3,), (2,)], ["a", "b"]) == [3, 2]
    assert in_threads([lambda: 1, lambda: 2], threads=1) == [1, 2]
