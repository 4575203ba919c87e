"""The searches of all arms: how each kind of arm is searched with the same budget of drawings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from pamela.core.progress import progress
from pamela.params import Params
from pamela.steer.arms import TRUTH, Arm, Plan, make_plan
from pamela.steer.generators.base import Generator, Image
from pamela.steer.rewards.base import RewardFunction
from pamela.steer.rewriters.base import Rewriter
from pamela.steer.sampling import EvaluationCase
from pamela.steer.search.loop import SEARCH, run_searches
from pamela.steer.search.store import MemoryStore, Store

ROUNDS: Final = "rounds"  # a round's variants build on the best so far
AT_ONCE: Final = "at_once"  # all drawings are one round


@dataclass(frozen=True)
class Found:
    """Everything that the searches found.

    Attributes
    ----------
    plan : which searches there were, and which each user's arm shows.
    trials : every trial of every search.
    """

    plan: Plan
    trials: pl.DataFrame


@dataclass(frozen=True)
class Tools:
    """What draws and writes, and where pictures are kept."""

    generator: Generator
    rewriter: Rewriter
    store: Store


def search(
    params: Params,
    cases: Sequence[EvaluationCase],
    arms: Sequence[Arm],
    rewards: Mapping[str, RewardFunction],
    tools: Tools,
    *,
    folder: Path | None = None,
) -> Found:
    """Run the searches of every arm of every case, under one progress bar.

    Each has the same budget of ``rounds x variants`` drawings. Where no feedback is given, all are
    one round. Where the truth is the reward nothing is drawn, for the truth looks at no picture.

    Parameters
    ----------
    folder : where finished rounds are kept, so that a run that was killed goes on.
    """
    plan = make_plan(cases, arms)
    settings = params.steer
    at_once = {"rounds": 1, "variants": settings.rounds * settings.variants}
    parts: list[pl.DataFrame] = []
    total = len(plan.searches) * (1 + settings.rounds * settings.variants)
    with progress("steer", total=total) as advance:
        for kind, numbers in _kinds(plan).items():
            trials = run_searches(
                [plan.searches[i] for i in numbers],
                generator=Undrawn() if kind == TRUTH else tools.generator,
                rewriter=tools.rewriter,
                rewards=rewards,
                settings=settings.model_copy(update=at_once) if kind == AT_ONCE else settings,
                advance=advance,
                store=MemoryStore() if kind == TRUTH else tools.store,
                folder=folder / kind if folder else None,
            )
            place = pl.Series(numbers, dtype=pl.Int64)
            parts.append(trials.with_columns(place.gather(trials[SEARCH]).alias(SEARCH)))
    return Found(plan, pl.concat(parts))


def _kinds(plan: Plan) -> dict[str, list[int]]:
    """Return the numbers of the searches that run alike."""
    kinds: dict[str, list[int]] = {}
    for number, (one, feedback) in enumerate(zip(plan.searches, plan.feedback, strict=True)):
        kind = TRUTH if one.reward == TRUTH else ROUNDS if feedback else AT_ONCE
        kinds.setdefault(kind, []).append(number)
    return kinds


class Undrawn:
    """A generator for a reward that looks at no picture: each is one black pixel."""

    fingerprint = "undrawn"

    def __enter__(self) -> Undrawn:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Image]:
        """Return a pixel for each prompt."""
        return [np.zeros((1, 1, 3), np.uint8) for _ in prompts]
