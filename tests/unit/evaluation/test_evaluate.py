"""The evaluate stage: who is asked what, after which shots, and which rows come out."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from rich.console import Console

from pamela.core import schema as s
from pamela.core.dataset import Items, load_fold
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet, write_json, write_parquet
from pamela.core.paths import Project
from pamela.evaluation import predictions as p
from pamela.evaluation.comparators.population_user_mean import POPULATION_USER_MEAN
from pamela.evaluation.comparisons import comparisons
from pamela.evaluation.evaluate import DIFFERENCES, EVALUATION, evaluate_predictions
from pamela.evaluation.few_shot import unseen_task
from pamela.evaluation.headline import MAX_HEADLINE, curve, headline
from pamela.evaluation.metrics import schema as col
from pamela.evaluation.metrics.definitions import PAIRWISE_ACCURACY, SROCC
from pamela.evaluation.results import as_published, headline_rows
from pamela.models import create_model
from pamela.models.base import Prediction
from pamela.params import Params, load_params
from pamela.reporting.terminal_summary import elo_table, summary_table
from tests.helpers.folders import write_split
from tests.helpers.taste_fold import (
    MODELS,
    ROWS,
    UNSEEN_USERS,
    Taste,
    make_fold,
)
from tests.paths import ROOT


@pytest.fixture(scope="module")
def params() -> Params:
    whole = load_params(ROOT / "params.yaml")
    return whole.model_copy(
        update={"evaluate": whole.evaluate.model_copy(update={"bootstrap": 100})}
    )


@pytest.fixture(scope="module")
def predicted(params) -> pl.DataFrame:
    fold = make_fold()
    return pl.concat(
        [p.predict_model(model, name, fold, params.evaluate) for name, model in MODELS.items()]
    )


@pytest.fixture(scope="module")
def numbers(predicted, params) -> tuple[pl.DataFrame, pl.DataFrame]:
    return evaluate_predictions(predicted, make_fold().items.frame, params.evaluate)


# --- predictions ----------------------------------------------------------------------------------
def test_a_model_without_adaptation_is_asked_once_and_repeats_itself(params):
    model = Taste()
    frame = p.predict_model(model, "taste", make_fold(), params.evaluate)
    assert frame.schema == col.PREDICTIONS
    assert model.asked == 3  # seen; unseen: the query, and all rows
    unseen = frame.filter(pl.col(col.POPULATION) == col.UNSEEN)
    assert unseen[col.SHOTS].unique().sort().to_list() == [0, 5]  # 7 rows can be shown at most
    at = [unseen.filter(pl.col(col.SHOTS) == k).drop(col.SHOTS) for k in (0, 5)]
    assert_frame_equal(at[0], at[1], check_row_order=False)


def test_an_adapting_model_is_shown_exactly_k_ratings(params):
    fold = make_fold()
    frame = p.predict_model(Taste(0.0, adapts=True), "me", fold, params.evaluate)
    task = unseen_task(fold, query_size=params.evaluate.query_size, seed=params.evaluate.seed)
    got = frame.filter(pl.col(col.SHOTS) == 5).group_by(s.USER).agg(pl.col("mean").first())
    context = task.at(5)[1]
    for user, mean in got.iter_rows():
        shown = context.rating[context.user == int(user[1:])]
        assert len(shown) == 5
        assert mean == pytest.approx(3 + shown.mean())
    assert (frame.filter(pl.col(col.SHOTS) == 0)["mean"] == 3.0).all()


def test_published_figures_are_of_all_test_rows_of_unseen_users(params, predicted, numbers):
    """The query of 25 rows is our own; the paper, which knows no shots, asks everything."""
    fold = make_fold()
    every = predicted.filter(model="population", population=col.UNSEEN_ALL_ROWS)
    assert every.height == len(fold[s.TEST_UNSEEN]) == UNSEEN_USERS * ROWS
    assert every[col.SHOTS].unique().to_list() == [0]
    rho = every.group_by(s.USER).agg(r=pl.corr("mean", s.RATING, method="spearman"))["r"].mean()
    at = {"model": "population", "metric": "srocc", "aggregation": "user", "pictures": "new"}
    whole = as_published(numbers[0])
    assert pick(whole, population="unseen", **at) == pytest.approx(rho)
    assert pick(whole, population="seen", **at) == pick(numbers[0], population="seen", **at)
    shown = headline_rows(numbers[0], SROCC).filter(model="population", pictures="new")
    assert sorted(shown[col.POPULATION]) == ["seen", "unseen"]
    assert not numbers[1][col.POPULATION].is_in([col.UNSEEN_ALL_ROWS]).any()
    # where the context is a part of its own the query is all there is
    own = p.predict_model(Taste(), "taste", make_fold(context=True), params.evaluate)
    assert set(own[col.POPULATION]) == {"seen", "unseen"}
    asked_all = numbers[0].filter(pl.col(col.POPULATION) != col.UNSEEN_ALL_ROWS)
    assert_frame_equal(as_published(asked_all), asked_all)


def test_predictions_that_are_no_numbers_name_the_model(params):
    class Broken(Taste):
        def predict(self, items, people, pairs, context=None):
            return Prediction(np.full(len(pairs), np.nan), np.ones(len(pairs)))

    with pytest.raises(PamelaError, match=r"models/broken/fold_0: \d+ of \d+ .*not finite"):
        p.predict_model(Broken(), "broken", make_fold(), params.evaluate)


def test_a_dataset_with_fewer_folds_is_not_asked_twice():
    fold = make_fold(number=1)
    assert len(p.restrict(fold, {"synthetic": 1})[s.TEST_SEEN]) == 0
    assert len(p.restrict(fold, {"synthetic": 2})[s.TEST_SEEN]) == len(fold[s.TEST_SEEN])


def test_shuffling_deals_every_feature_once_and_within_its_dataset():
    items = make_fold().items
    frame = items.frame.with_columns(
        pl.when(pl.int_range(pl.len()) < 30)
        .then(pl.lit("a"))
        .otherwise(pl.lit("b"))
        .alias(s.DATASET)
    )
    shuffled = p.shuffle_images(Items(frame, items.image, items.prompt), seed=0)
    for rows_of in (slice(0, 30), slice(30, None)):
        before, after = items.image[rows_of, 0], shuffled.image[rows_of, 0]
        assert (before != after).mean() > 0.8
        np.testing.assert_array_equal(np.sort(before), np.sort(after))


def test_the_noise_ceiling_predicts_the_truth_and_misses_nothing(predicted):
    opinions = predicted.select(s.USER, s.IMAGE, utility=pl.col(s.RATING) / 2).unique()
    ceiling = p.noise_ceiling(predicted, opinions)
    assert ceiling[col.MODEL].unique().to_list() == [col.NOISE_CEILING]
    assert ceiling.height == predicted.filter(pl.col(col.MODEL) == "paper").height
    np.testing.assert_allclose(ceiling["mean"], ceiling[s.RATING] / 2)
    with pytest.raises(PamelaError, match=r"utility.parquet: no utility of u\d+ for i\d+"):
        p.noise_ceiling(predicted, opinions.head(3))
    other = predicted.with_columns(pl.lit("oasis").alias(s.DATASET))
    assert p.noise_ceiling(other, opinions).is_empty()


# --- numbers --------------------------------------------------------------------------------------
def pick(frame: pl.DataFrame, **where: object) -> float:
    return frame.filter(**where)["value"].item()


def test_one_row_per_number_in_the_columns_of_the_design(numbers, params):
    evaluation, differences = numbers
    assert evaluation.schema == EVALUATION
    assert differences.schema == DIFFERENCES
    keys = [
        "dataset",
        "model",
        "population",
        "shots",
        "metric",
        "aggregation",
        "margin",
        "pictures",
    ]
    assert not evaluation.select(keys).is_duplicated().any()
    # seen, unseen on all rows, unseen at each k
    k, slices = len(params.evaluate.margins), 2 + len(params.evaluate.shots)
    shares_of_seen_gain = 2 * len(params.evaluate.shots)  # of the models beside `population`
    new, known = (evaluation.filter(pictures=kind) for kind in ("new", "known"))
    assert new.height == len(MODELS) * slices * (3 * k + 4 + 6 + 3) + shares_of_seen_gain
    beside = (len(MODELS) + 1) * len(params.evaluate.shots)  # `image_mean`; only unseen users
    assert known.height == beside * (3 * k + 4 + 6 + 3)
    assert (known["n_users"] == 0).all()  # nobody here has rated enough training pictures
    assert evaluation.filter(pl.col("margin").is_not_null())["metric"].unique().to_list() == [
        "pairwise_accuracy"
    ]
    assert evaluation.filter(population="seen")["shots"].is_null().all()
    inside = evaluation.filter(pl.col("ci_low").is_not_null())
    assert (inside["ci_low"] <= inside["ci_high"]).all()
    assert inside.height > new.height / 4


def test_values_are_those_of_the_ratings(numbers, predicted):
    evaluation, differences = numbers
    mine = predicted.filter(model="population", population="seen")
    rho = mine.group_by(s.USER).agg(r=pl.corr("mean", s.RATING, method="spearman"))["r"].mean()
    at = {"population": "seen", "metric": "srocc", "aggregation": "user"}
    assert pick(evaluation, model="population", **at) == pytest.approx(rho)
    assert pick(evaluation, model="paper", **at) == pytest.approx(-rho)
    gap = differences.filter(population="seen", metric="srocc", model="paper")
    assert gap["value"].item() == pytest.approx(-2 * rho)
    assert gap["ci_high"].item() < 0
    assert pick(differences, population="seen", metric="srocc", model="population",
                baseline="group_mean") == pytest.approx(rho)  # fmt: skip
    side = evaluation.filter(metric="conflict_side", population="seen")
    assert side["value"].to_list() == [0.5] * len(MODELS)


def test_repeated_predictions_repeat_their_intervals(numbers):
    evaluation, _ = numbers
    unseen = evaluation.filter(population="unseen", model="population", pictures="new")
    assert_frame_equal(unseen.filter(shots=0).drop("shots"), unseen.filter(shots=5).drop("shots"))


def test_a_slice_with_nobody_left_stays_without_a_value(numbers):
    empty = numbers[0].filter(pl.col("shots") >= 10)
    assert empty.height > 0
    assert empty["value"].is_null().all()
    assert (empty["n_users"] == 0).all()


def test_evaluation_does_not_depend_on_the_order_of_rows(numbers, predicted, params):
    # models keep their order: a table of results has one
    shuffled = pl.concat(
        [predicted.filter(model=name).sample(fraction=1.0, shuffle=True, seed=3) for name in MODELS]
    )
    again = evaluate_predictions(shuffled, make_fold().items.frame, params.evaluate)
    assert_frame_equal(numbers[0], again[0])
    assert_frame_equal(numbers[1], again[1])


def test_models_must_be_asked_the_same_rows(predicted, params):
    lost = predicted.filter(~((pl.col("model") == "paper") & (pl.col(s.USER) == "u0")))
    with pytest.raises(PamelaError, match="paper and group_mean are not predicted for the same"):
        evaluate_predictions(lost, make_fold().items.frame, params.evaluate)


def test_comparisons_name_the_baselines():
    models = ["group_mean", "population", "paper", col.NOISE_CEILING, col.SHUFFLED]
    assert comparisons(models) == [
        ("group_mean", "population"),
        ("paper", "population"),
        (col.NOISE_CEILING, "population"),
        ("population", "group_mean"),
        ("population", col.SHUFFLED),
    ]
    assert comparisons(["paper"]) == []
    asked = ["user_mean", "population", "mf", "paper", "hierarchical", POPULATION_USER_MEAN]
    found = comparisons(asked, "hierarchical")
    assert len(found) == len(set(found))
    assert {(name, "population") for name in asked if name != "population"} <= set(found)
    assert {("hierarchical", name) for name in ("mf", "paper", POPULATION_USER_MEAN)} <= set(found)
    assert ("paper", POPULATION_USER_MEAN) in found
    assert ("hierarchical", "user_mean") not in found


def test_headline_is_short_flat_and_stable(numbers, params):
    evaluation, differences = numbers
    train = params.train.model_copy(update={"champion": "paper"})
    params = params.model_copy(update={"train": train})
    flat = headline(evaluation, differences, params)
    assert {"champion_seen_srocc", "champion_unseen_srocc", "population_seen_pairwise_accuracy_2",
            "champion_minus_population_unseen_srocc", "champion_seen_rmse",
            } <= set(flat)  # fmt: skip
    assert len(flat) <= MAX_HEADLINE < 25
    assert flat["champion_seen_srocc"] == pick(
        evaluation, model="paper", population="seen", metric="srocc", aggregation="user"
    )
    two = params.model_copy(
        update={"ingest": params.ingest.model_copy(update={"datasets": ["synthetic", "other"]})}
    )
    another = params.model_copy(
        update={"train": train.model_copy(update={"champion": "population"})}
    )
    assert set(headline(evaluation, differences, another)) <= set(flat)
    both = [f.with_columns(pl.lit("other").alias("dataset")).vstack(f) for f in numbers]
    flat = headline(both[0], both[1], two)
    assert len(flat) <= MAX_HEADLINE
    assert {"synthetic_champion_seen_srocc", "other_champion_unseen_srocc"} <= set(flat)


def test_the_curves_of_dvc_plots_hold_champion_and_population(numbers, params):
    train = params.train.model_copy(update={"champion": "paper"})
    params = params.model_copy(update={"train": train})
    other = numbers[0].with_columns(pl.lit("other").alias("dataset"), value=pl.lit(9.0))
    evaluation = numbers[0].vstack(other)
    accuracy = curve(evaluation, params, metric=PAIRWISE_ACCURACY, population="seen", by="margin")
    assert accuracy.columns == ["margin", "champion", "population"]
    assert accuracy["margin"].to_list() == params.evaluate.margins
    srocc = curve(evaluation, params, metric=SROCC, population="unseen", by="shots")
    assert srocc["shots"].to_list() == [0, 5]  # nobody here has more ratings to show
    at = {"population": "unseen", "metric": SROCC, "aggregation": "user", "shots": 0}
    at |= {"pictures": "new"}
    assert srocc["champion"][0] == pick(numbers[0], model="paper", **at)
    assert srocc["population"][0] == pick(numbers[0], model="population", **at)


# --- summary --------------------------------------------------------------------------------------
@pytest.mark.parametrize("width", [60, 80])
def test_the_summary_fits_the_terminal(numbers, width):
    table = summary_table(
        numbers[0].with_columns(pl.col("model").replace("group_mean", "population_shuffled")),
        dataset="synthetic",
        margin_groups=[[0.0], [0.5], [1.0], [1.5], [2.0], [3.0]],
        width=width,
    )
    console = Console(width=width, record=True, file=StringIO())
    console.print(table)
    text = console.export_text()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "population_shuffled" in text
    value = pick(numbers[0], model="paper", population="seen", metric="srocc", aggregation="user")
    assert f"{value:.3f}" in text
    assert "…" not in text


def test_the_elo_table_is_sorted_and_absent_where_steering_was_skipped():
    flat = {"n_judgments": 30, "elo_none": 980.0, "elo_self": 1040.0, "elo_self_ci_low": 1010.0,
            "elo_self_ci_high": 1070.0, "win_self_none": 0.6, "win_self_none_ci_low": 0.5,
            "win_self_none_ci_high": 0.7}  # fmt: skip
    console = Console(width=60, record=True, file=StringIO())
    console.print(elo_table(flat))
    text = console.export_text()
    assert text.index("self ") < text.index("none")
    assert "1010 to 1070" in text
    assert "0.600" in text
    assert elo_table({"skipped": 1}) is None


# --- a whole stage on disk ------------------------------------------------------------------------
def write_project(root: Path, params: Params) -> Project:
    """Write what evaluate reads: tables, splits, features, fitted baselines and the truth."""
    fold = make_fold()
    project = Project(root)
    images = fold.items.frame.with_columns(
        pl.lit(None, pl.String).alias(name)
        for name in (s.PROMPT, s.TYPE, s.GROUP, s.STYLE, s.SHA256)
    )
    write_parquet(project.validated / "images.parquet", images)
    write_parquet(project.validated / "users.parquet", fold.people.frame)
    write_parquet(project.features / "index.parquet", images.select(s.DATASET, s.IMAGE))
    np.save(project.features / "image.npy", fold.items.image)
    np.save(project.features / "prompt.npy", fold.items.prompt)
    write_json(project.tables / "datasets.json", {"synthetic": {"scale": [1, 5]}})
    rows = pl.concat(
        pl.DataFrame(
            {
                s.DATASET: "synthetic",
                s.FOLD: 0,
                s.USER: fold.people.frame[s.USER].gather(pairs.user),
                s.IMAGE: fold.items.frame[s.IMAGE].gather(pairs.item),
                s.RATING: pairs.rating.astype(np.float64),
                s.PART: part,
            }
        )
        for part, pairs in fold.parts.items()
    )
    write_split(project, rows)
    utility = rows.select(s.USER, s.IMAGE, utility=pl.col(s.RATING))
    write_parquet(project.truth / "utility.parquet", utility)
    for name in params.train.models:
        model = create_model(name, params.train)
        model.fit(load_fold(project, 0), seed=0)
        model.save(project.models / name / "fold_0")
    return project


def test_the_stage_on_disk_population_beats_its_shuffled_self(tmp_path, params):
    names = ["global_mean", "group_mean", "population"]
    train = params.train.model_copy(update={"models": names, "champion": "population"})
    params = params.model_copy(update={"train": train})
    project = write_project(tmp_path, params)
    assert p.wants_control(params)
    predicted = p.with_noise_ceiling(
        project,
        pl.concat(
            [
                p.predict_fold(project, params, 0),
                p.predict_control(project, params),
            ]
        ),
    )
    assert predicted[col.MODEL].unique(maintain_order=True).to_list() == [
        *names, POPULATION_USER_MEAN, col.SHUFFLED, col.NOISE_CEILING,
    ]  # fmt: skip
    images = read_parquet(project.validated / "images.parquet")
    evaluation, differences = evaluate_predictions(predicted, images, params.evaluate)
    at = {"population": "seen", "metric": "srocc"}
    assert pick(evaluation, model=col.NOISE_CEILING, aggregation="user", **at) == 1.0
    assert pick(evaluation, model="global_mean", aggregation="user", **at) == 0.0
    gain = differences.filter(model="population", baseline=col.SHUFFLED, **at)
    assert gain["ci_low"].item() > 0
    mine = pick(evaluation, model="population", aggregation="user", **at)
    assert headline(evaluation, differences, params)["population_seen_srocc"] == mine


def test_without_a_world_there_is_neither_control_nor_ceiling(tmp_path, params, predicted):
    ingest = params.ingest.model_copy(update={"datasets": ["oasis"]})
    assert not p.wants_control(params.model_copy(update={"ingest": ingest}))
    assert p.with_noise_ceiling(Project(tmp_path), predicted) is predicted
