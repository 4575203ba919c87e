"""What a fit depends on, as a key to keep it under: what several models build upon is fitted once.

`population` is a model of its own and the first part of `residual_ridge`, `mf` and `hierarchical`;
on the same fold, with the same parameters and seed, all four need the very same fit.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from pamela.core import schema as s
from pamela.core.dataset import Fold
from pamela.core.shards.fold import shards_of
from pamela.core.shards.rows import Shard


def fold_key(fold: Fold, *settings: object) -> str:
    """Return a digest of a fold's pictures, training rows and `settings`."""
    digest = hashlib.sha256(repr(settings).encode())
    digest.update(np.ascontiguousarray(fold.items.frame.hash_rows(seed=0).to_numpy()).data)
    digest.update(repr(fold.items.frame.columns).encode())
    chosen = fold.choices_of(s.TRAIN)
    features = (fold.items.image, fold.items.prompt)
    for array in (*features, *(chosen.user, chosen.a, chosen.b, chosen.outcome)):
        _add(digest, array)
    for said in shards_of(fold, s.TRAIN).map(digest_of_ratings):
        digest.update(said)
    return digest.hexdigest()


def digest_of_ratings(shard: Shard) -> bytes:
    """Return a digest of a shard's ratings."""
    digest, pairs = hashlib.sha256(), shard.read()
    for array in (pairs.user, pairs.item, pairs.rating):
        _add(digest, array)
    return digest.digest()


def _add(digest: hashlib._Hash, array: npt.NDArray[Any]) -> None:
    digest.update(repr(array.shape).encode())
    digest.update(np.ascontiguousarray(array).data)
