"""Which pairs a participant sees, in which order and on which sides: seeded, pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np


@dataclass(frozen=True)
class Shown:
    """A picture of an arm.

    Attributes
    ----------
    sha256 : of the file that people see.
    prompt : what it was drawn from; None where that is not known.
    reward : what the arm's search gave it.
    whose : the person whose reward steered it; None: nobody's or people's in general.
    """

    prompt_id: str
    arm: str
    sha256: str
    prompt: str | None = None
    reward: float | None = None
    whose: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Two pictures side by side.

    Attributes
    ----------
    repeat_of : the number of the comparison that this one repeats, its sides changed.
    """

    left: Shown
    right: Shown
    repeat_of: int | None = None

    @property
    def same(self) -> bool:
        """Whether both arms show the same picture, so that nobody need be asked."""
        return self.left.sha256 == self.right.sha256


def rng_of(seed: int, person: str, what: str) -> np.random.Generator:
    """Return a participant's random numbers for one purpose."""
    return np.random.default_rng([seed, *f"{person}\0{what}".encode()])


def shuffled(things: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Return `things` in another order."""
    return [things[i] for i in rng.permutation(len(things))]


def compare_arms(
    shown: Sequence[Shown], repeats: int, rng: np.random.Generator
) -> list[Comparison]:
    """Return every two arms of every prompt once, then some again with their sides changed.

    Of each two arms, each is on the left for half of the prompts. Pairs of one and the same picture
    are the last ones, for the record: they are not shown.
    """
    by_prompt: dict[str, dict[str, Shown]] = {}
    for one in shown:
        by_prompt.setdefault(one.prompt_id, {})[one.arm] = one
    sided = _on_sides(by_prompt, rng)
    order = [sided[i] for i in rng.permutation(len(sided))]
    first = [pair for pair in order if not pair.same]
    again = sorted(rng.choice(len(first), min(repeats, len(first)), replace=False).tolist())
    second = [Comparison(first[i].right, first[i].left, i) for i in again]
    return [*first, *second, *(pair for pair in order if pair.same)]


def _on_sides(
    by_prompt: Mapping[str, Mapping[str, Shown]], rng: np.random.Generator
) -> list[Comparison]:
    arms = sorted({arm for pictures in by_prompt.values() for arm in pictures})
    sided = []
    for a, b in combinations(arms, 2):
        both = [pictures for pictures in by_prompt.values() if a in pictures and b in pictures]
        left = rng.permutation(np.arange(len(both)) % 2 == rng.integers(2))
        sided += [
            Comparison(pictures[a], pictures[b]) if first else Comparison(pictures[b], pictures[a])
            for pictures, first in zip(both, left.tolist(), strict=True)
        ]
    return sided
