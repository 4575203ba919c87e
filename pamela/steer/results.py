"""From searches to the tables: every trial, what each arm chose, and the judgments of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.steer.arms import COLD_START, NONE, Plan
from pamela.steer.generators.base import Candidate
from pamela.steer.judging.judges import FIRST, SECOND, Judge, SimulatedJudge
from pamela.steer.search.loop import REWARD, ROUND, SEARCH, SEED, VARIANT, best_trials

TIE: Final = "tie"
TRUE: Final = "truth"
INDEPENDENT: Final = "independent"  # the reward that was trained on other ratings
ARM: Final = "arm"
OPPONENT: Final = "opponent"
KEYS: Final = (s.USER, s.PROMPT_ID)

STEERING_SCHEMA: Final = pl.Schema(
    {
        "kind": pl.String,  # render | judgment
        s.USER: pl.String,  # who judges; the arm `other` was optimised for somebody else
        s.PROMPT_ID: pl.String,
        ARM: pl.String,
        OPPONENT: pl.String,  # judgments only, as are `order` and `winner`
        ROUND: pl.Int64,  # 0: the original prompt
        VARIANT: pl.Int64,
        s.PROMPT: pl.String,
        REWARD: pl.Float64,  # what the arm optimises; of our models 1..5; null for `none`
        TRUE: pl.Float64,  # the judging user's noise-free opinion before rounding; null: unknown
        "order": pl.Int64,  # 1: `arm` was shown first, 2: second
        "winner": pl.String,  # an arm's name or `tie`, in this order alone
        COLD_START: pl.Boolean,  # whether the user is known by a few ratings alone
    }
)


def render_rows(plan: Plan, trials: pl.DataFrame, judge: SimulatedJudge | None) -> pl.DataFrame:
    """Return every trial as each user's arm saw it, with that user's truth where a judge knows."""
    untouched = pl.col(ARM) == NONE
    rows = (
        plan.assignment.join(trials, on=SEARCH, how="inner", maintain_order="left_right")
        .filter(~untouched | (pl.col(ROUND) == 0))
        .with_columns(pl.when(~untouched).then(REWARD).alias(REWARD))
    )
    return _typed(with_truth(rows, judge), "render")


def chosen_rows(plan: Plan, trials: pl.DataFrame, judge: SimulatedJudge | None) -> pl.DataFrame:
    """Return the picture that each user's arm shows: the trial of the highest reward."""
    originals = trials.filter(pl.col(ROUND) == 0)
    steered = pl.col(ARM) != NONE
    rows = pl.concat(
        [
            plan.assignment.filter(~steered).join(originals, on=SEARCH),
            plan.assignment.filter(steered).join(best_trials(trials), on=SEARCH),
        ]
    ).sort(*KEYS, ARM)
    return with_truth(rows, judge)


def with_truth(rows: pl.DataFrame, judge: SimulatedJudge | None) -> pl.DataFrame:
    """Return `rows` with what each row's user truly thinks of its picture; null without a judge."""
    if judge is None:
        return rows.with_columns(pl.lit(None, pl.Float64).alias(TRUE))
    truth = judge.truth(rows[s.USER].to_list(), candidates_of(rows))
    return rows.with_columns(pl.Series(TRUE, truth, pl.Float64))


def judgment_rows(
    chosen: pl.DataFrame, arms: Sequence[str], judge: Judge, rng: np.random.Generator
) -> pl.DataFrame:
    """Let each user compare every two arms on every prompt, in both orders; a row for each.

    The judge's noise is drawn anew for every row.
    """
    pairs = pl.DataFrame(list(combinations(arms, 2)), schema=[ARM, OPPONENT], orient="row")
    shown = chosen.select(*KEYS, COLD_START, pl.col(ARM).cast(pl.String), s.PROMPT, SEED)
    rows = (
        shown.join(pairs, on=ARM)
        .join(
            shown.drop(COLD_START),
            left_on=[*KEYS, OPPONENT],
            right_on=[*KEYS, ARM],
            suffix="_opponent",
        )
        .join(pl.DataFrame({"order": [1, 2]}), how="cross")
        .sort(*KEYS, ARM, OPPONENT, "order")
    )
    mine, theirs = candidates_of(rows), candidates_of(rows, "_opponent")
    arm_first = (rows["order"] == 1).to_list()
    verdict = judge.compare(
        rows[s.USER].to_list(),
        [m if f else t for m, t, f in zip(mine, theirs, arm_first, strict=True)],
        [t if f else m for m, t, f in zip(mine, theirs, arm_first, strict=True)],
        rng,
    )
    arm_wins = np.where(arm_first, verdict == FIRST, verdict == SECOND)
    opponent_wins = np.where(arm_first, verdict == SECOND, verdict == FIRST)
    winner = (
        pl.when(pl.lit(arm_wins)).then(ARM).when(pl.lit(opponent_wins)).then(OPPONENT)
    ).otherwise(pl.lit(TIE))
    return _typed(rows.drop(s.PROMPT).with_columns(winner=winner), "judgment")


def candidates_of(rows: pl.DataFrame, suffix: str = "") -> list[Candidate]:
    """Return the pictures that `rows` name, one each."""
    columns = rows.select(s.PROMPT_ID, s.PROMPT + suffix, SEED + suffix)
    return [Candidate(*row) for row in columns.iter_rows()]


def _typed(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Return `rows` as a table of `STEERING_SCHEMA`; columns that they lack are null."""
    return rows.with_columns(kind=pl.lit(kind)).select(
        (pl.col(name) if name in rows.columns or name == "kind" else pl.lit(None))
        .cast(dtype)
        .alias(name)
        for name, dtype in STEERING_SCHEMA.items()
    )
