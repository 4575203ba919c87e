"""What the data docs say of one dataset's choices that broke no rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.evaluation.metrics.bootstrap import Estimate
from pamela.reporting.data_docs.choices.answers import (
    FIRST,
    PAIR,
    PLACE,
    as_numbers,
)
from pamela.reporting.data_docs.choices.consistency import Repeats, Triads, repeats, triads
from pamela.reporting.data_docs.choices.shares import shares

STRETCHES: Final = 8  # of a session, at most, for which the position bias is told


@dataclass(frozen=True)
class ChoiceStatistics:
    """One dataset's choices.

    Attributes
    ----------
    rows, pairs : choices, and distinct pairs of pictures among them.
    timed, ordered : choices that have a time; those whose place in their session is known.
    begun, ended : the earliest and the latest time.
    users : DataFrame (user_id, n, decided, first, closed, circular), one row per person, sorted:
        choices, those that are no ties, those of them for the picture that was named first, closed
        and circular triads.
    images : DataFrame (image_id, n, won, tied), one row per picture, sorted: choices that it was
        part of, those it won, and ties.
    ties : share of ties.
    first_named : share of the first-named picture among the choices that are no ties.
    stretches : DataFrame (start, end, n, first, first_low, first_high, ties), the same over the
        places of a session (0 is its first choice, `end` is within); empty where no place is known.
    repeats, triads : whether people stand by their choices.
    """

    rows: int
    pairs: int
    timed: int
    ordered: int
    begun: datetime | None
    ended: datetime | None
    users: pl.DataFrame
    images: pl.DataFrame
    ties: Estimate
    first_named: Estimate
    stretches: pl.DataFrame
    repeats: Repeats
    triads: Triads


def summarise(choices: pl.DataFrame) -> ChoiceStatistics | None:
    """Count and compare `choices`; None where there are none.

    Parameters
    ----------
    choices : rows of one dataset that broke no rule, with `pamela.core.schema.CHOICES_SCHEMA`.
    """
    if not choices.height:
        return None
    answers = as_numbers(choices)
    circles = triads(answers)
    users = _per_user(answers).join(circles.people, on="user", maintain_order="left")
    tied = users.get_column("n") - users.get_column("decided")
    times = choices.get_column(s.CHOSEN_AT)
    return ChoiceStatistics(
        rows=choices.height,
        pairs=answers.select(PAIR).n_unique(),
        timed=times.count(),
        ordered=answers.get_column(PLACE).count(),
        begun=_time(times.min()),
        ended=_time(times.max()),
        users=users.with_columns(choices.get_column(s.USER).unique().sort().alias(s.USER)).select(
            s.USER, "n", "decided", "first", "closed", "circular"
        ),
        images=_per_image(choices),
        ties=_share(tied, users.get_column("n")),
        first_named=_share(users.get_column("first"), users.get_column("decided")),
        stretches=_over_places(answers),
        repeats=repeats(answers),
        triads=circles,
    )


def _time(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


def _share(top: pl.Series, bottom: pl.Series) -> Estimate:
    return shares(top.to_numpy(), bottom.to_numpy())[0]


def _per_user(answers: pl.DataFrame) -> pl.DataFrame:
    counts = answers.group_by("user").agg(
        n=pl.len().cast(pl.Int64),
        decided=pl.col(FIRST).count().cast(pl.Int64),
        first=pl.col(FIRST).sum().cast(pl.Int64),
    )
    return counts.sort("user")


def _per_image(choices: pl.DataFrame) -> pl.DataFrame:
    """Return how often each picture was part of a choice, was chosen, and was part of a tie."""
    sides = [
        choices.select(
            pl.col(column).alias(s.IMAGE),
            won=pl.col(s.CHOICE) == chosen,
            tied=pl.col(s.CHOICE) == s.TIE,
        )
        for column, chosen in ((s.IMAGE_A, s.CHOSE_A), (s.IMAGE_B, s.CHOSE_B))
    ]
    counts = (
        pl.concat(sides)
        .group_by(s.IMAGE)
        .agg(n=pl.len().cast(pl.Int64), won=pl.col("won").sum(), tied=pl.col("tied").sum())
    )
    return counts.with_columns(pl.col("won", "tied").cast(pl.Int64)).sort(s.IMAGE)


def win_rates(images: pl.DataFrame) -> Floats:
    """Return the share of its choices that each picture won; a tie counts one half."""
    n, won, tied = (images[c].to_numpy().astype(np.float64) for c in ("n", "won", "tied"))
    return np.asarray((won + tied / 2) / n)


# --- over the places of a session -----------------------------------------------------------------
STRETCHES_SCHEMA: Final = pl.Schema(
    {
        "start": pl.Int64(),
        "end": pl.Int64(),
        "n": pl.Int64(),
        "first": pl.Float64(),
        "first_low": pl.Float64(),
        "first_high": pl.Float64(),
        "ties": pl.Float64(),
    }
)


def _over_places(answers: pl.DataFrame) -> pl.DataFrame:
    """Return position bias and ties over stretches of about as many choices each."""
    placed = answers.drop_nulls(PLACE)
    if not placed.height:
        return pl.DataFrame(schema=STRETCHES_SCHEMA)
    places = placed.get_column(PLACE)
    ends = stretch_ends(places)
    stretch = np.searchsorted(ends, places.to_numpy())
    counted = (
        placed.with_columns(stretch=pl.Series(stretch))
        .group_by("user", "stretch")
        .agg(n=pl.len(), decided=pl.col(FIRST).count(), first=pl.col(FIRST).sum())
    )
    n, decided, first = (
        _by_user(counted, column, len(ends)) for column in ("n", "decided", "first")
    )
    found = shares(first, decided)
    total = n.sum(axis=0)
    return pl.DataFrame(
        {
            "start": np.concatenate([[0], ends[:-1] + 1]),
            "end": ends,
            "n": total,
            "first": [e.value for e in found],
            "first_low": [e.ci_low for e in found],
            "first_high": [e.ci_high for e in found],
            "ties": 1 - decided.sum(axis=0) / total,
        },
        schema=STRETCHES_SCHEMA,
        strict=False,
    )


def stretch_ends(places: pl.Series) -> np.ndarray:
    """Return the last place of each of up to `STRETCHES` stretches of about as many choices."""
    levels = np.linspace(0, 1, STRETCHES + 1)[1:]
    return np.unique(np.quantile(places.to_numpy(), levels, method="lower").astype(np.int64))


def _by_user(counted: pl.DataFrame, column: str, stretches: int) -> Floats:
    """Return `column` of each (user, stretch) as an array (users, stretches)."""
    user = counted.get_column("user").rank("dense").to_numpy() - 1
    table = np.zeros((int(user.max()) + 1, stretches))
    table[user, counted.get_column("stretch").to_numpy()] = counted.get_column(column).to_numpy()
    return table
