"""From judgments to wins: two presentation orders make one comparison of two arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.steer.judging.bradley_terry import cell_wins
from pamela.steer.results import ARM, KEYS, OPPONENT, TIE

SCORE: Final = "score"  # of `arm`: 1 won, 0 lost, one half a tie


@dataclass(frozen=True)
class Wins:
    """Who won how often, per cell: a user on a prompt.

    Attributes
    ----------
    wins : array (n_cells, arms, arms), how often the row's arm won against the column's.
    user, prompt : int arrays (n_cells,), each cell's user and prompt.
    """

    wins: Floats
    user: Ints
    prompt: Ints


def compare(judgments: pl.DataFrame) -> pl.DataFrame:
    """Return one row per comparison: ``user_id, prompt_id, cold_start, arm, opponent, score``.

    An arm wins a comparison if it wins in both presentation orders. Orders that disagree are a tie,
    which is half a win for each.
    """
    both = pl.col("winner").n_unique() == 1
    winner = pl.when(both).then(pl.col("winner").first()).otherwise(pl.lit(TIE)).alias("winner")
    return (
        judgments.group_by(*KEYS, "cold_start", ARM, OPPONENT, maintain_order=True)
        .agg(winner)
        .with_columns(
            ((pl.col("winner") == pl.col(ARM)) + 0.5 * (pl.col("winner") == TIE)).alias(SCORE)
        )
    )


def count_wins(comparisons: pl.DataFrame, arms: Sequence[str]) -> Wins:
    """Return the wins of `arms` in each cell, from `compare`."""
    name = pl.Enum(list(arms))
    rows = comparisons.select(
        user=pl.col(s.USER).rank("dense").cast(pl.Int64) - 1,
        prompt=pl.col(s.PROMPT_ID).rank("dense").cast(pl.Int64) - 1,
        arm=pl.col(ARM).cast(name).to_physical(),
        opponent=pl.col(OPPONENT).cast(name).to_physical(),
        score=SCORE,
    )
    rows = rows.with_columns(
        cell=(pl.col("user") * rows["prompt"].n_unique() + pl.col("prompt")).rank("dense") - 1
    )
    cells = rows.unique("cell").sort("cell")
    number = {key: rows[key].to_numpy().astype(np.int64) for key in ("cell", "arm", "opponent")}
    wins = cell_wins(
        **number,
        score=rows["score"].to_numpy().astype(np.float64),
        n_cells=cells.height,
        n_arms=len(arms),
    )
    return Wins(wins, _ints(cells["user"]), _ints(cells["prompt"]))


def _ints(column: pl.Series) -> Ints:
    return column.to_numpy().astype(np.int64)
