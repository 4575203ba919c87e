"""The evaluate stage: every number of every model, with its interval, from the predictions.

Writes ``reports/evaluation.parquet`` (one row per number), ``reports/differences.parquet`` (paired
differences of two models), ``reports/slices.parquet`` and ``reports/gaps.parquet``
(`pamela.evaluation.metrics.image_slices`, `pamela.evaluation.metrics.subgroup_gaps`), and
``metrics/evaluation.json`` (`pamela.evaluation.headline`), beside what
`pamela.evaluation.predictions` writes. Every number is defined in docs/evaluation.md, the metrics
in `pamela.evaluation.metrics.definitions`. Run: ``python -m flows.evaluate``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from pamela.compute.processes import run_all
from pamela.core import schema as s
from pamela.core.progress import progress
from pamela.evaluation.comparisons import (
    BASELINE,
    comparisons,
    ideal_of,
    known_pictures_comparisons,
    known_pictures_models,
    trained,
)
from pamela.evaluation.metrics.bootstrap import Estimate
from pamela.evaluation.metrics.grouping import group_slice
from pamela.evaluation.metrics.intervals import (
    DIFFERENCE_METRICS,
    IMAGE,
    POOLED,
    USER,
    Difference,
    Number,
    estimate_slice,
    keys_of,
)
from pamela.evaluation.metrics.normalised_gain import (
    SHARE_OF_IDEAL_CONFLICT,
    SHARE_OF_SEEN_GAIN,
    Ideal,
    seen_gain_shares,
    share_names,
)
from pamela.evaluation.metrics.personalisation import estimate_parts
from pamela.evaluation.metrics.schema import (
    INTERVAL,
    KNOWN_PICTURES,
    MODEL,
    NEW_PICTURES,
    NUMBER,
    PICTURES,
    POPULATION,
    SEEN,
    SHOTS,
    SLICE,
    UNSEEN,
    UNSEEN_ALL_ROWS,
    VARIANTS,
)
from pamela.params import EvaluateParams

EVALUATION = pl.Schema({**SLICE, **NUMBER, PICTURES: pl.String})
DIFFERENCES = pl.Schema(
    {
        s.DATASET: pl.String,
        POPULATION: pl.String,
        SHOTS: pl.Int64,
        "metric": pl.String,
        MODEL: pl.String,
        "baseline": pl.String,
        **INTERVAL,
        "n_users": pl.Int64,
        PICTURES: pl.String,
    }
)
Slice = tuple[str, int | None]  # population, shots


# --- numbers --------------------------------------------------------------------------------------
def evaluate_predictions(
    predictions: pl.DataFrame,
    images: pl.DataFrame,
    params: EvaluateParams,
    *,
    variants: pl.DataFrame | None = None,
    champion: str | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Compute every number from the predictions.

    Parameters
    ----------
    predictions : rows of `PREDICTIONS`; in a slice (dataset, population, shots, pictures) all
        models have the same rows. `UNSEEN_ALL_ROWS` gets numbers and no differences.
    images : the images table, for the ``prompt_id`` over which intervals may resample.
    variants : what the personal models say as somebody else
        (`pamela.evaluation.metrics.schema.VARIANTS`).
    champion : the model that is compared with each of the others.

    Returns
    -------
    The frames `EVALUATION` and `DIFFERENCES`. A slice in which nobody is left keeps its rows,
    with a null value and ``n_users`` 0.
    """
    numbers, gaps = [], []
    unseen: list[Slice] = [(UNSEEN, k) for k in params.shots]
    datasets = predictions[s.DATASET].unique(maintain_order=True).to_list()
    prompts = images.select(s.DATASET, s.IMAGE, s.PROMPT_ID)
    answered = VARIANTS.to_frame() if variants is None else variants
    with progress("metrics", len(datasets) * (1 + 2 * len(unseen))) as advance:
        for dataset in datasets:
            rows, others = (
                frame.filter(pl.col(s.DATASET) == dataset).join(
                    prompts, on=[s.DATASET, s.IMAGE], how="left", maintain_order="left"
                )
                for frame in (predictions, answered)
            )
            asked = _asked_of(rows, others, unseen, champion)
            slices = [(one, *which) for one in asked for which in one.slices]
            estimated = run_all(
                _slice,
                [one.at(population, shots, params, dataset) for one, population, shots in slices],
                [f"metrics of {dataset}, {kind} at {shots} shots" for _, kind, shots in slices],
                lambda _: advance(1),
            )
            for (one, population, shots), (found, differences) in zip(
                slices, estimated, strict=True
            ):
                where = {s.DATASET: dataset, POPULATION: population, SHOTS: shots}
                where |= {PICTURES: one.pictures}
                numbers.append(_number_frame(found, one.models, where))
                gaps.append(_difference_frame(differences, one.models, where))
            new, models = asked[0].rows, asked[0].models
            every = pl.col(POPULATION) == UNSEEN_ALL_ROWS
            numbers += _shares_of_seen_gain(new.filter(~every), models, params, dataset)
            numbers += _on_all_rows(new.filter(every), models, params, dataset)
    return _stacked(numbers, EVALUATION), _stacked(gaps, DIFFERENCES)


