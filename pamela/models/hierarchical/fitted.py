"""What a fitted `hierarchical` keeps, what it knows of people and pictures, how it is saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.dataset import Choices, Items, Pairs, People
from pamela.models.base import Prediction, on_scale, without_prefix
from pamela.models.blas_threads import small_matrices, small_numpy_matrices
from pamela.models.choices.taste_posterior import ChoiceRows
from pamela.models.choices.thurstone import Thurstone, usual
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.gaussian_process.model import Population
from pamela.models.hierarchical.features.item_features import TasteFeatures
from pamela.models.hierarchical.features.user_covariates import PeopleColumns
from pamela.models.hierarchical.interval_calibration import Widening
from pamela.models.hierarchical.picture_columns import PairScores
from pamela.models.hierarchical.picture_factors import PictureFactors
from pamela.models.hierarchical.selection import Choice
from pamela.models.hierarchical.weights import KnownPictures, PersonalWeights
from pamela.models.preprocessing import UserIndex, canonical, canonical_choices
from pamela.models.random_effects.posterior import Prior
from pamela.models.repeats import NO_REPEATS, averaged, weighted, weights_of

POPULATION = "population."  # before the names of its arrays
KNOWN = "known."


@dataclass(frozen=True)
class FittedHierarchical:
    """All that prediction needs.

    Attributes
    ----------
    weights : for the columns of taste of a picture that nobody rated.
    known : the same for training pictures; None where factors of their own are worth nothing.
    widening : factors on the predictive standard deviation, from cross-validation.
    choosing : how people choose given their own taste, by dataset, where they did.
    stable : how much of a rating's variance a person would repeat (`pamela.models.repeats`).
    """

    population: Population
    consensus: Consensus
    features: TasteFeatures
    people: PeopleColumns
    users: UserIndex
    weights: PersonalWeights
    known: KnownPictures | None
    widening: Widening
    choosing: dict[str, Thurstone] = field(default_factory=dict)
    stable: float = NO_REPEATS

    def chosen(self, choice: Choice) -> dict[str, Any]:
        """Return what fitting chose and found, for people to read."""
        prior, known = self.prior, self.known
        found = {
            "taste": choice.sizes.name,
            "columns": len(self.features.start),
            "rank": choice.rank,
            "noise_variance": round(prior.noise, 6),
            "noise_degrees": round(prior.degrees, 3),
            "picture_factors": known.factors.spread.round(6).tolist() if known else [],
            "widening": self.widening.to_json(),
            "cv": choice.scores,
            "population": self.population.chosen,
        }
        made = {name: asdict(one) for name, one in self.choosing.items()}
        return found | ({"choices": made} if made else {})

    @property
    def prior(self) -> Prior:
        """The prior of weights for a picture that nobody rated."""
        return self.weights.prior

    @property
    def parts(self) -> tuple[PersonalWeights, ...]:
        """Everything a person has weights for: a picture's columns are those of one part."""
        return (self.weights,) if self.known is None else (self.weights, self.known.weights)

    @cached_property
    def axes(self) -> Floats:
        """Eigenvectors (k, k) of the priors' covariances, in columns."""
        return block_diagonal([part.axes for part in self.parts])

    def columns(
        self, items: Items, *, as_new: Bools | bool = False
    ) -> tuple[Floats, Floats, Floats]:
        """Return the population's score (n,), its variance (n,) and columns (n, k).

        Parameters
        ----------
        as_new : pictures whose own factors are not looked at.
        """
        mean, variance, score = self.consensus.of(items, self.population)
        taste = self.features.transform(items, score)
        if self.known is None:
            return mean, variance, taste
        place = np.where(as_new, -1, self.consensus.place_of(items))
        factors, unsure = self.known.factors.of(place)
        # a rating of a known picture strays less about what is known of it than one of a new one
        less = self.prior.rating_variance - self.known.weights.prior.rating_variance
        variance = variance + np.where(place >= 0, unsure - less, 0.0)
        known = (place >= 0)[:, None]
        return mean, variance, np.concatenate([taste * ~known, taste * known, factors], axis=1)

    def as_of_new(self, columns: Floats) -> Floats:
        """Return of `columns` (n, k) those of pictures' features alone (n, taste)."""
        taste = len(self.prior.covariance)
        return columns[:, :taste] + columns[:, taste : 2 * taste] if self.known else columns

    def columns_of_differences(
        self, items: Items, a: Ints, b: Ints
    ) -> tuple[Floats, Floats, Floats]:
        """Return what `columns` does, the columns as differences (n, k) of pictures a and b (n,).

        Two pictures are compared as known ones where both are, so that what a person adds to
        every picture cancels.
        """
        mean, variance, columns = self.columns(items)
        away = columns[a] - columns[b]
        if self.known is not None:
            new = self.columns(items, as_new=True)[2]
            known = self.consensus.place_of(items) >= 0
            away = np.where((known[a] & known[b])[:, None], away, new[a] - new[b])
        return mean, variance, away

    def of_new(self, weights: Floats) -> Floats:
        """Return of weights (..., k), or their variances, those for pictures that nobody rated."""
        return weights[..., : len(self.prior.covariance)]

    @small_numpy_matrices
    def weights_of(
        self,
        people: People,
        items: Items | None,
        context: Pairs | None,
        choices: Choices | None = None,
    ) -> tuple[Floats, Floats]:
        """Return weights (n, k) of `people` and their variances (n, k) along `axes`.

        Training users get what training learned, others the posterior given their rows of
        `context` and `choices` (over `items`), or the prior.
        """
        described = self.people.transform(people)
        place = self.users.encode(people)
        found = [part.of(described, place) for part in self.parts]
        mean, variance = (np.concatenate(arrays, axis=1) for arrays in zip(*found, strict=True))
        shown = Pairs.empty() if context is None else context
        chosen = Choices.empty() if choices is None else choices
        shown = canonical(shown.take(place[shown.user] < 0))
        chosen = canonical_choices(chosen.take(place[chosen.user] < 0))
        if items is not None and len(shown) + len(chosen):
            new = np.unique(np.concatenate([shown.user, chosen.user]))
            mean[new], variance[new] = self._learn(shown, chosen, items, described[new], new)
        return mean, variance

    @small_matrices
    def _learn(
        self, shown: Pairs, chosen: Choices, items: Items, described: Floats, new: Ints
    ) -> tuple[Floats, Floats]:
        """Return weights and variances of the people `new`, who have rows in what is given."""
        shown, count = averaged(shown)
        used = np.unique(np.concatenate([shown.item, chosen.a, chosen.b]))
        some = items.take(used)
        base, _, columns = self.columns(some, as_new=True)
        user, row = np.searchsorted(new, shown.user), np.searchsorted(used, shown.item)
        residual = shown.rating.astype(np.float64) - base[row]
        worth = weights_of(count, self.stable)
        a, b = np.searchsorted(used, chosen.a), np.searchsorted(used, chosen.b)
        chosen = Choices(np.searchsorted(new, chosen.user), a, b, chosen.outcome)
        kinds, choosing = self._how_people_choose(some)
        found = []
        for part, its in zip(self.parts, self._columns_of_parts(some, columns), strict=True):
            choices = ChoiceRows.make(chosen, base, its, kinds, choosing)
            found.append(part.given(described, user, *weighted(its[row], residual, worth), choices))
        mean, variance = (np.concatenate(arrays, axis=1) for arrays in zip(*found, strict=True))
        return mean, variance

    def _columns_of_parts(self, items: Items, columns: Floats) -> list[Floats]:
        """Return what every part learns from, of all pictures, known or not."""
        if self.known is None:
            return [columns]
        taste = self.as_of_new(columns)
        factors, _ = self.known.factors.of(self.consensus.place_of(items))
        return [taste, np.concatenate([taste, factors], axis=1)]

    def _how_people_choose(self, items: Items) -> tuple[Ints, list[Thurstone]]:
        """Return every way in which people choose, and for each picture (n,) which it is.

        Where no choices were learned from, two ratings' worth of noise.
        """
        names = {name: number for number, name in enumerate(self.choosing)}
        column = items.frame[s.DATASET].to_list()
        kinds = np.array([names.get(name, len(names)) for name in column], np.int64)
        return kinds, [
            *self.choosing.values(),
            usual(float(np.sqrt(2 * self.prior.rating_variance))),
        ]

    def predicted(self, mean: Floats, variance: Floats, spread: Floats | float) -> Prediction:
        """Return ratings of expectation `mean` (n,), which is off by `variance` (n,).

        Parameters
        ----------
        spread : sum of the variances of whoever's weights for new pictures, (n,) or of one.
        """
        widening = self.widening.of(spread / np.trace(self.prior.covariance))
        std = widening * np.sqrt(variance + self.prior.rating_variance)
        return Prediction(on_scale(mean), std.astype(np.float32))

    def pair_scores(
        self, columns: tuple[Floats, Floats, Floats], weights: Floats, spread: Floats
    ) -> PairScores:
        """Return what predicts any pairs of these pictures and people.

        Parameters
        ----------
        columns : of the pictures, as `columns` returns them.
        weights, spread : arrays (m, k), the people's rows of `weights_of`.
        """
        base, variance, taste = columns
        turned = taste @ self.axes, weights @ self.axes
        unsure = self.of_new(spread).sum(axis=1)
        return PairScores(base, variance, *turned, spread, unsure, self.predicted)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        config, arrays = self.population.state()
        choosing = {name: asdict(made) for name, made in self.choosing.items()}
        known = self.known
        return (
            {
                "population": config,
                "features": self.features.to_json(),
                "people": self.people.to_json(),
                "users": list(self.users.keys),
                **self.weights.config(),
                **({"known": known.weights.config()} if known else {}),
                "widening": self.widening.to_json(),
                **({"choosing": choosing} if choosing else {}),
                **({"stable_share": self.stable} if self.stable != NO_REPEATS else {}),
            },
            {
                **{POPULATION + key: value for key, value in arrays.items()},
                **self.features.arrays(),
                **self.consensus.arrays(),
                **self.weights.arrays(""),
                **(known.factors.arrays() | known.weights.arrays(KNOWN) if known else {}),
            },
        )

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `state`."""
        known = None
        if "known" in config:
            weights = PersonalWeights.from_saved(config["known"], arrays, KNOWN)
            known = KnownPictures(PictureFactors.from_arrays(arrays), weights)
        return cls(
            Population.from_state(config["population"], without_prefix(arrays, POPULATION)),
            Consensus.from_arrays(arrays),
            TasteFeatures.from_saved(config["features"], arrays),
            PeopleColumns.from_json(config["people"]),
            UserIndex(tuple(config["users"])),
            PersonalWeights.from_saved(config, arrays, ""),
            known,
            Widening.from_json(config["widening"]),
            {name: Thurstone(**made) for name, made in config.get("choosing", {}).items()},
            stable=config.get("stable_share", NO_REPEATS),
        )


def block_diagonal(blocks: Sequence[Floats]) -> Floats:
    """Return square matrices along the diagonal of one."""
    size = sum(len(block) for block in blocks)
    found, begin = np.zeros((size, size)), 0
    for block in blocks:
        end = begin + len(block)
        found[begin:end, begin:end] = block
        begin = end
    return found
