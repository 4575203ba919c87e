"""The numbers of an MLflow run as (key, value, step), and how its note describes them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from pamela.evaluation.metrics.definitions import PAIRWISE_ACCURACY, SROCC
from pamela.evaluation.metrics.schema import UNSEEN
from pamela.evaluation.results import Results, headline_rows, shot_rows

MARGIN_STEPS = 100  # MLflow steps are whole numbers: step = 100 x margin


def headline_metrics(rows: pl.DataFrame) -> Iterator[tuple[str, float, int]]:
    """Yield ``<population>_<metric>`` (mean over users, unseen at 0 shots), and its interval."""
    order = {SROCC: 0, PAIRWISE_ACCURACY: 1}
    names = sorted(rows["metric"].unique(), key=lambda metric: (order.get(metric, 2), metric))
    for metric in names:
        margin = 0.0 if metric == PAIRWISE_ACCURACY else None
        for row in headline_rows(rows, metric, margin=margin).to_dicts():
            yield from _point(f"{row['population']}_{metric}", row["value"])
            if metric not in order:
                continue  # the other intervals stand in the report; charts of all would bury these
            for end in ("ci_low", "ci_high"):
                yield from _point(f"intervals/{row['population']}_{metric}_{end}", row[end])


def gain_rows(results: Results, dataset: str, model: str) -> pl.DataFrame:
    """Return the paired SROCC differences to `population`: seen users, unseen ones at 0 shots."""
    return results.differences.filter(
        pl.col("shots").is_null() | (pl.col("shots") == 0),
        dataset=dataset, model=model, baseline="population", metric=SROCC,
    )  # fmt: skip


def gain_metrics(results: Results, dataset: str, model: str) -> Iterator[tuple[str, float, int]]:
    """Yield the paired SROCC difference to `population`, where it was computed."""
    for row in gain_rows(results, dataset, model).to_dicts():
        name = f"{row['population']}_gain_over_population"
        yield from _point(name, row["value"])
        for end in ("ci_low", "ci_high"):
            yield from _point(f"intervals/{name}_{end}", row[end])


def curve_metrics(rows: pl.DataFrame) -> Iterator[tuple[str, float, int]]:
    """Yield accuracy by margin (step = 100 x margin) and SROCC, accuracy by shots (step = k)."""
    for row in headline_rows(rows, PAIRWISE_ACCURACY).sort("margin").to_dicts():
        step = round(row["margin"] * MARGIN_STEPS)
        yield from _point(f"by_margin_x100/{row['population']}_{PAIRWISE_ACCURACY}",
                          row["value"], step)  # fmt: skip
    for metric in (SROCC, PAIRWISE_ACCURACY):
        for row in shot_rows(rows, metric).drop_nulls("shots").to_dicts():
            yield from _point(f"by_shots/{UNSEEN}_{metric}", row["value"], row["shots"])


def training_metrics(results: Results, model: str) -> Iterator[tuple[str, float, int]]:
    """Yield every logged training quantity, by fold and step."""
    history = results.histories(model)
    if history is None:
        return
    numeric = [c for c in history.columns if history[c].dtype.is_numeric()]
    for row in history.select(numeric).to_dicts():
        step, fold = int(row.pop("step")), row.pop("fold")
        for key, value in row.items():
            yield from _point(f"training/fold_{fold}_{key}", value, step)


def _point(key: str, value: float | None, step: int = 0) -> Iterator[tuple[str, float, int]]:
    if value is not None and math.isfinite(value):
        yield key, float(value), step


def with_interval(row: Mapping[str, Any] | None, digits: int = 3) -> str:
    """Return ``0.412 [0.391, 0.433]``, or a dash for nothing."""
    if row is None or row.get("value") is None:
        return "–"
    text = f"{row['value']:.{digits}f}"
    if row.get("ci_low") is None or row.get("ci_high") is None:
        return text
    return f"{text} [{row['ci_low']:.{digits}f}, {row['ci_high']:.{digits}f}]"


def elo_by_arm(steering: Mapping[str, float]) -> dict[str, float]:
    """Return ``{arm: Elo}`` of the flat metrics of steering."""
    return {
        key.removeprefix("elo_"): value
        for key, value in steering.items()
        if key.startswith("elo_") and not key.endswith(("_ci_low", "_ci_high"))
    }


def elo_sentence(steering: Mapping[str, float]) -> str:
    """Return ``self 1041, population 1009, ...``, best first."""
    elo = elo_by_arm(steering)
    return ", ".join(f"{arm} {elo[arm]:.0f}" for arm in sorted(elo, key=lambda a: -elo[a]))
