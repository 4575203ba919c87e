"""How pictures and people become the transformer's inputs: components, codes, user rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from pamela.core import schema as s
from pamela.core.arrays import Floats32
from pamela.core.dataset import Items, Pairs, People
from pamela.models.components import Components
from pamela.models.preprocessing import UNKNOWN, Codes, UserIndex, fit_codes
from pamela.models.transformer.batches import FeatureTables
from pamela.models.transformer.network import Size
from pamela.params import InputParams


@dataclass(frozen=True)
class InputEncoding:
    """What was fitted on training pictures and users; the same for every later one."""

    image: Components
    prompt: Components
    metadata: tuple[Codes, ...]
    users: UserIndex
    demographics: tuple[Codes, ...]

    @classmethod
    def fit(
        cls, items: Items, people: People, pairs: Pairs, components: int, inputs: InputParams
    ) -> Self:
        """Fit on the pictures and users of `pairs`; what is switched off gets no token.

        Without users everybody is the unknown user. The dataset is no metadata: it stays.
        """
        seen_items = items.take(np.unique(pairs.item))
        seen_people = people.frame[np.unique(pairs.user)]
        metadata = s.METADATA if inputs.metadata else ()
        demographics = people.demographics if inputs.demographics else ()
        return cls(
            Components.fit(seen_items.image, components),
            Components.fit(seen_items.prompt, components),
            fit_codes(seen_items.frame, [[c] for c in (s.DATASET, *metadata)]),
            UserIndex.fit(people, pairs) if inputs.user else UserIndex(()),
            fit_codes(seen_people, [[c] for c in demographics]),
        )

    @property
    def size(self) -> Size:
        """The sizes of the network's inputs."""
        return Size(
            len(self.image),
            len(self.prompt),
            len(self.users),
            tuple(len(codes) for codes in self.demographics),
            tuple(len(codes) for codes in self.metadata),
        )

    def tables(self, items: Items, people: People) -> FeatureTables:
        """Return the inputs of these pictures and people; code 0 is the unknown."""
        return FeatureTables(
            _scaled(self.image, items.image),
            _scaled(self.prompt, items.prompt),
            _columns(self.metadata, items.frame),
            torch.from_numpy(self.users.encode(people) - UNKNOWN),
            _columns(self.demographics, people.frame),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON-able part."""
        return {
            "metadata": [codes.to_json() for codes in self.metadata],
            "users": list(self.users.keys),
            "demographics": [codes.to_json() for codes in self.demographics],
        }

    @classmethod
    def from_saved(cls, saved: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `to_json` and the components' arrays."""
        return cls(
            Components.from_arrays(arrays, "image"),
            Components.from_arrays(arrays, "prompt"),
            tuple(Codes.from_json(codes) for codes in saved["metadata"]),
            UserIndex(tuple(saved["users"])),
            tuple(Codes.from_json(codes) for codes in saved["demographics"]),
        )


def _scaled(components: Components, features: Floats32) -> torch.Tensor:
    """Return components over the spread of the first: their relative sizes stay."""
    scores = components.transform(features)
    if scores.shape[1]:
        scores = scores / components.spread[0]
    return torch.from_numpy(scores.astype(np.float32))


def _columns(codes: tuple[Codes, ...], frame: pl.DataFrame) -> torch.Tensor:
    if not codes:
        return torch.zeros((frame.height, 0), dtype=torch.int64)
    return torch.from_numpy(np.stack([c.encode(frame) - UNKNOWN for c in codes], axis=1))
