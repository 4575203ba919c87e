"""Who says which picture is better: a protocol, and the embedded world's users behind it.

A judge never sees the reward that was optimised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.steer.generators.base import Candidate

if TYPE_CHECKING:
    from pamela.synthetic.prompts import Spec
    from pamela.synthetic.raters.world import World

Verdict = Ints
FIRST: Final = 1
SECOND: Final = -1
TIE: Final = 0
_NO_NOISE: Final = np.zeros(())

JUST_NOTICEABLE = 0.2  # points of the 1..5 scale: a smaller felt difference is a tie


class Judge(Protocol):
    """People who compare two pictures of one prompt, blind."""

    def compare(
        self,
        users: Sequence[str],
        first: Sequence[Candidate],
        second: Sequence[Candidate],
        rng: np.random.Generator,
    ) -> Verdict:
        """Let user i compare two pictures shown in this order; array (n,) of FIRST, SECOND, TIE."""
        ...


@dataclass(frozen=True)
class SimulatedJudge:
    """The world's users: their true opinion of what is drawn, plus their own noise.

    Attributes
    ----------
    position_bias : added to the picture shown first, in points of the 1..5 scale.
    """

    world: World
    just_noticeable: float = JUST_NOTICEABLE
    position_bias: float = 0.0

    def truth(self, users: Sequence[str], candidates: Sequence[Candidate]) -> Floats:
        """Return user i's noise-free opinion of picture i on the 1..5 scale; array (n,)."""
        people = {user: i for i, user in enumerate(dict.fromkeys(users))}
        pictures = {key: i for i, key in enumerate(dict.fromkeys(map(_drawn, candidates)))}
        specs = [_scene_of(prompt, seed) for prompt, seed in pictures]
        utility = np.asarray(self.world.utility(list(people), specs), np.float64)
        rows = [people[user] for user in users]
        return utility[rows, [pictures[_drawn(c)] for c in candidates]]

    def would_rate(self, users: Sequence[str], candidates: Sequence[Candidate]) -> Floats:
        """Return what user i would say of picture i on the scale, but for noise and rounding."""
        from pamela.synthetic.raters.world import impression

        said = impression(self.world.rows_of(list(users)), self.truth(users, candidates), _NO_NOISE)
        return np.clip(said, s.SCALE_LOW, s.SCALE_HIGH)

    def compare(
        self,
        users: Sequence[str],
        first: Sequence[Candidate],
        second: Sequence[Candidate],
        rng: np.random.Generator,
    ) -> Verdict:
        """Let user i compare two pictures; each is felt with the user's noise of one rating.

        The same picture twice is a tie.
        """
        noise = np.asarray(self.world.noise_std(list(users)), np.float64)
        felt = self.truth(users, first) - self.truth(users, second) + self.position_bias
        felt = felt + np.sqrt(2.0) * noise * rng.standard_normal(len(users))
        same = np.array([_drawn(a) == _drawn(b) for a, b in zip(first, second, strict=True)], bool)
        verdict = np.where(felt > 0, FIRST, SECOND)
        return np.where(same | (np.abs(felt) < self.just_noticeable), TIE, verdict)


@lru_cache(maxsize=2**16)
def _scene_of(prompt: str, seed: int) -> Spec:
    """Return what is drawn, not to be changed: many ask about the same pictures."""
    from pamela.synthetic.rendering.render import scene_of

    return scene_of(prompt, seed)


def _drawn(candidate: Candidate) -> tuple[str, int]:
    return candidate.prompt, candidate.seed
