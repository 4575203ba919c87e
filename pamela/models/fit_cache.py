"""What a fit depends on, as a key to keep it under: what several models build upon is fitted once.

`population` is a model of its own and the first part of `residual_ridge`, `mf` and `hierarchical`;
on the same fold, with the same parameters and seed, all four need the very same fit.
"""

from __future__ import annotations

import hashlib

import numpy as np

from pamela.core import schema as s
from pamela.core.dataset import Fold


def fold_key(fold: Fold, *settings: object) -> str:
    """Return a digest of a fold's pictures, training rows and `settings`."""
    digest = hashlib.sha256(repr(settings).encode())
    digest.update(np.ascontiguousarray(fold.items.frame.hash_rows(seed=0).to_numpy()).data)
    digest.update(repr(fold.items.frame.columns).encode())
    train = fold[s.TRAIN]
    chosen = fold.choices_of(s.TRAIN)
    arrays = (
        *(fold.items.image, fold.items.prompt, train.user, train.item, train.rating),
        *(chosen.user, chosen.a, chosen.b, chosen.outcome),
    )
    for array in arrays:
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
