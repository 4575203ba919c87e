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
    cold_start : whether the user was absent from training and is known by a few ratings alone.

    Notes
    -----
    Users come in small groups, mostly pairs, who share their prompts: what pleases one is then the
    arm `other` of the next, and the groups' prompts differ, so that many prompts are tried. All of
    a group were in training or none was, so that `other` is no weaker a reward than `self`.
    """

    user: str
    other: str
    start: Candidate
    cold_start: bool = False


def sample_cases(
    ratings: pl.DataFrame,
    images: pl.DataFrame,
    known: Collection[str],
    *,
    users: int,
    prompts: int,
    seed: int,
    shown: pl.DataFrame | None = None,
    group: int = 2,
) -> list[EvaluationCase]:
    """Draw users, half of them cold-start ones, and test prompts of the type they rate.

    Parameters
    ----------
    ratings : one fold's rows of one dataset, with ``user_id, image_id, part``.
    images : that dataset's pictures, with ``image_id, prompt_id, prompt, type``.
    known : ids of the users in the champion's training.
    users, prompts : how many users in all, and prompts for each.
    shown : ``user_id, image_id`` of the pictures whose ratings cold-start users are known by; their
        prompts are not steered for them. None or too few people: everybody is a known user.
    group : how many users share prompts.

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
    told = _told(rated, images, shown)
    cold = _pools(_favourite_types(told), starts, rng)
    seen = _pools(_eligible(rated, known), starts, rng)
    chosen_cold = _share_out(cold, users // 2)
    chosen_seen = _share_out(seen, users - sum(map(len, chosen_cold.values())))
    if not chosen_seen:
        raise PamelaError(
            "data/splits/ratings.parquet: no two users known to the champion share a type of test "
            "images with prompts; enlarge the synthetic dataset"
        )
    cases: list[EvaluationCase] = []
    for kind in starts:
        groups = [
            (members, cold_start)
            for chosen, cold_start in ((chosen_seen, False), (chosen_cold, True))
            for members in _groups(chosen.get(kind, []), group)
        ]
        handed: dict[str, Candidate] = {}  # to any group so far
        for members, cold_start in groups:
            asked = set(told.filter(pl.col(s.USER).is_in(members))[s.PROMPT_ID])
            chosen = _hand(starts[kind], prompts, asked, handed)
            handed |= {start.prompt_id: start for start in chosen}
            cases += [
                EvaluationCase(user, members[(place + 1) % len(members)], start, cold_start)
                for place, user in enumerate(members)
                for start in chosen
            ]
    return cases


def _told(rated: pl.DataFrame, images: pl.DataFrame, shown: pl.DataFrame | None) -> pl.DataFrame:
    """Return user, prompt and type of the pictures that cold-start users are known by."""
    if shown is None:
        shown = rated.select(s.USER, s.IMAGE).clear()
    return shown.join(images.select(s.IMAGE, s.TYPE, s.PROMPT_ID), on=s.IMAGE).drop_nulls(s.TYPE)


def _eligible(rated: pl.DataFrame, known: Collection[str]) -> pl.DataFrame:
    """Return known users with test ratings, and the type that each rated most in training."""
    tested = rated.filter(pl.col(s.PART) == s.TEST_SEEN).select(pl.col(s.USER).unique())
    trained = rated.filter((pl.col(s.PART) == s.TRAIN) & pl.col(s.USER).is_in(list(known)))
    return _favourite_types(trained.join(tested, on=s.USER, how="semi"))


def _favourite_types(rows: pl.DataFrame) -> pl.DataFrame:
    """Return each user of `rows`, and the type that they have most rows of."""
    return (
        rows.group_by(s.USER, s.TYPE)
        .len()
        .sort(s.USER, "len", s.TYPE, descending=[False, True, False])
        .group_by(s.USER, maintain_order=True)
        .first()
        .sort(s.USER)
    )


def _pools(
    people: pl.DataFrame, starts: Collection[str], rng: np.random.Generator
) -> dict[str, list[str]]:
    """Return the people of each type that has prompts, shuffled; nobody where one is alone."""
    pools = {
        kind: rng.permutation(people.filter(pl.col(s.TYPE) == kind)[s.USER].to_list()).tolist()
        for kind in starts
    }
    return {kind: pool for kind, pool in pools.items() if len(pool) >= 2}


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
    """Take about `users` people, in pairs and evenly over the types that have so many."""
    if users < 2:
        return {}
    kinds = sorted(pools, key=lambda kind: -len(pools[kind]))[: users // 2]
    taken = dict.fromkeys(kinds, 2)
    while (left := users - sum(taken.values())) > 0:
        step = min(2, left)
        open_kinds = [kind for kind in kinds if taken[kind] + step <= len(pools[kind])]
        if not open_kinds:
            break
        taken[min(open_kinds, key=lambda kind: taken[kind])] += step
    return {kind: pools[kind][: taken[kind]] for kind in kinds}


def _groups(users: list[str], size: int) -> list[list[str]]:
    """Return `users` in groups of `size`; one who would be left alone joins the last."""
    groups = [users[i : i + size] for i in range(0, len(users), size)]
    if len(groups) > 1 and len(groups[-1]) == 1:
        groups[-2:] = [[*groups[-2], *groups[-1]]]
    return groups


def _hand(
    starts: list[Candidate], n: int, asked: Collection[str], handed: Collection[str]
) -> list[Candidate]:
    """Return n prompts that nobody of a group was asked about, those first that no group has."""
    new = [start for start in starts if start.prompt_id not in asked]
    return sorted(new, key=lambda start: start.prompt_id in handed)[:n]
