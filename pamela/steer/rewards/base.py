"""What scores pictures while steering: the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pamela.core.arrays import Floats
from pamela.steer.generators.base import Candidate, Image


class RewardFunction(Protocol):
    """How much each user is believed to like each picture.

    Attributes
    ----------
    fingerprint : what identifies its scores: the kind, the weights, every setting.
    personal : whether a score depends on the user.
    """

    @property
    def fingerprint(self) -> str:
        """What identifies its scores."""
        ...

    @property
    def personal(self) -> bool:
        """Whether a score depends on the user."""
        ...

    def score(
        self,
        users: Sequence[str | None],
        candidates: Sequence[Candidate],
        images: Sequence[Image],
    ) -> Floats:
        """Score picture i for user i (None: for people in general); array (n,), higher is better.

        The score of a picture does not depend on the others in the batch.
        """
        ...
