"""Tables that MLflow shows under a run's artifacts: all models, one model's numbers, its search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from pamela.evaluation.metrics.definitions import PAIRWISE_ACCURACY, SROCC
from pamela.evaluation.metrics.intervals import USER
from pamela.evaluation.results import Results
from pamela.registry.tracking.run_metrics import HEADLINE, gain_tags, headline_metrics


def model_table(results: Results) -> pl.DataFrame:
    """Return a row per dataset and model: the headline numbers, and the gain on `population`."""
    rows = []
    for dataset in results.datasets:
        for model in results.models(dataset):
            mine = results.evaluation.filter(dataset=dataset, model=model)
            values: dict[str, Any] = {
                k: round(v, 4) for k, v, _ in headline_metrics(mine) if "/" not in k
            }
            values |= gain_tags(results, dataset, model)
            rows.append({"dataset": dataset, "model": model} | values)
    table = pl.DataFrame(rows, infer_schema_length=None)
    first = [name for name in ("dataset", "model", *HEADLINE) if name in table.columns]
    return table.select(*first, pl.exclude(first))


def number_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Return every number of one model, what is asked for most in the first columns and rows."""
    first = ("metric", "population", "value", "ci_low", "ci_high", "shots", "margin")
    headline = pl.col("metric").is_in([SROCC, PAIRWISE_ACCURACY]) & (pl.col("aggregation") == USER)
    return (
        rows.select(*first, pl.exclude("dataset", "model", *first))
        .sort(headline.not_(), pl.col("metric") != SROCC, maintain_order=True)
        .with_columns(pl.col("value", "ci_low", "ci_high").round(4))
    )


def search_table(scores: Mapping[str, float] | None) -> dict[str, pl.DataFrame]:
    """Return the configurations tried with their cross-validated correlations, best first."""
    if not scores:
        return {}
    rows = {"configuration": list(scores), "cv_correlation": list(scores.values())}
    return {"search.json": pl.DataFrame(rows).sort("cv_correlation", descending=True)}
