"""`population`: the best model that knows no person, on the same features as the personal ones.

Every picture's mean rating, freed of its raters' biases, is regressed on image features, prompt
features and metadata by a Gaussian process with several kernels
(`pamela.models.gaussian_process.kernels`). The number of principal components is chosen by
cross-validation over prompts inside train, the weight of each kernel by marginal likelihood. Exact
up to `MAX_LANDMARKS` pictures; above, that many inducing pictures carry the function
(`pamela.models.gaussian_process.inducing_points`).

Several datasets share one such function: each has its intercept, its raters' noise, its own copy of
every kernel, and a weight (`pamela.models.dataset_weights`) by which its pictures' precisions are
multiplied. The evidence that weighs the kernels is the unweighted one.

From choices it learns each picture's strength (`pamela.models.choices.picture_opinions`), which
joins the mean ratings as a mean and a precision like theirs.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Choices, Fold, Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.core.shards.fold import shards_of
from pamela.models.base import Prediction, Progress, RewardModel, on_scale, silent
from pamela.models.biases import PictureMeans
from pamela.models.choices.as_ratings import rated_pictures, rows_to_learn_from
from pamela.models.choices.picture_opinions import picture_opinions
from pamela.models.choices.thurstone import Thurstone
from pamela.models.dataset_weights import (
    CV,
    WeightSetting,
    candidate_weights,
    choose_weights,
)
from pamela.models.fit_cache import fold_key
from pamela.models.gaussian_process import score_memory
from pamela.models.gaussian_process.inducing_points import PictureFunction
from pamela.models.gaussian_process.kernels import Kernels
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
from pamela.models.preprocessing import Datasets, prompt_groups
from pamela.params import ALL_INPUTS, TrainParams

MAX_EVIDENCE_ROWS = 1200  # pictures on which the kernels are weighed at last
MAX_LANDMARKS = 1024  # inducing pictures; twice as many for several datasets
MadeFits = dict[str, tuple[dict[str, Any], pl.DataFrame]]
# the last fit alone: it holds the features of its training pictures
_MADE: MadeFits = {}


def forget_fits() -> None:
    """Forget the fit kept for other models of this process, so that the next one is made anew."""
    _MADE.clear()


def lend_fits() -> MadeFits:
    """Return the fit kept for other models, for another process to `borrow_fits`."""
    return dict(_MADE)


def borrow_fits(made: MadeFits) -> None:
    """Keep a fit that another process made, in place of this one's."""
    forget_fits()
    _MADE.update(made)


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
    learns_choices: ClassVar[bool] = True
    on_population: ClassVar[bool] = True
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
        self._function: PictureFunction | None = None
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

    def _fit(
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
            history = self._fit_anew(fold, seed, progress)
            forget_fits()
            _MADE[key] = vars(self).copy(), history
        progress(1.0, "done")
        return history

    def _fit_anew(self, fold: Fold, seed: int, progress: Progress) -> pl.DataFrame:
        train = rows_to_learn_from(fold)
        pictures = len(fold.items)
        rows = sum(train.map(partial(rated_pictures, pictures)), np.zeros(pictures, np.int64))
        datasets = Datasets.of_pictures(fold.items, np.flatnonzero(rows))
        means, choosing = picture_opinions(
            shards_of(fold, s.TRAIN), fold.choices_of(s.TRAIN), len(fold.people), datasets
        )
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
            train,
            datasets,
            self.cv_folds,
            rng,
            progress,
            choices=self.components,
            metadata=self.metadata,
        )
        best = max(tried, key=lambda one: one.correlation)
        of_each = np.bincount(datasets.code, rows, len(datasets)).astype(np.int64)
        offered = candidate_weights(self.dataset_weights, datasets, of_each)
        weights, said = choose_weights(offered, best.score_weights)
        progress(0.6, "weigh kernels")
        offers = blocks(data.items, best.sizes, metadata=self.metadata)
        kernels = Kernels.fit(data.items, offers, max(best.sizes))
        sample = sample_rows(data.code, MAX_EVIDENCE_ROWS, rng)
        evidence = weigh(kernels, data.take(sample), start=best.evidence, iterations=25)
        progress(0.8, "fit")
        weight = weights.weight[data.code] / (data.noise + evidence.nugget)
        landmarks = sample_rows(data.code, MAX_LANDMARKS * min(len(weights.datasets), 2), rng)
        self._function = PictureFunction.fit(kernels, evidence.weights, data, weight, landmarks)
        self._training = (data, weight)
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
        if choosing:
            self.chosen["choices"] = {name: asdict(one) for name, one in choosing.items()}
        return history

    def _keep_variances(self, datasets: Datasets, means: PictureMeans, evidence: Evidence) -> None:
        """Keep the variance of one rating about its picture's mean, overall and by dataset."""
        rated = np.bincount(datasets.code[means.items], means.count, len(datasets))
        self._row_variance = float(np.average(means.spread, weights=rated)) + evidence.nugget
        if len(datasets) > 1:
            each = (means.spread + evidence.nugget).tolist()
            self._row_variances = dict(zip(datasets.names, each, strict=True))

    def score_items(self, items: Items) -> tuple[Floats, Floats]:
        """Return the expected rating of every picture and the variance of that expectation."""
        if self._function is None:
            raise PamelaError("model population: not fitted; fit or load it first")
        mean, variance = score_memory.mean_and_variance(self._function, items)
        return mean + self._intercept, variance

    def held_out(self, folds: int, seed: int) -> Floats:
        """Return training pictures' scores (m,) from fits that did not see their prompts.

        The landmarks and the kernels' weights stay those of the whole fit. Only right after `fit`.
        """
        if self._function is None or self._training is None:
            raise PamelaError("model population: held-out scores need a model that was just fitted")
        data, weight = self._training
        names, group = np.unique(prompt_groups(data.items), return_inverse=True)
        part = (np.random.default_rng([seed, 5]).permutation(len(names)) % folds)[group]
        score = self._function.held_out(data, weight, part, folds)
        return score + self._intercept

    def predict(
        self,
        items: Items,
        people: People,
        pairs: Pairs,
        context: Pairs | None = None,
        choices: Choices | None = None,
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

    def learned_choosing(self) -> dict[str, Thurstone]:
        """Return how people choose between pictures of known strengths, by dataset."""
        said = self.chosen.get("choices", {})
        return {name: Thurstone(**one) for name, one in said.items()}

    @property
    def unexplained(self) -> float:
        """Variance of a picture's mean that no feature explains."""
        return float(self.chosen["nugget"])

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        if self._function is None:
            raise PamelaError("model population: not fitted; nothing to save")
        function, arrays = self._function.state()
        config = {
            "cv_folds": self.cv_folds,
            "metadata": self.metadata,
            "chosen": self.chosen,
            "intercept": self._intercept,
            "row_variance": self._row_variance,
            "row_variances": self._row_variances,
            **function,
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
        model._function = PictureFunction.from_state(config, arrays)
        return model
