"""The page that goes to MLflow's runs: what it lays where the browser keeps a user's choice."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mlflow
import pytest

from flows import mlflow_app
from pamela.registry.tracking import publish
from pamela.registry.tracking.runs_table import FIXED, VIEW_STATE, WIDTHS
from pamela.reporting.ablation_runs import all_specs
from tests.helpers.made_up import make_project, params_of


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return make_project(tmp_path / "project")


def test_before_a_first_run_it_goes_to_the_first_page(project):
    assert 'location.replace("/")' in mlflow_app.runs_page(project)


def test_it_lays_the_columns_and_opens_the_pipelines_run(project):
    params = params_of(project)
    made = publish.publish(project, params, all_specs(project, params))
    page = mlflow_app.runs_page(project)
    place, view = re.search(r"const place = (.*?), view = (.*?), opened = ", page, re.S).groups()
    assert json.loads(place).startswith("MLflowLocalStorage-1.1-ExperimentPage-")
    state = json.loads(view)
    assert state["runsExpanded"] == {made[0].run_id: True}
    assert state["columnOrder"][2:5] == [
        f"metrics.`{key}`" for key in ("seen_srocc", "unseen_srocc", "seen_pairwise_accuracy")
    ]
    assert set(state["selectedColumns"]) | set(FIXED) == set(WIDTHS)
    assert "experiments/" in page.partition("location.replace(")[2]


def test_no_value_can_end_the_script():
    assert "</script><b>" not in mlflow_app.filled("</script><b>", dict(VIEW_STATE), "/")


def test_mlflows_page_still_keeps_its_state_there():
    """What `mlflow_app` lays down is read under these names; a new MLflow may rename them."""
    folder = Path(mlflow.__file__).parent / "server/js/build/static/js"
    script = next(folder.glob("main.*.js")).read_text(encoding="utf-8")
    for words in (
        '"MLflowLocalStorage"', 'version="1.1"', '"ReactComponentState"',
        '"selectedColumns","columnOrder","columnWidths","runsExpanded"',
        '"mlflow.assistant.fab.autoOpenedOnFirstLoad",version:1',
        '"mlflow.workflowType",version:1', '="machine_learning"',
    ):  # fmt: skip
        assert words in script, words
