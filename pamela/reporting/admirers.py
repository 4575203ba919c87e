"""Who admires a group or style, counted as it was counted on the release's training part."""

from __future__ import annotations

import polars as pl

from pamela.core import schema as s
from pamela.synthetic.published_facts import ADMIRED, ADMIRED_ABOVE_OWN, ELIGIBLE_FROM

ELIGIBLE, ADMIRERS = "eligible", "admirers"


def count_admirers(train: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return (category, eligible, admirers), a row per value of column `by`, in their order.

    Parameters
    ----------
    train : a row per training rating: user_id, rating on 1..5, and `by`.
    """
    rating = pl.col(s.RATING)
    own = train.with_columns(_own=rating.mean().over(s.USER)).drop_nulls(by)
    cells = own.group_by(s.USER, pl.col(by).alias("category")).agg(
        pl.len().alias("_n"), rating.mean().alias("_mean"), pl.col("_own").first()
    )
    # tolerance: means are sums of whole numbers over their count
    admired = (pl.col("_mean") >= ADMIRED - 1e-9) & (
        pl.col("_mean") - pl.col("_own") >= ADMIRED_ABOVE_OWN - 1e-9
    )
    return (
        cells.filter(pl.col("_n") >= ELIGIBLE_FROM)
        .group_by("category")
        .agg(pl.len().alias(ELIGIBLE), admired.sum().alias(ADMIRERS))
        .sort("category")
    )
