"""``metrics/steering.json``: flat numbers of the benchmark, 95 % intervals over people and prompts.

Win shares come from comparisons: one per user, prompt and two arms, of two judgments in the two
presentation orders (`comparisons.compare`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from pamela.steer.arms import COLD_START, NONE, OTHER, SELF, Plan
from pamela.steer.judging.bradley_terry import rank
from pamela.steer.outcomes.comparisons import compare, count_wins
from pamela.steer.outcomes.gains import HIGH, LOW, Cells, gain_metrics
from pamela.steer.results import ARM, TRUE
from pamela.steer.search.loop import ROUND, SEARCH

FAITHFUL = "faithful"  # whether a picture shows its subject, by the encoder
VQA_SCORE = "vqascore"  # the probability that it shows its prompt, where that reward is configured
APART = ("win_self_none", "win_self_population", "win_self_other", "win_other_none")
KINDS = {"seen": False, "cold": True}  # users in training; cold-start users


def win_metrics(
    judgments: pl.DataFrame, arms: Sequence[str], *, bootstrap: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return win shares of `self`, Elo and counts.

    Also ``win_other_none``, the generic part, and the shares of seen and cold-start users apart.
    """
    comparisons = compare(judgments)
    metrics = _wins(comparisons, arms, bootstrap, rng)
    metrics |= {
        "n_judgments": judgments.height,
        "n_comparisons": comparisons.height,
        "tie_share": float((comparisons["score"] == 0.5).mean()),  # type: ignore[arg-type]
    }
    for kind, cold in KINDS.items():
        part = comparisons.filter(pl.col(COLD_START) == cold)
        if part.height:
            found = _wins(part, arms, bootstrap, rng)
            metrics |= {
                f"{name}_{kind}{end}": found[name + end]
                for name in APART
                for end in ("", LOW, HIGH)
            }
    return metrics


def _wins(
    comparisons: pl.DataFrame, arms: Sequence[str], bootstrap: int, rng: np.random.Generator
) -> dict[str, float]:
    counted = count_wins(comparisons, arms)
    standing = rank(counted.wins, counted.user, counted.prompt, draws=bootstrap, rng=rng)
    place = {arm: i for i, arm in enumerate(arms)}
    pairs = [(SELF, arm) for arm in arms if arm != SELF] + [(OTHER, NONE)]
    metrics: dict[str, float] = {}
    for arm, opponent in pairs:
        at = place[arm], place[opponent]
        name = f"win_{arm}_{opponent}"
        metrics |= _numbers(name, standing.share[at], *standing.share_ci[:, *at])
    for arm, i in place.items():
        metrics |= _numbers(f"elo_{arm}", standing.elo[i], *standing.elo_ci[:, i])
    return metrics


def chosen_metrics(
    chosen: pl.DataFrame, *, bootstrap: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return true gains, and how well each arm's pictures still show the prompt.

    Parameters
    ----------
    chosen : what each arm shows, with the columns `truth` and `faithful` where they are known.
    """
    metrics: dict[str, float] = {}
    if not chosen[TRUE].null_count():
        metrics |= gain_metrics(Cells(chosen, TRUE, draws=bootstrap, rng=rng))
    for column, name in ((FAITHFUL, "fidelity"), (VQA_SCORE, VQA_SCORE)):
        if column in chosen.columns and not chosen[column].null_count():
            cells = Cells(chosen, column, draws=bootstrap, rng=rng)
            for arm in chosen[ARM].cast(pl.String).unique(maintain_order=True):
                metrics |= cells.mean(f"{name}_{arm}", cells.of(arm))
    return metrics


def drawing_counts(plan: Plan, trials: pl.DataFrame) -> dict[str, float]:
    """Return how many pictures each arm chose from, for a user and a prompt (``drawings_<arm>``).

    The original, which every arm has, is not counted.
    """
    tried = trials.filter(pl.col(ROUND) > 0).group_by(SEARCH).len()
    used = plan.assignment.filter(pl.col(ARM) != NONE).join(tried, on=SEARCH)
    mean = dict(used.group_by(pl.col(ARM).cast(pl.String)).agg(pl.col("len").mean()).iter_rows())
    return {f"drawings_{arm}": float(mean.get(arm, 0.0)) for arm in plan.arms}


def _numbers(name: str, value: float, low: float, high: float) -> dict[str, float]:
    numbers = {name: value, name + LOW: low, name + HIGH: high}
    return {key: float(number) for key, number in numbers.items()}
