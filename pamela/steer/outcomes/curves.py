"""Over-optimisation: what the best picture so far is worth, round by round, to whom.

The optimised reward rises by construction. Whether a reward that was trained on other ratings, and
the truth, rise with it is the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from pamela.steer.arms import CHANCE, NONE, TRUTH, Plan
from pamela.steer.results import ARM, INDEPENDENT, KEYS, TRUE
from pamela.steer.search.loop import REWARD, ROUND, SEARCH, VARIANT

OPINIONS: Final = (REWARD, INDEPENDENT, TRUE)


def best_by_round(plan: Plan, trials: pl.DataFrame, *, variants: int) -> pl.DataFrame:
    """Return each arm's best trial after every round: the columns of `trials`, and `assignment`'s.

    `chance` draws all at once: its rounds are as many of its drawings.

    Parameters
    ----------
    variants : drawings of a round.
    """
    at_once = pl.col(ARM) == CHANCE
    turn = pl.when(at_once & (pl.col(ROUND) > 0)).then(pl.col(VARIANT) // variants + 1)
    rows = (
        plan.assignment.filter(~pl.col(ARM).is_in([NONE, TRUTH]))
        .join(trials, on=SEARCH)
        .with_columns(turn.otherwise(ROUND).alias(ROUND))
        .sort(*KEYS, ARM, ROUND, -pl.col(REWARD), VARIANT)
    )
    per_round = rows.group_by(*KEYS, ARM, ROUND, maintain_order=True).first()
    best = pl.col(REWARD).cum_max().over(*KEYS, ARM)
    # the last round that reached a new best is the one that is shown until the next
    kept = [name for name in per_round.columns if name not in {*KEYS, ARM, ROUND}]
    better = pl.col(REWARD) > best.shift(1).over(*KEYS, ARM).fill_null(float("-inf"))
    return per_round.with_columns(
        pl.when(better).then(pl.col(name)).forward_fill().over(*KEYS, ARM) for name in kept
    )


def mean_gains(best: pl.DataFrame, opinions: Sequence[str] = OPINIONS) -> pl.DataFrame:
    """Return the mean gain on round 0 of each opinion: ``arm, round`` and a column each.

    Parameters
    ----------
    best : of `best_by_round`, with a column per opinion.
    """
    start = best.filter(pl.col(ROUND) == 0).select(*KEYS, ARM, *opinions)
    return (
        best.join(start, on=[*KEYS, ARM], suffix="_start")
        .group_by(ARM, ROUND)
        .agg((pl.col(name) - pl.col(f"{name}_start")).mean() for name in opinions)
        .sort(ARM, ROUND)
        .with_columns(pl.col(ARM).cast(pl.String))
    )
