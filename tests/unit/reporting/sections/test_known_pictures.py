"""Report, model card and runs on pictures that others rated."""

from __future__ import annotations

import pytest

from pamela.evaluation.results import Results
from pamela.registry.tracking.runs import run_specs
from pamela.reporting.model_card import model_card
from pamela.reporting.sections.known_pictures import known_pictures_note, known_pictures_section
from tests.helpers.made_up import add_known_pictures, make_project, params_of


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    project = make_project(tmp_path_factory.mktemp("known"))
    add_known_pictures(project, "synthetic")
    return Results(project, params_of(project))


def test_the_table_has_every_model_beside_the_mean_of_others(results):
    section = known_pictures_section(results, "synthetic")
    assert "30 people" in section.text
    assert "+0.060 (+0.045 to +0.075) after 20" in section.text
    table, (intervals, gaps) = section.table, section.folded
    assert table.columns[:3] == ["model", "0 shots", "5 shots"]
    assert [row[0].text for row in table.rows] == ["paper", "population", "image_mean"]
    paper, population, mean = (row[4] for row in table.rows)  # at 20 shots
    assert (paper.text, paper.small) == ("0.480", "+0.060 ▲")
    assert (population.text, population.small) == ("0.400", "-0.020 ▼")
    assert (mean.text, mean.small) == ("0.420", "")
    assert table.strong == {0}
    assert intervals.rows[0][4].small == "0.445 to 0.515"
    assert [row[0].text for row in gaps.rows] == ["paper", "population"]
    assert (gaps.rows[0][1].text, gaps.rows[0][4].text) == ("+0.000 ·", "+0.060 ▲")


def test_the_model_card_shows_them_too(results):
    card = model_card(results)
    assert "| `image_mean` | 0.42 [0.3" in card
    assert "| `paper` minus `image_mean` | 0.000 [-0.015, 0.015] | 0.020 [0.005, 0.035] |" in card


def test_runs_show_them_by_shots(results):
    by_name = {spec.name: {m[0::2]: m[1] for m in spec.metrics} for spec in run_specs(results)}
    paper = by_name["paper · synthetic"]
    assert paper["by_shots/known_pictures_srocc", 20] == 0.48
    assert paper["by_shots/known_pictures_gain_over_image_mean", 20] == 0.06
    assert paper["by_shots/unseen_srocc", 20] < 0.48
    assert paper["known_pictures_srocc", 0] == 0.42
    assert by_name["image_mean · synthetic"] == pytest.approx(
        {("known_pictures_srocc", 0): 0.42}
        | {(f"intervals/known_pictures_srocc_{end}", 0): v for end, v in
           (("ci_low", 0.385), ("ci_high", 0.455))}
        | {("by_shots/known_pictures_srocc", k): 0.42 for k in (0, 5, 10, 20, 50, 100)}
    )  # fmt: skip


def test_where_nobody_was_asked_the_report_says_why(tmp_path):
    project = make_project(tmp_path)
    nobody = Results(project, params_of(project))
    assert known_pictures_section(nobody, "synthetic") is None
    assert known_pictures_note(nobody, "synthetic") == (
        "synthetic: no value on pictures that others rated: no unseen user rated 125 training "
        "pictures or more"
    )
    assert "image_mean" not in model_card(nobody)
    assert not any("image_mean" in spec.name for spec in run_specs(nobody))
