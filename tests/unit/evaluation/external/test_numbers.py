"""Scores from elsewhere: the numbers of a model that says the same, and what cannot be compared."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pamela.core import schema as s
from pamela.data.external_scores import scaled
from pamela.evaluation.choices.metrics import CHOICE_ACCURACY, CHOICE_METRICS
from pamela.evaluation.choices.numbers import evaluate_choices
from pamela.evaluation.choices.predictions import CHOICE_PREDICTIONS
from pamela.evaluation.comparators.bradley_terry import BRADLEY_TERRY
from pamela.evaluation.comparators.image_mean import IMAGE_MEAN
from pamela.evaluation.evaluate import evaluate_predictions
from pamela.evaluation.external import numbers as e
from pamela.evaluation.external.answers import (
    choose_by_scores,
    missing_lines,
    predict_scores,
)
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics import schema as col
from pamela.evaluation.metrics.personalisation import GENERIC_PART, PERSONAL_PART
from pamela.evaluation.predictions import predict_model
from pamela.params import Params, load_params
from tests.helpers.taste_fold import MODELS, Taste, make_fold
from tests.paths import ROOT

NAME, CHAMPION, BASELINE = "hps", "paper", "population"
ORDERS = (m.PAIRWISE_ACCURACY, m.SROCC, m.PLCC, m.CONFLICT_SIDE, m.CONFLICT_BOTH)
FOLD = make_fold()
IMAGES = FOLD.items.frame
TAGGED = IMAGES.with_columns(type=pl.lit("x"), group=pl.lit("y"), style=pl.lit("z"))


@pytest.fixture(scope="module")
def params() -> Params:
    whole = load_params(ROOT / "params.yaml")
    evaluate = whole.evaluate.model_copy(update={"bootstrap": 100})
    train = whole.train.model_copy(update={"champion": CHAMPION})
    return whole.model_copy(update={"evaluate": evaluate, "train": train})


@pytest.fixture(scope="module")
def predicted(params) -> pl.DataFrame:
    """What three models say of new pictures, and they and `image_mean` of known ones."""
    new = [predict_model(model, name, FOLD, params.evaluate) for name, model in MODELS.items()]
    asked = pl.concat(new).filter(pl.col(col.POPULATION) == col.UNSEEN)
    known = asked.with_columns(pl.lit(col.KNOWN_PICTURES).alias(col.PICTURES))
    mean = known.filter(pl.col(col.MODEL) == BASELINE).with_columns(
        pl.lit(IMAGE_MEAN).alias(col.MODEL)
    )
    return pl.concat([*new, known, mean])


def scores(of: str = BASELINE, **changed: pl.Expr) -> pl.DataFrame:
    """Return a file that scores every picture as model `of` does."""
    frame = IMAGES.select(s.DATASET, s.IMAGE).with_columns(
        pl.Series(s.USER, [None] * IMAGES.height, pl.String),
        score=pl.Series(MODELS[of].skill * FOLD.items.image[:, 0].astype(float)),
    )
    return scaled(frame.with_columns(**changed))


def measured(
    file: pl.DataFrame, predicted: pl.DataFrame, params: Params, *personal: str
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    answers = predict_scores({NAME: file}, predicted.filter(pl.col(col.MODEL) == CHAMPION))
    variants = predicted.filter(
        pl.col(col.MODEL) == CHAMPION, pl.col(col.PICTURES) == col.NEW_PICTURES
    ).with_columns(pl.lit(col.GENERIC).alias(col.VARIANT))
    found = e.evaluate_scores(answers, predicted, variants, IMAGES, params, personal)
    return answers, *found


def named(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return the rows of one model without what an order does not say, in one order."""
    rows = table.filter(pl.col(col.MODEL) == name, pl.col("metric").is_in(ORDERS))
    return rows.drop(col.MODEL).sort(rows.drop(col.MODEL).columns)


