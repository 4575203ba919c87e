"""The paper's correlations, by the `paper` model of a run of the defaults."""

from __future__ import annotations

import numpy as np
import pytest

from pamela.core import schema as s
from pamela.core.dataset import Fold, load_fold
from pamela.core.paths import Project
from pamela.evaluation.metrics.definitions import plcc, srocc
from pamela.evaluation.metrics.grouping import judgments
from pamela.models.base import load_model
from pamela.reporting import synthetic_calibration
from tests.pipeline.conftest import FullRun

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("full")]


def correlations(model, fold: Fold, part: str) -> tuple[float, float]:
    """Return mean SROCC and PLCC within people, all rows of the part asked.

    As in the paper: the evaluation's 25 rows per person are too few to tell a calibration by (their
    mean strays by .025 from draw to draw).
    """
    rows = fold[part]
    answer = model.predict(fold.items, fold.people, rows)
    asked = judgments(rows.user, rows.item, rows.rating, answer.mean)
    return float(np.nanmean(srocc(asked))), float(np.nanmean(plcc(asked)))


def test_the_paper_model_correlates_as_published(full_run: FullRun) -> None:
    project = Project(full_run.clone)
    fold = load_fold(project, 0)
    model = load_model(project.models / "paper" / "fold_0")
    parts = {"seen": s.TEST_SEEN, "unseen": s.TEST_UNSEEN}
    found = {name: correlations(model, fold, part) for name, part in parts.items()}
    facts = synthetic_calibration.correlation_facts(
        {name: values[0] for name, values in found.items()},
        {name: values[1] for name, values in found.items()},
    )
    assert [f"{fact.name}: {fact.here:.3f}" for fact in facts if not fact.holds] == []
