"""What all raters think of a picture: the population's score, and for training pictures more.

A training picture's own mean rating says more of it than any score from features; its score must
not have seen that mean where personal taste is learned. Both are kept for training pictures: the
consensus (the held-out score, moved towards the picture's mean as far as its ratings can be
trusted) and the held-out score itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pamela.core import schema as s
from pamela.core.arrays import Floats, Floats32, Ints
from pamela.core.dataset import Fold, Items
from pamela.core.hashing import hash_ids
from pamela.core.shards.fold import shards_of
from pamela.models.choices.as_ratings import rated_pictures, rows_to_learn_from
from pamela.models.choices.picture_opinions import picture_opinions
from pamela.models.gaussian_process.model import Population
from pamela.models.preprocessing import Datasets

FOLDS = 10
HASH_SEED = 0
PARTS = ("keys", "mean", "variance", "score")  # what is saved by its own name
SMALLEST = 1e-4  # floor of a variance


@dataclass(frozen=True)
class Consensus:
    """Training pictures by the hash of their key, sorted.

    Attributes
    ----------
    keys : uint64 array (m,).
    mean, variance : float32 arrays (m,), the consensus and how far it may be off.
    score : float32 array (m,), the population's held-out score.
    item_variance : variance of the item effect, a picture's true mean about that score.
    """

    keys: npt.NDArray[np.uint64]
    mean: Floats32
    variance: Floats32
    score: Floats32
    item_variance: float

    @classmethod
    def fit(cls, population: Population, fold: Fold, *, seed: int) -> Self:
        """Combine each training picture's held-out score with what ratings and choices say."""
        pictures = len(fold.items)
        touched = rows_to_learn_from(fold).map(partial(rated_pictures, pictures))
        rated = np.flatnonzero(sum(touched, np.zeros(pictures, np.int64)))
        datasets = Datasets.of_pictures(fold.items, rated)
        train, choices = shards_of(fold, s.TRAIN), fold.choices_of(s.TRAIN)
        means, _ = picture_opinions(train, choices, len(fold.people), datasets)
        items = fold.items.take(means.items)
        score = population.held_out(FOLDS, seed)
        noise = means.noise / means.count
        # How far held-out scores are off, beyond what the few ratings of a picture leave open:
        squared = (means.mean - score) ** 2 - noise
        item_variance = max(float(np.average(squared, weights=1.0 / noise)), SMALLEST)
        trust = item_variance / (item_variance + noise)
        keys = _keys(items)
        order = np.argsort(keys)
        return cls(
            keys[order],
            (score + trust * (means.mean - score)).astype(np.float32)[order],
            (trust * noise).astype(np.float32)[order],
            score.astype(np.float32)[order],
            item_variance,
        )

    def of_known(self, items: Items) -> tuple[Floats, Floats]:
        """Return consensus and held-out score of training pictures, each (n,)."""
        at = np.searchsorted(self.keys, _keys(items))
        return self.mean[at].astype(np.float64), self.score[at].astype(np.float64)

    def of(self, items: Items, population: Population) -> tuple[Floats, Floats, Floats]:
        """Return consensus, its variance and the score of `items`, each (n,)."""
        at = self.place_of(items)
        known = at >= 0
        mean, variance, score = (np.zeros(len(items)) for _ in range(3))
        fresh = np.flatnonzero(~known)
        if len(fresh):
            mean[fresh], variance[fresh] = population.score_items(items.take(fresh))
            variance[fresh] += population.unexplained
            score[fresh] = mean[fresh]
        mean[known], variance[known] = self.mean[at[known]], self.variance[at[known]]
        score[known] = self.score[at[known]]
        return mean, variance, score

    def place_of(self, items: Items) -> Ints:
        """Return the place in `keys` of every picture, -1 where it was not trained on."""
        if not len(self.keys):
            return np.full(len(items), -1, np.int64)
        keys = _keys(items)
        at = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[at] == keys, at, -1).astype(np.int64)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return named arrays to save."""
        return {
            **{f"consensus.{part}": getattr(self, part) for part in PARTS},
            "consensus.doubt": np.array([self.item_variance]),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `arrays`."""
        parts = {part: arrays[f"consensus.{part}"] for part in PARTS}
        return cls(**parts, item_variance=float(arrays["consensus.doubt"][0]))


def _keys(items: Items) -> npt.NDArray[np.uint64]:
    """Return a stable hash of every picture's dataset and id; a nameless one has its own."""
    frame = items.frame
    names = frame[s.DATASET].fill_null("") + "/" + frame[s.IMAGE].fill_null("\x1f")
    return np.asarray(hash_ids(names.to_list(), HASH_SEED), np.uint64)
