"""Names of columns and models that predictions and metrics share."""

from __future__ import annotations

from typing import Final

import polars as pl

from pamela.core import schema as s

SEEN = "seen"
UNSEEN = "unseen"
UNSEEN_ALL_ROWS = "unseen_all_rows"  # the same users at 0 shots, on context and query: as published
MODEL = "model"
POPULATION = "population"
SHOTS = "shots"
PICTURES = "pictures"  # which pictures people are asked about:
NEW_PICTURES = "new"  # ones nobody trained on
KNOWN_PICTURES = "known"  # training pictures that others rated; asked of unseen users alone
NOISE_CEILING = "noise_ceiling"  # the world's noise-free opinion as the prediction
SHUFFLED = "population_shuffled"  # control: `population` on image features of other pictures
WORLD = "synthetic"  # the one dataset with a truth


# columns that the tables of numbers share: what was measured on whom, and an estimate
SLICE: Final = {s.DATASET: pl.String, MODEL: pl.String, POPULATION: pl.String, SHOTS: pl.Int64}
INTERVAL: Final = {"value": pl.Float64, "ci_low": pl.Float64, "ci_high": pl.Float64}
NUMBER: Final = {
    "metric": pl.String,
    "aggregation": pl.String,
    "margin": pl.Float64,
    **INTERVAL,
    "n_users": pl.Int64,
    "n_pairs": pl.Int64,
}
PREDICTIONS = pl.Schema(
    {
        s.DATASET: pl.String,
        s.FOLD: pl.Int64,
        MODEL: pl.String,
        POPULATION: pl.String,
        SHOTS: pl.Int64,
        s.USER: pl.String,
        s.IMAGE: pl.String,
        s.RATING: pl.Float64,
        "mean": pl.Float32,
        "std": pl.Float32,
        PICTURES: pl.String,
    }
)
VARIANT: Final = "variant"
GENERIC: Final = "generic"


VARIANTS: Final = pl.Schema([*PREDICTIONS.items(), (VARIANT, pl.String)])
