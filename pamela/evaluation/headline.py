"""The few flat numbers that ``dvc metrics`` shows, and the curves of ``dvc plots``."""

from __future__ import annotations

import polars as pl

from pamela.core import schema as s
from pamela.evaluation.choices.metrics import CHOICE_METRICS
from pamela.evaluation.metrics.definitions import COVERAGE_90, PAIRWISE_ACCURACY, PLCC, RMSE, SROCC
from pamela.evaluation.metrics.intervals import USER
from pamela.evaluation.metrics.normalised_gain import (
    SHARE_OF_FEATURES_ACCURACY,
    SHARE_OF_IDEAL_ACCURACY,
)
from pamela.evaluation.metrics.personalisation import SWAP_LOSS
from pamela.evaluation.metrics.schema import (
    MODEL,
    NEW_PICTURES,
    PICTURES,
    POPULATION,
    SEEN,
    SHOTS,
    UNSEEN,
)
from pamela.evaluation.observers import IDEAL_OBSERVER
from pamela.params import Params

CHAMPION = "champion"  # what the names call it
MAX_HEADLINE = 24  # `dvc metrics` stays readable
SHARES = (SHARE_OF_IDEAL_ACCURACY, SHARE_OF_FEATURES_ACCURACY)
SHARE_DIGITS = 2  # a ratio of small differences: another machine moves it ten times as far


def headline(
    evaluation: pl.DataFrame, differences: pl.DataFrame, params: Params
) -> dict[str, float]:
    """Return the few flat numbers of ``metrics/evaluation.json``, most important first.

    They are about pictures that nobody trained on.

    ``<champion|population|...>_<seen|unseen>_<metric>``, mean over users, unseen at 0 shots; with
    several datasets each name is prefixed by its dataset and fewer numbers are kept for each. The
    champion is called so whichever model it is: experiments with another one can be compared.
    """
    datasets = [d for d in params.ingest.datasets if d in evaluation[s.DATASET].unique()]
    margins = [margin for margin in (0.0, 2.0) if margin in params.evaluate.margins]
    champion = params.train.champion
    gain = f"{CHAMPION}_minus_population"
    names: list[tuple[str, str, str, float | None]] = []
    for metric, margin in [
        (SROCC, None),
        *((PAIRWISE_ACCURACY, margin) for margin in margins),
        (RMSE, None),
        (PLCC, None),
    ]:
        for model in (CHAMPION, "population"):
            names += [(model, population, metric, margin) for population in (SEEN, UNSEEN)]
        if metric == SROCC:
            names += [(gain, population, metric, None) for population in (SEEN, UNSEEN)]
            names += [("group_mean", SEEN, metric, None), (IDEAL_OBSERVER, SEEN, metric, None)]
            wanted = (*SHARES, SWAP_LOSS + SROCC, COVERAGE_90)
            names += [(CHAMPION, SEEN, name, None) for name in wanted]
    for metric in CHOICE_METRICS:  # last: there are fewer keys than a dataset of both could fill
        for model in (CHAMPION, "population"):
            names += [(model, population, metric, None) for population in (SEEN, UNSEEN)]
    lookup = _headline_values(evaluation, differences, champion, gain)
    share = MAX_HEADLINE // max(len(datasets), 1)
    found: dict[str, float] = {}
    for dataset in datasets:
        prefix = f"{dataset}_" if len(datasets) > 1 else ""
        values = {
            f"{prefix}{model}_{population}_{metric}"
            + ("" if margin is None else f"_{margin:g}"): lookup[key]
            for model, population, metric, margin in names
            if (key := (dataset, model, population, metric, margin)) in lookup
        }
        found |= dict(list(values.items())[:share])
    return found


def _headline_values(
    evaluation: pl.DataFrame, differences: pl.DataFrame, champion: str, gain: str
) -> dict[tuple[str, str, str, str, float | None], float]:
    first = (pl.col(SHOTS).is_null() | (pl.col(SHOTS) == 0)) & pl.col("value").is_not_null()
    first &= pl.col(PICTURES) == NEW_PICTURES
    columns = [s.DATASET, MODEL, POPULATION, "metric", "margin", "value"]
    rows = evaluation.filter(first & (pl.col("aggregation") == USER)).select(columns)
    gaps = differences.filter(
        first & (pl.col(MODEL) == champion) & (pl.col("baseline") == "population")
    ).with_columns(pl.lit(gain).alias(MODEL), margin=pl.lit(None, dtype=pl.Float64))
    value = pl.col("value")
    called = rows.filter(pl.col(MODEL) == champion).with_columns(pl.lit(CHAMPION).alias(MODEL))
    both = pl.concat([rows, called, gaps.select(columns)]).with_columns(
        pl.when(pl.col("metric").is_in(SHARES)).then(value.round(SHARE_DIGITS)).otherwise(value)
    )
    return {tuple(row[:5]): row[5] for row in both.iter_rows()}


def curve(
    evaluation: pl.DataFrame, params: Params, *, metric: str, population: str, by: str
) -> pl.DataFrame:
    """Return `metric` of champion and population model on the first dataset, a row per step.

    Parameters
    ----------
    by : ``margin`` or ``shots``: what the metric is shown over.
    """
    rows = evaluation.filter(
        (pl.col(s.DATASET) == params.ingest.datasets[0])
        & (pl.col("metric") == metric)
        & (pl.col(PICTURES) == NEW_PICTURES)
        & (pl.col(POPULATION) == population)
        & (pl.col("aggregation") == USER)
        & pl.col(by).is_not_null()
    )
    models = {"champion": params.train.champion, "population": "population"}
    values = {
        title: pl.col("value").filter(pl.col(MODEL) == model).first()
        for title, model in models.items()
    }
    return rows.group_by(by).agg(**values).drop_nulls("champion").sort(by)
