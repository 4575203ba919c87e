"""The study's searches, judged: the tables and the metrics of the groups that are done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet
from pamela.params import Params
from pamela.steer.arms import all_arms
from pamela.steer.judging.judges import SimulatedJudge
from pamela.steer.outcomes.convergence import convergence_metrics
from pamela.steer.outcomes.curves import mean_gains
from pamela.steer.outcomes.metrics import chosen_metrics, win_metrics
from pamela.steer.results import ARM, judgment_rows
from pamela.steer.search.loop import ROUND, SEARCH, SEED

PARTS: Final = ("cautious", "others")  # of a group's prompts
ARMS: Final = tuple(arm.name for arm in all_arms([], cautious=True, truth=True))


@dataclass(frozen=True)
class Judged:
    """What the study found.

    Attributes
    ----------
    chosen : what each arm shows each user on each prompt.
    judgments : rows of `pamela.steer.results.STEERING_SCHEMA`.
    gains : mean gains by arm and round.
    metrics : flat, as ``metrics/steering.json``, and likenesses of independent runs.
    """

    chosen: pl.DataFrame
    judgments: pl.DataFrame
    gains: pl.DataFrame
    metrics: dict[str, float]


def judge_study(folder: Path, params: Params, judge: SimulatedJudge) -> Judged:
    """Judge the groups in `folder` that are done."""
    groups = sorted(path.parent for path in folder.glob("group_*/done"))
    if not groups:
        raise PamelaError(
            f"{folder}: no group of people is done; run python -m benchmarks.steering"
        )
    chosen = pl.concat([_chosen(group, part) for group in groups for part in PARTS])
    best = pl.concat(
        [read_parquet(group / f"best_{part}.parquet") for group in groups for part in PARTS]
    )
    seed, bootstrap = params.steer.seed, params.steer.bootstrap
    judgments = judgment_rows(chosen, ARMS, judge, np.random.default_rng([seed, 1]))
    drawings = dict(chosen.group_by(ARM).agg(pl.col("drawings").mean()).iter_rows())
    metrics: dict[str, float] = {
        "n_people": chosen[s.USER].n_unique(),
        "n_prompts": chosen[s.PROMPT_ID].n_unique(),
        **_counts(groups),
        **{f"drawings_{arm}": float(drawings[arm]) for arm in ARMS},
    }
    rng = np.random.default_rng([seed, 2])
    metrics |= win_metrics(judgments, ARMS, bootstrap=bootstrap, rng=rng)
    metrics |= chosen_metrics(chosen, bootstrap=bootstrap, rng=rng)
    metrics |= _likenesses(groups, bootstrap, rng)
    return Judged(chosen, judgments, mean_gains(best), metrics)


def _counts(groups: Sequence[Path]) -> dict[str, int]:
    """Return how many pictures searches looked at, and how many different ones; repeats apart."""
    asked = drawn = 0
    for group in groups:
        pictures = []
        for part in PARTS:
            truth = read_parquet(group / f"chosen_{part}.parquet").filter(arm="truth")
            trials = read_parquet(group / f"trials_{part}.parquet")
            pictures.append(trials.join(truth.select(SEARCH), on=SEARCH, how="anti"))
        looked_at = pl.concat(pictures)
        asked += looked_at.height
        drawn += looked_at.select(s.PROMPT, SEED).n_unique()
    return {"n_asked": asked, "n_drawn": drawn}


def _chosen(group: Path, part: str) -> pl.DataFrame:
    """Return what arms show, and from how many drawings they chose."""
    chosen = read_parquet(group / f"chosen_{part}.parquet")
    trials = read_parquet(group / f"trials_{part}.parquet").filter(pl.col(ROUND) > 0)
    tried = trials.group_by(SEARCH).len("drawings")
    nothing = pl.when(pl.col(ARM) == "none").then(0).otherwise("drawings").alias("drawings")
    return chosen.join(tried, on=SEARCH, how="left", maintain_order="left").with_columns(nothing)


def _likenesses(
    groups: Sequence[Path], bootstrap: int, rng: np.random.Generator
) -> dict[str, float]:
    files = [file for group in groups for file in sorted(group.glob("ends_*.parquet"))]
    ends = pl.concat([read_parquet(file) for file in files])
    return convergence_metrics(
        ends,
        ends["features"].to_numpy(),
        ends["variant_features"].to_numpy(),
        bootstrap=bootstrap,
        rng=rng,
    )
