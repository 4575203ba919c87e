"""A sum of kernels over pictures, weighed by the marginal likelihood (Gaussian process).

The kernels compare image features, prompt features and metadata: a squared-exponential kernel on
features of unit length (the angle between them), the same on leading principal components, a
linear kernel, and equality of metadata. Their weights, and a nugget for what no feature explains,
maximise the evidence of the observed picture means (Rasmussen & Williams 2006, ch. 5).

Where several datasets are fitted together every kernel stands once across them and once within
each: the evidence decides how much of what one dataset teaches holds in the others (a linear model
of coregionalisation with a shared part and one of each dataset's own).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.core.dataset import Items
from pamela.models.components import Components
from pamela.models.preprocessing import (
    ABSENT,
    Codes,
    fit_codes,
    sanitise,
    squared_distances,
    unit_rows,
)

METADATA_KEYS: tuple[tuple[str, ...], ...] = (
    (s.TYPE,),
    (s.TYPE, s.GROUP),
    (s.STYLE,),
    (s.TYPE, s.GROUP, s.STYLE),
)
DATASET_WEIGHT = 2.0  # prior variance of a dataset's intercept, rating units squared
MEDIAN_ROWS = 400  # rows over which a median distance is taken


@dataclass(frozen=True)
class Block:
    """One kernel: `source` is ``image``, ``prompt`` or ``metadata``.

    `kind` is ``angle`` (squared-exponential on unit rows), ``linear`` (on standardised rows),
    ``rbf`` (on the first `size` components) or ``equal`` (metadata key number `size`).
    """

    source: str
    kind: str
    size: int = 0


@dataclass(frozen=True)
class Inputs:
    """What the kernels see of n pictures: one float matrix or code vector per block."""

    values: tuple[npt.NDArray[Any], ...]
    dataset: Ints

    def __len__(self) -> int:
        return len(self.dataset)

    def take(self, index: Ints | slice) -> Inputs:
        """Return the rows of `index`."""
        return Inputs(tuple(v[index] for v in self.values), self.dataset[index])


@dataclass(frozen=True)
class Kernels:
    """The blocks with all that training fixed about them.

    Attributes
    ----------
    scales : per block, the median squared distance (``rbf``, ``angle``) or the mean squared length
        (``linear``) over training pictures, so that every kernel is about 1 on the diagonal.
    own : whether there are several datasets: a weight per block across them, then one per block
        within each.
    """

    blocks: tuple[Block, ...]
    image: Components
    prompt: Components
    codes: tuple[Codes, ...]
    dataset: Codes
    scales: tuple[float, ...]
    own: bool = False

    @classmethod
    def fit(cls, items: Items, blocks: Sequence[Block], components: int) -> Self:
        """Fit components, codes and scales on training pictures."""
        unscaled = cls(
            tuple(blocks),
            Components.fit(items.image, components),
            Components.fit(items.prompt, components),
            fit_codes(items.frame, METADATA_KEYS),
            Codes.fit(items.frame, [s.DATASET]),
            tuple(1.0 for _ in blocks),
            own=items.frame[s.DATASET].n_unique() > 1,
        )
        some = np.unique(np.linspace(0, len(items) - 1, MEDIAN_ROWS).astype(np.int64))
        inputs = unscaled.inputs(items.take(some))
        scales = tuple(
            _scale(block, value) for block, value in zip(blocks, inputs.values, strict=True)
        )
        return replace(unscaled, scales=scales)

    @property
    def names(self) -> list[str]:
        """What each weight belongs to."""
        shared = ["/".join(map(str, (b.source, b.kind, b.size))) for b in self.blocks]
        datasets = self.dataset.values if self.own else ()
        return shared + [f"{name}/{dataset}" for dataset in datasets for name in shared]

    def inputs(self, items: Items) -> Inputs:
        """Return what the kernels see of `items`."""
        parts = {"image": (self.image, items.image), "prompt": (self.prompt, items.prompt)}
        scores = {name: fit.transform(rows) for name, (fit, rows) in parts.items()}
        values: list[npt.NDArray[Any]] = []
        for block in self.blocks:
            if block.kind == "equal":
                values.append(self.codes[block.size].encode(items.frame))
            elif block.kind == "angle":
                values.append(unit_rows(sanitise(parts[block.source][1])))
            else:
                size = block.size or scores[block.source].shape[1]
                values.append(scores[block.source][:, :size])
        return Inputs(tuple(values), self.dataset.encode(items.frame))

    def matrices(self, a: Inputs, b: Inputs) -> list[Floats]:
        """Return the kernel matrix (n_a, n_b) of every weight."""
        shared = [self._matrix(number, a, b) for number in range(len(self.blocks))]
        if not self.own:
            return shared
        own = [np.outer(a.dataset == k, b.dataset == k) for k in range(len(self.dataset))]
        return shared + [matrix * within for within in own for matrix in shared]

    def total(self, a: Inputs, b: Inputs, weights: Floats) -> Floats:
        """Return the weighed sum of kernels (n_a, n_b), with the datasets' intercepts."""
        same = _equal(a.dataset, b.dataset)
        out = DATASET_WEIGHT * same
        count = len(self.blocks)
        own = self._own_weights(a, weights)
        for number, weight in enumerate(weights[:count]):
            matrix = self._matrix(number, a, b)
            matrix *= weight if own is None else weight + own[:, number, None] * same
            out += matrix
        return out

    def diagonal(self, a: Inputs, weights: Floats) -> Floats:
        """Return the prior variance of every picture."""
        out = np.full(len(a), DATASET_WEIGHT)
        count = len(self.blocks)
        own = self._own_weights(a, weights)
        if own is not None:
            weights = weights[:count, None] + own.T
        for block, value, scale, weight in zip(
            self.blocks, a.values, self.scales, weights, strict=True
        ):
            if block.kind == "linear":
                out += weight * np.einsum("ij,ij->i", value, value) / scale
            elif block.kind == "equal":
                out += weight * (value != ABSENT)
            else:
                out += weight
        return out

    def _own_weights(self, a: Inputs, weights: Floats) -> Floats | None:
        """Return the weights (n_a, blocks) within each row's dataset; 0 for an unknown one."""
        if not self.own:
            return None
        own = weights[len(self.blocks) :].reshape(len(self.dataset), len(self.blocks))
        known = (a.dataset >= 0)[:, None]
        found: Floats = np.where(known, own[np.maximum(a.dataset, 0)], 0.0)
        return found

    def _matrix(self, number: int, a: Inputs, b: Inputs) -> Floats:
        kind, x, y = self.blocks[number].kind, a.values[number], b.values[number]
        if kind == "equal":
            return _equal(x, y)
        if kind == "linear":
            found: Floats = x @ y.T
            found /= self.scales[number]
            return found
        found = squared_distances(x, y)
        found /= -2 * self.scales[number]
        return np.exp(found, out=found)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return named arrays to save."""
        return {**self.image.arrays("image"), **self.prompt.arrays("prompt")}

    def to_json(self) -> dict[str, Any]:
        """Return the JSON-able rest."""
        return {
            "blocks": [[b.source, b.kind, b.size] for b in self.blocks],
            "codes": [codes.to_json() for codes in self.codes],
            "datasets": self.dataset.to_json(),
            "scales": list(self.scales),
            **({"own": True} if self.own else {}),
        }

    @classmethod
    def from_saved(cls, saved: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `to_json` and `arrays`."""
        return cls(
            tuple(Block(*block) for block in saved["blocks"]),
            Components.from_arrays(arrays, "image"),
            Components.from_arrays(arrays, "prompt"),
            tuple(Codes.from_json(codes) for codes in saved["codes"]),
            Codes.from_json(saved["datasets"]),
            tuple(saved["scales"]),
            saved.get("own", False),
        )


def _equal(a: Ints, b: Ints) -> Floats:
    """Return 1 where codes are the same and known, else 0."""
    return ((a[:, None] == b[None, :]) & (a[:, None] >= 0)).astype(np.float64)


def _scale(block: Block, value: npt.NDArray[Any]) -> float:
    if block.kind == "equal":
        return 1.0
    if block.kind == "linear":
        return max(float(np.mean(np.einsum("ij,ij->i", value, value))), 1e-9)
    return max(float(np.median(squared_distances(value, value))), 1e-9)
