"""Columns that a person's weights multiply: a constant and leading feature components.

Shared by the baselines that put personal weights on frozen features (`residual_ridge`, `mf`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats
from pamela.core.dataset import Items
from pamela.models.components import Components
from pamela.models.preprocessing import mean_length

LARGEST_COLUMN = 8.0  # a column further out than this is clipped


@dataclass(frozen=True)
class ItemDesign:
    """One column of ones, then image and prompt components.

    Components keep their relative sizes; each block is divided by its root mean squared length
    over training pictures, so that one ridge penalty fits any encoder.

    Attributes
    ----------
    scales : what the image and the prompt block are divided by.
    """

    image: Components
    prompt: Components
    scales: tuple[float, float]

    @classmethod
    def fit(cls, items: Items, count: int) -> Self:
        """Fit up to `count` components of each kind on training pictures."""
        image, prompt = Components.fit(items.image, count), Components.fit(items.prompt, count)
        lengths = (
            mean_length(image.transform(items.image)),
            mean_length(prompt.transform(items.prompt)),
        )
        return cls(image, prompt, lengths)

    def __len__(self) -> int:
        return 1 + len(self.image) + len(self.prompt)

    def transform(self, items: Items) -> Floats:
        """Return the columns (n, 1 + components) of `items`."""
        columns = [
            np.ones((len(items), 1)),
            self.image.transform(items.image) / self.scales[0],
            self.prompt.transform(items.prompt) / self.scales[1],
        ]
        return np.clip(np.concatenate(columns, axis=1), -LARGEST_COLUMN, LARGEST_COLUMN)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return named arrays to save."""
        return {
            **self.image.arrays("design.image"),
            **self.prompt.arrays("design.prompt"),
            "design.scales": np.array(self.scales),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `arrays`."""
        image, prompt = arrays["design.scales"]
        return cls(
            Components.from_arrays(arrays, "design.image"),
            Components.from_arrays(arrays, "design.prompt"),
            (float(image), float(prompt)),
        )
