"""The report's section on the normalised gain over an oracle."""

from __future__ import annotations

from typing import Any

import polars as pl

from pamela.evaluation.comparisons import BASELINE
from pamela.evaluation.metrics.definitions import SROCC
from pamela.evaluation.metrics.normalised_gain import (
    OF_FEATURES,
    OF_IDEAL,
    SHARE_OF_FEATURES_ACCURACY,
    SHARE_OF_IDEAL_ACCURACY,
    SHARE_OF_IDEAL_CONFLICT,
    ratio_name,
)
from pamela.evaluation.metrics.schema import POPULATION, SEEN, SHOTS, UNSEEN
from pamela.evaluation.observers import FEATURE_OBSERVER
from pamela.evaluation.results import Results, personal_models
from pamela.reporting.presentation.html import Cell, Section, Table
from pamela.reporting.sections.personalisation import rows_by_key, sure
from pamela.reporting.tables import users_name


def shares_section(results: Results, dataset: str) -> Section | None:
    """Return the models' shares of what the observers gain; None where no truth is known."""
    margins = results.params.evaluate.margins
    names = {
        SHARE_OF_IDEAL_ACCURACY: "accuracy, over the ideal observer",
        SHARE_OF_FEATURES_ACCURACY: "accuracy, over the feature observer",
        OF_IDEAL + SROCC: "SROCC, over the ideal observer",
        OF_FEATURES + SROCC: "SROCC, over the feature observer",
        ratio_name(margins): f"accuracy at margin {max(margins):g}, ratio",
        SHARE_OF_IDEAL_CONFLICT: "conflict pairs, over the ideal observer",
    }
    rows = results.evaluation.filter(pl.col("metric").is_in(list(names)), dataset=dataset)
    found = rows_by_key(rows)
    models = [*personal_models(results, dataset), FEATURE_OBSERVER]
    determined = rows.drop_nulls("ci_low").select(POPULATION, SHOTS).unique()
    columns: list[tuple[str, int | None]] = [
        (SEEN, None),
        *((UNSEEN, k) for k in determined[SHOTS].drop_nulls().sort()),
    ]
    champion = results.params.train.champion
    table: list[list[Cell]] = []
    strong: set[int] = set()
    for metric, name in names.items():
        label = name
        for model in models:
            cells = [sure(found.get((model, metric, *where)), ".2f") for where in columns]
            itself = model == FEATURE_OBSERVER and metric.startswith(OF_FEATURES)
            if itself or all(not cell.small for cell in cells):
                continue
            if model == champion:
                strong.add(len(table))
            table.append([Cell(model), Cell(label), *cells])
            label = ""  # once per measure
    if not table:
        return None
    return Section(
        "Normalised gain over an oracle",
        _text(found, champion),
        Table(
            title="Normalised gain over an oracle",
            columns=["model", "normalised gain", *map(users_name, columns)],
            rows=table,
            caption=(
                f"(model - {BASELINE}) / (observer - ideal_population), the observer being "
                "ideal_observer or feature_observer (what the features allow), given "
                "the same ratings; accuracy at margin "
                f"{margins[0]:g}. Conflict pairs: what the share of right orders has above one "
                "half, over the ideal observer's. Ratio: the model's accuracy over the ideal "
                "observer's. Intervals resample users. A dash: the gain of the observer itself "
                "does not differ from zero, so that the quotient means nothing."
            ),
            strong=strong,
        ),
    )


def _text(found: dict[tuple[Any, ...], dict[str, Any]], champion: str) -> str:
    ideal, features = (
        found.get((champion, metric, SEEN, None))
        for metric in (SHARE_OF_IDEAL_ACCURACY, SHARE_OF_FEATURES_ACCURACY)
    )
    if not ideal or ideal["ci_low"] is None:
        return "Gain over population, divided by that of observers who know the simulated world."
    text = (
        f"For seen users {champion} gains {ideal['value']:.0%} ({ideal['ci_low']:.0%} to "
        f"{ideal['ci_high']:.0%}) of the accuracy that the ideal observer gains"
    )
    if features and features["ci_low"] is not None:
        text += (
            f", and {features['value']:.0%} ({features['ci_low']:.0%} to "
            f"{features['ci_high']:.0%}) of what an observer limited to linear features gains"
        )
    return text + "."
