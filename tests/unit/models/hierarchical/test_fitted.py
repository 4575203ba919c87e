"""Kept columns of pictures, and the quick forms of the posterior, against the plain formulas."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core.dataset import Items
from pamela.models.hierarchical.picture_columns import PictureColumns
from pamela.models.hierarchical.training_rows import Fitting
from pamela.models.random_effects.posterior import (
    Posterior,
    Prior,
    SufficientStatistics,
    _inverses,
    posterior,
    posterior_of_one,
    predict_rows,
)

SEEDS = st.integers(0, 10**6)


@given(seed=SEEDS, people=st.integers(0, 5), n=st.integers(1, 9), k=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_scores_are_base_and_taste(seed: int, people: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    base, columns = rng.normal(3.0, 1.0, n), rng.normal(size=(n, k))
    weights = rng.normal(size=(people, k))
    table = PictureColumns.make(base, columns)
    assert len(table) == n
    np.testing.assert_array_equal(table.columns, columns.astype(np.float32))
    np.testing.assert_allclose(table.base, base, rtol=1e-6)
    scores = table.scores(weights)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, base + weights @ columns.T, atol=1e-4)


def test_weights_of_another_model_are_refused() -> None:
    table = PictureColumns.make(np.zeros(3), np.zeros((3, 4)))
    with pytest.raises(ValueError, match="4 columns: they are of another model"):
        table.scores(np.zeros((2, 5)))


def random_prior(rng: np.random.Generator, k: int) -> Prior:
    root = rng.normal(size=(k, k))
    return Prior(rng.normal(size=(2, k)), root @ root.T / k + 0.1 * np.eye(k), 0.6)


@given(seed=SEEDS, n=st.integers(1, 12), k=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_the_posterior_in_the_space_of_the_rows_is_the_same(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    prior, rows, y = random_prior(rng, k), rng.normal(size=(n, k)), rng.normal(size=n)
    described = np.array([[1.0, 0.5]])
    quick = posterior_of_one(prior, described, rows, y)
    statistics = SufficientStatistics.collect(np.zeros(n, np.int64), rows, y, 1)
    plain = posterior(prior, described, statistics)
    np.testing.assert_allclose(quick.mean, plain.mean, atol=1e-8)
    np.testing.assert_allclose(quick.covariance, plain.covariance, atol=1e-8)


@given(seed=SEEDS, counts=st.lists(st.integers(0, 4), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_predicted_rows_are_those_of_each_person(seed: int, counts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    people, k = len(counts), 3
    root = rng.normal(size=(people, k, k))
    found = Posterior(rng.normal(size=(people, k)), root @ root.transpose(0, 2, 1), np.ones(people))
    user = np.repeat(np.arange(people), counts)
    features = rng.normal(size=(len(user), k))
    mean, variance = predict_rows(found, user, features)
    for row, one in enumerate(user):
        assert mean[row] == pytest.approx(features[row] @ found.mean[one])
        assert variance[row] == pytest.approx(features[row] @ found.covariance[one] @ features[row])


def test_inverses_and_what_rounding_makes_indefinite() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 6, 6))
    matrices = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(6)
    matrices[2] = np.diag([1.0, 2.0, -1e-9, 1.0, 1.0, 1.0])  # Cholesky fails, the inverse exists
    np.testing.assert_allclose(_inverses(matrices), np.linalg.inv(matrices), rtol=1e-9)


def fitting(counts: list[int], rng: np.random.Generator) -> Fitting:
    rows, pictures = sum(counts), 7
    items = Items(
        pl.DataFrame({"image_id": [str(i) for i in range(pictures)]}),
        np.zeros((pictures, 1), np.float32),
        np.zeros((pictures, 0), np.float32),
    )
    return Fitting(
        items=items,
        users=np.arange(len(counts)) * 10,
        user=np.repeat(np.arange(len(counts)), counts),
        item=rng.integers(0, pictures, rows),
        rating=rng.normal(size=rows),
        residual=rng.normal(size=rows),
        score=rng.normal(size=pictures),
        item_variance=0.1,
        described=rng.normal(size=(len(counts), 2)),
    )


@given(seed=SEEDS, counts=st.lists(st.integers(0, 5), min_size=1, max_size=6), data=st.data())
@settings(max_examples=60, deadline=None)
def test_some_users_rows_are_exactly_theirs(seed: int, counts: list[int], data) -> None:
    rng = np.random.default_rng(seed)
    whole = fitting(counts, rng)
    chosen = data.draw(st.sets(st.integers(0, len(counts) - 1), min_size=1))
    users = np.array(sorted(chosen))
    mine = np.isin(whole.user, users)
    part = whole.of_users(users)
    np.testing.assert_array_equal(part.users, whole.users[users])
    np.testing.assert_array_equal(part.users[part.user], whole.users[whole.user[mine]])
    for name in ("item", "rating", "residual"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[mine])
    np.testing.assert_array_equal(part.described, whole.described[users])
    columns, keep = rng.normal(size=(7, 3)), rng.random(len(whole.user)) < 0.7
    found = whole.collect(columns, users, keep)
    direct = part.collect(columns, np.arange(len(users)), keep[mine])
    np.testing.assert_array_equal(found.count, direct.count)
    for place, user in enumerate(users):
        rows = keep & (whole.user == user)
        x = columns[whole.item[rows]]
        np.testing.assert_allclose(found.gram[place], x.T @ x, atol=1e-12)
        np.testing.assert_allclose(found.moment[place], x.T @ whole.residual[rows], atol=1e-12)
