"""One row per rater, and who rates like somebody who does not look: flagged, never removed.

A straight-liner gives one and the same rating nearly always, or many times in a row; a speeder
takes next to no time between two ratings. Both are judged only from `validate.flag_min_ratings`
ratings on, and speed only where the times tell it.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.params import ValidateParams

BATCH: Final = "batch"  # the batch's file; empty for the dataset's own rows
CELL: Final = "cell"  # a rating as a whole number: its place on a fine grid over the scale
STRAIGHT: Final = "straight_line"
SPEEDER: Final = "speeder"
DAY_US: Final = 86_400_000_000

RATERS_SCHEMA: Final = pl.Schema(
    {
        s.USER: pl.String(),
        "n": pl.Int64(),
        "mean": pl.Float64(),
        "sd": pl.Float64(),
        "top_value": pl.Float64(),
        "top_n": pl.Int64(),
        "longest_run": pl.Int64(),
        "timed": pl.Int64(),
        "median_seconds": pl.Float64(),
    }
)


def summarise_raters(ratings: pl.DataFrame) -> pl.DataFrame:
    """Return one row per rater, sorted by user_id (`RATERS_SCHEMA`).

    Parameters
    ----------
    ratings : user_id, cell, rated_at, position, batch (see `CELL`, `BATCH`), with all rows of
        each user. Whole numbers, so that sums do not depend on the order of the rows.

    Returns
    -------
    n, mean and sd (population) of the ratings, in cells as is top_value; top_value and top_n: the
    most frequent rating (the lowest of several) and how often; longest_run: the most equal ratings
    in a row, null where the order is unknown; timed: ratings with a time; median_seconds: between
    one rating and the next, null where the times do not tell it (under two, all the same, or dates
    without a time of day).
    """
    cell, time = pl.col(CELL).cast(pl.Int64), pl.col(s.RATED_AT)
    basic = ratings.group_by(s.USER).agg(
        n=pl.len(),
        total=cell.sum(),
        squares=(cell**2).sum(),
        timed=time.count(),
        placed=pl.col(s.POSITION).count(),
        tells=(time.min() < time.max()) & (time.dt.timestamp("us") % DAY_US != 0).any(),
    )
    top = (
        ratings.group_by(s.USER, top_value=CELL)
        .agg(top_n=pl.len())
        .sort("top_n", "top_value", descending=[True, False])
        .group_by(s.USER, maintain_order=True)
        .agg(pl.col("top_value", "top_n").first())
    )
    by_time = basic.filter("tells").select(s.USER)
    wholly = basic.filter(pl.col("tells") & (pl.col("timed") == pl.col("n"))).select(s.USER)
    by_place = basic.join(wholly, on=s.USER, how="anti").filter(pl.col("placed") == pl.col("n"))
    timed = _in_order(_of(ratings, by_time).drop_nulls(s.RATED_AT), s.RATED_AT, s.POSITION)
    placed = _in_order(_of(ratings, by_place.select(s.USER)), BATCH, s.POSITION)
    runs = [longest_runs(_of(timed, wholly)), longest_runs(placed)]
    mean = pl.col("total") / pl.col("n")
    return (
        basic.with_columns(
            mean=mean, sd=(pl.col("squares") / pl.col("n") - mean**2).clip(lower_bound=0).sqrt()
        )
        .join(top, on=s.USER, how="left")
        .join(pl.concat(runs), on=s.USER, how="left")
        .join(median_gaps(timed), on=s.USER, how="left")
        .select(pl.col(c).cast(t) for c, t in RATERS_SCHEMA.items())
        .sort(s.USER)
    )


def _of(ratings: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    """Return the ratings of `users`."""
    if not users.height:
        return ratings.clear()
    if users.height == ratings[s.USER].n_unique():
        return ratings
    return ratings.join(users, on=s.USER, how="semi", maintain_order="left")


def _in_order(ratings: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Return the rows by user and `keys`; where these are equal, in the order they came in.

    One stable sort per key, the least first, takes a third of the time of one sort by all of them.
    """
    for key in reversed(keys):
        if ratings[key].null_count() < ratings.height:
            ratings = ratings.sort(key, maintain_order=True)
    return ratings.sort(pl.col(s.USER).to_physical(), maintain_order=True)


def longest_runs(ordered: pl.DataFrame) -> pl.DataFrame:
    """Return (user_id, longest_run) of rows that lie in each user's order."""
    runs = (
        ordered.select(s.USER, run=pl.struct(s.USER, CELL).rle_id())
        .group_by("run")
        .agg(pl.col(s.USER).first(), n=pl.len())
    )
    return runs.group_by(s.USER).agg(longest_run=pl.col("n").max())


def median_gaps(ordered: pl.DataFrame) -> pl.DataFrame:
    """Return (user_id, median_seconds) of rows that lie in each user's order of time."""
    gaps = ordered.select(
        s.USER,
        gap=pl.col(s.RATED_AT).diff().dt.total_microseconds(),
        same=pl.col(s.USER) == pl.col(s.USER).shift(),
    )
    return gaps.filter("same").group_by(s.USER).agg(median_seconds=pl.col("gap").median() / 1e6)


def flag_raters(
    raters: pl.DataFrame, params: ValidateParams, *, two_values: bool = False
) -> pl.DataFrame:
    """Return `raters` (`RATERS_SCHEMA`) with the columns straight_line and speeder (true, false).

    A straight-liner gave one value in at least `straight_line_share` of the ratings, or
    `flag_min_ratings` times in a row; a speeder's median is below `speeder_seconds`. Users with
    fewer than `flag_min_ratings` ratings are neither; nor is anyone a speeder whose times do not
    tell (for that as many ratings must have one).

    Parameters
    ----------
    two_values : whether nobody gave a third value (likes): one of two is most of what many people
        give, in long rows too, so that only who gives nothing else is a straight-liner.
    """
    enough = pl.col("n") >= params.flag_min_ratings
    same = pl.col("top_n") / pl.col("n") >= (1.0 if two_values else params.straight_line_share)
    row = (pl.col("longest_run") >= params.flag_min_ratings) & pl.lit(not two_values)
    timed = pl.col("timed") >= params.flag_min_ratings
    quick = pl.col("median_seconds") < params.speeder_seconds
    return raters.with_columns(
        (enough & (same | row.fill_null(False))).alias(STRAIGHT),
        (timed & quick).fill_null(False).alias(SPEEDER),
    )
