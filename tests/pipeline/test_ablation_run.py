"""The ablation end to end on the smoke-sized world: one command after the pipeline, then nothing.

The tests run in the order written.
"""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from pamela.evaluation.ablation import FULL, VARIANT, VARIANTS
from tests.conftest import copy_project, must
from tests.helpers.dvc_graph import ask_for_ablation
from tests.helpers.smoke import SMOKE
from tests.helpers.stages import run_pipeline, run_stages

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
]
MODELS = {"paper": 1, "hierarchical": 2}
OVERRIDES = {
    **SMOKE,
    "train": {
        **SMOKE["train"],
        "models": ["population", *MODELS],
        "champion": "paper",
        "device": "cpu",
    },
    "evaluate": {**SMOKE["evaluate"], "query_size": 6},  # so that some rows are left for shots
    "ablation": {"models": MODELS, "shots": [0, 5]},
}
KEYS = ["dataset", "model", "population", "shots", "metric"]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    found = copy_project(tmp_path_factory.mktemp("ablation") / "project", OVERRIDES)
    run_pipeline(found)
    return found


@pytest.fixture(scope="module")
def first_run(project, prefect_api) -> str:
    assert not (project / "reports/ablation.parquet").exists()
    ask_for_ablation(project)
    words = ("python", "-m", "dvc", "repro", "ablation/dvc.yaml")
    return must(project, *words, timeout=900, PREFECT_API_URL=prefect_api)


@pytest.fixture
def table(project, first_run) -> pl.DataFrame:
    return pl.read_parquet(project / "reports/ablation.parquet")


def runs_of(project: Path) -> dict[str, str | None]:
    """Return the ablation's run ids with their parents'."""
    with sqlite3.connect(project / "mlflow.db") as db:
        kind = "select run_uuid from tags where key = 'kind' and value = 'ablation'"
        parents = "select run_uuid, value from tags where key = 'mlflow.parentRunId'"
        found = dict(db.execute(parents).fetchall())
        return {run: found.get(run) for (run,) in db.execute(kind)}


def test_one_command_runs_nothing_of_the_pipeline_again(first_run):
    ran = re.findall(r"Running stage '([^']+)'", first_run)
    assert ran == ["ablation/dvc.yaml:ablation", "ablation/dvc.yaml:page"]


def test_every_variant_of_every_model_has_every_number(table):
    assert table.height == len(MODELS) * len(VARIANTS) * 3 * 4
    assert table["value"].null_count() == 0
    assert dict(table.select("model", "n_seeds").unique().rows()) == MODELS
    assert table.filter(pl.col("n_seeds") == 1)["seed_sd"].null_count() == table.height // 2


def test_the_full_model_has_the_evaluations_numbers(project, table):
    """Same model, same queries, same resamples: value and interval agree to rounding."""
    ours = table.filter((pl.col(VARIANT) == FULL) & (pl.col("model") == "paper"))
    evaluation = pl.read_parquet(project / "reports/evaluation.parquet").filter(
        (pl.col("aggregation") == "user") & (pl.col("margin").is_null() | (pl.col("margin") == 0)),
        pictures="new",
    )
    both = ours.join(evaluation, on=KEYS, how="inner", nulls_equal=True, suffix="_there")
    assert both.height == ours.height
    for name in ("value", "ci_low", "ci_high"):
        assert (both[name] - both[f"{name}_there"]).abs().max() < 1e-6


def test_page_metrics_and_runs_are_there(project, table):
    assert "without demographics" in (project / "reports/ablation.html").read_text()
    figures = json.loads((project / "metrics/ablation.json").read_text())
    assert "hierarchical_no_user_minus_full_unseen_5_srocc" in figures
    runs = runs_of(project)
    parents = [run for run, parent in runs.items() if parent is None]
    assert len(parents) == 1
    assert len(runs) == 1 + len(MODELS) * len(VARIANTS)
    assert {parent for parent in runs.values() if parent} == set(parents)


def test_a_second_time_it_is_cached_and_the_report_shows_it(project, first_run):
    before = runs_of(project)
    again = must(project, "python", "-m", "dvc", "repro", "ablation/dvc.yaml")
    assert "Running stage" not in again
    assert "0 stages" in must(project, "python", "-m", "flows.pipeline")
    run_stages(project, "report")
    html = (project / "reports/index.html").read_text()
    assert 'id="ablation"' in html
    assert "without metadata" in html
    assert runs_of(project) == before


def test_a_new_title_makes_the_page_alone_again(project, first_run, prefect_api):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(re.sub(r"title: .*", "title: Another title", text))
    words = ("python", "-m", "dvc", "repro", "ablation/dvc.yaml")
    again = must(project, *words, PREFECT_API_URL=prefect_api)
    assert re.findall(r"Running stage '([^']+)'", again) == ["ablation/dvc.yaml:page"]
