"""One round's pictures and their scores: drawn and scored once each, whoever asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.errors import PamelaError
from pamela.evaluation.metrics.grouping import DECIMALS
from pamela.steer.generators.base import Candidate, Generator, Image
from pamela.steer.rewards.base import RewardFunction
from pamela.steer.search.store import Store, picture_key, pixel_hash, score_key
from pamela.steer.search.trials import SEARCH, Search

AT_ONCE: Final = 64  # pictures in memory, and lost where a command is killed


def score_trials(
    trials: pl.DataFrame,
    searches: Sequence[Search],
    *,
    generator: Generator,
    rewards: Mapping[str, RewardFunction],
    store: Store,
    advance: Callable[[int], None],
) -> Floats:
    """Return the reward of every trial, (n,).

    Pictures are drawn, kept and scored in parts (``generator.at_once``, where it says so); the next
    part may be drawn while one is scored (``generator.beside``).
    """
    owners = [searches[i] for i in trials[SEARCH]]
    asked: dict[Candidate, list[int]] = {}  # -> rows of trials
    for row, (search, prompt) in enumerate(zip(owners, trials[s.PROMPT], strict=True)):
        start = search.start
        asked.setdefault(Candidate(start.prompt_id, prompt, start.seed), []).append(row)
    scores: Floats = np.zeros(trials.height)
    for some, drawn in _drawn_parts(list(asked), generator, store):
        rows = [(row, candidate) for candidate in some for row in asked[candidate]]
        pixels = {candidate: pixel_hash(drawn[candidate]) for candidate in some}
        for name in sorted({owners[row].reward for row, _ in rows}):
            mine = [row for row, _ in rows if owners[row].reward == name]
            candidates = [candidate for row, candidate in rows if owners[row].reward == name]
            users = [owners[row].user for row in mine]
            scores[mine] = _score(name, rewards[name], users, candidates, drawn, pixels, store)
        store.counts.asked += len(rows)
        advance(len(rows))
    return scores


def _drawn_parts(
    candidates: list[Candidate], generator: Generator, store: Store
) -> Iterator[tuple[list[Candidate], dict[Candidate, Image]]]:
    """Yield the candidates in parts, each with its pictures.

    A generator that draws elsewhere (``generator.beside``) draws the next part meanwhile.
    """
    size = getattr(generator, "at_once", AT_ONCE)
    parts = [candidates[begin : begin + size] for begin in range(0, len(candidates), size)]
    if not getattr(generator, "beside", False):
        yield from ((part, draw(part, generator, store)) for part in parts)
        return
    with ThreadPoolExecutor(1, "draw") as thread:
        ahead = [thread.submit(draw, part, generator, store) for part in parts[:1]]
        for part, following in zip_longest(parts, parts[1:]):
            drawn = ahead.pop().result()
            if following is not None:
                ahead.append(thread.submit(draw, following, generator, store))
            yield part, drawn


def draw(
    candidates: Sequence[Candidate], generator: Generator, store: Store
) -> dict[Candidate, Image]:
    """Return the candidates' pictures; those that are not kept are drawn, and kept at once."""
    keys = {candidate: picture_key(generator.fingerprint, candidate) for candidate in candidates}
    pictures: dict[str, Image] = {}
    new: dict[str, Candidate] = {}
    for candidate, key in keys.items():
        kept = store.picture(key)
        if kept is None:
            new[key] = candidate
        else:
            pictures[key] = kept
    if new:
        wanted = new.values()
        images = generator.generate([c.prompt for c in wanted], [c.seed for c in wanted])
        for key, image in zip(new, images, strict=True):
            store.keep_picture(key, image)
            pictures[key] = image
        store.counts.drawn += len(new)
    return {candidate: pictures[key] for candidate, key in keys.items()}


def _score(
    name: str,
    reward: RewardFunction,
    users: Sequence[str | None],
    candidates: Sequence[Candidate],
    drawn: Mapping[Candidate, Image],
    pixels: Mapping[Candidate, str],
    store: Store,
) -> list[float]:
    """Return a reward's score of each candidate for each user; those not kept are worked out.

    Parameters
    ----------
    pixels : the hash of each picture.
    """
    keys = [
        score_key(reward.fingerprint, user if reward.personal else None, c, pixels[c])
        for user, c in zip(users, candidates, strict=True)
    ]
    known = store.scores(dict.fromkeys(keys))
    new = {key: place for place, key in enumerate(keys) if key not in known}
    if new:
        asked = [candidates[place] for place in new.values()]
        someone = [users[place] for place in new.values()]
        values = reward.score(someone, asked, [drawn[c] for c in asked])
        if not np.isfinite(values).all():
            raise PamelaError(f"steer: the reward {name!r} gave a score that is not a number")
        fresh = dict(zip(new, np.round(values, DECIMALS).tolist(), strict=True))
        store.keep_scores(fresh)
        known = known | fresh
    return [known[key] for key in keys]
