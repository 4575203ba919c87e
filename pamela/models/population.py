"""`population`: the best model that knows no person, on the same features as the personal ones.

Every picture's mean rating, freed of its raters' biases, is regressed on image features, prompt
features and metadata by a Gaussian process with several kernels (`pamela.models.kernel`). The
number of principal components is chosen by cross-validation over prompts inside train, the weight
of each kernel by marginal likelihood. Exact up to `MAX_LANDMARKS` pictures; above, that many
inducing pictures carry the function (deterministic training conditional: Quinonero-Candela &
Rasmussen 2005), in time linear in the number of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.linalg import cho_factor, cho_solve

from pamela import schema as s
from pamela.data import Fold, Items, Pairs, People
from pamela.errors import PamelaError
from pamela.models.base import Prediction, Progress, RewardModel, say
from pamela.models.effects import Effects, fit_effects, within_user_correlation
from pamela.models.encoding import Array, prompt_groups, sanitise
from pamela.models.kernel import (
    METADATA_KEYS,
    Block,
    Evidence,
    Inputs,
    Kernels,
    as_float32,
    maximise_evidence,
)
from pamela.params import TrainParams

COMPONENT_CHOICES: tuple[tuple[int, ...], ...] = ((16,), (32,), (16, 64), (128,))
MAX_CHOICE_ROWS = 700  # pictures on which the number of components is chosen
MAX_EVIDENCE_ROWS = 1200  # pictures on which the kernels are weighed at last
MAX_LANDMARKS = 1024  # inducing pictures
CHUNK = 4096  # pictures at a time
DATASET_WEIGHT = 2.0  # prior variance of a dataset's intercept, rating units squared
JITTER = 1e-6


@dataclass(frozen=True)
class _Function:
    """The fitted function: landmarks, their weights, and what they take off the prior variance."""

    kernels: Kernels
    weights: Array
    landmarks: Inputs
    alpha: Array
    reduction: Array

    def mean_and_variance(self, items: Items) -> tuple[Array, Array]:
        """Return the posterior mean and variance per picture."""
        means, variances = [np.zeros(0)], [np.zeros(0)]
        for start in range(0, len(items), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(items)))
            inputs = self.kernels.inputs(items.take(rows))
            cross = self.kernels.total(inputs, self.landmarks, self.weights, DATASET_WEIGHT)
            prior = self.kernels.diagonal(inputs, self.weights, DATASET_WEIGHT)
            taken = np.einsum("ij,ij->i", cross @ self.reduction, cross)
            means.append(cross @ self.alpha)
            variances.append(np.clip(prior - taken, 0.0, None))
        return np.concatenate(means), np.concatenate(variances)


class Population(RewardModel):
    """Gaussian process on pictures; the same order for everybody.

    Parameters
    ----------
    cv_folds : folds over prompts in which the number of components is chosen.
    """

    name: ClassVar[str] = "population"
    personal: ClassVar[bool] = False

    def __init__(self, cv_folds: int) -> None:
        self.cv_folds = cv_folds
        self.chosen: dict[str, Any] = {}
        self._function: _Function | None = None
        self._intercept = 0.0
        self._row_variance = 1.0  # of one rating around its picture's true mean
        self._landmark_items: Items | None = None

    @classmethod
    def from_params(cls, params: TrainParams) -> Self:
        """Build from ``train`` params."""
        return cls(cv_folds=params.cv_folds)

    def fit(
        self,
        fold: Fold,
        *,
        seed: int,
        progress: Progress | None = None,
        workdir: Path | None = None,
    ) -> pl.DataFrame:
        """Fit on ``train``; nothing is stepwise, so that the history holds the choices tried."""
        effects = fit_effects(fold[s.TRAIN], len(fold.people))
        self._intercept = float(np.average(effects.item_mean, weights=effects.item_count))
        items = fold.items.take(effects.items)
        rng = np.random.default_rng(seed)
        history, sizes, start = self._choose(fold, items, effects, rng, progress)
        say(progress, 0.6, "weigh kernels")
        kernels = Kernels.fit(items, _blocks(items, sizes), max(sizes))
        rows = _sample(len(items), MAX_EVIDENCE_ROWS, rng)
        evidence = _weigh(kernels, kernels.inputs(items.take(rows)), *self._targets(effects, rows),
                          start=start, iterations=25)  # fmt: skip
        say(progress, 0.8, "fit")
        self._solve(kernels, items, effects, evidence, rng)
        self._row_variance = effects.noise_variance + effects.user_variance + evidence.nugget
        self.chosen = {
            "components": list(sizes),
            "weights": {
                "/".join(map(str, (b.source, b.kind, b.size))): round(float(w), 6)
                for b, w in zip(kernels.blocks, evidence.weights, strict=True)
            },
            "nugget": round(evidence.nugget, 6),
            "noise_variance": round(effects.noise_variance, 6),
            "cv_correlation": {
                str(row["components"]): round(row["val_correlation"], 6)
                for row in history.iter_rows(named=True)
            },
        }
        say(progress, 1.0, "done")
        return history

    def _targets(self, effects: Effects, rows: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        return (
            effects.item_mean[rows] - self._intercept,
            effects.noise_variance / effects.item_count[rows],
        )

    def _choose(
        self,
        fold: Fold,
        items: Items,
        effects: Effects,
        rng: np.random.Generator,
        progress: Progress | None,
    ) -> tuple[pl.DataFrame, tuple[int, ...], Evidence | None]:
        """Choose the numbers of components by cross-validation over prompts."""
        rows = _sample(len(items), MAX_CHOICE_ROWS, rng)
        some = items.take(rows)
        groups = prompt_groups(some)
        names, group = np.unique(groups, return_inverse=True)
        part = (rng.permutation(len(names)) % self.cv_folds)[group]
        place = np.full(len(fold.items), -1, np.int64)
        place[effects.items[rows]] = np.arange(len(rows))
        train = fold[s.TRAIN]
        pairs = train.take(place[train.item] >= 0)
        target, noise = self._targets(effects, rows)
        tried: list[tuple[float, tuple[int, ...], Evidence]] = []
        for number, sizes in enumerate(COMPONENT_CHOICES):
            say(progress, 0.6 * number / len(COMPONENT_CHOICES), f"components {sizes}")
            kernels = Kernels.fit(some, _blocks(some, sizes), max(sizes))
            inputs = kernels.inputs(some)
            matrices = kernels.matrices(inputs, inputs)
            base = DATASET_WEIGHT * (inputs.dataset[:, None] == inputs.dataset[None, :])
            before = tried[-1][2] if tried and len(tried[-1][2].weights) == len(matrices) else None
            evidence = maximise_evidence(matrices, base, target, noise, start=before)
            total = base + sum(w * k for w, k in zip(evidence.weights, matrices, strict=True))
            score = _held_out(total, target, noise + evidence.nugget, part)
            correlation = within_user_correlation(pairs, score[place[pairs.item]])
            tried.append((correlation, sizes, evidence))
        best = max(tried, key=lambda t: t[0])
        history = pl.DataFrame(
            {
                "step": np.arange(len(tried)),
                "components": ["+".join(map(str, sizes)) for _, sizes, _ in tried],
                "val_correlation": [score for score, _, _ in tried],
                "log_likelihood": [evidence.log_likelihood for *_, evidence in tried],
            }
        )
        same_blocks = len(_blocks(items, best[1])) == len(best[2].weights)
        return history, best[1], best[2] if same_blocks else None

    def _solve(
        self,
        kernels: Kernels,
        items: Items,
        effects: Effects,
        evidence: Evidence,
        rng: np.random.Generator,
    ) -> None:
        """Condition on all training pictures through the landmarks."""
        rows = _sample(len(items), MAX_LANDMARKS, rng)
        self._landmark_items = _stored(items.take(rows))
        landmarks = kernels.inputs(self._landmark_items)
        target, noise = self._targets(effects, np.arange(len(items)))
        weight = 1.0 / (noise + evidence.nugget)
        prior = kernels.total(landmarks, landmarks, evidence.weights, DATASET_WEIGHT)
        prior += JITTER * np.trace(prior) / len(prior) * np.eye(len(prior))
        precision, right = prior.copy(), np.zeros(len(rows))
        for start in range(0, len(items), CHUNK):
            span = np.arange(start, min(start + CHUNK, len(items)))
            cross = kernels.total(
                landmarks, kernels.inputs(items.take(span)), evidence.weights, DATASET_WEIGHT
            )
            precision += (cross * weight[span]) @ cross.T
            right += cross @ (weight[span] * target[span])
        factor = cho_factor(precision, lower=True)
        identity = np.eye(len(rows))
        reduction = cho_solve(cho_factor(prior, lower=True), identity) - cho_solve(factor, identity)
        self._function = _Function(
            kernels, evidence.weights, landmarks, cho_solve(factor, right), reduction
        )

    def score_items(self, items: Items) -> tuple[Array, Array]:
        """Return the expected rating of every picture and the variance of that expectation."""
        if self._function is None:
            raise PamelaError("model population: not fitted; fit or load it first")
        mean, variance = self._function.mean_and_variance(items)
        return mean + self._intercept, variance

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        """Predict `pairs`; people and context are ignored."""
        used, row = np.unique(pairs.item, return_inverse=True)
        mean, variance = self.score_items(items.take(used))
        std = np.sqrt(variance + self._row_variance)
        clipped = np.clip(mean, s.SCALE_LOW, s.SCALE_HIGH)
        return Prediction(clipped[row].astype(np.float32), std[row].astype(np.float32))

    def knows(self, people: People) -> npt.NDArray[np.bool_]:
        """Return false for everybody: this model knows no person."""
        return np.zeros(len(people), dtype=np.bool_)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        if self._function is None or self._landmark_items is None:
            raise PamelaError("model population: not fitted; nothing to save")
        function, items = self._function, self._landmark_items
        keys = (s.DATASET, *s.METADATA)
        config = {
            "cv_folds": self.cv_folds,
            "chosen": self.chosen,
            "intercept": self._intercept,
            "row_variance": self._row_variance,
            "kernels": function.kernels.to_json(),
            "landmarks": {key: items.frame[key].to_list() for key in keys},
        }
        arrays = {
            **function.kernels.arrays(),
            "weights": function.weights,
            "alpha": function.alpha,
            "reduction": function.reduction,
            "landmarks.image": items.image,
            "landmarks.prompt": items.prompt,
        }
        return config, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `state`."""
        model = cls(config["cv_folds"])
        model.chosen = config["chosen"]
        model._intercept = config["intercept"]
        model._row_variance = config["row_variance"]
        frame = pl.DataFrame(
            config["landmarks"], schema=dict.fromkeys(config["landmarks"], pl.String)
        )
        model._landmark_items = Items(frame, arrays["landmarks.image"], arrays["landmarks.prompt"])
        kernels = Kernels.from_saved(config["kernels"], arrays)
        model._function = _Function(
            kernels,
            arrays["weights"],
            kernels.inputs(model._landmark_items),
            arrays["alpha"],
            arrays["reduction"],
        )
        return model


