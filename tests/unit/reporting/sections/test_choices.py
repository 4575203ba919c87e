"""Choices in the report, the card, the summary and the runs: beside ratings, and in their place."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from pamela.evaluation.headline import headline
from pamela.evaluation.results import Results
from pamela.registry.tracking.runs import run_specs
from pamela.reporting.model_card import model_card
from pamela.reporting.plots.figures import write_plots
from pamela.reporting.report import context
from pamela.reporting.sections.choices import choice_sentences, choices_sections
from pamela.reporting.terminal_summary import choice_summary_table, print_summary
from tests.helpers.made_up import add_choices, make_project, params_of


def results_of(folder, **how) -> Results:
    project = make_project(folder, dataset="web", steered=False)
    add_choices(project, "web", **how)
    return Results(project, params_of(project))


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Results:
    return results_of(tmp_path_factory.mktemp("both"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Results:
    return results_of(tmp_path_factory.mktemp("alone"), alone=True)


def test_the_section_has_every_place_where_somebody_was_asked(both):
    (section,) = choices_sections(both, "web")
    (told,) = choice_sentences(both, "web")
    assert "foresees 64.0% of choices between new pictures for people it knows" in told
    assert "(bradley_terry) foresee 62.0% of the last" in told
    assert told not in section.text  # the page begins with it
    assert section.table.columns == [
        "model", "new, seen", "new, unseen, 0 shots", "new, unseen, 5 shots",
        "known, unseen, 0 shots", "known, unseen, 5 shots",
    ]  # fmt: skip
    names = [row[0].text for row in section.table.rows]
    assert names == ["paper", "population", "bradley_terry"]
    assert [cell.text for cell in section.table.rows[2][1:]] == ["–", "–", "–", "0.620", "0.620"]
    assert section.table.strong == {0}
    loss, gaps, calibrated, bar = section.folded
    assert loss.rows[0][1].text == "0.660"
    assert [row[0].small for row in gaps.rows] == ["minus population", "minus bradley_terry"]
    assert gaps.rows[1][4].text == "+0.020 ·"
    assert sum(int(row[2].text) for row in calibrated.rows) == 200
    assert bar.title == "Calibration of bradley_terry"


def test_beside_ratings_the_tables_stay_what_they_are(both):
    shown = context(both, None)["datasets"][0]
    assert shown["results"].columns[2] == "SROCC"
    assert "Choices between two pictures" in [part.title for part in shown["parts"]]


def test_a_dataset_of_choices_alone_shows_them_in_place_of_srocc(alone):
    write_plots(alone, alone.project.reports / "plots")
    page = context(alone, None)
    shown = page["datasets"][0]
    assert shown["results"].title == "Accuracy of choices"
    assert shown["further"].title == "Log loss of choices"
    assert shown["differences"].title == "Differences of accuracy"
    tables = [shown[key].title for key in ("results", "further", "differences")]
    for part in shown["parts"]:
        tables += [table.title for table in (part.table, *part.folded) if table]
    assert len(set(tables)) == len(tables), "each table once"
    assert not any("rated" in note for note in page["skipped"])
    assert any("has choices and no ratings" in note for note in page["skipped"])
    card = model_card(alone)
    assert "60 choices by 20 users between 61 images; as imported" in card
    assert "| `paper` | 0.640 [0.620, 0.660] |" in card
    assert "SROCC" not in card
    found = headline(alone.numbers, alone.all_differences, alone.params)
    assert found["champion_seen_choice_accuracy"] == 0.64
    assert "population_unseen_choice_log_loss" in found


def test_runs_have_them_as_metrics(alone):
    specs = {spec.name: spec for spec in run_specs(alone)}
    paper = {m[0]: m[1] for m in specs["paper · web"].metrics}
    assert paper["seen_choice_accuracy"] == 0.64
    assert paper["known_pictures_choice_log_loss"] == pytest.approx(0.66)
    assert "- choice accuracy: seen users 0.640 [0.620, 0.660]" in specs["paper · web"].note
    assert "bradley_terry · web" in specs


def test_the_summary_of_a_run_fits_the_terminal(alone):
    written = StringIO()
    print_summary(alone.project, Console(file=written, width=60))
    lines = written.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    assert any("bradley_terry" in line and "0.620" in line for line in lines)
    assert not any("SROCC" in line for line in lines)
    assert choice_summary_table(alone.numbers, dataset="other") is None
