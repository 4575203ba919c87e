"""The steering loop: rewrite, draw, score, keep the best, and again (the paper's, in small).

Many searches run side by side, one `Lane` per rewarded user and prompt, so that each round is a few
large batches. Lanes of one prompt share their seed and their random numbers: the first round's
variants are the same for every reward, which makes the comparison paired, and a picture that
several lanes ask for is drawn once.
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
from pamela.steer.generators import Candidate, Generator
from pamela.steer.rewards import Reward
from pamela.steer.rewriters import Rewriter, Trial

LANE = "lane"
ROUND = "round"
VARIANT = "variant"
REWARD = "reward"
SEED = "seed"
TRIALS_SCHEMA = pl.Schema(
    {
        LANE: pl.Int64,
        ROUND: pl.Int64,  # 0 is the original prompt
        VARIANT: pl.Int64,
        s.PROMPT: pl.String,
        SEED: pl.Int64,
        REWARD: pl.Float64,
    }
)
_PICTURES_AT_ONCE = 640  # per batch: what bounds the memory


@dataclass(frozen=True)
class Lane:
    """One search: the prompt that is rewritten to please one reward (for one user, or for all)."""

    reward: str
    user: str | None
    start: Candidate


def run_lanes(
    lanes: Sequence[Lane],
    *,
    generator: Generator,
    rewriter: Rewriter,
    rewards: Mapping[str, Reward],
    settings: SteerParams,
    advance: Callable[[int], None],
) -> pl.DataFrame:
    """Run every lane for ``settings.rounds`` rounds of ``settings.variants`` variants.

    Parameters
    ----------
    rewards : by the name that the lanes use.
    advance : called with the number of trials done, in all ``lanes x (1 + rounds x variants)``.

    Returns
    -------
    DataFrame of `TRIALS_SCHEMA`, one row per trial; `lane` is the place in `lanes`.
    """
    history: list[list[Trial]] = [[] for _ in lanes]
    tables: list[pl.DataFrame] = []
    for number in range(settings.rounds + 1):
        proposals = [
            [lane.start.prompt]
            if number == 0
            else rewriter.rewrite(
                lane.start.prompt, past, settings.variants, _lane_rng(lane, number, settings.seed)
            )
            for lane, past in zip(lanes, history, strict=True)
        ]
        scores = _score(lanes, proposals, generator, rewards, advance)
        tables.append(_table(lanes, number, proposals, scores))
        history = [
            _best_first([*past, *map(Trial, prompts, values.tolist())])
            for past, prompts, values in zip(history, proposals, scores, strict=True)
        ]
    return pl.concat(tables).sort(LANE, ROUND, VARIANT)


def best_trials(trials: pl.DataFrame) -> pl.DataFrame:
    """Return each lane's trial of the highest reward, the earliest of equals."""
    return (
        trials.sort(LANE, -pl.col(REWARD), ROUND, VARIANT)
        .group_by(LANE, maintain_order=True)
        .first()
    )


def _best_first(trials: list[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda trial: -trial.reward)  # stable: the earliest of equals first


def _lane_rng(lane: Lane, number: int, seed: int) -> np.random.Generator:
    """Return the random numbers of a prompt's round: the same for every reward and user."""
    return np.random.default_rng([number, *hash_ids([lane.start.prompt_id], seed).tolist()])


def _score(
    lanes: Sequence[Lane],
    proposals: Sequence[Sequence[str]],
    generator: Generator,
    rewards: Mapping[str, Reward],
    advance: Callable[[int], None],
) -> list[Floats]:
    """Score all proposals, in batches of lanes that keep the lanes of one prompt together."""
    scores: list[Floats] = [np.zeros(len(prompts)) for prompts in proposals]
    order = sorted(range(len(lanes)), key=lambda i: (lanes[i].start.prompt_id, i))
    per_batch = max(1, _PICTURES_AT_ONCE // max(len(prompts) for prompts in proposals))
    for begin in range(0, len(order), per_batch):
        batch = order[begin : begin + per_batch]
        for i, values in _score_batch(batch, lanes, proposals, generator, rewards).items():
            scores[i] = values
        advance(sum(len(proposals[i]) for i in batch))
    return scores


def _score_batch(
    batch: Sequence[int],
    lanes: Sequence[Lane],
    proposals: Sequence[Sequence[str]],
    generator: Generator,
    rewards: Mapping[str, Reward],
) -> dict[int, Floats]:
    asked = {
        i: [Candidate(lanes[i].start.prompt_id, p, lanes[i].start.seed) for p in proposals[i]]
        for i in batch
    }
    unique = list(dict.fromkeys(c for candidates in asked.values() for c in candidates))
    images = generator.generate([c.prompt for c in unique], [c.seed for c in unique])
    drawn = dict(zip(unique, images, strict=True))
    scores: dict[int, Floats] = {}
    for name in sorted({lanes[i].reward for i in batch}):
        mine = [i for i in batch if lanes[i].reward == name]
        candidates = [c for i in mine for c in asked[i]]
        users = [lanes[i].user for i in mine for _ in asked[i]]
        values = rewards[name].score(users, candidates, [drawn[c] for c in candidates])
        if not np.isfinite(values).all():
            raise PamelaError(f"steer: the reward {name!r} gave a score that is not a number")
        ends = np.cumsum([len(asked[i]) for i in mine])[:-1]
        scores.update(zip(mine, np.split(np.round(values, DECIMALS), ends), strict=True))
    return scores


def _table(
    lanes: Sequence[Lane],
    number: int,
    proposals: Sequence[Sequence[str]],
    scores: Sequence[Floats],
) -> pl.DataFrame:
    sizes = [len(prompts) for prompts in proposals]
    return pl.DataFrame(
        {
            LANE: np.repeat(np.arange(len(lanes)), sizes),
            ROUND: np.full(sum(sizes), number),
            VARIANT: np.concatenate([np.arange(n) for n in sizes]),
            s.PROMPT: [prompt for prompts in proposals for prompt in prompts],
            SEED: np.repeat([lane.start.seed for lane in lanes], sizes),
            REWARD: np.concatenate(scores),
        },
        schema=TRIALS_SCHEMA,
    )
