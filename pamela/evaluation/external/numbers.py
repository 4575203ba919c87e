"""Every number of scores from elsewhere, and their paired differences to the models.

Each file is measured in a company of its own: the champion, `population` and what stands beside
models on known pictures. So the models' numbers are the same with and without it. Resamples are the
models' too.

In a slice where some of the rows have no score the file has no value, as one over other pictures
could not be compared; a difference is over the rows that both scored.

The scale of such scores is anybody's: what depends on it (`SCALED`) has no value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.evaluation.choices.metrics import CHOICE_LOG_LOSS
from pamela.evaluation.choices.numbers import difference_metric, evaluate_choices
from pamela.evaluation.choices.predictions import P_A
from pamela.evaluation.comparators.bradley_terry import BRADLEY_TERRY
from pamela.evaluation.comparators.image_mean import IMAGE_MEAN
from pamela.evaluation.comparisons import BASELINE
from pamela.evaluation.evaluate import DIFFERENCES, EVALUATION, evaluate_predictions
from pamela.evaluation.metrics.definitions import COVERAGE_90, RMSE
from pamela.evaluation.metrics.image_slices import SLICES, picture_slices
from pamela.evaluation.metrics.intervals import POOLED
from pamela.evaluation.metrics.normalised_gain import SHARE_OF_SEEN_GAIN
from pamela.evaluation.metrics.pooled import RMSE_POOLED_RELATIVE
from pamela.evaluation.metrics.schema import INTERVAL, MODEL, PICTURES, POPULATION, SHOTS
from pamela.evaluation.metrics.subgroup_gaps import demographic_gaps
from pamela.params import EvaluateParams, Params

SCALED: Final = (
    RMSE, COVERAGE_90, RMSE_POOLED_RELATIVE, CHOICE_LOG_LOSS,
    difference_metric(CHOICE_LOG_LOSS, POOLED),
)  # fmt: skip
BESIDE: Final = (IMAGE_MEAN, BRADLEY_TERRY)  # on known pictures
WHERE: Final = (s.DATASET, POPULATION, SHOTS, PICTURES)
RATED: Final = (*WHERE, s.FOLD, s.USER, s.IMAGE)
CHOSEN: Final = (*WHERE, s.FOLD, s.USER, s.IMAGE_A, s.IMAGE_B)
Tables = tuple[pl.DataFrame, pl.DataFrame]


def evaluate_scores(
    answers: pl.DataFrame,
    predictions: pl.DataFrame,
    variants: pl.DataFrame,
    images: pl.DataFrame,
    params: Params,
    personal: Collection[str],
) -> Tables:
    """Return the rows of the tables of numbers and of differences that are about ratings.

    Parameters
    ----------
    answers : as `pamela.evaluation.external.answers.predict_scores` returns them.
    predictions : of the models.
    variants : what the models say as somebody else. With these the champion's lead over scores that
        are nobody's own is parted into what is generic and what is personal.
    images : the images table.
    personal : names of the scores that are people's own.
    """
    champion = params.train.champion
    as_others = variants.filter(pl.col(MODEL) == champion)

    def measure(name: str, rows: pl.DataFrame) -> Tables:
        others = as_others.clear() if name in personal else _same(as_others, rows, RATED)
        return evaluate_predictions(
            rows, images, params.evaluate, variants=others, champion=champion
        )

    return _tables(answers, "mean", _company(predictions, champion), RATED, measure)


def evaluate_chosen(answers: pl.DataFrame, choices: pl.DataFrame, params: Params) -> Tables:
    """Return the rows of the tables of numbers and of differences that are about choices.

    Parameters
    ----------
    answers : as `pamela.evaluation.external.answers.choose_by_scores` returns them.
    choices : what the models say of them.
    """
    champion = params.train.champion

    def measure(_: str, rows: pl.DataFrame) -> Tables:
        return evaluate_choices(rows, params.evaluate, champion=champion)

    return _tables(answers, P_A, _company(choices, champion), CHOSEN, measure)


def score_slices(
    answers: pl.DataFrame, images: pl.DataFrame, params: EvaluateParams
) -> pl.DataFrame:
    """Return `SLICES` of the scores, where each picture that is asked about has one."""
    found = [picture_slices(rows, images, params) for rows in _complete(answers)]
    return _without_scale(pl.concat([SLICES.to_frame(), *found]))


def score_gaps(answers: pl.DataFrame, users: pl.DataFrame, params: EvaluateParams) -> list[Tables]:
    """Return accuracy by demographic group and the gaps, where each picture has a score."""
    return [
        demographic_gaps(rows, users, rows[MODEL].unique().to_list(), params)
        for rows in _complete(answers)
    ]


# --- one file in its company ----------------------------------------------------------------------
def _company(table: pl.DataFrame, champion: str) -> pl.DataFrame:
    return table.filter(pl.col(MODEL).is_in([champion, BASELINE, *BESIDE]))


def _tables(
    answers: pl.DataFrame,
    answer: str,
    company: pl.DataFrame,
    keys: Collection[str],
    measure: Callable[[str, pl.DataFrame], Tables],
) -> Tables:
    """Measure each file's rows beside the company's same rows, and keep what is about the file."""
    numbers, gaps = [EVALUATION.to_frame()], [DIFFERENCES.to_frame()]
    for (name,), rows in answers.group_by(MODEL, maintain_order=True):
        scored = rows.drop_nulls(answer)
        found, less = measure(str(name), pl.concat([_same(company, scored, keys), scored]))
        about = (pl.col(MODEL) == name) & (pl.col("metric") != SHARE_OF_SEEN_GAIN)
        short = _slices(rows.filter(pl.col(answer).is_null()))
        numbers.append(_blank(found.filter(about), _is_of(found.filter(about), short)))
        gaps.append(less.filter((pl.col(MODEL) == name) | (pl.col("baseline") == name)))
    return _without_scale(pl.concat(numbers)), _without_scale(pl.concat(gaps))


def _same(table: pl.DataFrame, rows: pl.DataFrame, keys: Collection[str]) -> pl.DataFrame:
    """Return what `table` holds of the people and pictures of `rows`."""
    return table.join(
        rows.select(keys), on=list(keys), how="semi", nulls_equal=True, maintain_order="left"
    )


def _slices(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(WHERE).unique()


def _is_of(table: pl.DataFrame, slices: pl.DataFrame) -> pl.Series:
    """Return which rows of `table` are of one of the slices."""
    marked = slices.with_columns(_is=pl.lit(True))
    joined = table.select(WHERE).join(
        marked, on=list(WHERE), how="left", nulls_equal=True, maintain_order="left"
    )
    return joined["_is"].fill_null(False)


def _complete(answers: pl.DataFrame) -> list[pl.DataFrame]:
    """Return each file's rows of the slices in which no score is missing."""
    files = [rows for _, rows in answers.group_by(MODEL, maintain_order=True)]
    short = [_slices(rows.filter(pl.col("mean").is_null())) for rows in files]
    return [rows.filter(~_is_of(rows, gone)) for rows, gone in zip(files, short, strict=True)]


def _without_scale(table: pl.DataFrame) -> pl.DataFrame:
    return _blank(table, table["metric"].is_in(SCALED))


def _blank(table: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """Take the values of some `rows`: over nobody."""
    nothing = [pl.lit(None, pl.Float64).alias(name) for name in INTERVAL]
    nobody = [pl.lit(0, pl.Int64).alias(c) for c in ("n_users", "n_pairs") if c in table.columns]
    return table.with_columns(
        pl.when(pl.lit(rows)).then(value).otherwise(pl.col(value.meta.output_name())).name.keep()
        for value in (*nothing, *nobody)
    )
