"""How far people agree with themselves: test-retest correlation and noise of repeated ratings.

The correlation r of a person's passes is the reliability of one rating. That of the mean of n
passes is ``n r / (1 + (n - 1) r)`` (Spearman 1910, Brown 1910), and no score correlates more with
ratings than the square root of their reliability.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.split_rows import pass_order, rows_of_shared_pairs
from pamela.evaluation.metrics.bootstrap import (
    Estimate,
    function_estimates,
    make_draws,
    resampled_means,
)

FEWEST: Final = 5  # pictures that both of two passes must have for a correlation
DRAWS: Final = 1000
SEED: Final = 0
KINDS: Final = ("srocc", "plcc")
PEOPLE_SCHEMA: Final = pl.Schema(
    {
        s.USER: pl.String(),
        "ratings": pl.Int64(),
        "rated": pl.Int64(),
        "pictures": pl.Int64(),
        "inverse": pl.Float64(),
        "noise": pl.Float64(),
        "srocc": pl.Float64(),
        "plcc": pl.Float64(),
    }
)


def retest_people(ratings: pl.LazyFrame) -> pl.DataFrame:
    """Return a row per person who rated pictures more than once (`PEOPLE_SCHEMA`).

    Parameters
    ----------
    ratings : of one dataset, columns as in `pamela.core.schema.RATINGS_SCHEMA`.

    Returns
    -------
    ratings : all of them; rated : of so many pictures; pictures : those rated more than once;
    inverse : sum of 1 / ratings over all pictures;
    noise : standard deviation of one rating about what the person says of the picture on the whole;
    srocc, plcc : correlation of one pass with the next, null where fewer than 5 pictures have both,
    or a pass is constant.
    """
    pair = [s.USER, s.IMAGE]
    columns = (s.DATASET, *pair, s.RATING, s.RATED_AT, s.POSITION)
    rows = rows_of_shared_pairs(ratings.select(columns))
    again = (
        rows.sort(pass_order(), maintain_order=True)
        .with_columns(n=pl.len().over(pair), turn=pl.int_range(pl.len()).over(pair))
        .filter(pl.col("n") > 1)
    )
    first = pl.col("turn") == 0
    away = (pl.col(s.RATING) - pl.col(s.RATING).mean().over(pair)) ** 2
    found = (
        again.with_columns(away=away)
        .group_by(s.USER)
        .agg(
            pictures=first.sum(),
            more=(~first).sum(),
            parts=(1 / pl.col("n").filter(first)).sum(),
            noise=(pl.col("away").sum() / (~first).sum()).sqrt(),
        )
    )
    counted = ratings.group_by(s.USER).agg(ratings=pl.len().cast(pl.Int64))
    rated = pl.col("ratings") - pl.col("more")
    return (
        found.join(counted.collect(engine="streaming"), on=s.USER)
        .join(_correlations(again), on=s.USER, how="left")
        .with_columns(rated=rated, inverse=rated - pl.col("pictures") + pl.col("parts"))
        .select(pl.col(c).cast(t) for c, t in PEOPLE_SCHEMA.items())
        .sort(s.USER)
    )


def _correlations(again: pl.DataFrame) -> pl.DataFrame:
    """Return (user_id, srocc, plcc): of each pass and the next, the mean by pictures."""
    pair = [s.USER, s.IMAGE]
    step = [s.USER, "turn"]
    both = again.with_columns(later=pl.col(s.RATING).shift(-1).over(pair)).drop_nulls("later")
    ranked = both.with_columns(
        _rank=pl.col(s.RATING).rank().over(step), _later_rank=pl.col("later").rank().over(step)
    )
    found = ranked.group_by(step).agg(
        weight=pl.len(),
        srocc=pl.corr("_rank", "_later_rank"),
        plcc=pl.corr(s.RATING, "later"),
    )
    known = found.filter(pl.col("weight") >= FEWEST).with_columns(pl.col(KINDS).fill_nan(None))
    known = known.drop_nulls(KINDS)
    mean = ((pl.col(kind) * pl.col("weight")).sum() / pl.col("weight").sum() for kind in KINDS)
    return known.group_by(s.USER).agg(one.alias(k) for k, one in zip(KINDS, mean, strict=True))


@dataclass(frozen=True)
class Retest:
    """What people's repeats say of the data they are in; intervals are over people.

    Attributes
    ----------
    people : rows of `retest_people`.
    passes : ratings behind what is scored, per person and picture (harmonic mean).
    """

    people: pl.DataFrame
    passes: float

    @classmethod
    def of(cls, people: pl.DataFrame, mode: str | None) -> Retest:
        """Return the retest of a dataset whose ``repeats`` are `mode`."""
        if mode in ("first", "last") or not people.height:
            return cls(people, 1.0)
        passes = people.select(pl.col("rated").sum() / pl.col("inverse").sum()).item()
        return cls(people, float(passes))

    @property
    def more(self) -> int:
        """How many ratings are of a picture that the person has rated before."""
        return int((self.people["ratings"] - self.people["rated"]).sum())

    def of_users(self, users: Collection[str]) -> Retest:
        """Return that of some people."""
        return Retest(self.people.filter(pl.col(s.USER).is_in(list(users))), self.passes)

    def correlation(self, kind: str) -> Estimate:
        """Return the mean correlation of one pass with the next, ``srocc`` or ``plcc``."""
        return self._estimate(kind, lambda r: r)

    def ceiling(self, kind: str) -> Estimate:
        """Return the best correlation that any score reaches with what is scored."""
        return self._estimate(kind, lambda r: ceiling(r, self.passes))

    def one_pass_ceiling(self, kind: str) -> Estimate:
        """Return the best correlation that any score reaches with one rating."""
        return self._estimate(kind, lambda r: ceiling(r, 1.0))

    def _estimate(self, kind: str, transform: Callable[[Floats], Floats]) -> Estimate:
        values = self.people[kind].drop_nulls().to_numpy()[:, None]
        if not len(values):
            return Estimate(None, None, None, 0)
        point, resampled, n = resampled_means(values, make_draws(len(values), DRAWS, SEED))
        return function_estimates(transform(point), transform(resampled), n)[0]


def ceiling(reliability: Floats, passes: float) -> Floats:
    """Return the square root of the reliability of a mean of `passes` ratings."""
    one = np.clip(reliability, 0.0, 1.0)
    found: Floats = np.sqrt(passes * one / (1.0 + (passes - 1.0) * one))
    return found
