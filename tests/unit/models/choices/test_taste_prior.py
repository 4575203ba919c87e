"""The prior of taste and how people choose, learned from choices, with and without ratings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pamela.core import schema as s
from pamela.models.choices.taste_posterior import ChoiceRows
from pamela.models.choices.taste_prior import fit_prior_with_choices
from pamela.models.choices.thurstone import Thurstone
from pamela.models.gaussian_process.model import Population
from pamela.models.hierarchical.features.item_features import Sizes
from pamela.models.hierarchical.model import Hierarchical
from pamela.models.hierarchical.selection import TasteSearch
from pamela.models.random_effects.noise import SAME_FOR_ALL
from pamela.models.random_effects.posterior import Prior, SufficientStatistics
from tests.helpers.planted import make_world
from tests.helpers.planted_choices import accuracy, choose, with_choices

K = 4
PLANTED = Prior(np.zeros((1, K)), np.diag([1.0, 0.5, 0.2, 0.01]), 0.4)


def rows_of(people: int, each: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return planted weights (people, K), and users and features of their rows."""
    rng = np.random.default_rng(seed)
    weights = rng.multivariate_normal(np.zeros(K), PLANTED.covariance, size=people)
    return weights, np.repeat(np.arange(people), each), rng.normal(size=(people * each, K))


def chosen(people: int, each: int, seed: int = 0) -> ChoiceRows:
    weights, user, features = rows_of(people, each, seed)
    rng = np.random.default_rng(seed + 1)
    base = rng.normal(size=len(user))  # which says what a unit is
    truth = base + np.einsum("ij,ij->i", features, weights[user])
    outcome = choose(truth, rng, noise=0.6, margin=0.1)
    kind = np.zeros(len(user), np.int64)
    return ChoiceRows(user, features, base, outcome, kind, (Thurstone(1.0, 0.1),))


def rated(people: int, each: int, seed: int = 0) -> SufficientStatistics:
    weights, user, features = rows_of(people, each, seed)
    noise = np.sqrt(PLANTED.noise) * np.random.default_rng(seed + 2).normal(size=len(user))
    y = np.einsum("ij,ij->i", features, weights[user]) + noise
    return SufficientStatistics.collect(user, features, y, people)


@pytest.mark.parametrize("each", [0, 5])
def test_planted_variances_of_taste_are_found(each: int) -> None:
    people = 400
    prior, (made,), _ = fit_prior_with_choices(
        rated(people, each), chosen(people, 20), np.ones((people, 1)), np.full(K, 0.3),
        rank=None, iterations=40, degrees=SAME_FOR_ALL,
    )  # fmt: skip
    found = np.diag(prior.covariance)
    np.testing.assert_allclose(found[:3], np.diag(PLANTED.covariance)[:3], rtol=0.3)
    assert found[3] < 0.06
    assert made.noise == pytest.approx(0.6, rel=0.15)
    if each:  # choices say nothing of the noise of ratings
        assert prior.noise == pytest.approx(PLANTED.noise, rel=0.1)


def fitted(fold) -> Hierarchical:
    model = Hierarchical(2, Population(cv_folds=2))
    model.search = TasteSearch.given(Sizes(image=16, prompt=0, kernel=0, metadata=False), 1)
    model.fit(fold, seed=1)
    return model


@pytest.mark.parametrize("ratings", [False, True])
def test_a_personal_taste_is_learned_from_choices(ratings: bool) -> None:
    world = make_world(seed=11, own=0.9, seen=40, unseen=20)
    fold = with_choices(world, 40, ratings=ratings)
    if ratings:  # a few, which say what a unit is
        few = {
            part: pairs.take(np.arange(len(pairs)) % 9 == 0) for part, pairs in fold.parts.items()
        }
        fold = replace(fold, parts=few)
    model, population = fitted(fold), Population(cv_folds=2)
    population.fit(fold, seed=1)
    seen, unseen = fold.choices_of(s.TEST_SEEN), fold.choices_of(s.TEST_UNSEEN)

    def right(model, asked, own=None) -> float:
        found = model.prefer(fold.items, fold.people, asked, None, own)
        return accuracy(found.a / (found.a + found.b), asked)

    assert right(model, seen) > right(population, seen) + 0.05
    own = fold.choices_of(s.CONTEXT_UNSEEN)
    assert right(model, unseen, own) > right(model, unseen) + 0.03
    made = model.chosen["choices"]["planted"]
    if ratings:
        assert made["noise"] == pytest.approx(0.6, rel=0.3)
    assert 0.1 < made["margin"] / made["noise"] < 0.5  # planted: 0.25
