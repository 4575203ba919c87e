"""The table of trials: every version of a prompt that was tried, and its reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.steer.generators.base import Candidate

SEARCH: Final = "search"
ROUND: Final = "round"
VARIANT: Final = "variant"
REWARD: Final = "reward"
SEED: Final = "seed"
TRIALS_SCHEMA: Final = pl.Schema(
    {
        SEARCH: pl.Int64,
        ROUND: pl.Int64,  # 0 is the original prompt
        VARIANT: pl.Int64,
        s.PROMPT: pl.String,
        SEED: pl.Int64,
        REWARD: pl.Float64,  # null while it is not known
    }
)


@dataclass(frozen=True)
class Search:
    """One search: the prompt that is rewritten to please one reward (for one user, or for all)."""

    reward: str
    user: str | None
    start: Candidate


def proposed(
    searches: Sequence[Search], number: int, proposals: Sequence[Sequence[str]]
) -> pl.DataFrame:
    """Return the trials of round `number` before they are scored, a list of prompts a search."""
    sizes = [len(prompts) for prompts in proposals]
    return pl.DataFrame(
        {
            SEARCH: np.repeat(np.arange(len(searches)), sizes),
            ROUND: np.full(sum(sizes), number),
            VARIANT: np.concatenate([np.arange(n) for n in sizes]),
            s.PROMPT: [prompt for prompts in proposals for prompt in prompts],
            SEED: np.repeat([search.start.seed for search in searches], sizes),
            REWARD: None,
        },
        schema=TRIALS_SCHEMA,
    )


def scored(trials: pl.DataFrame, rewards: Floats) -> pl.DataFrame:
    """Return `trials` with their rewards (n,)."""
    return trials.with_columns(pl.Series(REWARD, rewards))


def best_trials(trials: pl.DataFrame) -> pl.DataFrame:
    """Return each search's trial of the highest reward, the earliest of equals."""
    return (
        trials.sort(SEARCH, -pl.col(REWARD), ROUND, VARIANT)
        .group_by(SEARCH, maintain_order=True)
        .first()
    )
