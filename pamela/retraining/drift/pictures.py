"""Whether the new ratings are about other pictures: a classifier tells new features from old ones.

Its AUC is .5 where the pictures are alike, whatever their number, and 1 where they are another
domain. Pictures that both sides rated count as new; pictures of one prompt stay together in a fold
of the cross-validation and in the draws by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict

from pamela.core.arrays import Bools, Floats
from pamela.params import DriftParams
from pamela.retraining.drift.measure import PICTURES, Measure, judged, nothing

DRAWS = 200
SEED = 0
LARGEST = 4000  # pictures of a side; more are drawn
COMPONENTS = 32
FOLDS = 5


@dataclass(frozen=True)
class Domain:
    """The measure, and what the classifier says of every old and new picture."""

    measure: Measure
    old: Floats
    new: Floats


def measure_pictures(
    dataset: str,
    old: npt.NDArray[np.float32],
    new: npt.NDArray[np.float32],
    groups: npt.NDArray[np.int64],
    params: DriftParams,
) -> Domain:
    """Return how well a classifier tells `new` features from `old` ones.

    Parameters
    ----------
    old, new : (n, d) and (m, d).
    groups : (n + m,), pictures that stay together, of old and new ones.
    """
    what, empty = (dataset, PICTURES, ""), np.zeros(0)
    rng = np.random.default_rng(SEED)
    kept = np.concatenate([_some(len(old), rng), len(old) + _some(len(new), rng)])
    features, groups = (
        np.concatenate([old, new])[kept],
        np.unique(groups[kept], return_inverse=True)[1],
    )
    is_new = kept >= len(old)
    least = params.min_pictures
    if is_new.sum() < least or (~is_new).sum() < least or len(np.unique(groups)) < FOLDS:
        return Domain(nothing(what, params.pictures, len(new)), empty, empty)
    labels = np.column_stack([is_new, *(_shuffled(is_new, groups, rng) for _ in range(DRAWS))])
    scores = _scores(features, labels, groups)
    auc = _auc(labels, scores)
    measure = judged(
        what,
        shift=float(auc[0]),
        threshold=params.pictures,
        chance=float(np.quantile(auc[1:], 1 - params.level)),
        count=len(new),
        least=least,
    )
    return Domain(measure, scores[~is_new, 0], scores[is_new, 0])


def _some(n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return np.sort(rng.choice(n, min(n, LARGEST), replace=False))


def _shuffled(
    is_new: Bools, groups: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return other labels of the same pictures; groups keep theirs together."""
    order = np.lexsort((groups, rng.permutation(groups.max() + 1)[groups]))
    shuffled = np.zeros(len(is_new), bool)
    shuffled[order[: is_new.sum()]] = True
    return shuffled


def _scores(
    features: npt.NDArray[np.float32], labels: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64]
) -> Floats:
    """Return out-of-fold scores of every picture for every column of `labels`, all at once.

    Least squares on 0 and 1 is the linear discriminant, and takes all columns in one fit.
    """
    parts = min(COMPONENTS, *features.shape)
    reduced = PCA(parts, whiten=True, svd_solver="covariance_eigh").fit_transform(features)
    folds = GroupKFold(FOLDS, shuffle=True, random_state=SEED)
    scores: Floats = cross_val_predict(
        Ridge(alpha=parts), reduced, labels.astype(np.float64), groups=groups, cv=folds
    )
    return scores


def _auc(labels: npt.NDArray[np.bool_], scores: Floats) -> Floats:
    """Return the area under the ROC curve of each column (Mann and Whitney)."""
    new = labels.sum(axis=0)
    ranks = (rankdata(scores, axis=0) * labels).sum(axis=0)
    auc: Floats = (ranks - new * (new + 1) / 2) / (new * (len(labels) - new))
    return auc
