"""Who is steered for and with which prompts: a seeded draw from the test users and test images."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.steer.generators.base import Candidate


@dataclass(frozen=True)
class EvaluationCase:
    """One user and one prompt.

    Attributes
    ----------
    other : another user who is used to the same type of pictures; the arm `other` pleases them.
    start : the original prompt and the seed of its rendering (the same for every user).

    Notes
    -----
    Users come in small groups, mostly pairs, who share their prompts: what pleases one is then the
    arm `other` of the next, and the groups' prompts differ, so that many prompts are tried.
    """

    user: str
    other: str
    start: Candidate


def sample_cases(
    ratings: pl.DataFrame,
    images: pl.DataFrame,
    known: Collection[str],
    *,
    users: int,
    prompts: int,
    seed: int,
) -> list[EvaluationCase]:
    """Draw users whom the champion knows, and test prompts of the type they rate.

    Parameters
    ----------
    ratings : one fold's rows of one dataset, with ``user_id, image_id, part``.
    images : that dataset's pictures, with ``image_id, prompt_id, prompt, type``.
    known : ids of the users in the champion's training.
    users, prompts : how many users in all, and prompts for each.

    Returns
    -------
    list, by user: fewer users or prompts than asked for where the data has no more.

    Raises
    ------
    PamelaError
        If no two known users with test ratings share a type that has test prompts.
    """
    rng = np.random.default_rng(seed)
    rated = ratings.join(images.select(s.IMAGE, s.TYPE), on=s.IMAGE).drop_nulls(s.TYPE)
    starts = _test_prompts(rated, images, rng)
    eligible = _eligible(rated, known)
    pools = {
        kind: rng.permutation(eligible.filter(pl.col(s.TYPE) == kind)[s.USER].to_list()).tolist()
        for kind in starts
    }
    pools = {kind: pool for kind, pool in pools.items() if len(pool) >= 2}
    if not pools:
        raise PamelaError(
            "data/splits/ratings.parquet: no two users known to the champion share a type of test "
            "images with prompts; enlarge the synthetic dataset"
        )
    return [
        EvaluationCase(user, group[(place + 1) % len(group)], start)
        for kind, chosen in _share_out(pools, users).items()
        for number, group in enumerate(_groups(chosen))
        for place, user in enumerate(group)
        for start in _hand(starts[kind], number, prompts)
    ]


def _eligible(rated: pl.DataFrame, known: Collection[str]) -> pl.DataFrame:
    """Return known users with test ratings, and the type that each rated most in training."""
    tested = rated.filter(pl.col(s.PART) == s.TEST_SEEN).select(pl.col(s.USER).unique())
    return (
        rated.filter((pl.col(s.PART) == s.TRAIN) & pl.col(s.USER).is_in(list(known)))
        .group_by(s.USER, s.TYPE)
        .len()
        .sort(s.USER, "len", s.TYPE, descending=[False, True, False])
        .group_by(s.USER, maintain_order=True)
        .first()
        .join(tested, on=s.USER, how="semi")
        .sort(s.USER)
    )


def _test_prompts(
    rated: pl.DataFrame, images: pl.DataFrame, rng: np.random.Generator
) -> dict[str, list[Candidate]]:
    """Return the prompts of test images per type, shuffled, with seeds for their renderings."""
    tested = rated.filter(pl.col(s.PART).is_in([s.TEST_SEEN, s.TEST_UNSEEN]))
    pool = (
        images.join(tested.select(pl.col(s.IMAGE).unique()), on=s.IMAGE, how="semi")
        .drop_nulls([s.PROMPT, s.PROMPT_ID, s.TYPE])
        .sort(s.TYPE, s.PROMPT_ID, s.IMAGE)
        .unique(s.PROMPT_ID, keep="first", maintain_order=True)
    )
    starts: dict[str, list[Candidate]] = {}
    for (kind,), frame in pool.group_by(s.TYPE, maintain_order=True):
        rows = frame[rng.permutation(frame.height)]
        seeds = rng.integers(2**31, size=rows.height)
        starts[str(kind)] = [
            Candidate(row[s.PROMPT_ID], row[s.PROMPT], int(number))
            for row, number in zip(rows.iter_rows(named=True), seeds, strict=True)
        ]
    return starts


def _share_out(pools: dict[str, list[str]], users: int) -> dict[str, list[str]]:
    """Take about `users` people, evenly over the types, at least two or nobody of each."""
    kinds = sorted(pools, key=lambda kind: -len(pools[kind]))[: max(1, users // 2)]
    taken = dict.fromkeys(kinds, 2)
    while sum(taken.values()) < users:
        open_kinds = [kind for kind in kinds if taken[kind] < len(pools[kind])]
        if not open_kinds:
            break
        taken[min(open_kinds, key=lambda kind: taken[kind])] += 1
    return {kind: pools[kind][: taken[kind]] for kind in kinds}


def _groups(users: list[str]) -> list[list[str]]:
    """Return `users` in pairs; an odd one makes the last group three."""
    pairs = [users[i : i + 2] for i in range(0, len(users) - 1, 2)]
    if len(users) % 2:
        pairs[-1].append(users[-1])
    return pairs


def _hand(starts: list[Candidate], number: int, n: int) -> list[Candidate]:
    """Return the n prompts of group `number`: other ones for every group while there are any."""
    n = min(n, len(starts))
    return [starts[(number * n + i) % len(starts)] for i in range(n)]