# --- ratings --------------------------------------------------------------------------------------
@settings(max_examples=5)
@given(st.floats(1e-9, 1e9), st.floats(-1e3, 1e3))
def test_scores_on_any_scale_have_the_numbers_of_a_model_with_their_order(
    params, predicted, width, middle
):
    file = scores(score=pl.Series(FOLD.items.image[:, 0].astype(float)) * width + middle * width)
    _, numbers, gaps = measured(file, predicted, params)
    whole, less = evaluate_predictions(predicted, IMAGES, params.evaluate, champion=CHAMPION)
    assert_frame_equal(named(numbers, NAME), named(whole, BASELINE), abs_tol=1e-5)
    over = [gaps.filter(baseline=NAME), less.filter(model=CHAMPION, baseline=BASELINE)]
    mine, theirs = (named(table.drop("baseline"), CHAMPION) for table in over)
    assert mine.height
    assert_frame_equal(mine, theirs, abs_tol=1e-5)
    assert set(gaps.filter(baseline=IMAGE_MEAN)[col.MODEL]) == {NAME}


def test_what_depends_on_the_scale_has_no_value(params, predicted):
    _, numbers, gaps = measured(scores(), predicted, params)
    for table in (numbers, gaps):
        of_scale = table.filter(pl.col("metric").is_in(e.SCALED))
        assert of_scale.height
        assert of_scale["value"].null_count() == of_scale.height
        assert set(of_scale["n_users"]) == {0}
    answers = predict_scores({NAME: scores()}, predicted.filter(pl.col(col.MODEL) == CHAMPION))
    slices = e.score_slices(answers, TAGGED, params.evaluate)
    assert set(slices.filter(metric=m.RMSE)["value"]) == {None}
    assert slices.filter(metric=m.PAIRWISE_ACCURACY)["value"].min() > 0.5


def test_a_lead_over_scores_that_are_nobodys_own_is_parted(params, predicted):
    _, _, gaps = measured(scores(), predicted, params)
    parts = {m.SROCC + GENERIC_PART, m.SROCC + PERSONAL_PART}
    assert parts <= set(gaps.filter(model=CHAMPION, baseline=NAME)["metric"])


def test_where_a_picture_has_no_score_only_differences_remain_on_the_rest(params, predicted):
    gone = ["i0", "i1", "i2"]  # of pictures that are asked about
    file = scores().filter(~pl.col(s.IMAGE).is_in(gone))
    answers, numbers, gaps = measured(file, predicted, params)
    assert answers.height == predicted.filter(pl.col(col.MODEL) == CHAMPION).height
    assert numbers["value"].null_count() == numbers.height
    assert set(numbers["n_users"]) | set(numbers["n_pairs"]) == {0}
    rest = predicted.filter(~pl.col(s.IMAGE).is_in(gone))
    _, less = evaluate_predictions(rest, IMAGES, params.evaluate, champion=CHAMPION)
    over = [gaps.filter(baseline=NAME), less.filter(model=CHAMPION, baseline=BASELINE)]
    mine, theirs = (named(table.drop("baseline"), CHAMPION) for table in over)
    assert_frame_equal(mine, theirs, abs_tol=1e-5)
    asked = answers.filter(population=col.SEEN)
    n = asked.filter(pl.col(s.IMAGE).is_in(gone)).height
    told = list(missing_lines([NAME], answers, CHOICE_PREDICTIONS.to_frame()))
    assert told[0] == (
        f"synthetic: hps has no score for {n} of {asked.height} ratings that seen users are asked "
        "about (3 new pictures): no value of its own there; differences are of the rest"
    )
    assert e.score_slices(answers, TAGGED, params.evaluate).is_empty()


def test_people_have_scores_of_their_own(params, predicted):
    """As their ratings say: the best order of all, and nothing to part."""
    rated = predicted.filter(pl.col(col.MODEL) == CHAMPION)
    own = scaled(rated.group_by(s.DATASET, s.USER, s.IMAGE).agg(score=pl.col(s.RATING).mean()))
    _, numbers, gaps = measured(own, predicted, params, NAME)
    accuracy = numbers.filter(metric=m.PAIRWISE_ACCURACY, aggregation="user").drop_nulls("value")
    assert accuracy["value"].to_list() == [1.0] * accuracy.height
    assert not gaps["metric"].str.contains(PERSONAL_PART).any()
    seen = numbers.filter(population=col.SEEN, metric=m.SROCC, aggregation="user")
    assert seen["value"].item() == pytest.approx(1.0)


