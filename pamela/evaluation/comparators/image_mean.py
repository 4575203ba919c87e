"""`image_mean`: a picture's mean rating by others, the bar for pictures that others have rated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.models.base import Prediction
from pamela.models.preprocessing import canonical

IMAGE_MEAN: Final = "image_mean"
MIDDLE: Final = (s.SCALE_LOW + s.SCALE_HIGH) / 2
SMALLEST: Final = 1e-2  # floor of a deviation


@dataclass(frozen=True)
class ImageMean:
    """The mean training rating of every picture of a fold; ask it like a model.

    Attributes
    ----------
    mean : float array (items,), not shrunken; the mean of all ratings where nobody rated.
    std : deviation of a training rating from its picture's mean.
    """

    mean: Floats
    std: float
    adapts: bool = False
    personal: bool = False

    @classmethod
    def fit(cls, fold: Fold) -> Self:
        """Average the fold's training ratings by picture."""
        train = canonical(fold[s.TRAIN])
        count = np.bincount(train.item, minlength=len(fold.items))
        total = np.bincount(train.item, train.rating, len(fold.items))
        overall = float(train.rating.mean(dtype=np.float64)) if len(train) else MIDDLE
        mean = np.where(count > 0, total / np.maximum(count, 1), overall)
        centred = train.rating - mean[train.item]
        free = max(len(train) - int((count > 0).sum()), 1)
        return cls(mean, max(float(np.sqrt(centred @ centred / free)), SMALLEST))

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        """Predict `pairs` of the fold; see `pamela.models.base.RewardModel.predict`."""
        mean = self.mean[pairs.item].astype(np.float32)
        return Prediction(mean, np.full(len(mean), self.std, np.float32))
