"""Demographics that are numbers: ages in years as bands, scores in steps."""

from __future__ import annotations

from typing import Final

import polars as pl

from pamela.data.formats import base

# THE age bands: what every dataset that gives years becomes. First year of each band.
AGE_BANDS: Final = {
    "under 18": 0,
    "18-24": 18,
    "25-34": 25,
    "35-44": 35,
    "45-54": 45,
    "55-64": 55,
    "65 and over": 65,
}
MAX_AGE: Final = 120  # years; beyond it, and below 0, an age is unknown
# How a form that asks for text has ages in years: "28 years", "28 yrs old", "28 jaar".
YEARS: Final = (
    r"(?i)^\s*(\d+(?:\.\d+)?)\s*(?:years?|yrs?\.?|y\.?/?o?\.?|jaar|jahre?|ans)(?:\s*old)?\s*$"
)


def age_band(years: pl.Expr) -> pl.Expr:
    """Return ages in years as the names of `AGE_BANDS`; an impossible age is null."""
    oldest_first = reversed(AGE_BANDS.items())
    named = pl.coalesce(pl.when(years >= first).then(pl.lit(band)) for band, first in oldest_first)
    return pl.when(years <= MAX_AGE).then(named)


def years(column: str) -> pl.Expr:
    """Return a text column of ages as numbers, with or without `YEARS`; other cells are null."""
    said = pl.col(column).cast(pl.String).str.extract(YEARS, 1)
    return pl.coalesce(base.number(column), said.cast(pl.Float64, strict=False))


def age_as_band(column: str) -> pl.Expr:
    """Return a text column of ages as bands; what is no age (a band already) stays as it is."""
    age = years(column)
    return pl.when(age.is_null()).then(base.category(column)).otherwise(age_band(age)).alias(column)


def impossible_ages(rows: pl.DataFrame, age: pl.Expr) -> list[str]:
    """Return a note on the ages that nobody can have, which are taken as unknown, if any."""
    found = rows.select(_age=age).filter(
        pl.col("_age").is_not_null() & age_band(pl.col("_age")).is_null()
    )
    if not found.height:
        return []
    examples = ", ".join(f"{value:g}" for value in found["_age"].unique().sort().head(3))
    return [f"impossible ages in {found.height:,} rows (such as {examples}; taken as unknown)"]


def unit_band(column: str) -> pl.Expr:
    """Return a text column of real numbers in steps of one: 2.4 is ``2 to 3``; other cells stay."""
    value = base.number(column)
    low = value.floor().cast(pl.Int64, strict=False)
    band = pl.concat_str([low.cast(pl.String), (low + 1).cast(pl.String)], separator=" to ")
    return pl.when(low.is_not_null()).then(band).otherwise(base.category(column)).alias(column)
