"""Raters of whom nothing can be learned go through every stage; no figure is made up for them."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from tests.helpers.folders import images_of, make_project, ratings_of, write_tables
from tests.helpers.stages import run_stages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

USERS, IMAGES = 24, 24
MODELS = ["global_mean", "user_mean", "group_mean", "population", "residual_ridge", "mf", "paper",
          "hierarchical"]  # fmt: skip
SMALL = {
    "ingest": {"datasets": ["odd"]},
    "split": {"folds": 2},
    "train": {"models": MODELS, "champion": "hierarchical", "max_epochs": 1, "cv_trials": 1},
    "evaluate": {"bootstrap": 100, "shots": [0, 5], "query_size": 5},
}


def write_odd(folder: Path) -> None:
    """Write 24 ordinary raters, three who give one value to everything, three with one rating."""
    ordinary = ratings_of(USERS, IMAGES)
    constant = ratings_of(3, IMAGES).with_columns(
        user_id="constant-" + pl.col("user_id"), rating=pl.lit("3")
    )
    single = ratings_of(3, 1).with_columns(user_id="single-" + pl.col("user_id"))
    ratings = pl.concat([ordinary, constant, single])
    users = ratings.select("user_id").unique(maintain_order=True)
    users = users.with_columns(gender=pl.Series(["f", "m", ""] * 10))
    write_tables(folder, ratings, users, images_of(IMAGES))


def test_odd_raters_survive_the_pipeline(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", **SMALL).root
    write_odd(project / "data" / "raw" / "odd")
    run_stages(project)

    validation = json.loads((project / "reports/validation.json").read_text())["datasets"]["odd"]
    assert (validation["rows_in"], validation["rows_quarantined"]) == (27 * IMAGES + 3, 0)
    assert pl.read_parquet(project / "data/validated/users.parquet").height == USERS + 6

    rows = pl.read_parquet(project / "reports/evaluation.parquet").filter(dataset="odd")
    assert set(rows["model"]) >= set(MODELS)
    values = rows.drop_nulls("value")
    assert values["value"].is_finite().all()
    by_user = values.filter(metric="srocc", aggregation="user", model="population")
    assert by_user.height
    assert by_user["n_users"].max() <= USERS  # ranks of a constant or single rater do not exist
    accuracy = values.filter(metric="pairwise_accuracy", aggregation="user", model="population")
    assert accuracy["n_users"].max() <= USERS
    errors = values.filter(metric="rmse", aggregation="user", model="user_mean", population="seen")
    assert errors["n_users"].max() > USERS  # an error they do have
