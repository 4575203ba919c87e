"""Choices between planted pictures: whoever perceives the greater difference takes that picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pamela.core.dataset import Choices, Fold
from tests.helpers.planted import World


def choose(
    difference: np.ndarray, rng: np.random.Generator, *, noise: float, margin: float
) -> np.ndarray:
    """Return outcomes of choices whose true differences are these."""
    seen = difference + noise * rng.normal(size=difference.shape)
    return np.where(seen > margin, 1.0, np.where(seen < -margin, 0.0, 0.5)).astype(np.float32)


def choices_of(
    world: World,
    part: str,
    each: int,
    rng: np.random.Generator,
    *,
    noise: float = 0.6,
    margin: float = 0.15,
) -> Choices:
    """Return `each` choices of everybody with ratings in `part`, between its pictures."""
    rated = world.fold[part]
    user = np.repeat(np.unique(rated.user), each)
    items = np.unique(rated.item)
    first = rng.integers(len(items), size=len(user))
    second = (first + rng.integers(1, len(items), size=len(user))) % len(items)
    a, b = items[first], items[second]
    outcome = choose(world.truth[user, a] - world.truth[user, b], rng, noise=noise, margin=margin)
    return Choices(user, a, b, outcome)


def with_choices(world: World, each: int, *, ratings: bool, seed: int = 0) -> Fold:
    """Return the world's fold with choices in every part, with or without its ratings."""
    rng = np.random.default_rng(seed)
    choices = {part: choices_of(world, part, each, rng) for part in world.fold.parts}
    return replace(world.fold, choices=choices, parts=world.fold.parts if ratings else {})


def accuracy(share_a: np.ndarray, asked: Choices) -> float:
    """Return the share of choices without ties that are predicted."""
    decided = asked.outcome != 0.5
    return float(np.mean((share_a > 0.5)[decided] == (asked.outcome == 1)[decided]))
