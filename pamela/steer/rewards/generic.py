"""Rewards that know no user: what every one of them is, and each picture scored once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pamela.core.arrays import Floats
from pamela.core.errors import PamelaError
from pamela.steer.generators.base import Candidate, Image


class PictureScorer(Protocol):
    """How good a picture is for a prompt, in anybody's eyes; loaded when it first scores.

    Attributes
    ----------
    fingerprint : what identifies its scores: the kind, the weights, every setting.
    """

    @property
    def fingerprint(self) -> str:
        """What identifies its scores."""
        ...

    def score_pictures(self, images: Sequence[Image], prompts: Sequence[str]) -> Floats:
        """Score picture i for prompt i; array (n,), higher is better."""
        ...

    def close(self) -> None:
        """End what it started; it may score again."""
        ...


@dataclass
class GenericReward:
    """A `PictureScorer` as a reward, for everybody alike; equal pictures are scored once."""

    name: str
    scorer: PictureScorer
    personal: bool = field(default=False, init=False)
    _known: dict[tuple[str, bytes], float] = field(default_factory=dict, init=False)

    @property
    def fingerprint(self) -> str:
        """What identifies its scores."""
        return self.scorer.fingerprint

    def score(
        self,
        users: Sequence[str | None],
        candidates: Sequence[Candidate],
        images: Sequence[Image],
    ) -> Floats:
        """Score picture i for the prompt it was drawn from; array (n,)."""
        return self.score_pictures(images, [candidate.prompt for candidate in candidates])

    def score_pictures(self, images: Sequence[Image], prompts: Sequence[str]) -> Floats:
        """Score picture i for prompt i; array (n,).

        Raises
        ------
        PamelaError
            If a score is not a number.
        """
        keys = [(p, image_digest(image)) for p, image in zip(prompts, images, strict=True)]
        new = {key: i for i, key in enumerate(keys) if key not in self._known}
        if new:
            scores = self.scorer.score_pictures(
                [images[i] for i in new.values()], [prompt for prompt, _ in new]
            )
            if not np.isfinite(scores).all():
                raise PamelaError(f"steer: the reward {self.name!r} gave a score that is no number")
            self._known.update(zip(new, scores.tolist(), strict=True))
        return np.array([self._known[key] for key in keys], np.float64)

    def close(self) -> None:
        """End what the scorer started."""
        self.scorer.close()


def image_digest(image: Image) -> bytes:
    """Return what tells a picture's pixels from others."""
    shape = f"{image.shape}".encode()
    return hashlib.sha256(shape + np.ascontiguousarray(image).tobytes()).digest()
