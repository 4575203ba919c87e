"""`population`: the best model that knows no person, on the same features as the personal ones.

Every picture's mean rating, freed of its raters' biases, is regressed on image features, prompt
features and metadata by a Gaussian process with several kernels
(`pamela.models.gaussian_process.kernels`). The number of principal components is chosen by
cross-validation over prompts inside train, the weight of each kernel by marginal likelihood. Exact
up to `MAX_LANDMARKS` pictures; above, that many inducing pictures carry the function (deterministic
training conditional: Quinonero-Candela & Rasmussen 2005), in time linear in the number of pictures.

Several datasets share one such function: each has its intercept, its raters' noise, its own copy of
every kernel, and a weight (`pamela.models.dataset_weights`) by which its pictures' precisions are
multiplied. The evidence that weighs the kernels is the unweighted one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.models.base import Prediction, Progress, RewardModel, on_scale, silent
from pamela.models.biases import PictureMeans, picture_means
from pamela.models.dataset_weights import (
    CV,
    Weights,
    WeightSetting,
    candidate_weights,
    choose_weights,
)
from pamela.models.fit_cache import fold_key
from pamela.models.gaussian_process.kernels import Inputs, Kernels
from pamela.models.gaussian_process.marginal_likelihood import Evidence
from pamela.models.gaussian_process.selection import (
    COMPONENT_CHOICES,
    Targets,
    blocks,
    history_of,
    sample_rows,
    try_components,
    weigh,
)
from pamela.models.preprocessing import Datasets, prompt_groups, sanitise
from pamela.params import ALL_INPUTS, TrainParams

MAX_EVIDENCE_ROWS = 1200  # pictures on which the kernels are weighed at last
MAX_LANDMARKS = 1024  # inducing pictures; twice as many for several datasets
CHUNK = 4096  # pictures at a time
JITTER = 1e-6
# the last fit alone: it holds the features of its training pictures
_MADE: dict[str, tuple[dict[str, Any], pl.DataFrame]] = {}


def forget_fits() -> None:
    """Forget the fit kept for other models of this process, so that the next one is made anew."""
    _MADE.clear()


@dataclass(frozen=True)
class _Function:
    """The fitted function: landmarks, their weights, and what they take off the prior variance."""

    kernels: Kernels
    weights: Floats
    landmark_items: Items
    alpha: Floats
    reduction: Floats

    @cached_property
    def landmarks(self) -> Inputs:
        """The landmarks as the kernels take them: only pictures not trained on need them."""
        return self.kernels.inputs(self.landmark_items)

    def mean_and_variance(self, items: Items) -> tuple[Floats, Floats]:
        """Return the posterior mean and variance per picture."""
        means, variances = [np.zeros(0)], [np.zeros(0)]
        for start in range(0, len(items), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(items)))
            inputs = self.kernels.inputs(items.take(rows))
            cross = self.kernels.total(inputs, self.landmarks, self.weights)
            prior = self.kernels.diagonal(inputs, self.weights)
            taken = np.einsum("ij,ij->i", cross @ self.reduction, cross)
            means.append(cross @ self.alpha)
            variances.append(np.clip(prior - taken, 0.0, None))
        return np.concatenate(means), np.concatenate(variances)


class Population(RewardModel):
    """Gaussian process on pictures; the same order for everybody.

    Parameters
    ----------
    cv_folds : folds over prompts in which the number of components is chosen.
    dataset_weights : as of ``train.dataset_weights``.
    metadata : whether it may know type, group and style.

    Attributes
    ----------
    components : numbers of components to choose from.
    """

    name: ClassVar[str] = "population"
    switches: ClassVar[frozenset[str]] = frozenset({"metadata"})
    personal = False

    def __init__(
        self,
        cv_folds: int,
        dataset_weights: WeightSetting = CV,
        *,
        metadata: bool = ALL_INPUTS.metadata,
    ) -> None:
        self.cv_folds, self.dataset_weights, self.metadata = cv_folds, dataset_weights, metadata
        self.components = COMPONENT_CHOICES
        self.chosen: dict[str, Any] = {}
        self._function: _Function | None = None
        self._intercept = 0.0
        self._row_variance = 1.0  # of one rating around its picture's true mean
        self._row_variances: dict[str, float] = {}  # the same by dataset, where several
        self._training: tuple[Targets, Floats] | None = None  # kept for `held_out`, not saved

    @classmethod
    def from_params(cls, params: TrainParams) -> Self:
        """Build from ``train`` params."""
        return cls(params.cv_folds, params.dataset_weights, metadata=params.inputs.metadata)

    def refit(self, params: TrainParams) -> Population:
        """Return an unfitted model with the components and dataset weights of this one."""
        fresh = Population.from_params(params)
        fresh.components = (tuple(self.chosen["components"]),)
        fresh.dataset_weights = self.chosen.get("dataset_weights", fresh.dataset_weights)
        return fresh

    def fit(
        self, fold: Fold, *, seed: int, progress: Progress = silent, workdir: Path | None = None
    ) -> pl.DataFrame:
        """Fit on ``train``; nothing is stepwise, so that the history holds the choices tried.

        The very same fit is taken over from the process's memory if it was just made: other models
        are built upon it.
        """
        settings = (self.cv_folds, self.dataset_weights, self.metadata, self.components)
        key = fold_key(fold, seed, *settings)
        if key in _MADE:
            state, history = _MADE[key]
            vars(self).update(state)
        else:
            history = self._fit(fold, seed, progress)
            forget_fits()
            _MADE[key] = vars(self).copy(), history
        progress(1.0, "done")
        return history

    def _fit(self, fold: Fold, seed: int, progress: Progress) -> pl.DataFrame:
        train = fold[s.TRAIN]
        datasets = Datasets.of(fold.items, train)
        means = picture_means(train, len(fold.people), datasets)
        self._intercept = float(np.average(means.mean, weights=means.count))
        data = Targets(
            fold.items.take(means.items),
            means.mean - self._intercept,
            means.noise / means.count,
            datasets.code[means.items],
        )
        rng = np.random.default_rng(seed)
        tried = try_components(
            data,
            means.items,
            fold,
            datasets,
            self.cv_folds,
            rng,
            progress,
            choices=self.components,
            metadata=self.metadata,
        )
        best = max(tried, key=lambda one: one.correlation)
        offered = candidate_weights(self.dataset_weights, datasets, train)
        weights, said = choose_weights(offered, best.score_weights)
        progress(0.6, "weigh kernels")
        offers = blocks(data.items, best.sizes, metadata=self.metadata)
        kernels = Kernels.fit(data.items, offers, max(best.sizes))
        rows = sample_rows(data.code, MAX_EVIDENCE_ROWS, rng)
        evidence = weigh(kernels, data.take(rows), start=best.evidence, iterations=25)
        progress(0.8, "fit")
        self._solve(kernels, data, evidence, weights, rng)
        self._keep_variances(datasets, means, evidence)
        history = history_of(tried)
        self.chosen = {
            "components": list(best.sizes),
            "weights": {
                name: round(float(w), 6)
                for name, w in zip(kernels.names, evidence.weights, strict=True)
            },
            "nugget": round(evidence.nugget, 6),
            "noise_variance": round(float(np.average(means.noise, weights=means.count)), 6),
            "cv_correlation": {
                str(row["components"]): round(row["val_correlation"], 6)
                for row in history.iter_rows(named=True)
            },
            **said,
        }
        return history

    def _keep_variances(self, datasets: Datasets, means: PictureMeans, evidence: Evidence) -> None:
        """Keep the variance of one rating about its picture's mean, overall and by dataset."""
        rated = np.bincount(datasets.code[means.items], means.count, len(datasets))
        self._row_variance = float(np.average(means.spread, weights=rated)) + evidence.nugget
        if len(datasets) > 1:
            each = (means.spread + evidence.nugget).tolist()
            self._row_variances = dict(zip(datasets.names, each, strict=True))

    def _solve(
        self,
        kernels: Kernels,
        data: Targets,
        evidence: Evidence,
        weights: Weights,
        rng: np.random.Generator,
    ) -> None:
        """Condition on all training pictures through the landmarks."""
        items, target = data.items, data.mean
        rows = sample_rows(data.code, MAX_LANDMARKS * min(len(weights.datasets), 2), rng)
        landmark_items = _stored(items.take(rows))
        landmarks = kernels.inputs(landmark_items)
        weight = weights.weight[data.code] / (data.noise + evidence.nugget)
        self._training = (data, weight)
        prior = kernels.total(landmarks, landmarks, evidence.weights)
        prior += JITTER * np.trace(prior) / len(prior) * np.eye(len(prior))
        precision, right = prior.copy(), np.zeros(len(rows))
        for start in range(0, len(items), CHUNK):
            span = np.arange(start, min(start + CHUNK, len(items)))
            inputs = kernels.inputs(items.take(span))
            cross = kernels.total(landmarks, inputs, evidence.weights)
            precision += (cross * weight[span]) @ cross.T
            right += cross @ (weight[span] * target[span])
        factor = scipy.linalg.cho_factor(precision, lower=True)
        identity = np.eye(len(rows))
        reduction = scipy.linalg.cho_solve(scipy.linalg.cho_factor(prior, lower=True), identity)
        reduction -= scipy.linalg.cho_solve(factor, identity)
        alpha = scipy.linalg.cho_solve(factor, right)
        self._function = _Function(kernels, evidence.weights, landmark_items, alpha, reduction)

    def score_items(self, items: Items) -> tuple[Floats, Floats]:
        """Return the expected rating of every picture and the variance of that expectation."""
        if self._function is None:
            raise PamelaError("model population: not fitted; fit or load it first")
        mean, variance = self._function.mean_and_variance(items)
        return mean + self._intercept, variance

    def held_out(self, folds: int, seed: int) -> Floats:
        """Return training pictures' scores (m,) from fits that did not see their prompts.

        The landmarks and the kernels' weights stay those of the whole fit. Only right after `fit`.
        """
        if self._function is None or self._training is None:
            raise PamelaError("model population: held-out scores need a model that was just fitted")
        function, (data, weight) = self._function, self._training
        names, group = np.unique(prompt_groups(data.items), return_inverse=True)
        part = (np.random.default_rng([seed, 5]).permutation(len(names)) % folds)[group]
        prior = function.kernels.total(function.landmarks, function.landmarks, function.weights)
        prior += JITTER * np.trace(prior) / len(prior) * np.eye(len(prior))
        crosses, grams, rights = [], [], []
        for number in range(folds):
            rows = np.flatnonzero(part == number)
            inputs = function.kernels.inputs(data.items.take(rows))
            cross = function.kernels.total(function.landmarks, inputs, function.weights)
            crosses.append(cross)
            grams.append((cross * weight[rows]) @ cross.T)
            rights.append(cross @ (weight[rows] * data.mean[rows]))
        precision, right = prior + sum(grams), sum(rights)
        score = np.zeros(len(data.items))
        for number in range(folds):
            factor = scipy.linalg.cho_factor(precision - grams[number], lower=True)
            alpha = scipy.linalg.cho_solve(factor, right - rights[number])
            score[part == number] = alpha @ crosses[number]
        return score + self._intercept

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        """Predict `pairs`; people and context are ignored."""
        used, row = np.unique(pairs.item, return_inverse=True)
        mean, variance = self.score_items(items.take(used))
        std = np.sqrt(variance + self._noise_of(items.take(used)))
        return Prediction(on_scale(mean)[row], std[row].astype(np.float32))

    def _noise_of(self, items: Items) -> Floats | float:
        """Return the variance of one rating of each picture about its mean."""
        if not self._row_variances:
            return self._row_variance
        names = items.frame[s.DATASET].to_list()
        return np.array([self._row_variances.get(name, self._row_variance) for name in names])

    @property
    def unexplained(self) -> float:
        """Variance of a picture's mean that no feature explains."""
        return float(self.chosen["nugget"])

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        if self._function is None:
            raise PamelaError("model population: not fitted; nothing to save")
        function, items = self._function, self._function.landmark_items
        keys = (s.DATASET, *s.METADATA)
        config = {
            "cv_folds": self.cv_folds,
            "metadata": self.metadata,
            "chosen": self.chosen,
            "intercept": self._intercept,
            "row_variance": self._row_variance,
            "row_variances": self._row_variances,
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
        model = cls(config["cv_folds"], metadata=config.get("metadata", ALL_INPUTS.metadata))
        model.chosen = config["chosen"]
        model._intercept = config["intercept"]
        model._row_variance = config["row_variance"]
        model._row_variances = config.get("row_variances", {})
        frame = pl.DataFrame(
            config["landmarks"], schema=dict.fromkeys(config["landmarks"], pl.String)
        )
        model._function = _Function(
            Kernels.from_saved(config["kernels"], arrays),
            arrays["weights"],
            Items(frame, arrays["landmarks.image"], arrays["landmarks.prompt"]),
            arrays["alpha"],
            arrays["reduction"],
        )
        return model


def _stored(items: Items) -> Items:
    """Return items as a saved model will see them, so that loading changes no score."""
    frame = items.frame.select(s.DATASET, *s.METADATA)
    image, prompt = (np.ascontiguousarray(sanitise(f)) for f in (items.image, items.prompt))
    return Items(frame, image, prompt)
