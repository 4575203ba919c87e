"""The steering loop: rewrite, draw, score, keep the best, and again (the paper's, in small).

Many searches run side by side, one `Search` per rewarded user and prompt, so that each round is a
few large batches. Searches of one prompt share their seed and their random numbers: the first
round's variants are the same for every reward, which makes the comparison paired, and a picture
that several searches ask for is drawn once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.errors import PamelaError
from pamela.core.hashing import hash_ids
from pamela.evaluation.metrics.grouping import DECIMALS
from pamela.params import SteerParams
from pamela.steer.generators.base import Candidate, Generator
from pamela.steer.rewards.base import RewardFunction
from pamela.steer.rewriters.base import Rewriter, RewriteRequest, Trial

SEARCH = "search"
ROUND = "round"
VARIANT = "variant"
REWARD = "reward"
SEED = "seed"
TRIALS_SCHEMA = pl.Schema(
    {
        SEARCH: pl.Int64,
        ROUND: pl.Int64,  # 0 is the original prompt
        VARIANT: pl.Int64,
        s.PROMPT: pl.String,
        SEED: pl.Int64,
        REWARD: pl.Float64,
    }
)
_PICTURES_AT_ONCE = 640  # per batch: what bounds the memory


@dataclass(frozen=True)
class Search:
    """One search: the prompt that is rewritten to please one reward (for one user, or for all)."""

    reward: str
    user: str | None
    start: Candidate


def run_searches(
    searches: Sequence[Search],
    *,
    generator: Generator,
    rewriter: Rewriter,
    rewards: Mapping[str, RewardFunction],
    settings: SteerParams,
    advance: Callable[[int], None],
) -> pl.DataFrame:
    """Run every search for ``settings.rounds`` rounds of ``settings.variants`` variants.

    Parameters
    ----------
    rewards : by the name that the searches use.
    advance : called with the number of trials done, in all ``searches x (1 + rounds x variants)``.

    Returns
    -------
    DataFrame of `TRIALS_SCHEMA`, one row per trial; `search` is the place in `searches`.
    """
    history: list[list[Trial]] = [[] for _ in searches]
    tables: list[pl.DataFrame] = []
    for number in range(settings.rounds + 1):
        proposals = (
            [[search.start.prompt] for search in searches]
            if number == 0
            else rewriter.rewrite(
                [
                    RewriteRequest(
                        search.start.prompt,
                        tuple(past),
                        settings.variants,
                        _search_seed(search, number, settings.seed),
                    )
                    for search, past in zip(searches, history, strict=True)
                ]
            )
        )
        scores = _score(searches, proposals, generator, rewards, advance)
        tables.append(_table(searches, number, proposals, scores))
        history = [
            _best_first([*past, *map(Trial, prompts, values.tolist())])
            for past, prompts, values in zip(history, proposals, scores, strict=True)
        ]
    return pl.concat(tables).sort(SEARCH, ROUND, VARIANT)


def best_trials(trials: pl.DataFrame) -> pl.DataFrame:
    """Return each search's trial of the highest reward, the earliest of equals."""
    return (
        trials.sort(SEARCH, -pl.col(REWARD), ROUND, VARIANT)
        .group_by(SEARCH, maintain_order=True)
        .first()
    )


def _best_first(trials: list[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda trial: -trial.reward)  # stable: the earliest of equals first


def _search_seed(search: Search, number: int, seed: int) -> tuple[int, ...]:
    """Return the seed of a prompt's round: the same for every reward and user."""
    return (number, *map(int, hash_ids([search.start.prompt_id], seed)))


def _score(
    searches: Sequence[Search],
    proposals: Sequence[Sequence[str]],
    generator: Generator,
    rewards: Mapping[str, RewardFunction],
    advance: Callable[[int], None],
) -> list[Floats]:
    """Score all proposals, in batches of searches that keep the searches of one prompt together."""
    scores: list[Floats] = [np.zeros(len(prompts)) for prompts in proposals]
    order = sorted(range(len(searches)), key=lambda i: (searches[i].start.prompt_id, i))
    per_batch = max(1, _PICTURES_AT_ONCE // max(len(prompts) for prompts in proposals))
    for begin in range(0, len(order), per_batch):
        batch = order[begin : begin + per_batch]
        for i, values in _score_batch(batch, searches, proposals, generator, rewards).items():
            scores[i] = values
        advance(sum(len(proposals[i]) for i in batch))
    return scores


def _score_batch(
    batch: Sequence[int],
    searches: Sequence[Search],
    proposals: Sequence[Sequence[str]],
    generator: Generator,
    rewards: Mapping[str, RewardFunction],
) -> dict[int, Floats]:
    asked = {
        i: [Candidate(searches[i].start.prompt_id, p, searches[i].start.seed) for p in proposals[i]]
        for i in batch
    }
    unique = list(dict.fromkeys(c for candidates in asked.values() for c in candidates))
    images = generator.generate([c.prompt for c in unique], [c.seed for c in unique])
    drawn = dict(zip(unique, images, strict=True))
    scores: dict[int, Floats] = {}
    for name in sorted({searches[i].reward for i in batch}):
        mine = [i for i in batch if searches[i].reward == name]
        candidates = [c for i in mine for c in asked[i]]
        users = [searches[i].user for i in mine for _ in asked[i]]
        values = rewards[name].score(users, candidates, [drawn[c] for c in candidates])
        if not np.isfinite(values).all():
            raise PamelaError(f"steer: the reward {name!r} gave a score that is not a number")
        ends = np.cumsum([len(asked[i]) for i in mine])[:-1]
        scores.update(zip(mine, np.split(np.round(values, DECIMALS), ends), strict=True))
    return scores


def _table(
    searches: Sequence[Search],
    number: int,
    proposals: Sequence[Sequence[str]],
    scores: Sequence[Floats],
) -> pl.DataFrame:
    sizes = [len(prompts) for prompts in proposals]
    return pl.DataFrame(
        {
            SEARCH: np.repeat(np.arange(len(searches)), sizes),
            ROUND: np.full(sum(sizes), number),
            VARIANT: np.concatenate([np.arange(n) for n in sizes]),
            s.PROMPT: [prompt for prompts in proposals for prompt in prompts],
            SEED: np.repeat([search.start.seed for search in searches], sizes),
            REWARD: np.concatenate(scores),
        },
        schema=TRIALS_SCHEMA,
    )
