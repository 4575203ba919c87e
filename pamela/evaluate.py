"""The evaluate stage: every number of every model, with its interval, from the predictions.

Writes ``reports/evaluation.parquet`` (one row per number), ``reports/differences.parquet`` (paired
differences of two models) and ``metrics/evaluation.json`` (headline numbers), beside what
`pamela.predictions` writes. Definitions are in `pamela.metrics`. Run: ``python -m flows.evaluate``.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pamela import schema as s
from pamela.bootstrap import Estimate
from pamela.estimates import (
    DIFFERENCE_METRICS,
    IMAGE,
    POOLED,
    USER,
    Difference,
    Number,
    estimate_slice,
    keys_of,
)
from pamela.observers import FEATURE_OBSERVER, IDEAL_OBSERVER, IDEAL_POPULATION
from pamela.params import EvaluateParams, Params
from pamela.predictions import (
    MODEL,
    NOISE_CEILING,
    POPULATION,
    SEEN,
    SHOTS,
    SHUFFLED,
    UNSEEN,
    slice_judgments,
)
from pamela.progress import progress
from pamela.shares import SHARE_OF_IDEAL, Ideal

EVALUATION = pl.Schema(
    {
        s.DATASET: pl.String,
        MODEL: pl.String,
        POPULATION: pl.String,
        SHOTS: pl.Int64,
        "metric": pl.String,
        "aggregation": pl.String,
        "margin": pl.Float64,
        "value": pl.Float64,
        "ci_low": pl.Float64,
        "ci_high": pl.Float64,
        "n_users": pl.Int64,
        "n_pairs": pl.Int64,
    }
)
DIFFERENCES = pl.Schema(
    {
        s.DATASET: pl.String,
        POPULATION: pl.String,
        SHOTS: pl.Int64,
        "metric": pl.String,
        MODEL: pl.String,
        "baseline": pl.String,
        "value": pl.Float64,
        "ci_low": pl.Float64,
        "ci_high": pl.Float64,
        "n_users": pl.Int64,
    }
)


# --- numbers --------------------------------------------------------------------------------------
def evaluate_predictions(
    predictions: pl.DataFrame,
    images: pl.DataFrame,
    params: EvaluateParams,
    *,
    quiet: bool = False,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Compute every number from the predictions.

    Parameters
    ----------
    predictions : rows of `PREDICTIONS`; in a slice (dataset, population, shots) all models have
        the same rows.
    images : the images table, for the ``prompt_id`` over which intervals may resample.

    Returns
    -------
    The frames `EVALUATION` and `DIFFERENCES`. A slice in which nobody is left keeps its rows,
    with a null value and ``n_users`` 0.
    """
    numbers, gaps = [], []
    slices: list[tuple[str, int | None]] = [(SEEN, None), *((UNSEEN, k) for k in params.shots)]
    datasets = predictions[s.DATASET].unique(maintain_order=True).to_list()
    prompts = images.select(s.DATASET, s.IMAGE, s.PROMPT_ID)
    with progress("metrics", len(datasets) * len(slices), quiet=quiet) as advance:
        for dataset in datasets:
            rows = predictions.filter(pl.col(s.DATASET) == dataset).join(
                prompts, on=[s.DATASET, s.IMAGE], how="left", maintain_order="left"
            )
            models = rows[MODEL].unique(maintain_order=True).to_list()
            for population, shots in slices:
                here = rows.filter(
                    (pl.col(POPULATION) == population) & pl.col(SHOTS).eq_missing(shots)
                )
                found, differences = _slice(here, models, params, f"{dataset}/{population}")
                where = {s.DATASET: dataset, POPULATION: population, SHOTS: shots}
                numbers.append(_number_frame(found, models, where))
                gaps.append(_difference_frame(differences, models, where))
                advance(1)
    return _stacked(numbers, EVALUATION), _stacked(gaps, DIFFERENCES)


def _slice(
    rows: pl.DataFrame, models: list[str], params: EvaluateParams, stream: str
) -> tuple[list[Number], list[Difference]]:
    pairs = [(models.index(a), models.index(b)) for a, b in comparisons(models)]
    ideal = ideal_of(models)
    if rows.is_empty():
        return _nobody(len(models), pairs, params, ideal)
    done = estimate_slice(
        slice_judgments(rows, models), params, stream=stream, comparisons=pairs, ideal=ideal
    )
    return done.numbers, done.differences


def _nobody(
    models: int, pairs: list[tuple[int, int]], params: EvaluateParams, ideal: Ideal | None
) -> tuple[list[Number], list[Difference]]:
    """Return the rows of a slice in which nobody is left."""
    none = Estimate(None, None, None, 0)
    numbers = [
        Number(model, metric, aggregation, margin, none, 0)
        for model in range(models)
        for aggregation in (USER, POOLED, IMAGE)
        for metric, margin in keys_of(aggregation, params.margins)
    ]
    if ideal is not None:
        numbers += [Number(model, SHARE_OF_IDEAL, USER, None, none, 0) for model in ideal.models]
    return numbers, [Difference(a, b, m, none) for m in DIFFERENCE_METRICS for a, b in pairs]


