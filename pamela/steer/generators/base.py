"""What draws pictures from prompts: the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]  # (height, width, 3), RGB


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture to draw: a version of the prompt `prompt_id`, and the seed of its chance parts."""

    prompt_id: str
    prompt: str
    seed: int


class Generator(Protocol):
    """A text-to-image model; a context manager, which ends what it started.

    Attributes
    ----------
    fingerprint : what identifies its pictures: equal prompt, seed and fingerprint, equal picture.
        The kind and every setting that changes a pixel (model, weights, size, steps, ...).

    Notes
    -----
    A generator may have a whole number `at_once`: how many pictures it is asked for in one call.
    They are kept after each call, so that so many are lost where a search is killed. It may have
    `beside`, true where it draws in other processes and takes nothing from what scores meanwhile:
    it is then asked for the next pictures, from another thread, while the last ones are scored.
    """

    @property
    def fingerprint(self) -> str:
        """What identifies its pictures."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Image]:
        """Draw one picture per prompt and seed; the same two always give the same picture.

        A picture does not depend on the others of its batch.
        """
        ...
