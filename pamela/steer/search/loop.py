"""The steering loop: rewrite, draw, score, keep the best, and again (the paper's, in small).

Many searches run side by side, one `Search` per rewarded user and prompt, so that each round is a
few large batches. Searches of one prompt share their seed and their random numbers: the first
round's variants are the same for every reward, which makes the comparison paired, and a picture
that several searches ask for is drawn once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.hashing import hash_ids
from pamela.params import SteerParams
from pamela.steer.generators.base import Generator
from pamela.steer.rewards.base import RewardFunction
from pamela.steer.rewriters.base import Rewriter, RewriteRequest, Trial
from pamela.steer.search.run_record import RunRecord
from pamela.steer.search.scoring import score_trials
from pamela.steer.search.store import MemoryStore, Store
from pamela.steer.search.trials import (
    REWARD,
    ROUND,
    SEARCH,
    SEED,
    TRIALS_SCHEMA,
    VARIANT,
    Search,
    best_trials,
    proposed,
    scored,
)

__all__ = [
    "REWARD",
    "ROUND",
    "SEARCH",
    "SEED",
    "TRIALS_SCHEMA",
    "VARIANT",
    "Search",
    "best_trials",
    "run_identity",
    "run_searches",
]


def run_searches(
    searches: Sequence[Search],
    *,
    generator: Generator,
    rewriter: Rewriter,
    rewards: Mapping[str, RewardFunction],
    settings: SteerParams,
    advance: Callable[[int], None],
    store: Store | None = None,
    folder: Path | None = None,
    on_round: Callable[[pl.DataFrame], None] = lambda trials: None,
) -> pl.DataFrame:
    """Run every search for ``settings.rounds`` rounds of ``settings.variants`` variants.

    Parameters
    ----------
    rewards : by the name that the searches use.
    advance : called with the number of trials done, in all ``searches x (1 + rounds x variants)``.
    store : where pictures and scores are kept, and counted; by default in memory, for this call.
    folder : of this run; where it holds finished rounds (`RunRecord`), they are not run again.
    on_round : called with the trials of each round, from round 0 on, once it is finished.

    Returns
    -------
    DataFrame of `TRIALS_SCHEMA`, one row per trial; `search` is the place in `searches`.

    Raises
    ------
    PamelaError
        If `folder` holds a run of other settings.
    """
    store = MemoryStore() if store is None else store
    record = None
    if folder is not None:
        said = run_identity(searches, generator, rewriter, rewards, settings)
        record = RunRecord(folder, said)
    history: list[list[Trial]] = [[] for _ in searches]
    tables: list[pl.DataFrame] = []
    for number in range(settings.rounds + 1):
        size = settings.variants if number else 1
        trials = record.round(number, searches, size) if record else None
        if trials is None:
            proposals = _propose(searches, history, number, rewriter, settings)
            trials = proposed(searches, number, proposals)
            if record:
                record.keep_round(number, trials)
        if trials[REWARD].null_count():
            values = score_trials(
                trials,
                searches,
                generator=generator,
                rewards=rewards,
                store=store,
                advance=advance,
            )
            trials = scored(trials, values)
            if record:
                record.keep_round(number, trials)
        else:
            advance(trials.height)
        tables.append(trials)
        history = _longer(history, trials)
        on_round(trials)
    return pl.concat(tables).sort(SEARCH, ROUND, VARIANT)


def _propose(
    searches: Sequence[Search],
    history: Sequence[Sequence[Trial]],
    number: int,
    rewriter: Rewriter,
    settings: SteerParams,
) -> list[list[str]]:
    """Return each search's prompts of a round; those of round 0 are the original ones."""
    if number == 0:
        return [[search.start.prompt] for search in searches]
    requests = [
        RewriteRequest(
            search.start.prompt,
            tuple(past),
            settings.variants,
            _search_seed(search, number, settings.seed),
        )
        for search, past in zip(searches, history, strict=True)
    ]
    found = rewriter.rewrite(requests)
    for request, prompts in zip(requests, found, strict=True):
        if len(prompts) != request.n:
            raise PamelaError(
                f"steer: the rewriter wrote {len(prompts)} variants of {request.prompt!r}, not "
                f"{request.n}"
            )
    return found


def _longer(history: Sequence[list[Trial]], trials: pl.DataFrame) -> list[list[Trial]]:
    """Return the searches' histories with a round's trials, best first, the earliest of equals."""
    rows = trials.group_by(SEARCH, maintain_order=True).agg(s.PROMPT, REWARD)
    return [
        sorted([*past, *map(Trial, prompts, rewards)], key=lambda trial: -trial.reward)
        for past, prompts, rewards in zip(history, rows[s.PROMPT], rows[REWARD], strict=True)
    ]


def _search_seed(search: Search, number: int, seed: int) -> tuple[int, ...]:
    """Return the seed of a prompt's round: the same for every reward and user."""
    return (number, *map(int, hash_ids([search.start.prompt_id], seed)))


def run_identity(
    searches: Sequence[Search],
    generator: Generator,
    rewriter: Rewriter,
    rewards: Mapping[str, RewardFunction],
    settings: SteerParams,
) -> dict[str, Any]:
    """Return what makes a run what it is."""
    return {
        "rounds": settings.rounds,
        "variants": settings.variants,
        "seed": settings.seed,
        "generator": generator.fingerprint,
        "rewriter": rewriter.fingerprint,
        "rewards": {
            name: rewards[name].fingerprint for name in sorted({x.reward for x in searches})
        },
        "searches": [asdict(search) for search in searches],
    }
