"""What `population` chooses inside train: components, kernel weights, dataset weights.

The number of components by cross-validation over prompts, the kernels' weights by marginal
likelihood; where there are several datasets, every choice is scored by the mean over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
import scipy

from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.dataset import Items, Pairs
from pamela.core.shards.rows import Shard, Shards
from pamela.models.base import Progress
from pamela.models.dataset_weights import FoldScores, Weights, mean_correlation
from pamela.models.gaussian_process.kernels import (
    DATASET_WEIGHT,
    METADATA_KEYS,
    Block,
    Inputs,
    Kernels,
)
from pamela.models.gaussian_process.marginal_likelihood import Evidence, maximise_evidence
from pamela.models.preprocessing import Datasets, prompt_groups

COMPONENT_CHOICES: tuple[tuple[int, ...], ...] = ((16,), (32,), (16, 64), (128,))
MAX_CHOICE_ROWS = 700  # pictures on which the number of components is chosen


@dataclass(frozen=True)
class Targets:
    """The rated training pictures.

    Attributes
    ----------
    items : m pictures.
    mean : array (m,), mean rating less the intercept.
    noise : array (m,), sampling variance of that mean.
    code : int64 array (m,), dataset of each.
    """

    items: Items
    mean: Floats
    noise: Floats
    code: Ints

    def take(self, rows: Ints) -> Targets:
        """Return these rows."""
        return Targets(self.items.take(rows), self.mean[rows], self.noise[rows], self.code[rows])


@dataclass(frozen=True)
class Tried:
    """One number of components: how well it predicts held-out prompts, and what it takes to ask
    the same of other dataset weights.

    Attributes
    ----------
    evidence : kernel weights, where the final fit can start from them.
    total : prior covariance (m, m) of the pictures that were used.
    part : int array (m,), cross-validation fold of each picture.
    pairs, place : the ratings of these pictures, and the row among them of each pair's picture.
    """

    sizes: tuple[int, ...]
    correlation: float
    evidence: Evidence
    total: Floats
    data: Targets
    part: Ints
    pairs: Pairs
    place: Ints
    datasets: Datasets

    def score_weights(self, weights: Weights) -> FoldScores:
        """Return the correlation on the held-out prompts of every fold under these weights."""
        noise = (self.data.noise + self.evidence.nugget) / weights.weight[self.data.code]
        score = _held_out(self.total, self.data.mean, noise, self.part)[self.place]
        fold = self.part[self.place]
        return np.array(
            [
                mean_correlation(self.pairs.take(fold == k), score[fold == k], self.datasets)
                for k in np.unique(fold)
            ]
        )


def try_components(
    whole: Targets,
    items: Ints,
    train: Shards,
    datasets: Datasets,
    cv_folds: int,
    rng: np.random.Generator,
    progress: Progress,
    *,
    choices: Sequence[tuple[int, ...]],
    metadata: bool,
) -> list[Tried]:
    """Score every number of components by cross-validation over prompts.

    Parameters
    ----------
    items : int64 array (m,), rows of the pictures of `whole` in the fold.
    train : what is to be ordered: ratings, or choices as ratings.
    choices : numbers of components.
    metadata : whether kernels may compare type, group and style.
    """
    rows = sample_rows(whole.code, MAX_CHOICE_ROWS, rng)
    data = whole.take(rows)
    names, group = np.unique(prompt_groups(data.items), return_inverse=True)
    part = (rng.permutation(len(names)) % cv_folds)[group]
    place = np.full(len(datasets.code), -1, np.int64)
    place[items[rows]] = np.arange(len(rows))
    pairs = Pairs.concat(*train.map(partial(_of_pictures, place >= 0)))
    at = place[pairs.item]
    tried: list[Tried] = []
    for number, sizes in enumerate(choices):
        progress(0.6 * number / len(choices), f"components {sizes}")
        kernels = Kernels.fit(data.items, blocks(data.items, sizes, metadata=metadata), max(sizes))
        inputs = kernels.inputs(data.items)
        matrices = kernels.matrices(inputs, inputs)
        base = _intercepts(inputs)
        before = tried[-1].evidence if tried else None
        same = before is not None and len(before.weights) == len(matrices)
        evidence = maximise_evidence(
            matrices, base, data.mean, data.noise, start=before if same else None
        )
        total = base + sum(w * k for w, k in zip(evidence.weights, matrices, strict=True))
        score = _held_out(total, data.mean, data.noise + evidence.nugget, part)[at]
        correlation = mean_correlation(pairs, score, datasets)
        tried.append(Tried(sizes, correlation, evidence, total, data, part, pairs, at, datasets))
    return tried


def _of_pictures(chosen: Bools, shard: Shard) -> Pairs:
    """Return a shard's ratings of some pictures."""
    pairs = shard.read()
    return pairs.take(chosen[pairs.item])


