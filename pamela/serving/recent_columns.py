"""What a linear model makes of pictures, kept for a while: it is the same for everybody.

Base score, its variance and columns of a picture depend on the model and on what it reads of the
picture, never on who looks. They take longer than the product with a person's weights, so those
of the training pictures (whose scores percentiles are taken among) and of files that were scored
lately are kept beside the features (`pamela.features.recent_cache`).
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np

from pamela.core.arrays import Floats
from pamela.core.dataset import Items
from pamela.features.recent_cache import RecentCache
from pamela.models.linear_taste import LinearTaste

LAYOUT: Final = 1  # raise it where a saved model's columns are made otherwise
MOST_ROWS: Final = 50_000  # more at once would drive out all that is kept
KEY_BYTES: Final = 16


class RecentColumns:
    """The columns of pictures, worked out once for a model.

    Parameters
    ----------
    version : of the model.
    root : where they are kept; None for nowhere.
    """

    def __init__(self, model: LinearTaste, version: str, root: Path | None) -> None:
        self._model, self._version, self._root = model, version, root

    def of(self, items: Items, *, keep: bool = True) -> tuple[Floats, Floats, Floats]:
        """Return base (n,), its variance (n,) and the columns (n, k), as `LinearTaste.columns`.

        Parameters
        ----------
        keep : whether to look among what is kept, and to keep what is new.
        """
        if not keep or self._root is None or not 0 < len(items) <= MOST_ROWS:
            return self._model.columns(items)
        keys = _keys(items)
        cache = self._cache(self._root)
        held, rows = cache.find(keys)
        rest = np.flatnonzero(~held)
        if len(rest):
            rows[rest] = np.column_stack(self._model.columns(items.take(rest)))
            new = {keys[i]: i for i in rest.tolist()}
            cache.add(list(new), rows[list(new.values())])
        return rows[:, 0], rows[:, 1], rows[:, 2:]

    def _cache(self, root: Path) -> RecentCache:
        width = sum(len(part.axes) for part in self._model.parts)
        return RecentCache(root, f"{self._version}-{LAYOUT}", 2 + width, np.float64)


def _keys(items: Items) -> list[str]:
    """Return a key of all that a model reads of each picture."""
    said = items.frame.iter_rows()
    return [
        blake2b(b"".join((image, prompt, repr(row).encode())), digest_size=KEY_BYTES).hexdigest()
        for image, prompt, row in zip(items.image, items.prompt, said, strict=True)
    ]
