"""The ablation's variants and the columns of its table: what fitting and reporting share."""

from __future__ import annotations

from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.evaluation.metrics.schema import MODEL, POPULATION, SHOTS
from pamela.params import ALL_INPUTS, InputParams

TABLE, RECORD = "ablation.parquet", "ablation.json"
FULL: Final = "full"
NONE: Final = "none"
VARIANTS: Final[dict[str, InputParams]] = {
    FULL: ALL_INPUTS,
    **{f"no_{one}": ALL_INPUTS.model_copy(update={one: False}) for one in InputParams.model_fields},
    NONE: InputParams(**dict.fromkeys(InputParams.model_fields, False)),
}
VARIANT, SEED = "variant", "seed"
ABLATION = pl.Schema(
    {
        s.DATASET: pl.String,
        MODEL: pl.String,
        VARIANT: pl.String,
        "user": pl.Boolean,  # whether the variant has each of `train.inputs`
        "demographics": pl.Boolean,
        "metadata": pl.Boolean,
        POPULATION: pl.String,
        SHOTS: pl.Int64,
        "metric": pl.String,
        "margin": pl.Float64,
        "value": pl.Float64,
        "ci_low": pl.Float64,
        "ci_high": pl.Float64,
        "difference": pl.Float64,
        "difference_ci_low": pl.Float64,
        "difference_ci_high": pl.Float64,
        "seed_sd": pl.Float64,  # of the difference, between seeds; null with one seed
        "n_users": pl.Int64,
        "n_seeds": pl.Int64,
    }
)


def slice_name(population: str, shots: int | None) -> str:
    """Return ``seen`` or ``unseen_20``."""
    return population if shots is None else f"{population}_{shots}"


def variant_name(variant: str) -> str:
    """Return a variant's name for people."""
    names = {FULL: "all three", NONE: "none of them"}
    return names.get(variant) or f"without {variant.removeprefix('no_')}"
