"""What the tables alone tell: how people rate, and who they are. Choices tell the latter alone.

The ratings' shift is the Wasserstein distance, in points of 1..5; the raters' is the Jensen-Shannon
distance of each demographic column, 0..1. Chance is what a batch of as many people, with as many
ratings each, would show if it were drawn from the people whom the champion knows (and the same for
pictures: a batch on three pictures is no sample of all pictures).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.params import DriftParams
from pamela.retraining.drift.measure import (
    NEW_PEOPLE,
    RATERS,
    RATINGS,
    Measure,
    judged,
    nothing,
)

DRAWS = 400
SEED = 0
BINS = 40  # of ratings that are not whole numbers
SEVERAL = "(more)"  # values of a column beyond the most frequent ones
VALUES = 30


@dataclass(frozen=True)
class Ratings:
    """Ratings of one dataset and who gave them.

    Attributes
    ----------
    rows : (user_id, image_id, rating on 1..5); of choices without a rating, a row per picture.
    users : a row per rater: user_id and demographics.
    """

    rows: pl.DataFrame
    users: pl.DataFrame

    @property
    def rated(self) -> bool:
        """Whether these are ratings."""
        return s.RATING in self.rows.columns

    @property
    def demographics(self) -> list[str]:
        """Names of the demographic columns."""
        return [c for c in self.users.columns if c != s.USER]


def measure_people(
    dataset: str, old: Ratings, new: Ratings, params: DriftParams
) -> Iterator[Measure]:
    """Yield the measures of how people rate and who they are."""
    if new.rated:
        yield _ratings(dataset, old, new, params)
    columns = [c for c in new.demographics if c in old.demographics]
    for column in columns:
        yield _raters(dataset, column, old, new, params, params.level / len(columns))
    unknown = new.users.join(old.users, on=s.USER, how="anti").height
    yield judged(
        (dataset, NEW_PEOPLE, ""),
        shift=unknown / new.users.height,
        threshold=params.new_people,
        chance=None,
        count=new.users.height,
        least=params.min_people,
    )


# --- how people rate --------------------------------------------------------------------------


def _ratings(dataset: str, old: Ratings, new: Ratings, params: DriftParams) -> Measure:
    what = (dataset, RATINGS, "")
    values, before = histogram(old.rows, levels(old.rows, new.rows))
    after = histogram(new.rows, values)[1]
    rng = np.random.default_rng(SEED)
    chance = max(
        _chance(old.rows, new.rows, cluster, values, before, rng, params.level)
        for cluster in (s.USER, s.IMAGE)
    )
    return judged(
        what,
        shift=float(wasserstein_distance(values, values, before, after)),
        threshold=params.ratings,
        chance=chance,
        count=new.users.height,
        least=params.min_people,
    )


def levels(*rows: pl.DataFrame) -> Floats:
    """Return the values that ratings are counted at: those that there are, or middles of bins."""
    found = np.unique(np.concatenate([one[s.RATING].unique().to_numpy() for one in rows]))
    if len(found) <= BINS:
        return found
    return np.linspace(s.SCALE_LOW, s.SCALE_HIGH, BINS + 1)


def histogram(rows: pl.DataFrame, values: Floats) -> tuple[Floats, Ints]:
    """Return `values`, and how many ratings lie nearest to each."""
    return values, np.bincount(_nearest(rows, values), minlength=len(values))


def _nearest(rows: pl.DataFrame, values: Floats) -> Ints:
    middles = (values[1:] + values[:-1]) / 2
    return np.searchsorted(middles, rows[s.RATING].to_numpy(), side="left")


def _chance(
    old: pl.DataFrame,
    new: pl.DataFrame,
    cluster: str,
    values: Floats,
    before: Ints,
    rng: np.random.Generator,
    level: float,
) -> float:
    """Return the largest shift of as many people (or pictures) as in `new`, drawn from `old`."""
    sizes = new.group_by(cluster).len()["len"].to_numpy()
    code = old[cluster].rank("dense").to_numpy().astype(np.int64) - 1
    counts = np.zeros((code.max() + 1, len(values)))
    np.add.at(counts, (code, _nearest(old, values)), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    shifts = [
        wasserstein_distance(
            values,
            values,
            before,
            rng.multinomial(sizes, shares[rng.integers(len(shares), size=len(sizes))]).sum(axis=0),
        )
        for _ in range(DRAWS)
    ]
    return float(np.quantile(shifts, 1 - level))


# --- who they are -----------------------------------------------------------------------------


def _raters(
    dataset: str, column: str, old: Ratings, new: Ratings, params: DriftParams, level: float
) -> Measure:
    what = (dataset, RATERS, column)
    table = mix(old.users, new.users, column)
    before, after = table["old"].to_numpy(), table["new"].to_numpy()
    people = int(after.sum())
    if not before.sum() or not people:
        return nothing(what, params.raters, people)
    everyone = (before + after) / (before + after).sum()
    rng = np.random.default_rng(SEED)  # the champion's people are a sample as well
    draws = [rng.multinomial(n, everyone, size=DRAWS).T for n in (before.sum(), people)]
    by_chance = jensenshannon(*draws, base=2)
    return judged(
        what,
        shift=float(jensenshannon(before, after, base=2)),
        threshold=params.raters,
        chance=float(np.quantile(by_chance, 1 - level)),
        count=people,
        least=params.min_people,
    )


def mix(old: pl.DataFrame, new: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return (value, old, new): how many people say each value; who says nothing is not counted."""
    counts = [
        one.select(pl.col(column).cast(pl.String).alias("value"))
        .drop_nulls()
        .group_by("value")
        .agg(pl.len().cast(pl.Int64).alias(name))
        for name, one in (("old", old), ("new", new))
    ]
    both = counts[0].join(counts[1], on="value", how="full", coalesce=True).fill_null(0)
    ranked = both.sort(pl.col("old") + pl.col("new"), "value", descending=[True, False])
    if ranked.height <= VALUES:
        return ranked
    rest = ranked[VALUES:].select(pl.lit(SEVERAL).alias("value"), pl.col("old", "new").sum())
    return pl.concat([ranked[:VALUES], rest])
