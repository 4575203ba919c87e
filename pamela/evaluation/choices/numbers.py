"""Every number about choices: rows of the tables of numbers and of differences."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.evaluation.choices import metrics as c
from pamela.evaluation.choices.predictions import OUTCOME, P_A, P_B, P_TIE
from pamela.evaluation.comparators.bradley_terry import BRADLEY_TERRY
from pamela.evaluation.comparisons import LEVELS, comparisons
from pamela.evaluation.evaluate import DIFFERENCES, EVALUATION
from pamela.evaluation.metrics.bootstrap import Draws, Estimate, make_draws
from pamela.evaluation.metrics.intervals import POOLED
from pamela.evaluation.metrics.schema import (
    KNOWN_PICTURES,
    MODEL,
    NEW_PICTURES,
    PICTURES,
    POPULATION,
    SEEN,
    SHOTS,
    UNSEEN,
)
from pamela.params import EvaluateParams

KEYS: Final = [s.FOLD, s.USER, s.IMAGE_A, s.IMAGE_B, OUTCOME]


def difference_metric(metric: str, aggregation: str) -> str:
    """Return the metric's name in the table of differences, which has no aggregation."""
    return f"{metric}_{POOLED}" if aggregation == POOLED else metric


def evaluate_choices(
    predictions: pl.DataFrame, params: EvaluateParams, *, champion: str | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Compute every number from the predictions of choices.

    Parameters
    ----------
    predictions : rows of `pamela.evaluation.choices.predictions.CHOICE_PREDICTIONS`.
    champion : the model that is compared with each of the others.

    Returns
    -------
    Frames `EVALUATION` and `DIFFERENCES`. A slice in which nobody is left keeps its rows, with a
    null value and ``n_users`` 0.
    """
    numbers, gaps = [EVALUATION.to_frame()], [DIFFERENCES.to_frame()]
    unseen = [(UNSEEN, k) for k in params.shots]
    for dataset in predictions[s.DATASET].unique(maintain_order=True):
        rows = predictions.filter(pl.col(s.DATASET) == dataset)
        models = rows[MODEL].unique(maintain_order=True).to_list()
        trained = [name for name in models if name != BRADLEY_TERRY]
        for pictures, slices, names in (
            (NEW_PICTURES, [(SEEN, None), *unseen], trained),
            (KNOWN_PICTURES, unseen, models),
        ):
            pairs = compared(names, champion)
            for population, shots in slices:
                where = {s.DATASET: dataset, POPULATION: population, SHOTS: shots}
                where |= {PICTURES: pictures}
                here = rows.filter(
                    pl.col(SHOTS).eq_missing(shots), population=population, pictures=pictures
                )
                found, differences = _slice(here, names, pairs, params, where)
                numbers.append(pl.DataFrame(found, schema=EVALUATION))
                gaps.append(pl.DataFrame(differences, schema=DIFFERENCES))
    return pl.concat(numbers), pl.concat(gaps)


def compared(models: Sequence[str], champion: str | None) -> list[tuple[str, str]]:
    """Return (model, baseline) to subtract: as for ratings, and each minus `bradley_terry`."""
    found = comparisons([name for name in models if name != BRADLEY_TERRY], champion)
    if BRADLEY_TERRY in models:
        found += [(name, BRADLEY_TERRY) for name in models if name not in (BRADLEY_TERRY, *LEVELS)]
    return list(dict.fromkeys(found))


def grouped(rows: pl.DataFrame, models: Sequence[str]) -> c.PredictedChoices:
    """Lay the models' predictions for the same choices side by side.

    Raises
    ------
    PamelaError
        If the models do not predict the same choices.
    """
    by_model = {key[0]: frame.sort(KEYS) for key, frame in rows.group_by(MODEL)}
    first = by_model.get(models[0], pl.DataFrame())
    for model in models:
        if not by_model.get(model, rows.clear()).select(KEYS).equals(first.select(KEYS)):
            raise PamelaError(
                f"reports/choice_predictions.parquet: {model} and {models[0]} are not predicted "
                "for the same choices; run `dvc repro -f evaluate`"
            )
    pictures = pl.concat([first[s.IMAGE_A], first[s.IMAGE_B]]).unique().sort()
    place = pl.Series(np.arange(len(pictures)))
    a, b = (
        first[column].replace_strict(pictures, place, return_dtype=pl.Int64).to_numpy()
        for column in (s.IMAGE_A, s.IMAGE_B)
    )

    def stacked(column: str) -> Any:
        return np.stack([by_model[m][column].to_numpy() for m in models], axis=1).astype(float)

    return c.PredictedChoices(
        user=(first[s.USER].rank("dense").to_numpy() - 1).astype(np.int64),
        first=a.astype(np.int64),
        second=b.astype(np.int64),
        outcome=first[OUTCOME].to_numpy().astype(np.float64),
        p_first=stacked(P_A),
        p_second=stacked(P_B),
        p_tie=stacked(P_TIE),
    )


def _slice(
    rows: pl.DataFrame,
    models: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    params: EvaluateParams,
    where: dict[str, Any],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of one slice."""
    laid = None if rows.is_empty() else grouped(rows, models)
    draws = None if laid is None else _draws(laid, params, where)
    places = [(models.index(a), models.index(b)) for a, b in pairs]
    numbers, gaps = [], []
    for aggregation in c.AGGREGATIONS:
        for metric in c.CHOICE_METRICS:
            found, less, count = _nothing(models), _nothing(pairs), 0
            if laid is not None and draws is not None:
                found, count = c.estimates(laid, metric, aggregation, draws)
                less = c.differences(laid, metric, aggregation, draws, places)
            head = {**where, "metric": metric, "aggregation": aggregation, "margin": None}
            numbers += [
                {**head, MODEL: name, **e.to_row(), "n_pairs": count if e.n else 0}
                for name, e in zip(models, found, strict=True)
            ]
            named = {**where, "metric": difference_metric(metric, aggregation)}
            gaps += [
                {**named, MODEL: model, "baseline": baseline, **e.to_row()}
                for (model, baseline), e in zip(pairs, less, strict=True)
            ]
    return numbers, gaps


def _nothing(of: Sequence[Any]) -> list[Estimate]:
    return [Estimate(None, None, None, 0)] * len(of)


def _draws(laid: c.PredictedChoices, params: EvaluateParams, where: dict[str, Any]) -> Draws:
    """Resample people, and pictures where they are new and few: known ones are what there is."""
    stream = f"{where[s.DATASET]}/{where[POPULATION]}/{where[PICTURES]}/choices"
    seed = [params.seed, zlib.crc32(stream.encode())]
    pictures = laid.n_pictures if where[PICTURES] == NEW_PICTURES else None
    return make_draws(laid.n_users, params.bootstrap, seed, n_prompts=pictures)
