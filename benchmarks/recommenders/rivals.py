"""SVD and KNNBaseline of scikit-surprise: tuned within the training part, asked like our models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.core.hashing import places_within
from pamela.models.base import Prediction
from pamela.models.biases import within_user_correlation
from pamela.models.preprocessing import canonical

TUNING_SHOTS: Final = 20  # of people held out while tuning, as in our cross-validation
Config = dict[str, Any]


def _svd(config: Config, seed: int) -> Any:
    from surprise import SVD

    return SVD(**config, lr_all=0.005, random_state=seed)


def _knn(config: Config, seed: int) -> Any:
    from surprise import KNNBaseline

    similarity = {"name": "pearson_baseline", **config}
    return KNNBaseline(k=similarity.pop("k"), min_k=1, sim_options=similarity, verbose=False)


def _grid(**values: Sequence[Any]) -> list[Config]:
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


@dataclass(frozen=True)
class Kind:
    """A recommender: how it is made of a configuration and a seed, and which ones are tried."""

    make: Callable[[Config, int], Any]
    grid: list[Config]


KINDS: Final = {
    "surprise_svd": Kind(
        _svd, _grid(n_factors=(32, 100), n_epochs=(40, 80, 160), reg_all=(0.06, 0.1))
    ),
    "surprise_knn": Kind(
        _knn, _grid(k=(40, 80, 160), user_based=(True, False), shrinkage=(20, 100))
    ),
}


def estimates(kind: Kind, config: Config, seed: int, rated: Pairs, asked: Pairs) -> Floats:
    """Fit on `rated` and return what is predicted for `asked`, in its order."""
    import pandas as pd
    from surprise import Dataset, Reader

    rows = {"user": rated.user, "item": rated.item, "rating": rated.rating.astype(np.float64)}
    scale = Reader(rating_scale=(s.SCALE_LOW, s.SCALE_HIGH))
    fitted = kind.make(config, seed)
    fitted.fit(Dataset.load_from_df(pd.DataFrame(rows), scale).build_full_trainset())
    wanted = zip(asked.user.tolist(), asked.item.tolist(), asked.rating.tolist(), strict=True)
    return np.array([one.est for one in fitted.test(list(wanted))], np.float64)


def tune(kind: Kind, train: Pairs, folds: int, seed: int) -> Config:
    """Return the configuration that predicts held-out training people best.

    Raises
    ------
    PamelaError
        If nobody has more training ratings than are shown.
    """
    rng = np.random.default_rng(seed)
    part = rng.integers(folds, size=int(train.user.max()) + 1)[train.user]
    few = places_within(train.user, rng.random(len(train))) < TUNING_SHOTS
    if few.all():
        raise PamelaError(
            f"data/splits: nobody has more than {TUNING_SHOTS} training ratings, so a recommender "
            "cannot be tuned"
        )

    def score(config: Config) -> float:
        found = []
        for number in range(folds):
            asked = train.take((part == number) & ~few)
            if len(asked):
                rated = train.take((part != number) | few)
                said = estimates(kind, config, seed, rated, asked)
                found.append(within_user_correlation(asked, said))
        return float(np.mean(found))

    return max(kind.grid, key=score)


@dataclass(frozen=True)
class Recommender:
    """A tuned recommender, fitted anew with whatever ratings are shown; ask it like a model."""

    kind: Kind
    config: Config
    train: Pairs
    seed: int
    adapts: bool = True

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        """Predict `pairs`; see `pamela.models.base.RewardModel.predict`."""
        rated = self.train if context is None else Pairs.concat(self.train, canonical(context))
        said = estimates(self.kind, self.config, self.seed, rated, pairs).astype(np.float32)
        return Prediction(said, np.ones_like(said))  # it gives no deviation, and none is used
