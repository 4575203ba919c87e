"""What a network is fed: tables of pictures and people, and batches sliced in memory.

Apart from `pamela.models.fitting`, so that predicting does not import Lightning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

EVAL_BATCH = 8192


@dataclass(frozen=True)
class Tables:
    """What the network sees of pictures and people, looked up by row.

    Attributes
    ----------
    image, prompt : float32 (items, d), (items, p).
    metadata : int64 (items, columns).
    user : int64 (people,), 0 = unknown.
    demographics : int64 (people, columns).
    """

    image: Tensor
    prompt: Tensor
    metadata: Tensor
    user: Tensor
    demographics: Tensor

    def to(self, device: torch.device) -> Tables:
        """Return the tables on `device`."""
        return Tables(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True)
class Regime:
    """How to train: AdamW with warm-up and cosine decay over `epochs`."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    unknown_user: float  # share of rows whose user is masked
    patience: int


class SlicedBatches:
    """Batches of (user, item, target) cut from tensors in memory.

    Parameters
    ----------
    epoch : says which epoch it is; None keeps the rows in order.
    """

    def __init__(
        self,
        columns: tuple[Tensor, ...],
        batch_size: int,
        *,
        seed: int = 0,
        epoch: Callable[[], int] | None = None,
    ) -> None:
        self.columns, self.batch_size = columns, batch_size
        self.seed, self.epoch = seed, epoch

    def __len__(self) -> int:
        return math.ceil(len(self.columns[0]) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        count = len(self.columns[0])
        order = torch.arange(count)
        if self.epoch is not None:
            generator = torch.Generator().manual_seed(self.seed + 7919 * (self.epoch() + 1))
            order = torch.randperm(count, generator=generator)
        for start in range(0, count, self.batch_size):
            rows = order[start : start + self.batch_size]
            yield tuple(column[rows] for column in self.columns)
