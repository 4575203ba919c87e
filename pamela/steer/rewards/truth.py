"""The known utility as a reward: the upper bound of what steering can do in the embedded world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pamela.core.arrays import Floats
from pamela.core.errors import PamelaError
from pamela.steer.generators.base import Candidate, Image

if TYPE_CHECKING:
    from pamela.steer.judging.judges import SimulatedJudge


class TruthReward:
    """What a simulated user truly thinks of what would be drawn; it looks at no picture."""

    personal = True

    def __init__(self, judge: SimulatedJudge) -> None:
        self._judge = judge

    @property
    def fingerprint(self) -> str:
        """The kind: the truth of a world has one version."""
        return "truth"

    def score(
        self,
        users: Sequence[str | None],
        candidates: Sequence[Candidate],
        images: Sequence[Image],
    ) -> Floats:
        """Score picture i for user i; array (n,)."""
        named = [user for user in users if user is not None]
        if len(named) < len(users):
            raise PamelaError("steer: the known truth is that of a user: name one")
        return self._judge.truth(named, candidates)
