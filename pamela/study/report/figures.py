"""From judgments to figures: win rates and Elo with intervals, order bias, test-retest.

Intervals are 95 %, over people (and prompts, for arms): a Bayesian bootstrap, as of the benchmark.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any, Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.evaluation.metrics.bootstrap import interval
from pamela.steer.judging.bradley_terry import BradleyTerryResult, cell_wins, rank
from pamela.study.participant import LEFT, RIGHT, TIE
from pamela.study.report.judgments import SAME

DRAWS: Final = 2_000
RESULTS_SCHEMA: Final = pl.Schema(
    {
        "metric": pl.String,
        "arm": pl.String,
        "opponent": pl.String,
        "value": pl.Float64,
        "ci_low": pl.Float64,
        "ci_high": pl.Float64,
        "n": pl.Int64,  # judgments
        "n_people": pl.Int64,
    }
)
ELO, WIN_RATE, TIES = "elo", "win_rate", "ties"
LEFT_SHARE, RETEST, CHANCE = "left_share", "retest_agreement", "retest_by_chance"


def study_figures(judgments: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the figures of a study, of `RESULTS_SCHEMA`.

    Repeated pairs count for test-retest alone; a pair of one and the same picture is a tie between
    arms and no answer of a person.
    """
    rng = np.random.default_rng([seed, 3])
    first = judgments.filter(pl.col("repeat_of").is_null())
    rows = [*_arms(first, rng), _ties(first, rng), _left(judgments, rng), *_retest(judgments, rng)]
    return pl.DataFrame(rows, schema=RESULTS_SCHEMA, orient="row")


# --- arms -----------------------------------------------------------------------------------------
def _arms(first: pl.DataFrame, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return Elo of every arm, and the win rate of every arm against each (a tie is one half)."""
    if not first.height:
        return []
    arms = sorted({*first["left"], *first["right"]})
    wins, user, prompt = count_wins(first, arms)
    found = rank(wins, user, prompt, draws=DRAWS, rng=rng)
    games = wins.sum(axis=0) + wins.sum(axis=0).T
    people = first[s.USER].n_unique()
    rows = [
        _row(ELO, arm, None, *_elo(found, i), n=round(games[i].sum()), n_people=people)
        for i, arm in enumerate(arms)
    ]
    return rows + [
        _row(
            WIN_RATE, arms[i], arms[j], found.share[i, j], *found.share_ci[:, i, j],
            n=round(games[i, j]), n_people=people,
        )
        for i, j in permutations(range(len(arms)), 2)
        if games[i, j]
    ]  # fmt: skip


def _elo(found: BradleyTerryResult, arm: int) -> tuple[float, float, float]:
    return found.elo[arm], found.elo_ci[0, arm], found.elo_ci[1, arm]


def count_wins(rows: pl.DataFrame, arms: Sequence[str]) -> tuple[Floats, Ints, Ints]:
    """Return wins (n_cells, k, k) per person and prompt, and each cell's person and prompt."""
    names = pl.Enum(arms)
    tie = pl.col("winner") == TIE
    table = rows.select(
        user=pl.col(s.USER).rank("dense").cast(pl.Int64) - 1,
        prompt=pl.col(s.PROMPT_ID).rank("dense").cast(pl.Int64) - 1,
        cell=pl.struct(s.USER, s.PROMPT_ID).rank("dense").cast(pl.Int64) - 1,
        left=pl.col("left").cast(names).to_physical().cast(pl.Int64),
        right=pl.col("right").cast(names).to_physical().cast(pl.Int64),
        score=pl.when(tie)
        .then(0.5)
        .otherwise((pl.col("winner") == pl.col("left")).cast(pl.Float64)),
    )
    cells = table.unique("cell").sort("cell")
    wins = cell_wins(
        table["cell"].to_numpy(),
        table["left"].to_numpy(),
        table["right"].to_numpy(),
        table["score"].to_numpy(),
        n_cells=cells.height,
        n_arms=len(arms),
    )
    return wins, cells["user"].to_numpy(), cells["prompt"].to_numpy()


# --- people ---------------------------------------------------------------------------------------
def _ties(first: pl.DataFrame, rng: np.random.Generator) -> dict[str, Any]:
    shown = first.filter(pl.col("answer") != SAME)
    return _share(TIES, shown, pl.col("answer") == TIE, rng)


def _left(judgments: pl.DataFrame, rng: np.random.Generator) -> dict[str, Any]:
    """Return how often the left picture was chosen where one was: half without a bias."""
    decided = judgments.filter(pl.col("answer").is_in([LEFT, RIGHT]))
    return _share(LEFT_SHARE, decided, pl.col("answer") == LEFT, rng)


def _retest(judgments: pl.DataFrame, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return the share of repeated pairs with the same answer, and what chance would give."""
    keys = [s.USER, "number"]
    before = judgments.drop_nulls("number").select(*keys, before="winner")
    again = judgments.drop_nulls("repeat_of").join(
        before, left_on=[s.USER, "repeat_of"], right_on=keys
    )
    found = _share(RETEST, again, pl.col("winner") == pl.col("before"), rng)
    if not again.height:
        return [found]
    # two answers drawn at random, with people's share of ties: both ties, or the same of two arms
    one, other = (
        float((again[column] == TIE).to_numpy().mean()) for column in ("winner", "before")
    )
    chance = one * other + (1 - one) * (1 - other) / 2
    counts = {"n": found["n"], "n_people": found["n_people"]}
    return [found, _row(CHANCE, None, None, chance, None, None, **counts)]


def _share(
    metric: str, rows: pl.DataFrame, holds: pl.Expr, rng: np.random.Generator
) -> dict[str, Any]:
    """Return the share of rows for which something holds; people are resampled with weights."""
    of_person = rows.group_by(s.USER, maintain_order=True).agg(
        holds.sum().cast(pl.Float64).alias("yes"), pl.len().cast(pl.Float64).alias("n")
    )
    if not of_person.height:
        return _row(metric, None, None, None, None, None, n=0, n_people=0)
    yes, n = of_person["yes"].to_numpy(), of_person["n"].to_numpy()
    low = high = None  # of one person alone nothing can be said about others
    if of_person.height > 1:
        weights = rng.exponential(size=(DRAWS, of_person.height))
        low, high = map(float, interval((weights @ yes) / (weights @ n)))
    return _row(
        metric, None, None, yes.sum() / n.sum(), low, high,
        n=rows.height, n_people=of_person.height,
    )  # fmt: skip


def _row(
    metric: str,
    arm: str | None,
    opponent: str | None,
    value: float | None,
    low: float | None,
    high: float | None,
    **counts: int,
) -> dict[str, Any]:
    numbers = {"value": value, "ci_low": low, "ci_high": high}
    shown = {name: None if number is None else float(number) for name, number in numbers.items()}
    return {"metric": metric, "arm": arm, "opponent": opponent, **shown, **counts}
