"""Recommenders and our models on the same queries, and what is written of it."""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np
import polars as pl

from benchmarks.recommenders.rivals import KINDS, Recommender, tune
from pamela.core import schema as s
from pamela.core.dataset import Fold, count_folds, load_fold
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet
from pamela.core.paths import Project
from pamela.core.progress import progress
from pamela.evaluation.comparisons import LEVELS
from pamela.evaluation.few_shot import known_pictures_task
from pamela.evaluation.metrics.bootstrap import Estimate
from pamela.evaluation.metrics.definitions import SROCC
from pamela.evaluation.metrics.grouping import group_slice
from pamela.evaluation.metrics.intervals import contrast_estimates
from pamela.evaluation.metrics.schema import (
    INTERVAL,
    KNOWN_PICTURES,
    MODEL,
    PICTURES,
    POPULATION,
    SHOTS,
    SLICE,
    UNSEEN,
)
from pamela.evaluation.predictions import own_folds, predict_unseen, restrict
from pamela.models.preprocessing import canonical
from pamela.params import EvaluateParams, Params
from pamela.reporting.presentation.terminal import PlainTable

WANTED: Final = (0, 5, 20, 100)  # ratings shown
DIFFERENCE: Final = "difference"  # champion minus the row's model
RECOMMENDERS: Final = pl.Schema(
    {
        **SLICE,
        "metric": pl.String,
        **INTERVAL,
        DIFFERENCE: pl.Float64,
        f"{DIFFERENCE}_ci_low": pl.Float64,
        f"{DIFFERENCE}_ci_high": pl.Float64,
        "n_users": pl.Int64,
        PICTURES: pl.String,
    }
)


def predict_fold(fold: Fold, params: Params) -> pl.DataFrame:
    """Return rows of `pamela.evaluation.metrics.schema.PREDICTIONS` of one dataset's fold."""
    train = canonical(fold[s.TRAIN])
    task = known_pictures_task(fold, seed=params.evaluate.seed)
    shots = shots_of(params.evaluate)
    frames = []
    for name, kind in KINDS.items():
        config = tune(kind, train, params.train.cv_folds, params.train.seed)
        print(f"fold {fold.number}: {name}: {config}", file=sys.stderr, flush=True)
        model = Recommender(kind, config, train, params.train.seed)
        frames.append(predict_unseen(model, name, fold, task, shots, KNOWN_PICTURES))
    return pl.concat(frames)


def shots_of(params: EvaluateParams) -> list[int]:
    """Return the numbers of shots that `evaluate` asked at too."""
    return [k for k in WANTED if k in params.shots]


def known_predictions(project: Project) -> pl.DataFrame:
    """Return what the models of the finished run said of known pictures.

    Raises
    ------
    PamelaError
        If there is nothing: no run, or nobody in any dataset has enough ratings.
    """
    rows = read_parquet(project.reports / "predictions.parquet")
    known = rows.filter(pl.col(PICTURES) == KNOWN_PICTURES, ~pl.col(MODEL).is_in(LEVELS))
    if known.is_empty():
        raise PamelaError(
            "reports/predictions.parquet: nobody was asked about known pictures; "
            "docs/evaluation.md says how many ratings a person needs"
        )
    return known


def compare(rows: pl.DataFrame, params: Params, dataset: str, k: int) -> pl.DataFrame:
    """Return `RECOMMENDERS` of one dataset after `k` shots.

    Parameters
    ----------
    rows : predictions of all models for the same rows of this dataset.
    """
    models = rows[MODEL].unique(maintain_order=True).to_list()
    champion = models.index(params.train.champion)
    itself = np.eye(len(models))
    contrasts = np.concatenate([itself, itself[:, [champion]] - itself], axis=1)
    grid = params.evaluate.model_copy(update={"margins": params.evaluate.margins[:1]})
    found = contrast_estimates(
        group_slice(rows, models), grid, contrasts, stream=f"{dataset}/{UNSEEN}", prompts=False
    )[SROCC, None]
    head = {s.DATASET: dataset, POPULATION: UNSEEN, SHOTS: k, PICTURES: KNOWN_PICTURES}
    return pl.DataFrame(
        [
            {**head, MODEL: name, "metric": SROCC, **own.to_row(), **_gap(less)}
            for name, own, less in zip(
                models, found[: len(models)], found[len(models) :], strict=True
            )
        ],
        schema=RECOMMENDERS,
    )


def _gap(less: Estimate) -> dict[str, float | None]:
    return {
        DIFFERENCE: less.value,
        f"{DIFFERENCE}_ci_low": less.ci_low,
        f"{DIFFERENCE}_ci_high": less.ci_high,
    }


def bench_recommenders(project: Project, params: Params) -> pl.DataFrame:
    """Tune, fit and ask the recommenders in every dataset and fold; compare with our models."""
    known = known_predictions(project)
    datasets = known[s.DATASET].unique(maintain_order=True).to_list()
    folds = {name: count for name, count in own_folds(project).items() if name in datasets}
    frames = [known]
    with progress("recommenders", sum(folds.values())) as advance:
        for number in range(count_folds(project)):
            fold = load_fold(project, number)
            for name, count in folds.items():
                if number < count:
                    frames.append(predict_fold(restrict(fold, {name: count}), params))
                    advance(1)
    rows = pl.concat(frames)
    return pl.concat(
        compare(rows.filter(pl.col(SHOTS) == k, pl.col(s.DATASET) == name), params, name, k)
        for name in datasets
        for k in shots_of(params.evaluate)
    )


def table_of(found: pl.DataFrame, dataset: str, champion: str) -> PlainTable:
    """Return model x shots: mean SROCC, and the champion minus it with its interval."""
    rows = found.filter(pl.col(s.DATASET) == dataset)
    by_key = {(r[MODEL], r[SHOTS]): r for r in rows.to_dicts()}
    shots = rows[SHOTS].unique().sort().to_list()
    table = PlainTable(title=f"{dataset}: known pictures, mean SROCC; {champion} minus it")
    table.add_column("model", no_wrap=True)
    for k in shots:
        table.add_column(f"{k} shots", justify="right")
    for model in rows[MODEL].unique(maintain_order=True):
        table.add_row(model, *(_cell(by_key[model, k], model == champion) for k in shots))
    return table


def _cell(row: dict[str, Any], itself: bool) -> str:
    if row["value"] is None:
        return "-"
    low, high = row[f"{DIFFERENCE}_ci_low"], row[f"{DIFFERENCE}_ci_high"]
    gap = "" if itself or low is None else f" {row[DIFFERENCE]:+.3f} [{low:+.3f}, {high:+.3f}]"
    return f"{row['value']:.3f}{gap}"
