"""`hierarchical`: what everybody likes, plus what this person adds, with a prior learned from all.

score(u, x) = population(x) + taste(x) @ w_u, with w_u ~ N(M' d_u, S):
`pamela.models.gaussian_process.model` for the first part,
`pamela.models.hierarchical.features` for the columns of taste, `pamela.models.random_effects` for
the prior and the posterior. A training picture has factors of its own beside its columns of
taste, and people other weights for both (`pamela.models.hierarchical.factor_learning`). A person
never trained on is the same formula with fewer rows: k ratings give a posterior in closed form,
none the prior mean given demographics.

What is personal is learned from ratings less what all raters of the picture think of it (its mean,
shrunken towards the population's held-out score), so that the personal part cannot repair a weak
population part. Sizes are chosen by cross-validation over users and prompts inside train.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core.arrays import Bools, Floats
from pamela.core.dataset import Choices, Fold, Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.models.base import Prediction, Progress, RewardModel, silent, span
from pamela.models.choices.preference import Difference
from pamela.models.choices.thurstone import Thurstone
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.gaussian_process.model import Population
from pamela.models.hierarchical.cross_validation import errors_of_seen
from pamela.models.hierarchical.fitted import FittedHierarchical
from pamela.models.hierarchical.interval_calibration import Widening
from pamela.models.hierarchical.picture_columns import PairScores, PictureColumns
from pamela.models.hierarchical.selection import Choice, TasteSearch, choose_sizes
from pamela.models.hierarchical.sharded.training_data import TrainingData
from pamela.models.hierarchical.training_rows import TrainingConfig
from pamela.models.hierarchical.weights import KnownPictures, PersonalWeights
from pamela.models.preprocessing import UserIndex
from pamela.models.random_effects.posterior import Prior
from pamela.params import ALL_INPUTS, InputParams, TrainParams

ITERATIONS = 40
PRIOR_USERS = 2000  # users from whom the prior is learned, at most


class Given(NamedTuple):
    """What a refit does not choose or measure again."""

    choice: Choice
    widening: Widening


class Hierarchical(RewardModel):
    """Population plus hierarchical personal weights.

    Parameters
    ----------
    cv_folds : folds over users and prompts in which sizes are chosen.
    population : how to build the population part.
    device : ``auto``, ``cpu`` or ``gpu``, for columns of taste that a network learns.
    inputs : without demographics the prior is the same for everybody, without the user nobody's
        ratings move it, without metadata no column of taste is of a type, group or style.

    Attributes
    ----------
    search : the columns of taste and numbers of factors to choose from.
    """

    name: ClassVar[str] = "hierarchical"
    learns_choices: ClassVar[bool] = True
    on_population: ClassVar[bool] = True
    switches: ClassVar[frozenset[str]] = frozenset(InputParams.model_fields)

    def __init__(
        self,
        cv_folds: int,
        population: Population,
        inputs: InputParams = ALL_INPUTS,
        device: str = "auto",
    ) -> None:
        self.cv_folds, self.inputs, self.device = cv_folds, inputs, device
        self.personal = inputs.user or inputs.demographics
        self.adapts, self.uses_demographics = inputs.user, inputs.demographics
        self.search = TasteSearch()
        self.chosen: dict[str, Any] = {}
        self._population = population
        self._fitted: FittedHierarchical | None = None
        self._given: Given | None = None  # of the model that this one refits

    @classmethod
    def from_params(cls, params: TrainParams) -> Self:
        """Build from ``train`` params."""
        population = Population.from_params(params)
        return cls(params.cv_folds, population, params.inputs, params.device)

    def refit(self, params: TrainParams) -> Self:
        """Return an unfitted model with the columns, factors and widening of this one."""
        fresh = type(self).from_params(params)
        fresh._population = self._population.refit(params)
        fitted = self._ready
        choice = Choice(fitted.features.sizes, self.chosen["rank"], [], self.chosen["cv"])
        fresh._given = Given(choice, fitted.widening)
        return fresh

    def _fit(
        self, fold: Fold, *, seed: int, progress: Progress = silent, workdir: Path | None = None
    ) -> pl.DataFrame:
        """Fit on ``train``; the history holds the configurations tried and the EM's course."""
        self._population.fit(fold, seed=seed, progress=span(progress, 0.0, 0.5))
        late = span(progress, 0.5, 1.0)
        consensus = Consensus.fit(self._population, fold, seed=seed)
        choosing = self._population.learned_choosing()
        data = TrainingData.make(fold, consensus, choosing, demographics=self.inputs.demographics)
        searched = (self.cv_folds, seed, late, self.inputs, self.search, self.device)
        choice = self._given.choice if self._given else choose_sizes(data, *searched)
        late(0.9, "fit the prior")
        learners = data.sample(PRIOR_USERS, seed)
        some, they = data.of_users(learners), np.arange(len(learners))
        features, columns = some.features(choice.sizes)
        if choice.sizes.learned:
            config = TrainingConfig(seed, self.device)
            features, columns = some.learn(features, columns, they, config)
        some, prior, course = some.fit_prior(
            columns,
            they,
            some.collect(columns, they),
            features.start,
            rank=choice.rank,
            iterations=ITERATIONS,
        )
        data = data.with_choosing(some.choices.choosing)
        late(0.95, "factors of pictures")
        rated = self.inputs.user and data.rated.any()  # else nobody has weights, or rated
        factored = (data, columns, prior, learners, choice.rank, consensus, seed)
        known = KnownPictures.fit(*factored) if rated else None
        self._fitted = FittedHierarchical(
            self._population,
            consensus,
            features,
            data.people,
            UserIndex.of_rows(fold.people, data.users) if self.inputs.user else UserIndex(()),
            PersonalWeights.fit(data, columns, prior),
            known,
            self._widening(choice, data, columns, prior, seed),
            dict(zip(data.choices.names, data.choices.choosing, strict=True)),
            stable=data.stable,
        )
        self.chosen = self._fitted.chosen(choice)
        progress(1.0, "done")
        return pl.DataFrame({"step": np.arange(len(course)), "noise_variance": course})

    def _widening(
        self, choice: Choice, data: TrainingData, columns: Floats, prior: Prior, seed: int
    ) -> Widening:
        if self._given is not None:
            return self._given.widening
        errors = [*choice.errors]
        if self.inputs.user and not choice.sizes.learned:
            errors.append(errors_of_seen(data, columns, prior, seed))
        return Widening.fit(errors)

    @property
    def _ready(self) -> FittedHierarchical:
        if self._fitted is None:
            raise PamelaError("model hierarchical: not fitted; fit or load it first")
        return self._fitted

    def columns(self, items: Items) -> tuple[Floats, Floats, Floats]:
        """Return the population's score (n,), its variance (n,) and taste columns (n, k)."""
        return self._ready.columns(items)

    def learned_choosing(self) -> dict[str, Thurstone]:
        """Return how people choose given their own taste, by dataset."""
        return self._ready.choosing

    def weights_of(
        self,
        people: People,
        items: Items | None = None,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> tuple[Floats, Floats]:
        """Return weights (n, k) of `people` and their variances (n, k) along the prior's axes.

        Training users get what training learned, others the posterior given what is theirs of
        `context` and `choices`, or the prior.
        """
        if not self.inputs.user:
            context = choices = None
        return self._ready.weights_of(people, items, context, choices)

    def predict(
        self,
        items: Items,
        people: People,
        pairs: Pairs,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> Prediction:
        """Predict `pairs`; rows of users absent from training, ratings and choices, adapt."""
        if not len(pairs):
            nothing = np.zeros(0, np.float32)
            return Prediction(nothing, nothing)
        fitted = self._ready
        weights, spread = self.weights_of(people, items, context, choices)
        used, row = np.unique(pairs.item, return_inverse=True)
        base, item_variance, columns = self.columns(items.take(used))
        turned = (columns @ fitted.axes) ** 2
        mean = base[row] + np.einsum("ij,ij->i", columns[row], weights[pairs.user])
        personal = np.einsum("ij,ij->i", turned[row], spread[pairs.user])
        left = fitted.of_new(spread).sum(axis=1)[pairs.user]
        return fitted.predicted(mean, item_variance[row] + personal, left)

    def difference(
        self,
        items: Items,
        people: People,
        asked: Choices,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> Difference:
        """Predict how much more `a` is liked than `b`: what a person adds to both is one thing."""
        fitted = self._ready
        weights, spread = self.weights_of(people, items, context, choices)
        used = np.unique(np.concatenate([asked.a, asked.b]))
        a, b = np.searchsorted(used, asked.a), np.searchsorted(used, asked.b)
        base, item_variance, away = fitted.columns_of_differences(items.take(used), a, b)
        mean = base[a] - base[b] + np.einsum("ij,ij->i", away, weights[asked.user])
        personal = np.einsum("ij,ij->i", (away @ fitted.axes) ** 2, spread[asked.user])
        return Difference(
            mean,
            item_variance[a] + item_variance[b] + personal,
            np.full(len(asked), 2 * fitted.prior.rating_variance),
        )

    def opinion(
        self, columns: tuple[Floats, Floats, Floats], weights: Floats, spread: Floats
    ) -> Prediction:
        """Predict what one person thinks of pictures: `predict` with the posterior at hand.

        Parameters
        ----------
        columns : of the pictures (n,), as `columns` returns them.
        weights, spread : arrays (k,), the person's row of `weights_of`.
        """
        base, item_variance, taste = columns
        fitted = self._ready
        variance = item_variance + (taste @ fitted.axes) ** 2 @ spread
        return fitted.predicted(base + taste @ weights, variance, fitted.of_new(spread).sum())

    def pair_scores(
        self, columns: tuple[Floats, Floats, Floats], weights: Floats, spread: Floats
    ) -> PairScores:
        """Return what predicts any pairs of people and pictures."""
        return self._ready.pair_scores(columns, weights, spread)

    @property
    def prior(self) -> Prior:
        """How tastes for pictures that nobody rated vary between people."""
        return self._ready.prior

    @property
    def axes(self) -> Floats:
        """Eigenvectors (k, k) of the priors' covariances, in columns."""
        return self._ready.axes

    @property
    def parts(self) -> tuple[PersonalWeights, ...]:
        """Everything a person has weights for, in the order of the columns."""
        return self._ready.parts

    def as_of_new(self, columns: Floats) -> Floats:
        """Return of pictures' columns (n, k) those that they would have if nobody rated them."""
        return self._ready.as_of_new(columns)

    def picture_columns(self, items: Items) -> PictureColumns:
        """Return what scoring needs of `items`, to be kept: it does not depend on the person."""
        base, _, columns = self.columns(items)
        return PictureColumns.make(base, columns)

    def knows(self, people: People) -> Bools:
        """Return who was in training."""
        return self._ready.users.encode(people) >= 0

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        config, arrays = self._ready.state()
        own = {"cv_folds": self.cv_folds, "inputs": self.inputs.model_dump(), "chosen": self.chosen}
        return {**own, **config}, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `state`."""
        fitted = FittedHierarchical.from_state(config, arrays)
        model = cls(config["cv_folds"], fitted.population, InputParams(**config["inputs"]))
        model.chosen, model._fitted = config["chosen"], fitted
        return model