def test_groups_of_people_are_measured_too(params, predicted):
    answers = predict_scores({NAME: scores()}, predicted.filter(pl.col(col.MODEL) == CHAMPION))
    people = FOLD.people.frame.with_columns(
        half=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("even")).otherwise(pl.lit("odd"))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pamela.evaluation.metrics.subgroup_gaps.MIN_GROUP_USERS", 3)
        ((groups, gaps),) = e.score_gaps(answers, people, params.evaluate)
    assert set(groups[col.MODEL]) == set(gaps[col.MODEL]) == {NAME}


# --- choices --------------------------------------------------------------------------------------
def chosen(model: str, pictures: str) -> pl.DataFrame:
    """Return what a model that knows the pictures' numbers says of forty people's choices."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 400), rng.integers(0, 9, 400)
    frame = pl.DataFrame(
        {
            s.DATASET: "here", s.FOLD: 0, col.MODEL: model, col.POPULATION: col.UNSEEN,
            col.SHOTS: 0, s.USER: [f"u{k % 40}" for k in range(400)],
            s.IMAGE_A: [f"i{k}" for k in a], s.IMAGE_B: [f"i{k}" for k in b],
            "outcome": (rng.normal(size=400) < a - b).astype(float),
            "p_a": 0.9 / (1 + np.exp(b - a)), "p_b": 0.9 / (1 + np.exp(a - b)), "p_tie": 0.1,
            col.PICTURES: pictures,
        }
    )  # fmt: skip
    return frame.cast(dict(CHOICE_PREDICTIONS)).select(CHOICE_PREDICTIONS.names())


def test_choices_are_foreseen_by_the_higher_score(params):
    kinds = (col.NEW_PICTURES, col.KNOWN_PICTURES)
    whole = pl.concat([chosen(name, kind) for name in (CHAMPION, BASELINE) for kind in kinds]
                      + [chosen(BRADLEY_TERRY, col.KNOWN_PICTURES)])  # fmt: skip
    file = pl.DataFrame({s.DATASET: "here", s.IMAGE: [f"i{k}" for k in range(9)],
                         s.USER: pl.Series([None] * 9, dtype=pl.String),
                         "score": [0.01 * k for k in range(9)]})  # fmt: skip
    asked = whole.filter(pl.col(col.MODEL) == CHAMPION)
    answers = choose_by_scores({NAME: file}, asked)
    numbers, gaps = e.evaluate_chosen(answers, whole, params)
    models, _ = evaluate_choices(whole, params.evaluate, champion=CHAMPION)
    mine, theirs = (
        table.filter(model=name, metric=CHOICE_ACCURACY).drop(col.MODEL)
        for table, name in ((numbers, NAME), (models, BASELINE))
    )
    assert_frame_equal(mine, theirs)
    assert mine.filter(pl.col("n_users") > 0).height == 4  # new and known, by person and pooled
    assert set(numbers.filter(metric="choice_log_loss")["n_users"]) == {0}
    assert NAME in gaps.filter(baseline=BRADLEY_TERRY)[col.MODEL]
    over = gaps.filter(model=CHAMPION, baseline=NAME, metric=CHOICE_ACCURACY, shots=0)
    assert over["value"].drop_nulls().to_list() == [0.0, 0.0]
    # a picture without a score
    some = choose_by_scores({NAME: file.filter(pl.col(s.IMAGE) != "i3")}, asked)
    numbers, gaps = e.evaluate_chosen(some, whole, params)
    assert numbers["value"].null_count() == numbers.height
    assert gaps.filter(metric=CHOICE_ACCURACY, baseline=NAME)["n_users"].max() > 0
    told = list(missing_lines([NAME], predict_scores({}, whole), some))
    assert len(told) == 2
    assert " choices that unseen users are asked about (new pictures)" in told[0]
    assert set(CHOICE_METRICS) <= set(numbers["metric"])


def test_a_file_says_nothing_of_datasets_that_it_does_not_score(params, predicted):
    other = Taste()
    elsewhere = predict_model(other, CHAMPION, make_fold(dataset="other"), params.evaluate)
    asked = pl.concat([predicted.filter(pl.col(col.MODEL) == CHAMPION), elsewhere])
    assert set(predict_scores({NAME: scores()}, asked)[s.DATASET]) == {"synthetic"}
