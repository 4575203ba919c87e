"""What a network is fed: tables of pictures and people, and batches sliced in memory.

Apart from `pamela.models.transformer.trainer`, so that predicting does not import Lightning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

EVAL_BATCH = 8192


def device_count(device: str, devices: int | str) -> int:
    """Return how many processes train, a device each.

    Parameters
    ----------
    device : ``auto``, ``cpu`` or ``gpu``.
    devices : a number, or ``auto``: every GPU there is, one process on a CPU.
    """
    if isinstance(devices, int):
        return devices
    return max(torch.cuda.device_count(), 1) if device != "cpu" else 1


@dataclass(frozen=True)
class FeatureTables:
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

    def to(self, device: torch.device) -> FeatureTables:
        """Return the tables on `device`."""
        return FeatureTables(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True)
class OptimiserConfig:
    """How to train: AdamW with warm-up and cosine decay over `epochs`.

    Attributes
    ----------
    stop_after : end after so many epochs, whatever comes of it; None: the best epoch on validation
        rows counts, and training ends when `patience` epochs brought no better one.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    unknown_user: float  # share of rows whose user is masked
    patience: int
    stop_after: int | None = None


@dataclass(frozen=True)
class Shard:
    """Which part of every batch one of several processes trains on.

    Every process gets equally many rows; what is missing at the end is filled with rows of weight
    zero, and the others weigh so much more that the mean over processes of the mean over their rows
    is the mean over the batch.
    """

    rank: int
    world: int

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return this process's rows (ceil(n / world),) of a batch (n,), and their weights."""
        count = len(rows)
        own = math.ceil(count / self.world)
        place = self.rank + self.world * torch.arange(own)
        there = (place < count).to(torch.float32)
        return rows[place % count], there * (own * self.world / count)


class SlicedBatches:
    """Batches of (user, item, target) cut from tensors in memory.

    Parameters
    ----------
    epoch : says which epoch it is; None keeps the rows in order.
    shard : the part of each batch that this process gets; the last column is then a weight.
    """

    def __init__(
        self,
        columns: tuple[Tensor, ...],
        batch_size: int,
        *,
        seed: int = 0,
        epoch: Callable[[], int] | None = None,
        shard: Shard | None = None,
    ) -> None:
        self.columns, self.batch_size = columns, batch_size
        self.seed, self.epoch, self.shard = seed, epoch, shard

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
            if self.shard is None:
                yield tuple(column[rows] for column in self.columns)
                continue
            own, factor = self.shard.of(rows)
            *columns, weight = (column[own] for column in self.columns)
            yield (*columns, weight * factor)
