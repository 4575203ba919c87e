"""The data page of a dataset of choices alone, and of one with both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.reporting.data_docs.choices.plots import coin_flips
from tests.helpers.folders import choices_of, make_project, write_choices
from tests.unit.reporting.data_docs.test_data_docs import docs
from tests.unit.validation.test_validate import run


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = make_project(tmp_path / "p", ingest={"datasets": ["d"]})
    rows = choices_of(12, 6).with_columns(position=pl.int_range(pl.len()))
    faulty = rows.head(2).with_columns(choice=pl.Series(["c", ""]), user_id=pl.lit("u1"))
    write_choices(made.raw / "d", pl.concat([rows, faulty]))
    return made


def test_choices_stand_in_place_of_ratings(project: Project) -> None:
    run(project)
    page = docs(project)
    for said in (
        "180 choices between two of 6 images by 12 users",
        "182, 180, 2 (1.10%)",
        "15 distinct, 100.00% of all 15",
        "known of 180 of 180 choices",
        "first-named image",
        "circular triads",
        "row 181 (u1, i0, i1, c)",
        "Most and least often chosen images",
    ):
        assert said in page.text, said
    assert "Agreement between raters" not in page.text
    assert page.tags.count("img") == 6
    found = read_json(project.reports / "validation.json")["datasets"]["d"]["choices_in_figures"]
    assert (found["users"], found["images"], found["pairs"], found["asked_again"]) == (12, 6, 15, 0)
    assert found["same_answer_again"]["value"] is None
    assert found["closed_triads"] > 0


def test_ratings_and_choices_of_one_dataset_are_both_described(project: Project) -> None:
    folder = project.raw / "d"
    (folder / "dataset.yaml").write_text("name: d\nscale: [1, 5]\n")
    pl.DataFrame(
        {"user_id": ["u0", "u1"], "image_id": ["i0", "i0"], "rating": ["4", "2"]}
    ).write_csv(folder / "ratings.csv")
    run(project)
    page = docs(project)
    assert "2 ratings on 1 to 5 by 2 users" in page.text
    assert "180 choices between two of 6 images by 12 users" in page.text
    assert page.tags.count("img") == 11


def test_coin_flips_spread_the_less_the_more_often_an_image_is_seen() -> None:
    edges = np.linspace(0, 1, 22)
    expected = coin_flips(pl.Series("n", [10, 10, 1000]), edges)
    assert expected.sum() == pytest.approx(3)
    assert expected.argmax() == 10
    drawn = np.random.default_rng(0).binomial(1000, 0.5, 4000) / 1000
    counted = np.histogram(drawn, edges)[0] / 4000
    assert coin_flips(pl.Series("n", [1000]), edges) == pytest.approx(counted, abs=0.03)
