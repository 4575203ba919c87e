"""Does a second dataset help the first? Each dataset trained on alone and with the others.

The folds, the test rows and the features are the same for both, so that the difference is what the
other datasets' ratings add or take. Run by ``python -m benchmarks.joint``; the report shows
``reports/joint.json`` where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Fold
from pamela.core.errors import PamelaError
from pamela.core.progress import progress
from pamela.evaluation.metrics.bootstrap import Estimate, paired_difference
from pamela.evaluation.metrics.definitions import srocc
from pamela.evaluation.metrics.grouping import group_slice
from pamela.evaluation.predictions import frame_of, restrict
from pamela.models import create_model
from pamela.models.repeats import averaged
from pamela.params import EvaluateParams, TrainParams

RECORD = "joint.json"  # in reports/
ALONE, JOINT = "alone", "joint"  # how a model was trained
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


def compare_alone_and_joint(
    folds: Iterable[Fold],
    own_folds: dict[str, int],
    params: TrainParams,
    models: Sequence[str],
    evaluate: EvaluateParams,
) -> list[Gain]:
    """Fit every model on all datasets and on each alone, on the same folds, and compare.

    Parameters
    ----------
    own_folds : number of folds of each dataset; in later ones it is trained on but not asked again.
    evaluate : how many resamples the intervals take, and their seed.

    Raises
    ------
    PamelaError
        If there are not at least two datasets.
    """
    if len(own_folds) < 2:
        raise PamelaError("joint training needs at least two datasets in ingest.datasets")
    answers: dict[tuple[str, str, str], list[pl.DataFrame]] = {}
    weights: dict[str, list[dict[str, float]]] = {model: [] for model in models}
    folds = list(folds)
    work = [(fold, model) for fold in folds for model in models]
    with progress("joint against alone", len(work)) as advance:
        for fold, name in work:
            joint = create_model(name, params)
            joint.fit(fold, seed=params.seed)
            weights[name].append(joint.chosen.get("dataset_weights", {}))
            for dataset, count in own_folds.items():
                if fold.number >= count:
                    continue
                mine = restrict(fold, {dataset: count})
                alone = create_model(name, params)
                alone.fit(mine, seed=params.seed)
                for population, part in POPULATIONS.items():
                    found = answers.setdefault((dataset, name, population), [])
                    asked, _ = averaged(mine[part])
                    for label, model in ((ALONE, alone), (JOINT, joint)):
                        answer = model.predict(fold.items, fold.people, asked)
                        found.append(frame_of(fold, label, population, None, asked, answer))
            advance(1)
    return [
        Gain(dataset, model, population, *_compare(pl.concat(found), evaluate), weights[model])
        for (dataset, model, population), found in answers.items()
    ]


def _compare(rows: pl.DataFrame, evaluate: EvaluateParams) -> tuple[float, float, Estimate]:
    """Return the mean over users of alone and joint, and their paired difference."""
    values = srocc(group_slice(rows, [ALONE, JOINT])) if len(rows) else np.zeros((0, 2))
    known = values[~np.isnan(values).any(axis=1)]
    if not len(known):
        return float("nan"), float("nan"), Estimate(None, None, None, 0)
    alone, joint = known.mean(axis=0).tolist()
    difference = paired_difference(
        values[:, 1], values[:, 0], draws=evaluate.bootstrap, seed=evaluate.seed
    )
    return alone, joint, difference
