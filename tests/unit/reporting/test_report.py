"""The page and the model card: right numbers, self-contained, nothing that changes by itself."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import polars as pl
import pytest

from pamela.core.files import read_json, read_parquet, write_json, write_parquet
from pamela.evaluation.metrics.schema import UNSEEN_ALL_ROWS
from pamela.evaluation.provenance import model_hashes
from pamela.evaluation.results import Results
from pamela.reporting.data_tables import splits_table, validation_table
from pamela.reporting.model_card import model_card
from pamela.reporting.plots.figures import write_plots
from pamela.reporting.presentation.html import Picture
from pamela.reporting.report import write_report
from pamela.reporting.sections.ideal_share import shares_section
from pamela.reporting.sections.people import PeoplePart, PersonPart, Tile
from pamela.reporting.sections.steering import arms_table, gains_table
from pamela.reporting.sections.synthetic_world import (
    admirers_table,
    calibration_table,
    ideal_table,
)
from pamela.reporting.tables import (
    differences_table,
    further_table,
    paper_table,
    results_table,
    sign,
)
from pamela.reporting.text import headline_sentences, skipped
from pamela.synthetic.published_facts import GROUP_ADMIRERS
from tests.helpers.made_up import make_project, params_of
from tests.helpers.world_kit import make


def load(project):
    return Results(project, params_of(project))


@pytest.fixture
def results(tmp_path):
    return load(make_project(tmp_path))


def test_further_measures_hold_every_number_there_is(results):
    """Conflict pairs are counted over pairs of users, so they stand under `pooled` alone."""
    table = further_table(results, "synthetic")
    column = table.columns.index("conflict pairs, one order right")
    shown = [row[column].text for row in table.rows]
    assert len(shown) == 2 * len(results.models("synthetic"))
    assert all(0.5 <= float(text) <= 1 for text in shown)


class Links(HTMLParser):
    """Collects what a page would fetch, and its visible text."""

    def __init__(self):
        super().__init__()
        self.urls, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.urls += [value for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    made = load(make_project(tmp_path_factory.mktemp("page")))
    write_plots(made, made.project.reports / "plots")
    path = made.project.reports / "index.html"
    tile = Tile("data:image/jpeg;base64,", "4.5, others 3.2", "a red barn")
    person = PersonPart(
        "p001", ["Rates higher."], Picture("data:image/png;base64,", 9), "bars", {"Up": [tile]}, []
    )
    people = PeoplePart("paper", {"synthetic": [person]}, ["nothing is missing"])
    write_report(made, path, people)
    first = path.read_bytes()
    write_report(made, path, people)
    assert path.read_bytes() == first
    parser = Links()
    parser.source = first.decode()
    parser.feed(parser.source)
    return parser


def test_a_difference_says_from_what(page):
    assert re.search(r'<th scope="row">[^<]+<small>minus ', page.source)


def test_the_page_fetches_nothing(page):
    assert page.urls
    beside = {"data.html"}  # an output of the pipeline, too: it lies in the same folder
    fetched = [url for url in page.urls if url not in beside]
    inside = ("data:image/png;base64,", "data:image/jpeg;base64,", "#")
    assert all(url.startswith(inside) for url in fetched)
    assert "#people" in fetched
    assert beside < set(page.urls)
    assert not re.search(r"url\(|@import|https?://", "".join(page.text))


def test_the_page_shows_numbers_paper_provenance_and_the_warning(page):
    text = " ".join(page.text)
    assert "0.656 to 0.696" in text  # paper, seen, margin 0
    assert "HPSv3" in text
    assert "0.643" in text
    assert "simulated" in text
    assert "rating_on_scale: 3" in text
    assert "embed.encoder" in text
    assert "dataset synthetic" in text


def test_margins_that_coincide_share_a_column(results):
    table = results_table(results, "synthetic")
    assert table.columns[3:] == [
        "accuracy, margin 0 to 1",
        "accuracy, margin 1.5 to 2",
        "accuracy, margin 3",
    ]
    assert "select the same pairs" in table.caption
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_the_champion_comes_first_and_ceilings_last(results):
    names = [row[0].text for row in results_table(results, "synthetic").rows if row[0].text]
    assert names[0] == "paper"
    assert names[-2:] == ["ideal_population", "ideal_observer"]


@pytest.mark.parametrize(
    ("low", "high", "wanted"), [(0.01, 0.2, "▲"), (-0.2, -0.01, "▼"), (-0.1, 0.1, "·")]
)
def test_a_difference_is_told_by_its_interval(results, low, high, wanted):
    assert sign({"ci_low": low, "ci_high": high}) == wanted
    path = results.project.reports / "differences.parquet"
    changed = read_parquet(path).with_columns(ci_low=pl.lit(low), ci_high=pl.lit(high))
    write_parquet(path, changed)
    cells = differences_table(load(results.project), "synthetic").rows[0][1:]
    assert all(cell.text.endswith(wanted) for cell in cells)
    words = {"▲": "a gain", "▼": "a loss", "·": "not distinguishable"}[wanted]
    assert words in " ".join(headline_sentences(load(results.project)))


def test_quarantine_counts_come_from_the_validation_report(results):
    rows = [[cell.text for cell in row] for row in validation_table(results).rows]
    assert rows[0] == [
        "synthetic", "ratings", "405", "400", "5", "rating_on_scale: 3, image_known: 2",
    ]  # fmt: skip


def test_what_lies_on_two_sides_is_said_in_words(results):
    path = results.project.splits / "splits.json"
    caption = splits_table(results, "synthetic").caption
    assert caption.endswith("On two sides: 3 images that validation and test share.")
    record = read_json(path)
    overlaps = record["datasets"]["synthetic"]["overlaps"]
    overlaps["1"] = overlaps["0"] | {"images_in_val_and_test": 1, "same_content_on_two_sides": 2}
    write_json(path, record)
    caption = splits_table(load(results.project), "synthetic").caption
    assert caption.endswith(
        "On two sides (the most of any fold): 2 picture contents that lie on two sides under two "
        "ids; 3 images that validation and test share."
    )
    none = dict.fromkeys(overlaps["0"], 0)
    record["datasets"]["synthetic"]["overlaps"] = {"0": none}
    write_json(path, record)
    assert "Nothing lies on two sides." in splits_table(load(results.project), "synthetic").caption


def test_a_skipped_benchmark_is_said_with_its_reason(tmp_path):
    made = load(make_project(tmp_path, dataset="beauty", steered=False))
    notes = " ".join(skipped(made))
    assert "beauty has no generator's world" in notes
    assert "Steering" not in model_card(made)
    assert not any("Steering" in sentence for sentence in headline_sentences(made))


def test_shots_that_nobody_can_give_are_named(results):
    path = results.project.reports / "evaluation.parquet"
    gone = pl.col("shots") == 100
    frame = read_parquet(path).with_columns(
        value=pl.when(gone).then(None).otherwise("value"),
        n_users=pl.when(gone).then(0).otherwise("n_users"),
    )
    write_parquet(path, frame)
    assert any("at 100 shots" in note for note in skipped(load(results.project)))


def test_models_that_cannot_adapt_are_named_and_those_that_can_are_not(results):
    note = next(n for n in skipped(results) if "cannot learn" in n)
    assert "population" in note
    assert "paper" not in note


def test_the_steering_table_is_in_the_order_of_elo(results):
    assert [row[0].text for row in arms_table(results.steering).rows] == [
        "self", "population", "other", "none",
    ]  # fmt: skip


def test_gains_are_shown_as_generic_and_personal(results):
    rows = {row[0].small: row for row in gains_table(results.steering).rows}
    assert rows["other against none"][0].text == "generic"
    assert rows["other against none"][1].text == "+0.72"
    assert rows["self against other"][0].text == "personal"
    assert [cell.text for cell in rows["self against other"][1:3]] == ["+0.31", "56%"]


def test_the_card_depends_on_the_results_alone(results, tmp_path_factory):
    card = model_card(results)
    assert card == model_card(load(make_project(tmp_path_factory.mktemp("again"))))
    assert str(results.project.root) not in card
    assert "0.42 [0.40, 0.44]" in card
    assert "simulated" in card
    hashes = [h for model in results.params.train.models
              for h in model_hashes(results.project, model).values()]  # fmt: skip
    assert hashes
    assert not [h for h in hashes if h[:8] in card]  # of floats: another machine has others
    path = results.project.metrics / "steering.json"
    write_json(path, read_json(path) | {"elo_self": 1234.0})
    assert "self 1234" in model_card(load(results.project))


def test_published_figures_stand_beside_those_of_all_rows(results):
    evaluation = results.evaluation
    unseen = (pl.col("population") == "unseen") & (pl.col("shots") == 0)
    whole = evaluation.filter(unseen).with_columns(
        population=pl.lit(UNSEEN_ALL_ROWS), value=pl.col("value") + 0.017
    )
    write_parquet(results.project.reports / "evaluation.parquet", pl.concat([evaluation, whole]))
    again = load(results.project)
    mine = [row for row in paper_table(again).rows if row[0].text == "paper"]
    assert [row[2].text for row in mine] == ["0.407"]
    for table in (results_table, further_table):
        shown = table(results, "synthetic"), table(again, "synthetic")
        assert shown[0].rows == shown[1].rows


# --- the embedded world ---------------------------------------------------------------------------
def test_the_table_of_the_ideal_says_what_was_lost_where(results):
    evaluation = results.evaluation
    feature = evaluation.filter(model="ideal_observer").with_columns(
        model=pl.lit("feature_observer"), value=pl.col("value") - 0.05
    )
    share = evaluation.filter(model="paper", metric="srocc", population="seen").with_columns(
        metric=pl.lit("share_of_ideal_srocc"), value=pl.lit(0.5)
    )
    write_parquet(
        results.project.reports / "evaluation.parquet", pl.concat([evaluation, feature, share])
    )
    row = results.differences.filter(population="seen", metric="srocc").head(1)
    gaps = [
        row.with_columns(model=pl.lit(one), baseline=pl.lit(other), value=pl.lit(value),
                         ci_low=pl.lit(value - 0.01), ci_high=pl.lit(value + 0.02))
        for one, other, value in (("feature_observer", "ideal_observer", -0.05),
                                  ("paper", "feature_observer", -0.11))
    ]  # fmt: skip
    write_parquet(
        results.project.reports / "differences.parquet", pl.concat([results.differences, *gaps])
    )
    again = load(results.project)
    table = ideal_table(again, "synthetic")
    seen = {row[0].text: row[1] for row in table.rows}
    assert seen["ideal_observer"].text == "0.580"
    assert seen["feature_observer"].text == "0.530"
    assert (seen["lost by the encoder"].text, seen["lost by the encoder"].small) == (
        "+0.050", "+0.030 to +0.060",
    )  # fmt: skip
    assert seen["lost by paper"].text == "+0.110"
    table = shares_section(again, "synthetic").table
    mine = next(row for row in table.rows if row[0].text == "paper")
    assert (mine[1].text, mine[2].text) == ("SROCC, over the ideal observer", "0.50")
    assert not any("feature_observer" in row[0].small for row in differences_table(
        again, "synthetic").rows)  # fmt: skip


def test_other_datasets_have_no_ideal_and_no_calibration(tmp_path):
    other = load(make_project(tmp_path, dataset="oasis"))
    write_parquet(
        other.project.reports / "evaluation.parquet",
        other.evaluation.filter(~pl.col("model").str.starts_with("ideal")),
    )
    again = load(other.project)
    assert ideal_table(again, "oasis") is None
    assert calibration_table(again) is None
    assert admirers_table(again) is None


def test_calibration_stands_beside_the_release_and_judges_only_its_size(results):
    assert calibration_table(results) is None  # made-up ratings are in no part of a release
    made = make(train_users=24, unseen_users=8, train_images=160, heldout_images=80, ratings=2200)
    validated = results.project.validated
    world = pl.lit("synthetic").alias("dataset")
    for name, frame in (
        ("ratings", made.rated.select(world, "user_id", "image_id", "rating", split="part")),
        ("users", made.world.users.with_columns(world)),
        ("images", made.images.with_columns(world)),
    ):
        write_parquet(validated / f"{name}.parquet", frame)
    table = calibration_table(load(results.project))
    shown = {row[0].text: row for row in table.rows}
    art = made.rated.filter((pl.col("part") == "train") & (pl.col("type") == "Art"))
    assert shown["mean, Art"][2].text == f"{art['rating'].mean():.2f}"
    assert shown["mean, Art"][1].text == "2.99"
    assert shown["paper model, SROCC of unseen users"][2].text == "0.390"
    assert shown["paper model, SROCC of unseen users, 25 rows each"][2].text == "0.390"
    assert {row[-1].text for row in table.rows} == {""}
    admirers = {row[0].text: row for row in admirers_table(load(results.project)).rows}
    assert [cell.text for cell in admirers["all styles"]][1::2] == ["1,690", "178"]
    assert [cell.text for cell in admirers["landscape"]][1::2] == ["145", "26"]
    assert int(admirers["all groups"][2].text) == sum(
        int(admirers[name][2].text) for name in GROUP_ADMIRERS
    )
    assert "not of the release's size" in table.caption
