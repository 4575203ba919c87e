"""Strengths of pictures from choices: planted orders, odd graphs, ratings beside them."""

from __future__ import annotations

import numpy as np
import pytest

from pamela.core.dataset import Choices, Pairs
from pamela.core.shards.rows import Shards
from pamela.models.biases import picture_means
from pamela.models.choices.picture_opinions import picture_opinions
from pamela.models.choices.picture_strengths import (
    Comparisons,
    Known,
    _marginals,
    fit_strengths,
)
from pamela.models.choices.thurstone import usual
from pamela.models.preprocessing import Datasets
from tests.helpers.planted_choices import choose


def played(strength: np.ndarray, games: int, seed: int = 0) -> Comparisons:
    rng = np.random.default_rng(seed)
    a = rng.integers(len(strength), size=games)
    b = (a + rng.integers(1, len(strength), size=games)) % len(strength)
    return Comparisons(a, b, choose(strength[a] - strength[b], rng, noise=0.5, margin=0.1))


def nothing(pictures: int) -> Known:
    return Known(np.zeros(pictures), np.zeros(pictures), 3.0)


def test_planted_strengths_and_their_spread_are_found() -> None:
    strength = np.random.default_rng(5).normal(scale=0.6, size=40)
    found = fit_strengths(played(strength, 1500), nothing(40), usual(0.5), noise=0.5)
    off = found.mean - 3 - (strength - strength.mean())
    assert np.corrcoef(found.mean, strength)[0, 1] > 0.97
    assert np.sqrt(found.spread) == pytest.approx(0.6, rel=0.25)
    assert 0.5 < np.mean(off**2 * found.precision) < 2  # as sure as it says
    assert found.thurstone.margin == pytest.approx(0.1, rel=0.25)


def test_on_a_tree_variances_are_those_of_the_whole_system() -> None:
    made = Comparisons(np.array([0, 1, 1, 3]), np.array([1, 2, 3, 4]), np.ones(4, np.float32))
    own, weight = np.array([1.0, 2.0, 0.5, 1.0, 3.0]), np.array([2.0, 0.3, 4.0, 1.0])
    system = np.diag(own)
    for a, b, h in zip(made.a, made.b, weight, strict=True):
        away = np.eye(5)[a] - np.eye(5)[b]
        system += h * np.outer(away, away)
    inverse = np.linalg.inv(system)
    precision, variance = _marginals(own, made, weight)
    away = np.eye(5)[made.a] - np.eye(5)[made.b]
    np.testing.assert_allclose(1 / precision, np.diag(inverse), rtol=1e-9)
    np.testing.assert_allclose(variance, np.einsum("ij,jk,ik->i", away, inverse, away), rtol=1e-9)


@pytest.mark.parametrize(
    "outcome", [[1, 1, 1, 1], [0.5, 0.5, 0.5, 0.5], [1, 0, 1, 0]], ids=["won", "tied", "both"]
)
def test_never_chosen_always_tied_and_contradictory_are_finite(outcome: list[float]) -> None:
    made = Comparisons(np.zeros(4, np.int64), np.array([1, 1, 2, 2]), np.array(outcome, np.float32))
    found = fit_strengths(made, nothing(4), usual(0.5), noise=0.5)
    mean, precision = found.message(3.0)
    assert np.isfinite(mean).all()
    assert (precision > 0).all()
    assert (found.mean[0] > found.mean[1]) == (outcome[:2] == [1, 1])
    assert found.mean[3] == pytest.approx(3.0)  # in no choice at all
    assert np.abs(found.mean - 3).max() < 3


def test_the_noise_is_learned_where_ratings_say_what_a_unit_is() -> None:
    strength = np.random.default_rng(7).normal(size=60)
    rated = np.arange(60) < 40
    known = Known(np.where(rated, 3 + strength, 0.0), np.where(rated, 50.0, 0.0), 3.0)
    found = fit_strengths(played(strength, 3000), known, usual(2.0))
    assert found.thurstone.noise == pytest.approx(0.5, rel=0.15)
    assert np.corrcoef(found.mean[~rated], strength[~rated])[0, 1] > 0.95


def datasets(items: int) -> Datasets:
    return Datasets(("one",), np.zeros(items, np.int64))


def test_opinions_join_ratings_and_choices_and_are_only_the_ratings_without_choices() -> None:
    rng = np.random.default_rng(9)
    strength = rng.normal(scale=0.7, size=20)
    user, item = (grid.ravel() for grid in np.meshgrid(np.arange(6), np.arange(10)))
    rating = np.clip(3 + strength[item] + 0.8 * rng.normal(size=60), 1, 5).astype(np.float32)
    pairs = Pairs(user, item, rating)
    plain, choosing = picture_opinions(Shards.of(pairs), Choices.empty(), 6, datasets(20))
    same = picture_means(Shards.of(pairs), 6, datasets(20))
    for name, value in vars(same).items():
        np.testing.assert_array_equal(getattr(plain, name), value)
    assert not choosing
    made = played(strength[5:], 600, seed=3)
    chosen = Choices(rng.integers(6, size=600), made.a + 5, made.b + 5, made.outcome)
    both, choosing = picture_opinions(Shards.of(pairs), chosen, 6, datasets(20))
    assert both.items.tolist() == list(range(20))
    np.testing.assert_array_equal(both.mean[:5], plain.mean[:5])  # rated and in no choice
    assert (both.count[5:10] > plain.count[5:10]).all()
    assert np.corrcoef(both.mean[5:], strength[5:])[0, 1] > 0.95
    turned = Choices(chosen.user, chosen.b, chosen.a, 1 - chosen.outcome).take(rng.permutation(600))
    again, _ = picture_opinions(Shards.of(pairs), turned, 6, datasets(20))
    np.testing.assert_array_equal(again.mean, both.mean)
    assert choosing["one"].noise > 0
