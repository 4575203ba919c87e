"""Pictures between which somebody chose, as they were given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pamela.core import schema as s
from pamela.serving.types import ImageLike, detail

SIDES: Final = (s.IMAGE_A, s.IMAGE_B)


@dataclass(frozen=True)
class ChosenPictures:
    """Pictures between which somebody chose.

    Attributes
    ----------
    images : of every choice `a`, then `b`.
    prompts : of every picture.
    choices : per choice, one of `schema.OUTCOMES`.
    names : what a message calls each choice.
    """

    images: Sequence[ImageLike]
    prompts: Sequence[str | None]
    choices: Sequence[str]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.choices)

    @property
    def picture_names(self) -> list[str]:
        """What a message calls each picture."""
        sides = [f"{name}: {side}" for name in self.names for side in SIDES]
        return [side + detail(one) for side, one in zip(sides, self.images, strict=True)]


NO_CHOICES: Final = ChosenPictures((), (), (), ())