def _blocks(items: Items, sizes: tuple[int, ...]) -> list[Block]:
    """Return the kernels for pictures with these features."""
    blocks = [Block("metadata", "equal", key) for key in range(len(METADATA_KEYS))]
    for source, features in (("image", items.image), ("prompt", items.prompt)):
        if features.shape[1] and np.any(features):
            blocks += [Block(source, "angle"), Block(source, "linear", max(sizes))]
            blocks += [Block(source, "rbf", size) for size in sizes]
    return blocks


def _weigh(
    kernels: Kernels,
    inputs: Inputs,
    target: Array,
    noise: Array,
    *,
    start: Evidence | None,
    iterations: int,
) -> Evidence:
    base = DATASET_WEIGHT * (inputs.dataset[:, None] == inputs.dataset[None, :])
    matrices = kernels.matrices(inputs, inputs)
    return maximise_evidence(matrices, base, target, noise, start=start, iterations=iterations)


def _held_out(total: Array, target: Array, noise: Array, part: npt.NDArray[np.int64]) -> Array:
    """Return every picture's prediction from the folds that do not hold it."""
    out = np.zeros(len(target))
    for number in np.unique(part):
        out_rows, in_rows = np.flatnonzero(part == number), np.flatnonzero(part != number)
        if not len(in_rows):
            continue
        inner = total[np.ix_(in_rows, in_rows)] + np.diag(noise[in_rows])
        alpha = cho_solve(cho_factor(inner, lower=True), target[in_rows])
        out[out_rows] = total[np.ix_(out_rows, in_rows)] @ alpha
    return out


def _sample(count: int, most: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return at most `most` of `count` row numbers, sorted."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    return np.sort(rng.choice(count, most, replace=False)).astype(np.int64)


def _stored(items: Items) -> Items:
    """Return items as a saved model will see them, so that loading changes no score."""
    frame = items.frame.select(s.DATASET, *s.METADATA)
    return Items(frame, as_float32(sanitise(items.image)), as_float32(sanitise(items.prompt)))
