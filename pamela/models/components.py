"""Principal components of features."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats, Floats32
from pamela.models.preprocessing import CLIP_SD, sanitise

MOST_ROWS = 200_000  # pictures that components are found on
CHUNK = 8192  # pictures at a time


@dataclass(frozen=True)
class Components:
    """Standardisation followed by principal components.

    By hand, as importing scikit-learn's PCA (which finds the same) would cost every training
    process more seconds than these few lines.

    Attributes
    ----------
    mean, scale : float32 arrays (d,)
    basis : float32 array (d, k), components by falling variance.
    spread : float32 array (k,), standard deviation along each.
    """

    mean: Floats32
    scale: Floats32
    basis: Floats32
    spread: Floats32

    @classmethod
    def fit(cls, features: Floats32, count: int) -> Self:
        """Fit up to `count` components on rows of `features` (n, d), on `MOST_ROWS` at most."""
        if len(features) > MOST_ROWS:
            some = np.linspace(0, len(features) - 1, MOST_ROWS).astype(np.int64)
            features = features[some]
        rows = sanitise(features).astype(np.float64)
        n, d = rows.shape
        mean = rows.mean(axis=0) if n else np.zeros(d)
        scale = rows.std(axis=0) if n else np.ones(d)
        scale = np.where(scale > 1e-6, scale, 1.0)
        z = np.clip((rows - mean) / scale, -CLIP_SD, CLIP_SD)
        count = min(count, max(n - 1, 0), d)
        values, vectors = _leading_eigenvectors(z, count)
        keep = values > 1e-6 * max(values.max(initial=0.0), 1e-12)
        values, vectors = values[keep], vectors[:, keep]
        return cls(
            mean.astype(np.float32),
            scale.astype(np.float32),
            vectors.astype(np.float32),
            np.sqrt(values).astype(np.float32),
        )

    def __len__(self) -> int:
        return self.basis.shape[1]

    def transform(self, features: Floats32) -> Floats:
        """Return the components (n, k) of rows of `features`."""
        basis = self.basis.astype(np.float64)
        scores = np.empty((len(features), len(self)))
        for begin in range(0, len(features), CHUNK):
            rows = sanitise(features[begin : begin + CHUNK]).astype(np.float64)
            z = np.clip((rows - self.mean) / self.scale, -CLIP_SD, CLIP_SD)
            scores[begin : begin + CHUNK] = z @ basis
        return scores

    def arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Return named arrays to save."""
        return {f"{prefix}.{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]], prefix: str) -> Self:
        """Rebuild from `arrays`."""
        return cls(*(arrays[f"{prefix}.{field.name}"] for field in fields(cls)))


def _leading_eigenvectors(z: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the `count` largest eigenvalues of cov(z) and their eigenvectors, signs fixed."""
    n, d = z.shape
    if not count:
        return np.zeros(0), np.zeros((d, 0))
    z = z - z.mean(axis=0)
    if n >= d:
        values, vectors = np.linalg.eigh(z.T @ z / n)
        order = np.argsort(values)[::-1][:count]
        values, vectors = values[order], vectors[:, order]
    else:
        values, left = np.linalg.eigh(z @ z.T / n)
        order = np.argsort(values)[::-1][:count]
        values = np.maximum(values[order], 0.0)
        vectors = z.T @ left[:, order] / np.sqrt(np.maximum(values * n, 1e-12))
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    return np.maximum(values, 0.0), vectors * signs
