"""The ablation's numbers: every variant's value and its paired difference to the full model.

One row of ``reports/ablation.parquet`` per dataset, model, variant, population, shots and metric
(mean over users; definitions in `pamela.evaluation.metrics.definitions`). Values are averaged over
seeds user by user, then over users; intervals resample users (and prompts where images are few), as
in the evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.files import write_json, write_metrics, write_parquet
from pamela.core.paths import Project
from pamela.evaluation.ablation import (
    ABLATION,
    FULL,
    RECORD,
    SEED,
    TABLE,
    VARIANT,
    VARIANTS,
    Done,
    slice_name,
)
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics.bootstrap import Estimate
from pamela.evaluation.metrics.grouping import group_slice
from pamela.evaluation.metrics.intervals import Key, contrast_estimates
from pamela.evaluation.metrics.schema import MODEL, POPULATION, SEEN, SHOTS, UNSEEN
from pamela.evaluation.provenance import dataset_hashes, encoder_info
from pamela.params import EvaluateParams, Params

# What of the params makes this result: without what the variants set themselves.
SECTIONS: Final = ("split", "embed", "train", "evaluate", "ablation")
SET_HERE: Final = ("inputs", "models", "champion")
METRICS = (m.SROCC, m.PLCC, m.PAIRWISE_ACCURACY, m.RMSE)
Slice = tuple[str, int | None]  # population, shots


def compute_metrics(
    predictions: pl.DataFrame, images: pl.DataFrame, params: Params
) -> pl.DataFrame:
    """Compute every number.

    Parameters
    ----------
    predictions : of all jobs; in a slice all variants and seeds of a model have the same rows.
    images : the images table, for the ``prompt_id`` over which intervals may resample.

    Returns
    -------
    The frame `ABLATION`. A slice in which nobody is left keeps its rows, with null values.
    """
    grid = params.evaluate.model_copy(update={"margins": params.evaluate.margins[:1]})
    prompts = images.select(s.DATASET, s.IMAGE, s.PROMPT_ID)
    slices: list[Slice] = [(SEEN, None), *((UNSEEN, k) for k in params.ablation.shots)]
    rows: list[dict[str, Any]] = []
    for dataset in predictions[s.DATASET].unique(maintain_order=True):
        of_dataset = predictions.filter(pl.col(s.DATASET) == dataset).join(
            prompts, on=[s.DATASET, s.IMAGE], how="left", maintain_order="left"
        )
        for model in of_dataset[MODEL].unique(maintain_order=True):
            mine = of_dataset.filter(pl.col(MODEL) == model)
            for where in slices:
                asked = mine.filter(
                    (pl.col(POPULATION) == where[0]) & pl.col(SHOTS).eq_missing(where[1])
                )
                head = {s.DATASET: dataset, MODEL: model, POPULATION: where[0], SHOTS: where[1]}
                rows += [{**head, **row} for row in _slice(asked, mine, grid, head)]
    return pl.DataFrame(rows, schema=ABLATION)


def _slice(
    asked: pl.DataFrame, mine: pl.DataFrame, grid: EvaluateParams, head: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the rows of one slice, variant by variant and metric by metric."""
    variants = [name for name in VARIANTS if name in mine[VARIANT].unique()]
    seeds = mine[SEED].unique().sort().to_list()
    found = _estimates(asked, variants, seeds, grid, head)
    keys = [(metric, grid.margins[0] if metric == m.PAIRWISE_ACCURACY else None)
            for metric in METRICS]  # fmt: skip
    return [
        {
            VARIANT: variant,
            **VARIANTS[variant].model_dump(),
            "metric": key[0],
            "margin": key[1],
            **_row(found.get(key), place, len(variants), len(seeds)),
        }
        for place, variant in enumerate(variants)
        for key in keys
    ]


