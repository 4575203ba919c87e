"""The three observers that know the embedded world's truth about pictures and its priors.

- `ideal_observer`: conjugate Bayesian on the true attributes, the basis and the priors that people
  were drawn from. It is given the very rating rows that the models are given, and nothing that was
  drawn: neither anybody's weights, bias or noise nor the shared weights, which it infers.
- `ideal_population`: its shared part alone; everybody is the same to it.
- `feature_observer`: the ideal observer given, in place of the attributes, their best linear
  reconstruction from the features.

So ideal minus feature observer is what the encoder lost, and feature observer minus a model what
the model lost. Rounding counts as noise of variance 1/12; a person's stretch of the scale, which
multiplies the whole opinion, enters the covariance of deviations by its first two moments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.evaluation.observers.basis import Basis, reconstructed_basis, true_basis
from pamela.evaluation.observers.bayesian_linear import (
    Deviations,
    RatedRows,
    Shared,
    infer_shared,
    predict,
)
from pamela.models.base import Prediction
from pamela.synthetic.raters import prior as pr

IDEAL_OBSERVER: Final = "ideal_observer"
IDEAL_POPULATION: Final = "ideal_population"
FEATURE_OBSERVER: Final = "feature_observer"

# Of the shared coefficients around 0, before any rating: wide beside what ratings tell of them.
INTERCEPT_VARIANCE: Final = 1.0
SHARED_VARIANCE: Final = 0.25
ROUNDS: Final = 3  # the covariance of deviations depends a little on the shared part


@dataclass(frozen=True)
class Observer:
    """An observer who has seen the training ratings; ask it like a model.

    Attributes
    ----------
    basis : of the pictures of the fold it was made from.
    prior : what people are drawn from.
    shared : what it inferred that all share.
    trained : the training ratings, of the pictures that belong to the world.
    known : whose they are.
    personal : whether it tells people apart.
    """

    basis: Basis
    prior: pr.TastePrior
    shared: Shared
    trained: Pairs
    known: People
    personal: bool

    @property
    def adapts(self) -> bool:
        """Whether a new person's ratings change anything."""
        return self.personal

    @classmethod
    def fit(cls, fold: Fold, basis: Basis, prior: pr.TastePrior) -> Observer:
        """Infer the shared taste from the fold's training ratings."""
        train = fold[s.TRAIN]
        trained = train.take(basis.known[train.item])
        rows = _rows(trained, basis)
        d = basis.values.shape[1]
        variance = np.r_[INTERCEPT_VARIANCE, np.full(d - 1, SHARED_VARIANCE)]
        shared = Shared(np.zeros(d), np.diag(variance))
        for _ in range(ROUNDS):
            deviations = deviations_of(fold.people, prior, shared, basis)
            shared = infer_shared(rows, variance, deviations)
        return cls(basis, prior, shared, trained, fold.people, personal=True)

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        """Predict `pairs` of the fold's pictures.

        Parameters
        ----------
        items : of the fold that the observer was made from.
        people : with the columns ``age_binned`` and ``gender``; may be others than the fold's.
        """
        if len(items) != len(self.basis.values):
            raise ValueError(f"{len(items)} items, a basis of {len(self.basis.values)}")
        shown = self._trained_of(people)
        if context is not None:
            shown = Pairs.concat(shown, context)
        mean, std = predict(
            _rows(pairs, self.basis),
            _rows(shown.take(np.isin(shown.user, pairs.user)), self.basis),
            self.shared,
            deviations_of(people, self.prior, self.shared, self.basis),
            personal=self.personal,
        )
        return Prediction((mean + pr.MIDDLE).astype(np.float32), std.astype(np.float32))

    def _trained_of(self, people: People) -> Pairs:
        """Return the training ratings, of those who are among `people`, by their rows there."""
        if people is self.known:
            return self.trained
        row = {key: number for number, key in enumerate(people.keys)}
        place = np.array([row.get(key, -1) for key in self.known.keys], np.int64)
        user = place[self.trained.user]
        here = Pairs(user, self.trained.item, self.trained.rating)
        return here.take(user >= 0)


def create_observers(fold: Fold, truth: pl.DataFrame, prior: pr.TastePrior) -> dict[str, Observer]:
    """Return the three observers of a fold by name.

    Parameters
    ----------
    fold : the world's rows.
    truth : ``data/truth/images.parquet``.
    """
    basis = true_basis(fold.items, truth)
    in_train = np.isin(np.arange(len(fold.items)), fold[s.TRAIN].item)
    ideal = Observer.fit(fold, basis, prior)
    return {
        IDEAL_POPULATION: replace(ideal, personal=False),
        FEATURE_OBSERVER: Observer.fit(
            fold, reconstructed_basis(fold.items, basis, in_train), prior
        ),
        IDEAL_OBSERVER: ideal,
    }


def deviations_of(people: People, prior: pr.TastePrior, shared: Shared, basis: Basis) -> Deviations:
    """Return what the world's prior says of people's deviations from the shared opinion.

    A person's opinion, less the middle of the scale, is stretched as a whole. With stretch ``s`` of
    mean 1 and variance v, and weights ``w`` of covariance C, the deviation of
    ``s (shared + w) + bias`` from the shared part has covariance
    ``(1 + v) C + v shared shared' + var(bias)``.
    What the basis misses of a picture is noise: ``residual . (C + shared shared')``.
    """
    weight = prior.weight_covariance()
    own = np.zeros((len(weight) + 1, len(weight) + 1))
    own[1:, 1:] = weight
    stretch = pr.stretch_variance()
    outer = np.outer(shared.mean, shared.mean)
    covariance = (1 + stretch) * own + stretch * outer
    covariance[0, 0] += pr.bias_variance()
    mean = np.column_stack([prior.bias_shift(people.frame), prior.weight_shift(people.frame)])
    missed = float((basis.residual * (own + outer)).sum())
    return Deviations(mean, covariance, pr.noise_variance() + missed)


def _rows(pairs: Pairs, basis: Basis) -> RatedRows:
    return RatedRows(
        pairs.user, basis.values[pairs.item], pairs.rating.astype(np.float64) - pr.MIDDLE
    )
