"""The last fits of this process: what several models are built upon is fitted once.

`population` is a model of its own and the first part of `residual_ridge`, `mf` and `hierarchical`;
on the same fold, with the same parameters and seed, all four need the very same fit.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Generic, TypeVar

import numpy as np

from pamela.core import schema as s
from pamela.core.dataset import Fold

T = TypeVar("T")
MOST_KEPT = 1  # a fit holds the features of its training pictures


class FitMemory(Generic[T]):
    """The results of the last fits, by what they were fitted on."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, T] = OrderedDict()

    def get(self, key: str) -> T | None:
        """Return what was kept under `key`, if anything."""
        return self._kept.get(key)

    def keep(self, key: str, fitted: T) -> None:
        """Keep `fitted`, and forget the oldest."""
        self._kept[key] = fitted
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget everything (benchmarks time whole fits)."""
        self._kept.clear()


def fold_key(fold: Fold, *settings: object) -> str:
    """Return a digest of a fold's pictures, training pairs and `settings`."""
    digest = hashlib.sha256(repr(settings).encode())
    digest.update(np.ascontiguousarray(fold.items.frame.hash_rows(seed=0).to_numpy()).data)
    digest.update(repr(fold.items.frame.columns).encode())
    train = fold[s.TRAIN]
    arrays = (fold.items.image, fold.items.prompt, train.user, train.item, train.rating)
    for array in arrays:
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
