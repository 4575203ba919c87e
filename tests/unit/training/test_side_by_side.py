"""Fits side by side in processes are those that one process makes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pamela.core.paths import Project
from pamela.training import side_by_side as fits
from tests.helpers.stages import run_stage
from tests.unit.training.test_train import params, project  # noqa: F401, a fixture

MODELS = ["user_mean", "population", "paper", "residual_ridge", "hierarchical"]


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
