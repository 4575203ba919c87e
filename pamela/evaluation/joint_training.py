"""Does a second dataset help the first? Each dataset trained on alone and with the others.

The folds, the test rows and the features are the same for both, so that the difference is what the
other datasets' ratings add or take. Run by ``python -m benchmarks.joint``; the report shows
``reports/joint.json`` where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pamela.core import schema as s
from pamela.core.dataset import Fold, Pairs
from pamela.core.errors import PamelaError
from pamela.core.progress import progress
from pamela.evaluation.metrics.bootstrap import Estimate, paired_difference
from pamela.evaluation.metrics.definitions import srocc
from pamela.evaluation.metrics.grouping import group_predictions
from pamela.models import create_model
from pamela.models.base import RewardModel
from pamela.params import TrainParams

RECORD = "joint.json"  # in reports/
POPULATIONS = {"seen": s.TEST_SEEN, "unseen": s.TEST_UNSEEN}


@dataclass(frozen=True)
class Gain:
    """What the other datasets add to one dataset.

    Attributes
    ----------
    population : ``seen`` or ``unseen`` (at 0 shots).
    alone, joint : mean over users of the Spearman correlation.
    difference : joint - alone over the same users, with its 95 % interval.
    weights : what one rating of each dataset counted in joint training, by fold.
    """

    dataset: str
    model: str
    population: str
    alone: float
    joint: float
    difference: Estimate
    weights: list[dict[str, float]]

    @property
    def verdict(self) -> str:
        """The difference in words."""
        return describe_difference(self.difference)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able form, the verdict beside."""
        return {**asdict(self), "verdict": self.verdict}


def describe_difference(difference: Estimate) -> str:
    """Say whether joint training helps, hurts, or makes no significant difference."""
    if difference.ci_low is not None and difference.ci_low > 0:
        return "helps"
    if difference.ci_high is not None and difference.ci_high < 0:
        return "hurts"
    return "no significant difference"


def only(fold: Fold, dataset: str) -> Fold:
    """Return the fold with the rows of one dataset, rows held out for the others' sake included."""
    mine = (fold.items.frame[s.DATASET] == dataset).to_numpy()
    parts = {name: pairs.take(mine[pairs.item]) for name, pairs in fold.parts.items()}
    return Fold(fold.number, fold.items, fold.people, parts)


@dataclass(frozen=True)
class _Answers:
    """Test rows of one dataset, model and population over all folds; `mean` is (n, 2).

    Users and pictures by name: those of another fold need not be the same.
    """

    fold: list[Any] = field(default_factory=list)
    user: list[Any] = field(default_factory=list)
    image: list[Any] = field(default_factory=list)
    rating: list[Any] = field(default_factory=list)
    mean: list[Any] = field(default_factory=list)

    def add(self, fold: Fold, pairs: Pairs, alone: RewardModel, joint: RewardModel) -> None:
        """Ask both models for `pairs`."""
        means = [m.predict(fold.items, fold.people, pairs).mean for m in (alone, joint)]
        self.fold.append(np.full(len(pairs), fold.number))
        self.user.append(np.array(fold.people.keys)[pairs.user])
        self.image.append(fold.items.frame[s.IMAGE].to_numpy()[pairs.item].astype(str))
        self.rating.append(pairs.rating)
        self.mean.append(np.stack(means, axis=1))

    def gain(self, draws: int, seed: int) -> tuple[float, float, Estimate]:
        """Return the mean over users of alone and joint, and their paired difference."""
        user, image, rating, mean, fold = map(
            np.concatenate, (self.user, self.image, self.rating, self.mean, self.fold)
        )
        values = srocc(group_predictions(user, image, rating, mean, fold=fold))
        known = values[~np.isnan(values).any(axis=1)]
        if not len(known):
            return float("nan"), float("nan"), Estimate(None, None, None, 0)
        alone, joint = known.mean(axis=0).tolist()
        return alone, joint, paired_difference(values[:, 1], values[:, 0], draws=draws, seed=seed)


def compare_alone_and_joint(
    folds: Iterable[Fold],
    own_folds: dict[str, int],
    params: TrainParams,
    models: Sequence[str],
    *,
    draws: int,
    seed: int,
    quiet: bool = False,
) -> list[Gain]:
    """Fit every model on all datasets and on each alone, on the same folds, and compare.

    Parameters
    ----------
    own_folds : number of folds of each dataset; in later ones it is trained on but not asked again.

    Raises
    ------
    PamelaError
        If there are not at least two datasets.
    """
    if len(own_folds) < 2:
        raise PamelaError("joint training needs at least two datasets in ingest.datasets")
    answers: dict[tuple[str, str, str], _Answers] = {}
    weights: dict[str, list[dict[str, float]]] = {model: [] for model in models}
    folds = list(folds)
    work = [(fold, model) for fold in folds for model in models]
    with progress("joint against alone", len(work), quiet=quiet) as advance:
        for fold, name in work:
            joint = create_model(name, params)
            joint.fit(fold, seed=params.seed)
            weights[name].append(joint.chosen.get("dataset_weights", {}))
            for dataset, count in own_folds.items():
                if fold.number >= count:
                    continue
                mine = only(fold, dataset)
                alone = create_model(name, params)
                alone.fit(mine, seed=params.seed)
                for population, part in POPULATIONS.items():
                    found = answers.setdefault((dataset, name, population), _Answers())
                    found.add(fold, mine[part], alone, joint)
            advance(1)
    return [
        Gain(dataset, model, population, *found.gain(draws, seed), weights[model])
        for (dataset, model, population), found in answers.items()
    ]