def history_of(tried: list[Tried]) -> pl.DataFrame:
    """Return the numbers of components tried, as the training history."""
    return pl.DataFrame(
        {
            "step": np.arange(len(tried)),
            "components": ["+".join(map(str, one.sizes)) for one in tried],
            "val_correlation": [one.correlation for one in tried],
            "log_likelihood": [one.evidence.log_likelihood for one in tried],
        }
    )


def blocks(items: Items, sizes: tuple[int, ...], *, metadata: bool) -> list[Block]:
    """Return the kernels for pictures with these features."""
    keys = range(len(METADATA_KEYS) if metadata else 0)
    found = [Block("metadata", "equal", key) for key in keys]
    for source, features in (("image", items.image), ("prompt", items.prompt)):
        if features.shape[1] and np.any(features):
            found += [Block(source, "angle"), Block(source, "linear", max(sizes))]
            found += [Block(source, "rbf", size) for size in sizes]
    return found


def weigh(kernels: Kernels, data: Targets, *, start: Evidence, iterations: int) -> Evidence:
    """Weigh the kernels by marginal likelihood, from `start` where its weights fit."""
    inputs = kernels.inputs(data.items)
    matrices = kernels.matrices(inputs, inputs)
    return maximise_evidence(
        matrices,
        _intercepts(inputs),
        data.mean,
        data.noise,
        start=start if len(start.weights) == len(matrices) else None,
        iterations=iterations,
    )


def _intercepts(inputs: Inputs) -> Floats:
    same: Floats = DATASET_WEIGHT * (inputs.dataset[:, None] == inputs.dataset[None, :])
    return same


def _held_out(total: Floats, target: Floats, noise: Floats, part: Ints) -> Floats:
    """Return every picture's prediction from the folds that do not hold it."""
    out = np.zeros(len(target))
    for number in np.unique(part):
        out_rows, in_rows = np.flatnonzero(part == number), np.flatnonzero(part != number)
        if not len(in_rows):
            continue
        inner = total[np.ix_(in_rows, in_rows)] + np.diag(noise[in_rows])
        alpha = scipy.linalg.cho_solve(scipy.linalg.cho_factor(inner, lower=True), target[in_rows])
        out[out_rows] = total[np.ix_(out_rows, in_rows)] @ alpha
    return out


def sample_rows(code: Ints, most: int, rng: np.random.Generator) -> Ints:
    """Return at most `most` rows, sorted; several datasets get as equal parts as they can fill.

    Parameters
    ----------
    code : int64 array (n,), dataset of each row.
    """
    count = len(code)
    if count <= most:
        return np.arange(count, dtype=np.int64)
    names, sizes = np.unique(code, return_counts=True)
    if len(names) == 1:
        return np.sort(rng.choice(count, most, replace=False)).astype(np.int64)
    drawn, left = [], most
    for place, k in enumerate(np.argsort(sizes, kind="stable")):  # the small ones first
        quota = min(int(sizes[k]), left // (len(names) - place))
        drawn.append(rng.choice(np.flatnonzero(code == names[k]), quota, replace=False))
        left -= quota
    return np.sort(np.concatenate(drawn)).astype(np.int64)