def comparisons(models: Sequence[str]) -> list[tuple[str, str]]:
    """Return (model, baseline) to subtract.

    All against `population`, and `population` against its controls; where the ideal is known, what
    the encoder lost (feature observer minus ideal) and what each model lost (minus feature
    observer).
    """
    found = []
    if "population" in models:
        found += [(name, "population") for name in models if name not in ("population", SHUFFLED)]
        found += [("population", name) for name in ("group_mean", SHUFFLED) if name in models]
    if FEATURE_OBSERVER in models:
        found += [(FEATURE_OBSERVER, IDEAL_OBSERVER)]
        found += [(name, FEATURE_OBSERVER) for name in trained(models)]
    return found


def trained(models: Sequence[str]) -> list[str]:
    """Return those of `models` that learn from features: no control, nothing that knows truth."""
    known = (SHUFFLED, NOISE_CEILING, IDEAL_OBSERVER, IDEAL_POPULATION, FEATURE_OBSERVER)
    return [name for name in models if name not in known]


def ideal_of(models: Sequence[str]) -> Ideal | None:
    """Return what shares of the ideal are made of, where the ideal and `population` are known."""
    if not {IDEAL_OBSERVER, IDEAL_POPULATION, "population"} <= set(models):
        return None
    place = {name: number for number, name in enumerate(models)}
    return Ideal(
        models=tuple(place[name] for name in (*trained(models), FEATURE_OBSERVER) if name in place),
        population=place["population"],
        observer=place[IDEAL_OBSERVER],
        ideal_population=place[IDEAL_POPULATION],
    )


def _number_frame(
    numbers: list[Number], models: list[str], where: dict[str, str | int | None]
) -> pl.DataFrame:
    rows = [
        {
            **where,
            MODEL: models[n.model],
            "metric": n.metric,
            "aggregation": n.aggregation,
            "margin": n.margin,
            "value": n.estimate.value,
            "ci_low": n.estimate.ci_low,
            "ci_high": n.estimate.ci_high,
            "n_users": n.estimate.n,
            "n_pairs": n.n_pairs,
        }
        for n in sorted(numbers, key=lambda n: n.model)
    ]
    return pl.DataFrame(rows, schema=EVALUATION)


def _difference_frame(
    differences: list[Difference], models: list[str], where: dict[str, str | int | None]
) -> pl.DataFrame:
    rows = [
        {
            **where,
            "metric": d.metric,
            MODEL: models[d.model],
            "baseline": models[d.baseline],
            "value": d.estimate.value,
            "ci_low": d.estimate.ci_low,
            "ci_high": d.estimate.ci_high,
            "n_users": d.estimate.n,
        }
        for d in differences
    ]
    return pl.DataFrame(rows, schema=DIFFERENCES)


def _stacked(frames: list[pl.DataFrame], schema: pl.Schema) -> pl.DataFrame:
    return pl.concat([schema.to_frame(), *frames])


# --- headline -------------------------------------------------------------------------------------
MAX_HEADLINE = 24  # `dvc metrics` stays readable


def headline(
    evaluation: pl.DataFrame, differences: pl.DataFrame, params: Params
) -> dict[str, float]:
    """Return the few flat numbers of ``metrics/evaluation.json``, most important first.

    ``<model>_<seen|unseen>_<metric>``, mean over users, unseen at 0 shots; with several datasets
    each name is prefixed by its dataset and fewer numbers are kept for each.
    """
    datasets = [d for d in params.ingest.datasets if d in evaluation[s.DATASET].unique()]
    margins = [margin for margin in (0.0, 2.0) if margin in params.evaluate.margins]
    champion = params.train.champion
    gain = f"{champion}_minus_population"
    names: list[tuple[str, str, str, float | None]] = []
    for metric, margin in [
        ("srocc", None),
        *(("pairwise_accuracy", margin) for margin in margins),
        ("plcc", None),
        ("rmse", None),
    ]:
        for model in dict.fromkeys((champion, "population")):
            names += [(model, population, metric, margin) for population in (SEEN, UNSEEN)]
        if metric == "srocc":
            names += [(gain, population, metric, None) for population in (SEEN, UNSEEN)]
            names += [("group_mean", SEEN, metric, None), (IDEAL_OBSERVER, SEEN, metric, None)]
            names += [(champion, SEEN, SHARE_OF_IDEAL, None), (NOISE_CEILING, SEEN, metric, None)]
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
    columns = [s.DATASET, MODEL, POPULATION, "metric", "margin", "value"]
    rows = evaluation.filter(first & (pl.col("aggregation") == USER)).select(columns)
    gaps = differences.filter(
        first & (pl.col(MODEL) == champion) & (pl.col("baseline") == "population")
    ).with_columns(pl.lit(gain).alias(MODEL), margin=pl.lit(None, dtype=pl.Float64))
    both = pl.concat([rows, gaps.select(columns)])
    return {tuple(row[:5]): row[5] for row in both.iter_rows()}
