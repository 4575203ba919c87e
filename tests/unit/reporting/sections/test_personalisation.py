"""The report's sections on people and pictures: the right figures in the right words."""

from __future__ import annotations

import polars as pl
import pytest

from pamela.core.files import read_parquet, write_parquet
from pamela.evaluation.results import Results
from pamela.reporting.plots.figures import write_plots
from pamela.reporting.report import context
from pamela.reporting.sections.image_slices import reliability_section, slices_section
from pamela.reporting.sections.personalisation import (
    parts_section,
    people_sections,
    seen_gain_section,
    swap_section,
)
from pamela.reporting.sections.subgroups import gap_sentence, gaps_section
from tests.helpers.made_up import make_project, params_of


def load(project) -> Results:
    return Results(project, params_of(project))


@pytest.fixture
def results(tmp_path) -> Results:
    return load(make_project(tmp_path))


def change(results: Results, name: str, **columns: pl.Expr) -> Results:
    """Return the results after one of the report's tables was changed."""
    path = results.project.reports / f"{name}.parquet"
    write_parquet(path, read_parquet(path).with_columns(**columns))
    return load(results.project)


def test_the_swap_says_what_is_lost_and_for_whom(results) -> None:
    section = swap_section(results, "synthetic")
    assert "falls from 0.420 to 0.350 SROCC" in section.text
    rows = section.table.rows
    assert [row[1].text for row in rows] == ["seen", "unseen, 20 shots"]
    assert rows[0][2].text == "0.420"
    assert (rows[0][3].text, rows[0][4].text) == ("0.350", "+0.070 ▲")
    assert section.table.strong == {0, 1}  # `paper` is the champion here


def test_the_parts_stand_beside_the_whole(results) -> None:
    section = parts_section(results, "synthetic")
    assert "+0.060 SROCC" in section.text
    assert "+0.010 is generic and +0.050 personal" in section.text
    (row,) = section.table.rows
    assert [cell.text for cell in row[:2]] == ["paper", "minus population"]
    assert [cell.text for cell in row[2:5]] == ["+0.060 ▲", "+0.010 ·", "+0.050 ▲"]


def test_a_share_without_an_interval_is_a_dash(results) -> None:
    section = seen_gain_section(results, "synthetic")
    assert section.table.columns == ["model", "20 shots"]
    assert "31% after 20 of their ratings" in section.text
    share = pl.col("metric") == "share_of_seen_gain"
    none = pl.when(share).then(None).otherwise("ci_low")
    assert seen_gain_section(change(results, "evaluation", ci_low=none), "synthetic") is None


@pytest.mark.parametrize(
    ("p", "low", "wanted"),
    [(0.2, 0.05, "chance gives as much"), (0.01, 0.05, "beyond chance"), (0.01, 0.01, "unclear")],
)
def test_a_gap_is_told_by_its_p_and_its_interval(results, p, low, wanted) -> None:
    gap = {"p_value": p, "ci_low": low, "by_chance": 0.02}
    assert gap_sentence(gap).startswith(wanted)
    changed = change(results, "gaps", p_value=pl.lit(p), ci_low=pl.lit(low))
    section = gaps_section(changed, "synthetic")
    count = int(wanted == "beyond chance")
    assert f"{count} of 1 SROCC gaps" in section.text
    assert ("gender, seen" in section.text) == bool(count)
    (row,) = section.table.rows
    assert row[3].text == "female"
    assert row[6].text.startswith(wanted)
    assert len(section.folded[0].rows) == 2


def test_kinds_of_pictures_name_the_lowest_and_count_the_gains(results) -> None:
    section = slices_section(results, "synthetic")
    assert "in 2 of 2 kinds of type (lowest: Art, 0.710)" in section.text
    assert [row[0].text for row in section.table.rows] == ["Art", "Photorealism"]
    worse = pl.when(pl.col("model") == "paper").then(0.1).otherwise("value")
    assert "in 0 of 2 kinds" in slices_section(
        change(results, "slices", value=worse), "synthetic").text  # fmt: skip


def test_the_page_has_every_section_and_the_figure_of_the_deviations(results) -> None:
    write_plots(results, results.project.reports / "plots")
    assert (results.project.reports / "plots" / "synthetic_reliability.png").is_file()
    (dataset,) = context(results, None)["datasets"]
    titles = [part.title for part in dataset["parts"]]
    assert titles == [
        "User swap",
        "The generic and the personal part of every gain",
        "What a few ratings are worth",
        "Accuracy by demographic group",
        "By kind of picture",
        "Are the predictive deviations right?",
    ]  # no normalised gain over the ideal observer: these made-up numbers have none
    assert dataset["parts"][-1].picture is not None
    assert "holds 88.0%" in dataset["parts"][-1].text


def test_what_was_not_measured_has_no_section(tmp_path) -> None:
    project = make_project(tmp_path)
    for name in ("slices", "groups", "gaps"):
        path = project.reports / f"{name}.parquet"
        write_parquet(path, read_parquet(path).clear())
    path = project.reports / "evaluation.parquet"
    rows = read_parquet(path)
    write_parquet(path, rows.filter(~pl.col("metric").str.contains("generic|swap|share")))
    bare = load(project)
    assert people_sections(bare, "synthetic") == []
    assert gaps_section(bare, "synthetic") is None
    assert slices_section(bare, "synthetic") is None
    assert reliability_section(bare, "synthetic", None) is None