def _estimates(
    asked: pl.DataFrame,
    variants: Sequence[str],
    seeds: Sequence[int],
    grid: EvaluateParams,
    head: dict[str, Any],
) -> dict[Key, list[Estimate]]:
    """Estimate the variants' values, their differences, and the differences seed by seed."""
    if asked.is_empty():
        return {}
    columns = [f"{variant}#{seed}" for variant in variants for seed in seeds]
    name = pl.concat_str(VARIANT, SEED, separator="#").alias(MODEL)
    laid = group_slice(asked.with_columns(name), columns)
    return contrast_estimates(
        laid,
        grid,
        contrasts(len(variants), variants.index(FULL), len(seeds)),
        stream=f"{head[s.DATASET]}/{head[POPULATION]}",
    )


def contrasts(variants: int, full: int, seeds: int) -> Floats:
    """Return the weights (variants x seeds, C) of all combinations wanted.

    C is, in this order: each variant's mean over seeds, the same minus the full model's, and each
    variant minus the full model seed by seed (variants x seeds, seeds running fastest).
    """
    against = np.eye(variants)
    against[full] -= 1.0
    mean = np.full((seeds, 1), 1.0 / seeds)
    return np.concatenate(
        [np.kron(np.eye(variants), mean), np.kron(against, mean), np.kron(against, np.eye(seeds))],
        axis=1,
    )


def _row(
    found: list[Estimate] | None, place: int, variants: int, seeds: int
) -> dict[str, float | int | None]:
    """Return the numbers of the variant at `place`."""
    nothing = Estimate(None, None, None, 0)
    value, gap = (found[place], found[variants + place]) if found else (nothing, nothing)
    own = found[2 * variants + place * seeds :][:seeds] if found else []
    each = [one.value for one in own if one.value is not None]
    return {
        **value.to_row(),
        "difference": gap.value,
        "difference_ci_low": gap.ci_low,
        "difference_ci_high": gap.ci_high,
        "seed_sd": float(np.std(each, ddof=1)) if len(each) > 1 else None,
        "n_seeds": seeds,
    }


def ablation_headline(table: pl.DataFrame) -> dict[str, float]:
    """Return flat SROCC figures: the full models' own, and every variant's minus them.

    ``<model>_full_<seen|unseen_k>_srocc`` and ``<model>_<variant>_minus_full_<...>_srocc``, with
    several datasets each prefixed by its dataset.
    """
    several = table[s.DATASET].n_unique() > 1
    found: dict[str, float] = {}
    for row in table.filter(metric=m.SROCC).iter_rows(named=True):
        own = row[VARIANT] == FULL
        value = row["value"] if own else row["difference"]
        if value is None:
            continue
        prefix = f"{row[s.DATASET]}_" if several else ""
        what = f"{row[VARIANT]}{'' if own else '_minus_full'}"
        where = slice_name(row[POPULATION], row[SHOTS])
        found[f"{prefix}{row[MODEL]}_{what}_{where}_{m.SROCC}"] = value
    return found


def write_ablation_results(
    project: Project, params: Params, done: Sequence[Done], table: pl.DataFrame
) -> dict[str, float]:
    """Write table, record and headline numbers; return the numbers."""
    chosen: dict[str, dict[str, dict[str, Any]]] = {}
    for one in done:
        by_variant = chosen.setdefault(one.job.model, {}).setdefault(one.job.variant, {})
        by_variant[f"fold_{one.job.fold}"] = one.chosen
    encoder = encoder_info(project)
    write_parquet(project.reports / TABLE, table)
    write_json(
        project.reports / RECORD,
        {
            "datasets": dataset_hashes(project),
            "encoder": {key: encoder[key] for key in ("encoder", "fingerprint")},
            "params": made_with(params),
            "chosen": chosen,
        },
    )
    figures = ablation_headline(table)
    write_metrics(project.metrics / RECORD, figures)
    return figures


def made_with(params: Params) -> dict[str, Any]:
    """Return the params that made the result, by section."""
    dumped = params.model_dump(by_alias=True, mode="json")
    kept = {section: dict(dumped[section]) for section in SECTIONS}
    for key in SET_HERE:
        del kept["train"][key]
    return kept
