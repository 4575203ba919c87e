"""How much each dataset's ratings count where several are trained on together.

A dataset's weight multiplies the loss of each of its rating rows: in the transformer the squared
error, in the Gaussian process the precision of a picture's mean. In expectation that is sampling
the rows in proportion to their weights, without its noise. Only ratios matter: weights are scaled
to a mean of one over the training rows.

``train.dataset_weights`` gives them, or is ``cv``: then they are chosen inside train from rows
drawn in proportion to n^(1 - t) per dataset of n rows (temperature sampling), t = 0 (every row
counts alike), 1/2 and 1 (every dataset counts alike), by the within-user correlation on held-out
prompts, averaged over the datasets. One vector serves all datasets: there is one model, not one
per target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pamela.core.arrays import Floats, Floats32, Ints
from pamela.core.dataset import Pairs
from pamela.core.errors import PamelaError
from pamela.models.biases import within_user_correlation
from pamela.models.preprocessing import Datasets

CV: Literal["cv"] = "cv"
TEMPERATURES = (0.0, 0.5, 1.0)  # the first is the one to beat
EQUAL = "rows alike"
FoldScores = Floats
WeightSetting = Literal["cv"] | Mapping[str, float]


@dataclass(frozen=True)
class Weights:
    """One weight per dataset, mean one over the training rows they were made for.

    Attributes
    ----------
    weight : array (datasets,).
    share : array (datasets,), each dataset's part of the whole loss; sums to one.
    """

    datasets: Datasets
    weight: Floats
    share: Floats

    @classmethod
    def make(cls, datasets: Datasets, rows: Ints, relative: Floats) -> Weights:
        """Scale `relative` weights of rows to mean one over so many `rows` of each dataset."""
        total = relative * rows
        weight = relative * int(rows.sum()) / total.sum()
        return cls(datasets, weight, total / total.sum())

    def of_rows(self, pairs: Pairs) -> Floats32:
        """Return the weight of every row.

        A part of the training rows (the inner rows of a cross-validation) is weighed to the same
        shares of the loss as the whole, however many rows of each dataset it holds.
        """
        count = self.datasets.rows(pairs)
        present = count > 0
        share = np.where(present, self.share, 0.0)
        each = np.divide(share, count, out=np.zeros_like(share), where=present)
        each = each * len(pairs) / max(share.sum(), 1e-12)
        return each[self.datasets.code[pairs.item]].astype(np.float32)

    def to_json(self) -> dict[str, float]:
        """Return ``{dataset: weight}``, rounded."""
        return {
            name: round(float(w), 4)
            for name, w in zip(self.datasets.names, self.weight, strict=True)
        }


def candidate_weights(setting: WeightSetting, datasets: Datasets, rows: Ints) -> dict[str, Weights]:
    """Return the weights to choose from, by name; a single one where there is nothing to choose.

    Parameters
    ----------
    rows : int64 array (datasets,), ratings to train on of each.

    Raises
    ------
    PamelaError
        If `setting` names no weight for a dataset that is trained on.
    """
    if len(datasets) < 2:
        return {EQUAL: Weights.make(datasets, rows, np.ones(len(datasets)))}
    if not isinstance(setting, str):
        absent = [name for name in datasets.names if name not in setting]
        if absent:
            raise PamelaError(
                f"params.yaml: train.dataset_weights: no weight for dataset {absent[0]}; name one "
                "for each, or set cv"
            )
        relative = np.array([float(setting[name]) for name in datasets.names])
        return {"as given": Weights.make(datasets, rows, relative)}
    tried: dict[str, Weights] = {}
    for t in TEMPERATURES:
        relative = np.power(rows.astype(np.float64), -t)
        name = f"rows^-{t:g}" if t else EQUAL
        tried[name] = Weights.make(datasets, rows, relative)
    return tried


def choose_weights(
    tried: Mapping[str, Weights], score: Callable[[Weights], FoldScores]
) -> tuple[Weights, dict[str, Any]]:
    """Return the best weights and, where there was a choice, what each candidate scored.

    Parameters
    ----------
    tried : the first gives way only to a clear gain (`clearly_better`).
    score : returns one score per cross-validation fold, higher is better.
    """
    names = list(tried)
    if len(names) == 1:
        only = tried[names[0]]
        return only, {"dataset_weights": only.to_json()} if len(only.datasets) > 1 else {}
    scores = {name: score(tried[name]) for name in names}
    best = max(names[1:], key=lambda name: scores[name].mean())
    best = best if clearly_better(scores[best], scores[names[0]]) else names[0]
    return tried[best], {
        "dataset_weights": tried[best].to_json(),
        "weights_rule": best,
        "weights_cv": {name: round(float(found.mean()), 6) for name, found in scores.items()},
    }


def clearly_better(one: FoldScores, other: FoldScores) -> bool:
    """Return whether `one` beats `other` by more than the standard error of their difference.

    A few folds over a few hundred pictures are a coin toss between configurations that are alike:
    the first, which does well everywhere, gives way only to a difference that the folds agree on.
    """
    difference = one - other
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
    return bool(difference.mean() > error)


def mean_correlation(pairs: Pairs, score: Floats, datasets: Datasets | None) -> float:
    """Return the within-user correlation, the mean over the datasets among `pairs`.

    Parameters
    ----------
    score : array (n,), predicted rating of each pair.
    datasets : None where there is one dataset.
    """
    if datasets is None or len(datasets) < 2:
        return within_user_correlation(pairs, score)
    code = datasets.code[pairs.item]
    found = [
        within_user_correlation(pairs.take(code == one), score[code == one])
        for one in np.unique(code)
    ]
    return float(np.mean(found)) if found else 0.0
