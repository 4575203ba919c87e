"""What a person's taste may depend on: a constant, the population's score, features, metadata.

Features are leading components of image and prompt features (linear), kernel components of the
image features (what is not linear; Nystroem on training pictures), and one column per type and
group and per style; or, in place of these, what a network learned of them (`learned_features`,
beside this module). Every block is scaled to mean squared length one over training pictures, so
that one prior variance fits all at the start.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pamela.core import schema as s
from pamela.core.arrays import Floats, Floats32
from pamela.core.dataset import Items
from pamela.models.components import Components
from pamela.models.hierarchical.features.learned_features import LearnedTaste
from pamela.models.preprocessing import (
    Codes,
    fit_codes,
    mean_length,
    sanitise,
    squared_distances,
    unit_rows,
)

METADATA_KEYS: tuple[tuple[str, ...], ...] = ((s.TYPE, s.GROUP), (s.STYLE,))
MAX_LANDMARKS = 512
CHUNK = 8192
CONSTANT_VARIANCE, SCORE_VARIANCE, BLOCK_VARIANCE, METADATA_VARIANCE = 0.3, 0.05, 0.5, 0.05
LARGEST_COLUMN = 8.0  # a feature further out than this is clipped
COLUMN_RANGE = (-LARGEST_COLUMN, LARGEST_COLUMN)
FIXED = 2  # the constant and the score, of which nothing is learned


@dataclass(frozen=True)
class Sizes:
    """How many columns of each kind."""

    image: int
    prompt: int
    kernel: int
    metadata: bool
    learned: int = 0  # columns that a network learns of all others, which they replace
    regime: str = ""  # how (`pamela.models.hierarchical.features.meta_learning.REGIMES`)

    @property
    def name(self) -> str:
        """Short text for tables."""
        meta = "+meta" if self.metadata else ""
        learned = f" -> {self.learned} {self.regime}" if self.learned else ""
        return f"{self.image}i+{self.prompt}p+{self.kernel}k{meta}{learned}"


@dataclass(frozen=True)
class KernelComponents:
    """Leading components of a squared-exponential kernel on features of unit length.

    Attributes
    ----------
    landmarks : array (m, d), unit rows.
    width : median squared distance between landmarks.
    basis : array (m, k).
    offset : array (k,), mean over training pictures.
    """

    landmarks: Floats32
    width: float
    basis: Floats32
    offset: Floats32

    @classmethod
    def fit(cls, features: Floats32, count: int) -> Self:
        """Fit on training pictures (n, d)."""
        every = np.unique(np.linspace(0, len(features) - 1, MAX_LANDMARKS).astype(np.int64))
        some = features[every] if len(features) else features
        landmarks = unit_rows(sanitise(some)).astype(np.float32)
        distance = squared_distances(landmarks, landmarks)
        width = max(float(np.median(distance)), 1e-9) if distance.size else 1.0
        gram = np.exp(-distance / (2 * width))
        gram -= gram.mean(axis=0, keepdims=True)
        gram -= gram.mean(axis=1, keepdims=True)
        values, vectors = np.linalg.eigh(gram) if len(gram) else (np.zeros(0), gram)
        order = np.argsort(values)[::-1][: min(count, max(len(values) - 1, 0))]
        order = order[values[order] > 1e-6 * max(values.max(initial=0.0), 1e-12)]
        vectors = vectors[:, order]
        if vectors.size:
            largest = np.abs(vectors).argmax(axis=0)
            vectors = vectors * np.where(vectors[largest, np.arange(len(order))] < 0, -1.0, 1.0)
        basis = (vectors / np.sqrt(values[order])).astype(np.float32)
        fitted = cls(landmarks, width, basis, np.zeros(len(order), np.float32))
        offset = fitted.transform(features).mean(axis=0) if len(features) else np.zeros(len(order))
        return cls(landmarks, width, basis, offset.astype(np.float32))

    def __len__(self) -> int:
        return self.basis.shape[1]

    def transform(self, features: Floats32) -> Floats:
        """Return the components (n, k)."""
        out = np.zeros((len(features), len(self)))
        if not len(self):
            return out  # distances to the landmarks would be for nothing
        for begin in range(0, len(features), CHUNK):
            rows = unit_rows(sanitise(features[begin : begin + CHUNK]))
            near = np.exp(-squared_distances(rows, self.landmarks) / (2 * self.width))
            out[begin : begin + CHUNK] = near @ self.basis.astype(np.float64) - self.offset
        return out


@dataclass(frozen=True)
class TasteFeatures:
    """The columns, fitted on training pictures; column 0 is the constant, 1 the score.

    Attributes
    ----------
    scales : what each block is divided by: image, prompt, kernel.
    center, spread : of the population's score over training pictures.
    learned : the network that makes columns 2 and following into others; None for none.
    """

    sizes: Sizes
    image: Components
    prompt: Components
    kernel: KernelComponents
    metadata: tuple[Codes, ...]
    scales: tuple[float, float, float]
    center: float
    spread: float
    learned: LearnedTaste | None = None

    @classmethod
    def fit(cls, items: Items, score: Floats, sizes: Sizes) -> Self:
        """Fit on training pictures and their held-out population scores (n,); nothing learned."""
        image = Components.fit(items.image, sizes.image)
        prompt = Components.fit(items.prompt, sizes.prompt)
        kernel = KernelComponents.fit(items.image, sizes.kernel)
        metadata = fit_codes(items.frame, METADATA_KEYS if sizes.metadata else ())
        scales = (
            mean_length(image.transform(items.image)),
            mean_length(prompt.transform(items.prompt)),
            mean_length(kernel.transform(items.image)),
        )
        return cls(
            sizes, image, prompt, kernel, metadata, scales,
            float(score.mean()), max(float(score.std()), 1e-3),
        )  # fmt: skip

    def transform(self, items: Items, score: Floats) -> Floats:
        """Return the columns (n, k) of `items`, whose population scores are `score` (n,)."""
        n = len(items)
        columns = [
            np.ones((n, 1)),
            ((score - self.center) / self.spread)[:, None],
            self.image.transform(items.image) / self.scales[0],
            self.prompt.transform(items.prompt) / self.scales[1],
            self.kernel.transform(items.image) / self.scales[2],
        ]
        for codes in self.metadata:
            code = codes.encode(items.frame)
            columns.append((code[:, None] == np.arange(len(codes))[None, :]).astype(np.float64))
        return self._learn(np.clip(np.concatenate(columns, axis=1), *COLUMN_RANGE))

    def _learn(self, columns: Floats) -> Floats:
        if self.learned is None:
            return columns
        found = self.learned.transform(columns[:, FIXED:])
        return np.concatenate([columns[:, :FIXED], np.clip(found, *COLUMN_RANGE)], axis=1)

    def with_learned(self, columns: Floats, learned: LearnedTaste) -> tuple[Self, Floats]:
        """Return this with a network, and what it makes of `columns` (n, k) that had none."""
        found = replace(self, learned=learned)
        return found, found._learn(columns)

    @property
    def start(self) -> Floats:
        """Return the prior variances (k,) to begin with."""
        if self.learned is not None:
            own = np.full(len(self.learned), BLOCK_VARIANCE)
            return np.concatenate([[CONSTANT_VARIANCE, SCORE_VARIANCE], own])
        blocks = len(self.image) + len(self.prompt) + len(self.kernel)
        levels = sum(len(codes) for codes in self.metadata)
        return np.concatenate(
            [
                [CONSTANT_VARIANCE, SCORE_VARIANCE],
                np.full(blocks, BLOCK_VARIANCE),
                np.full(levels, METADATA_VARIANCE),
            ]
        )

    @property
    def names(self) -> list[str]:
        """Return a name per column, for tables."""
        if self.learned is not None:
            return ["level", "consensus", *(f"learned {i}" for i in range(len(self.learned)))]
        blocks = (("image", self.image), ("prompt", self.prompt), ("kernel", self.kernel))
        return [
            "level",
            "consensus",
            *(f"{kind} {i}" for kind, block in blocks for i in range(len(block))),
            *(
                f"{'/'.join(codes.columns)} {value}".replace("\x1f", "/")
                for codes in self.metadata
                for value in codes.values
            ),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON-able part."""
        return {
            "sizes": asdict(self.sizes),
            "metadata": [codes.to_json() for codes in self.metadata],
            "scales": list(self.scales),
            "center": self.center,
            "spread": self.spread,
            "width": self.kernel.width,
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return named arrays to save."""
        return {
            **self.image.arrays("taste.image"),
            **self.prompt.arrays("taste.prompt"),
            "taste.landmarks": self.kernel.landmarks,
            "taste.basis": self.kernel.basis,
            "taste.offset": self.kernel.offset,
            **(self.learned.arrays() if self.learned is not None else {}),
        }

    @classmethod
    def from_saved(cls, saved: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `to_json` and `arrays`."""
        kernel = KernelComponents(
            arrays["taste.landmarks"], saved["width"], arrays["taste.basis"],
            arrays["taste.offset"],
        )  # fmt: skip
        return cls(
            Sizes(**saved["sizes"]),
            Components.from_arrays(arrays, "taste.image"),
            Components.from_arrays(arrays, "taste.prompt"),
            kernel,
            tuple(Codes.from_json(codes) for codes in saved["metadata"]),
            (saved["scales"][0], saved["scales"][1], saved["scales"][2]),
            saved["center"],
            saved["spread"],
            LearnedTaste.from_arrays(arrays),
        )