@dataclass(frozen=True)
class _Asked:
    """What a dataset's models said of new pictures, or of known ones.

    Attributes
    ----------
    rows, variants : of all slices, as oneself and as somebody else.
    models : who was asked, in the order of the numbers.
    compared : (model, baseline) to subtract.
    slices : whom to look at, with nobody left too.
    """

    pictures: str
    rows: pl.DataFrame
    variants: pl.DataFrame
    models: list[str]
    compared: list[tuple[str, str]]
    slices: list[Slice]

    def at(
        self, population: str, shots: int | None, params: EvaluateParams, dataset: str
    ) -> tuple[Any, ...]:
        """Return the arguments of `_slice` for one slice."""
        inside = (pl.col(POPULATION) == population) & pl.col(SHOTS).eq_missing(shots)
        rows, variants = self.rows.filter(inside), self.variants.filter(inside)
        stream = f"{dataset}/{population}"
        new = self.pictures == NEW_PICTURES  # known pictures are all there are: no sample of more
        return rows, variants, self.models, self.compared, params, stream, new


def _asked_of(
    rows: pl.DataFrame, variants: pl.DataFrame, unseen: list[Slice], champion: str | None
) -> list[_Asked]:
    """Part a dataset's predictions by the pictures that they are about: new ones, known ones."""

    def about(frame: pl.DataFrame, pictures: str) -> pl.DataFrame:
        return frame.filter(pl.col(PICTURES) == pictures)

    new, known = (about(rows, kind) for kind in (NEW_PICTURES, KNOWN_PICTURES))
    models = new[MODEL].unique(maintain_order=True).to_list()
    beside = known_pictures_models(models)
    return [
        _Asked(
            NEW_PICTURES,
            new,
            about(variants, NEW_PICTURES),
            models,
            comparisons(models, champion),
            [(SEEN, None), *unseen],
        ),
        _Asked(
            KNOWN_PICTURES,
            known,
            about(variants, KNOWN_PICTURES),
            beside,
            known_pictures_comparisons(beside, champion),
            unseen,
        ),
    ]


def _slice(
    rows: pl.DataFrame,
    variants: pl.DataFrame,
    models: list[str],
    compared: list[tuple[str, str]],
    params: EvaluateParams,
    stream: str,
    resample_prompts: bool,
) -> tuple[list[Number], list[Difference]]:
    """Return the numbers and differences of one slice."""
    pairs = [(models.index(a), models.index(b)) for a, b in compared]
    ideal = ideal_of(models)
    if rows.is_empty():
        numbers, gaps = _nobody(len(models), pairs, params, ideal)
    else:
        numbers, gaps = estimate_slice(
            group_slice(rows, models),
            params,
            stream=stream,
            comparisons=pairs,
            ideal=ideal,
            prompts=resample_prompts,
        )
    numbers.sort(key=lambda n: n.model)
    for part in estimate_parts(rows, variants, compared, params, stream=stream):
        model, metric, e = models.index(part.model), part.metric, part.estimate
        if part.baseline is None:
            numbers.append(Number(model, metric, USER, None, e, part.n_pairs))
        else:
            gaps.append(Difference(model, models.index(part.baseline), metric, e))
    return numbers, gaps


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
        shares = [(USER, name) for name in share_names(ideal, params.margins)]
        numbers += [
            Number(model, metric, aggregation, None, none, 0)
            for model in ideal.models
            for aggregation, metric in (*shares, (POOLED, SHARE_OF_IDEAL_CONFLICT))
        ]
    return numbers, [Difference(a, b, m, none) for m in DIFFERENCE_METRICS for a, b in pairs]


def _shares_of_seen_gain(
    rows: pl.DataFrame, models: list[str], params: EvaluateParams, dataset: str
) -> list[pl.DataFrame]:
    """Return the rows of `normalised_gain.seen_gain_shares`, one frame per number of shots."""
    wanted = [name for name in trained(models) if name != BASELINE]
    if BASELINE not in models or not wanted:
        return []
    found = seen_gain_shares(rows, wanted, BASELINE, params, stream=dataset)
    frames = []
    for k, (shares, pairs) in found.items():
        numbers = [
            Number(models.index(name), SHARE_OF_SEEN_GAIN, USER, None, e, pairs)
            for name, e in zip(wanted, shares, strict=True)
        ]
        where = {s.DATASET: dataset, POPULATION: UNSEEN, SHOTS: k, PICTURES: NEW_PICTURES}
        frames.append(_number_frame(numbers, models, where))
    return frames


def _on_all_rows(
    rows: pl.DataFrame, models: list[str], params: EvaluateParams, dataset: str
) -> list[pl.DataFrame]:
    """Return the numbers of unseen users on all their test rows, where the query has fewer."""
    if rows.is_empty():
        return []
    numbers, _ = estimate_slice(group_slice(rows, models), params, stream=f"{dataset}/{UNSEEN}")
    numbers.sort(key=lambda n: n.model)
    where = {s.DATASET: dataset, POPULATION: UNSEEN_ALL_ROWS, SHOTS: 0, PICTURES: NEW_PICTURES}
    return [_number_frame(numbers, models, where)]


def _number_frame(numbers: list[Number], models: list[str], where: dict[str, Any]) -> pl.DataFrame:
    rows = [
        {
            **where,
            MODEL: models[n.model],
            "metric": n.metric,
            "aggregation": n.aggregation,
            "margin": n.margin,
            **n.estimate.to_row(),
            "n_pairs": n.n_pairs,
        }
        for n in numbers
    ]
    return pl.DataFrame(rows, schema=EVALUATION)


def _difference_frame(
    differences: list[Difference], models: list[str], where: dict[str, Any]
) -> pl.DataFrame:
    rows = [
        {
            **where,
            "metric": d.metric,
            MODEL: models[d.model],
            "baseline": models[d.baseline],
            **d.estimate.to_row(),
        }
        for d in differences
    ]
    return pl.DataFrame(rows, schema=DIFFERENCES)


def _stacked(frames: list[pl.DataFrame], schema: pl.Schema) -> pl.DataFrame:
    return pl.concat([schema.to_frame(), *frames])
