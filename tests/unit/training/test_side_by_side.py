"""Fits side by side in processes are those that one process makes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pamela.compute.processes import Processes
from pamela.core.paths import Project
from pamela.training import side_by_side as fits
from tests.helpers.stages import run_stage
from tests.helpers.train_params import params

MODELS = ["user_mean", "population", "paper", "residual_ridge", "hierarchical"]


def test_models_are_the_same_bytes_as_of_one_process(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = params(models=MODELS, champion="hierarchical")

    def contents() -> dict[str, bytes]:
        run_stage("train", project, SimpleNamespace(train=asked))
        files = [p for p in project.models.rglob("*") if p.is_file()]
        return {str(p): p.read_bytes() for p in files}

    alone = contents()
    sent: list[str] = []
    run = Processes.run

    def noted(self: Processes, name: str, *work: Any) -> Any:
        sent.append(name)
        return run(self, name, *work)

    monkeypatch.setattr(Processes, "run", noted)
    monkeypatch.setattr(fits, "process_count", lambda _: 2)
    assert contents() == alone
    assert {name.partition(",")[0] for name in sent} >= {*MODELS, "paper: configuration 1 of 2"}
