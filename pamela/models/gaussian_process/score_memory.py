"""Pictures that several models ask about, scored once.

`residual_ridge`, `mf` and `hierarchical` all start from the scores of the same fit of `population`,
and are asked about the same pictures by one person after the other, after every number of shots.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from pamela.core.arrays import Floats
from pamela.core.dataset import Items
from pamela.models.gaussian_process.inducing_points import PictureFunction

Scores = tuple[Floats, Floats]  # mean and variance
_kept: dict[bytes, Scores] | None = None  # None: nothing is kept


@contextmanager
def scores_kept() -> Iterator[None]:
    """Keep scores within the block: the same pictures by the same fit are scored once."""
    global _kept
    before = _kept
    _kept = {} if before is None else before
    try:
        yield
    finally:
        _kept = before


def mean_and_variance(function: PictureFunction, items: Items) -> Scores:
    """Return `PictureFunction.mean_and_variance`, or what was kept of the very same question."""
    if _kept is None:
        return function.mean_and_variance(items)
    key = _key(function, items)
    if key not in _kept:
        scores = function.mean_and_variance(items)
        for one in scores:
            one.setflags(write=False)  # others are given the same arrays
        _kept[key] = scores
    return _kept[key]


def _key(function: PictureFunction, items: Items) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    rows = items.frame.hash_rows(seed=0).to_numpy()
    for array in (function.alpha, rows, items.image, items.prompt):
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
