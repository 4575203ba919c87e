"""What `hierarchical` chooses inside train: columns of taste, and how many factors they share.

Every configuration is cross-validated (`pamela.models.hierarchical.cross_validation`). The mean of
its within-user correlations for seen and for adapted users counts; the first configuration that is
as good as the best within half a standard error over folds is taken, smaller ones first. Where many
people rated many pictures, columns that a network learns
(`pamela.models.hierarchical.features.meta_learning`, trained anew in every fold) stand against the
best of those that need no learning, in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from pamela.models.base import Progress
from pamela.models.blas_threads import small_matrices
from pamela.models.hierarchical.cross_validation import (
    CALIBRATION_FOLDS,
    CV_USERS,
    Outcome,
    StandardisedErrors,
    divide,
    validate,
)
from pamela.models.hierarchical.features.item_features import Sizes
from pamela.models.hierarchical.sharded.training_data import TrainingData
from pamela.models.hierarchical.training_rows import TrainingConfig
from pamela.params import InputParams

# Smaller ones first. What bends is worth more on few pictures, what is linear on many.
SIZES: tuple[Sizes, ...] = (
    Sizes(image=0, prompt=0, kernel=0, metadata=False),
    Sizes(image=0, prompt=0, kernel=16, metadata=True),
    Sizes(image=0, prompt=0, kernel=32, metadata=True),
    Sizes(image=16, prompt=16, kernel=0, metadata=True),
    Sizes(image=16, prompt=16, kernel=16, metadata=True),
    Sizes(image=0, prompt=0, kernel=64, metadata=True),
    Sizes(image=64, prompt=64, kernel=0, metadata=True),
)
LEARNED: tuple[Sizes, ...] = tuple(
    Sizes(image=64, prompt=64, kernel=0, metadata=True, learned=64, regime=name)
    for name in ("firm", "free")
)
LEARNED_PEOPLE, LEARNED_PICTURES = 400, 1000  # from where on it pays to try (docs/log.md)
LEARNED_RATINGS = 12  # of a person who counts; in a fold they have fewer
RANKS: tuple[int, ...] = (0, 1, 2, 3, 4, 6)  # common factors of people's tastes
CV_LEARNED_USERS = 2000  # users of the cross-validation, where learned columns are judged
LEARNED_JUDGED = 2  # of these folds, where every fold takes a network


@dataclass(frozen=True)
class TasteSearch:
    """What is offered: columns of taste, smaller ones first, and numbers of common factors.

    Attributes
    ----------
    first_rank : the number of factors with which columns are compared; one of `ranks`.
    learned : learned columns, offered where data suffice.
    """

    sizes: tuple[Sizes, ...] = SIZES
    ranks: tuple[int, ...] = RANKS
    first_rank: int = 3
    learned: tuple[Sizes, ...] = LEARNED

    @classmethod
    def given(cls, sizes: Sizes, rank: int) -> Self:
        """Offer one configuration: nothing is searched."""
        return cls((sizes,), (rank,), rank, ())


@dataclass(frozen=True)
class Choice:
    """The configuration taken, and how it was found.

    Attributes
    ----------
    errors : of cold-start users with 20 ratings and with none. Where columns are learned also of
        training users, first: only in a fold are there pictures of which the columns learned
        nothing.
    scores : ``{configuration: cross-validated correlation}``.
    """

    sizes: Sizes
    rank: int
    errors: list[StandardisedErrors]
    scores: dict[str, float]


@small_matrices
def choose_sizes(
    whole: TrainingData,
    folds: int,
    seed: int,
    progress: Progress,
    inputs: InputParams,
    search: TasteSearch,
    device: str = "auto",
) -> Choice:
    """Choose sizes first, then the number of common factors, then whether columns are learned."""
    offered = [replace(one, metadata=one.metadata and inputs.metadata) for one in search.sizes]
    config = TrainingConfig(seed, device)
    data, division = divide(whole, folds, config, CV_USERS)
    tried: dict[tuple[Sizes, int], Outcome] = {}
    steps = len(offered) + len(search.ranks) - 1

    def outcome(sizes: Sizes, rank: int) -> Outcome:
        key = (sizes, rank)
        if key not in tried:
            progress(0.8 * len(tried) / steps, f"taste {sizes.name}")
            tried[key] = validate(data, division, sizes, rank, inputs)
        return tried[key]

    sizes = _smallest_good([(one, outcome(one, search.first_rank)) for one in offered])
    rank = max(search.ranks, key=lambda one: outcome(sizes, one).score)
    taken, scores = tried[sizes, rank], _scores(tried)
    if search.learned and inputs.user and _suffices(whole):
        data, division = divide(whole, folds, config, CV_LEARNED_USERS)
        found: dict[tuple[Sizes, int], Outcome] = {}
        for one in (sizes, *search.learned):
            progress(0.8 + 0.03 * len(found), f"taste {one.name}")
            fair = replace(one, metadata=one.metadata and inputs.metadata)
            found[fair, rank] = validate(data, division, fair, rank, inputs)
        sizes = _smallest_good([(one, errors) for (one, _), errors in found.items()])
        people = f" ({len(data.users)} people)"  # another experiment than the one above
        scores |= {name + people: score for name, score in _scores(found).items()}
        taken = found[sizes, rank]
        if sizes.learned:  # a network learns much from a few more people and pictures
            data, division = divide(whole, CALIBRATION_FOLDS, config, CV_LEARNED_USERS)
            taken = validate(data, division, sizes, rank, inputs, numbers=LEARNED_JUDGED)
    return Choice(sizes, rank, taken.errors[0 if sizes.learned else 1 :], scores)


def _suffices(data: TrainingData) -> bool:
    """Return whether there are people enough, with ratings enough, and pictures enough."""
    people = int((data.rated >= LEARNED_RATINGS).sum())
    return people >= LEARNED_PEOPLE and len(data.items) >= LEARNED_PICTURES


def _scores(tried: dict[tuple[Sizes, int], Outcome]) -> dict[str, float]:
    return {f"{one.name}, rank {k}": round(found.score, 6) for (one, k), found in tried.items()}


def _smallest_good(tried: list[tuple[Sizes, Outcome]]) -> Sizes:
    """Return the first configuration that the best does not beat by half a standard error."""
    best = max(tried, key=lambda one: one[1].score)
    for sizes, found in tried:
        difference = (best[1].correlations - found.correlations).ravel()
        error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
        if difference.mean() <= 0.5 * error:
            return sizes
    return best[0]
