"""Several ratings of one picture by one person, as models learn from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamela.core.dataset import Pairs
from pamela.models.repeats import NO_REPEATS, averaged, stable_share, weighted, weights_of

ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from([1.0, 2.0, 4.0, 5.0])),
    max_size=20,
)


def pairs_of(rows: list[tuple[int, int, float]]) -> Pairs:
    user, item, rating = zip(*rows, strict=True) if rows else ((), (), ())
    return Pairs(np.array(user, np.int64), np.array(item, np.int64), np.array(rating, np.float32))


@given(rows=ROWS)
def test_averaged_is_the_mean_of_each_person_and_picture(rows):
    pairs = pairs_of(rows)
    found, count = averaged(pairs)
    expected: dict[tuple[int, int], list[float]] = {}
    for user, item, rating in rows:
        expected.setdefault((user, item), []).append(rating)
    got = zip(found.user.tolist(), found.item.tolist(), strict=True)
    assert {key: (pytest.approx(np.mean(v)), len(v)) for key, v in expected.items()} == dict(
        zip(got, zip(found.rating.tolist(), count.tolist(), strict=True), strict=True)
    )
    if len(expected) == len(rows):
        assert found is pairs  # nothing changes where nobody rated twice


def test_the_stable_share_is_found_and_weighs_means():
    """The same opinion of each picture plus noise of each pass: three quarters repeat."""
    rng = np.random.default_rng(0)
    people, pictures, passes = 40, 60, 2
    opinion = rng.normal(0, np.sqrt(0.75), (people, pictures, 1))
    ratings = opinion + rng.normal(0, np.sqrt(0.25), (people, pictures, passes))
    user, item, _ = np.indices(ratings.shape)
    pairs = Pairs(user.ravel(), item.ravel(), ratings.ravel().astype(np.float32))
    means, count = averaged(pairs)
    stable = stable_share(pairs, means.rating.astype(np.float64))
    assert stable == pytest.approx(0.75, abs=0.03)
    assert weights_of(count, 0.75) == pytest.approx(1 / (0.75 + 0.125))


def test_weights_lie_between_one_rating_and_all():
    count = np.array([1, 2, 5])
    assert weights_of(count, NO_REPEATS) == pytest.approx(1.0)
    assert weights_of(count, 0.0) == pytest.approx(count)
    features, y = weighted(np.ones((3, 2)), np.ones(3), np.array([1.0, 4.0, 9.0]))
    assert (features**2).sum(axis=1) == pytest.approx([2.0, 8.0, 18.0])
    assert y == pytest.approx([1.0, 2.0, 3.0])
