"""From searches and judgments to ``reports/steering.parquet`` and ``metrics/steering.json``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.steer.generators.base import Candidate
from pamela.steer.judging.bradley_terry import cell_wins, rank
from pamela.steer.judging.judges import FIRST, SECOND, Judge, SimulatedJudge
from pamela.steer.sampling import EvaluationCase
from pamela.steer.search.loop import REWARD, ROUND, SEARCH, SEED, VARIANT, Search, best_trials

NONE: Final = "none"
POPULATION: Final = "population"
SELF: Final = "self"
OTHER: Final = "other"
ARMS: Final = (NONE, POPULATION, SELF, OTHER)
TIE: Final = "tie"

STEERING_SCHEMA: Final = pl.Schema(
    {
        "kind": pl.String,  # render | judgment
        s.USER: pl.String,  # who judges; the arm `other` was optimised for somebody else
        s.PROMPT_ID: pl.String,
        "arm": pl.String,
        "opponent": pl.String,  # judgments only, as are `order` and `winner`
        ROUND: pl.Int64,  # 0: the original prompt
        VARIANT: pl.Int64,
        s.PROMPT: pl.String,
        REWARD: pl.Float64,  # what the arm optimises, 1..5; null for `none`
        "truth": pl.Float64,  # the judging user's noise-free opinion, 1..5
        "order": pl.Int64,  # 1: `arm` was shown first, 2: second
        "winner": pl.String,  # an arm's name or `tie`
    }
)
CHAMPION: Final = "champion"  # the reward of the arms self and other


def plan_searches(cases: Sequence[EvaluationCase]) -> list[Search]:
    """Return the searches that the arms need, each once.

    Pleasing the population is one search per prompt, and what pleases a user is both their own
    arm `self` and their partner's arm `other`.
    """
    searches = [_search_of(case, arm) for case in cases for arm in (POPULATION, SELF, OTHER)]
    return list(dict.fromkeys(searches))


def _search_of(case: EvaluationCase, arm: str) -> Search:
    if arm == POPULATION:
        return Search(POPULATION, None, case.start)
    return Search(CHAMPION, case.other if arm == OTHER else case.user, case.start)


def assign(cases: Sequence[EvaluationCase], searches: Sequence[Search]) -> pl.DataFrame:
    """Return which search each user's arm shows: ``user_id, prompt_id, arm, search``."""
    place = {search: i for i, search in enumerate(searches)}
    rows = [
        # `none` shows round 0, which all searches of a prompt share
        (g.user, g.start.prompt_id, arm, place[_search_of(g, SELF if arm == NONE else arm)])
        for g in cases
        for arm in ARMS
    ]
    schema = {s.USER: pl.String, s.PROMPT_ID: pl.String, "arm": pl.String, SEARCH: pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def render_rows(
    assignment: pl.DataFrame, trials: pl.DataFrame, judge: SimulatedJudge
) -> pl.DataFrame:
    """Return every trial as each judging user's arm saw it, with that user's truth."""
    untouched = pl.col("arm") == NONE
    rows = (
        assignment.join(trials, on=SEARCH, how="inner", maintain_order="left_right")
        .filter(~untouched | (pl.col(ROUND) == 0))
        .with_columns(pl.when(~untouched).then(REWARD).alias(REWARD))
    )
    truth = judge.truth(rows[s.USER].to_list(), candidates_of(rows))
    return _typed(rows.with_columns(truth=truth), "render")


def chosen_rows(assignment: pl.DataFrame, trials: pl.DataFrame) -> pl.DataFrame:
    """Return the picture that each user's arm shows: the trial of the highest reward."""
    originals = trials.filter(pl.col(ROUND) == 0)
    steered = pl.col("arm") != NONE
    return pl.concat(
        [
            assignment.filter(~steered).join(originals, on=SEARCH),
            assignment.filter(steered).join(best_trials(trials), on=SEARCH),
        ]
    ).sort(s.USER, s.PROMPT_ID, "arm")


def judgment_rows(chosen: pl.DataFrame, judge: Judge, rng: np.random.Generator) -> pl.DataFrame:
    """Let each user compare every two arms on every prompt, in both orders; a row for each."""
    pairs = pl.DataFrame(list(combinations(ARMS, 2)), schema=["arm", "opponent"], orient="row")
    keys = [s.USER, s.PROMPT_ID]
    shown = chosen.select(*keys, "arm", s.PROMPT, SEED)
    rows = (
        shown.join(pairs, on="arm")
        .join(shown, left_on=[*keys, "opponent"], right_on=[*keys, "arm"], suffix="_opponent")
        .join(pl.DataFrame({"order": [1, 2]}), how="cross")
        .sort(*keys, "arm", "opponent", "order")
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
        pl.when(pl.lit(arm_wins)).then("arm").when(pl.lit(opponent_wins)).then("opponent")
    ).otherwise(pl.lit(TIE))
    return _typed(rows.drop(s.PROMPT).with_columns(winner=winner), "judgment")


def steering_metrics(
    judgments: pl.DataFrame, *, bootstrap: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return the flat metrics: win shares of `self` (ties half), Elo, 95 % intervals, a count."""
    wins, user, prompt = count_wins(judgments)
    standing = rank(wins, user, prompt, draws=bootstrap, rng=rng)
    me = ARMS.index(SELF)
    metrics: dict[str, float] = {}
    for name in (NONE, POPULATION, OTHER):
        against = (me, ARMS.index(name))
        low, high = standing.share_ci[:, *against]
        metrics |= _with_interval(f"win_self_{name}", standing.share[against], low, high)
    for i, arm in enumerate(ARMS):
        metrics |= _with_interval(f"elo_{arm}", standing.elo[i], *standing.elo_ci[:, i])
    return {**metrics, "n_judgments": judgments.height}


def count_wins(
    judgments: pl.DataFrame,
) -> tuple[Floats, Ints, Ints]:
    """Return wins (n_cells, arms, arms) per user and prompt, and each cell's user and prompt."""
    arm = pl.Enum(ARMS)
    rows = judgments.select(
        user=pl.col(s.USER).rank("dense").cast(pl.Int64) - 1,
        prompt=pl.col(s.PROMPT_ID).rank("dense").cast(pl.Int64) - 1,
        arm=pl.col("arm").cast(arm).to_physical(),
        opponent=pl.col("opponent").cast(arm).to_physical(),
        score=(pl.col("winner") == pl.col("arm")) + 0.5 * (pl.col("winner") == TIE),
    )
    rows = rows.with_columns(
        cell=(pl.col("user") * rows["prompt"].n_unique() + pl.col("prompt")).rank("dense") - 1
    )
    cells = rows.unique("cell").sort("cell")
    number = {name: rows[name].to_numpy().astype(np.int64) for name in ("cell", "arm", "opponent")}
    wins = cell_wins(
        **number,
        score=rows["score"].to_numpy().astype(np.float64),
        n_cells=cells.height,
        n_arms=len(ARMS),
    )
    return (
        wins,
        cells["user"].to_numpy().astype(np.int64),
        cells["prompt"].to_numpy().astype(np.int64),
    )


def _with_interval(name: str, value: float, low: float, high: float) -> dict[str, float]:
    numbers = {name: value, f"{name}_ci_low": low, f"{name}_ci_high": high}
    return {key: float(number) for key, number in numbers.items()}


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
