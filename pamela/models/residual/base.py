"""What `residual_ridge` and `mf` share: the population's score plus a person's own weights.

rating(u, x) = population(x) + columns(x) @ w_u + noise. The two differ in the columns, and in how
these are learned. Weights are a ridge regression of a person's residuals: what is left of their
ratings when what all raters of a picture think is taken off
(`pamela.models.gaussian_process.item_consensus`). In other words a Gaussian posterior with one
prior variance for taste and one for the level, so that k ratings of a new person are the same
formula with fewer rows, and none give the population.

The ridge's strength, and the widening of the posterior's deviation until 90 % intervals held 90 %
of the ratings that cross-validation held out, depend on the number of a person's ratings
(`pamela.models.residual.tuning`).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.dataset import Choices, Fold, Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.models.base import (
    Prediction,
    Progress,
    RewardModel,
    on_scale,
    silent,
    span,
    without_prefix,
)
from pamela.models.blas_threads import small_matrices
from pamela.models.choices.as_ratings import as_ratings
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.gaussian_process.model import Population
from pamela.models.preprocessing import UserIndex, canonical
from pamela.models.random_effects.posterior import SufficientStatistics
from pamela.models.repeats import averaged
from pamela.models.residual.tuning import ResidualRows, Tuned, tune
from pamela.models.residual.user_weights import RidgePeople
from pamela.params import TrainParams

SHARE_OF_POPULATION, SHARE_OF_CHOICE = 0.5, 0.8  # of the fitting time, for the progress bar


@dataclass(frozen=True)
class LearnedResiduals:
    """What a subclass's cross-validation and fit leave.

    Attributes
    ----------
    columns : array (m, k) of the training pictures, from all rows.
    by_fold : per cross-validation fold, the same learned without the rows held out.
    chosen : for people to read.
    scores : the cross-validated correlation by configuration.
    """

    columns: Floats
    by_fold: list[Floats]
    chosen: dict[str, Any]
    scores: dict[str, float]


class ResidualModel(RewardModel):
    """Population plus ridge weights per person on columns that a subclass provides.

    Parameters
    ----------
    cv_folds : folds over prompts in which the configuration is chosen.
    population : how to build the population part.
    """

    personal = True
    adapts = True
    on_population: ClassVar[bool] = True

    def __init__(self, cv_folds: int, population: Population) -> None:
        self.cv_folds = cv_folds
        self.chosen: dict[str, Any] = {}
        self._population = population
        self._consensus: Consensus | None = None
        self._people: RidgePeople | None = None
        self._tuned: tuple[Tuned, ...] | None = None  # of the model that this one refits

    @classmethod
    def from_params(cls, params: TrainParams) -> Self:
        """Build from ``train`` params."""
        return cls(params.cv_folds, Population.from_params(params))

    def refit(self, params: TrainParams) -> Self:
        """Return an unfitted model with the sizes, strengths and widenings of this one."""
        fresh = type(self).from_params(params)
        fresh._population = self._population.refit(params)
        fresh._tuned = self._ready[1].tuned
        fresh._offer(self.chosen)
        return fresh

    @abstractmethod
    def _offer(self, chosen: dict[str, Any]) -> None:
        """Leave `_learn` nothing to choose from but the configuration of `chosen`."""

    @abstractmethod
    def _learn(
        self,
        rows: ResidualRows,
        some: ResidualRows,
        folds: list[Bools],
        consensus: Consensus,
        progress: Progress,
    ) -> LearnedResiduals:
        """Choose a configuration on the `folds` over `some` people; learn columns from `rows`."""

    @abstractmethod
    def _columns(self, items: Items, consensus: Consensus) -> Floats:
        """Return the columns (n, k) of any pictures; the first is the constant."""

    @abstractmethod
    def _columns_state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that `_load_columns` needs."""

    @abstractmethod
    def _load_columns(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take up what `_columns_state` saved."""

    def _fit(
        self, fold: Fold, *, seed: int, progress: Progress = silent, workdir: Path | None = None
    ) -> pl.DataFrame:
        """Fit on ``train``; the history holds the configurations tried."""
        early = span(progress, 0.0, SHARE_OF_POPULATION)
        late = span(progress, SHARE_OF_POPULATION, SHARE_OF_CHOICE)
        self._population.fit(fold, seed=seed, progress=early)
        train, _ = averaged(canonical(fold[s.TRAIN]))
        consensus = Consensus.fit(self._population, fold, seed=seed)
        rows = ResidualRows.make(fold, train, consensus)
        some = rows.sample(seed)
        folds = some.prompt_folds(self.cv_folds, seed) if self._tuned is None else []
        learned = small_matrices(self._learn)(rows, some, folds, consensus, late)
        progress(SHARE_OF_CHOICE, "strength by number of ratings")
        tuned = self._tuned or tune(some, folds, learned.by_fold, seed)
        users = UserIndex.fit(fold.people, train)
        self._consensus = consensus
        self._people = RidgePeople.fit(rows, learned.columns, users, tuned)
        self.chosen = {
            **learned.chosen,
            "tuned": [asdict(one) for one in tuned],
            "cv_correlation": {name: round(value, 6) for name, value in learned.scores.items()},
            "population": self._population.chosen,
        }
        progress(1.0, "done")
        return pl.DataFrame(
            {
                "step": np.arange(len(learned.scores)),
                "configuration": list(learned.scores),
                "val_correlation": list(learned.scores.values()),
            },
            schema={"step": pl.Int64, "configuration": pl.String, "val_correlation": pl.Float64},
        )

    @property
    def _ready(self) -> tuple[Consensus, RidgePeople]:
        if self._consensus is None or self._people is None:
            raise PamelaError(f"model {self.name}: not fitted; fit or load it first")
        return self._consensus, self._people

    def weights_of(
        self,
        people: People,
        items: Items | None = None,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> tuple[Floats, Floats]:
        """Return weights (n, k) of `people` and their variances (n, k).

        Training users get what training learned, others the ridge on their rows of `context` and
        `choices` (over `items`), or nothing.
        """
        mean, variance, _ = self._adapted(people, items, context, choices)
        return mean, variance

    def _adapted(
        self,
        people: People,
        items: Items | None,
        context: Pairs | None,
        choices: Choices | None,
    ) -> tuple[Floats, Floats, Ints]:
        """Return weights, their variances, and the number of ratings behind them, per person."""
        consensus, known = self._ready
        place = known.users.encode(people)
        seen = place >= 0
        mean = np.zeros((len(people), known.weights.shape[1]))
        variance = np.tile(np.diag(known.prior(0).covariance), (len(people), 1))
        counts = np.zeros(len(people), np.int64)
        mean[seen], variance[seen] = known.weights[place[seen]], known.variances[place[seen]]
        counts[seen] = known.counts[place[seen]]
        shown = self._shown(seen, items, context, choices)
        if items is None or not len(shown):
            return mean, variance, counts
        shown, _ = averaged(shown)
        new, user = np.unique(shown.user, return_inverse=True)
        used, row = np.unique(shown.item, return_inverse=True)
        some = items.take(used)
        base, _, _ = consensus.of(some, self._population)
        residual = shown.rating.astype(np.float64) - base[row]
        columns = self._columns(some, consensus)[row]
        statistics = SufficientStatistics.collect(user, columns, residual, len(new))
        counts[new] = statistics.count
        mean[new], variance[new] = known.ridges(statistics)
        return mean, variance, counts

    def _shown(
        self, seen: Bools, items: Items | None, context: Pairs | None, choices: Choices | None
    ) -> Pairs:
        """Return what people who are not `seen` rated and chose; choices about what all think."""
        shown = Pairs.empty() if context is None else context
        if items is not None and choices is not None and len(choices):
            used, row = np.unique(np.stack([choices.a, choices.b]), return_inverse=True)
            base, _, _ = self._ready[0].of(items.take(used), self._population)
            middle = base[row.reshape(2, -1)].mean(axis=0)
            shown = Pairs.concat(shown, as_ratings(choices, middle))
        return canonical(shown.take(~seen[shown.user]))

    def predict(
        self,
        items: Items,
        people: People,
        pairs: Pairs,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> Prediction:
        """Predict `pairs`; `context` rows of users absent from training adapt to them."""
        if not len(pairs):
            nothing = np.zeros(0, np.float32)
            return Prediction(nothing, nothing)
        consensus, known = self._ready
        weights, variances, counts = self._adapted(people, items, context, choices)
        used, row = np.unique(pairs.item, return_inverse=True)
        some = items.take(used)
        base, item_variance, _ = consensus.of(some, self._population)
        columns = self._columns(some, consensus)
        mean = base[row] + np.einsum("ij,ij->i", columns[row], weights[pairs.user])
        personal = np.einsum("ij,ij->i", columns[row] ** 2, variances[pairs.user])
        std = np.sqrt(item_variance[row] + personal + known.noise)
        std *= known.widening(counts[pairs.user], some.frame[s.DATASET].to_numpy()[row])
        return Prediction(on_scale(mean), std.astype(np.float32))

    def knows(self, people: People) -> Bools:
        """Return who was in training."""
        return self._ready[1].users.encode(people) >= 0

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        consensus, people = self._ready
        config, arrays = self._population.state()
        return (
            {
                "cv_folds": self.cv_folds,
                "chosen": self.chosen,
                "population": config,
                **people.to_json(),
            },
            {
                **{f"population.{key}": value for key, value in arrays.items()},
                **consensus.arrays(),
                **self._columns_state(),
                **people.arrays(),
            },
        )

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `state`."""
        inner = without_prefix(arrays, "population.")
        model = cls(config["cv_folds"], Population.from_state(config["population"], inner))
        model.chosen = config["chosen"]
        model._load_columns(arrays)
        model._consensus = Consensus.from_arrays(arrays)
        model._people = RidgePeople.from_saved(config, arrays)
        return model
