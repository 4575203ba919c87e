"""The definitions: hand-computed cases, properties, and a slow reference written out here."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from pamela.evaluation.metrics import conflicts
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics.bootstrap import Draws, make_draws
from pamela.evaluation.metrics.conflicts import find_conflicts, resampled_shares
from pamela.evaluation.metrics.grouping import group_by_image, group_predictions, pair_blocks

MARGINS = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0]


def one_user(rating, prediction, std=None):
    n = len(rating)
    return group_predictions(np.zeros(n), np.arange(n), rating, prediction, std)


@st.composite
def rated(draw, max_users: int = 4, max_rows: int = 9, *, repeats: bool = False):
    """Return (user, fold, image, rating, prediction) with ties, small units and gaps.

    With `repeats` people rate some images more than once.
    """
    rows = []
    for user in range(draw(st.integers(1, max_users))):
        for fold in range(draw(st.integers(1, 2))):
            images = st.lists(st.integers(0, 4), min_size=1, max_size=max_rows)
            count = st.integers(1, max_rows).map(range)
            rows += [
                (user, fold, 10 * fold + image) for image in draw(images if repeats else count)
            ]
    n = len(rows)
    rating = draw(st.lists(st.integers(1, 5), min_size=n, max_size=n))
    prediction = draw(st.lists(st.integers(-20, 20).map(lambda k: k / 4), min_size=n, max_size=n))
    user, fold, image = (np.array(column) for column in zip(*rows, strict=True))
    return user, fold, image, np.array(rating, float), np.array(prediction)


def build(data, prediction=None):
    user, fold, image, rating, own = data
    return group_predictions(
        user, image, rating, own if prediction is None else prediction, fold=fold
    )


def slow_accuracy(data, margin, min_pairs):
    """The definition, one pair at a time."""
    user, fold, _, rating, prediction = data
    values = []
    for u in np.unique(user):
        right, count = 0.0, 0
        for a, b in combinations(np.flatnonzero(user == u), 2):
            gap = rating[a] - rating[b]
            if fold[a] != fold[b] or gap == 0 or abs(gap) < margin - 1e-6:
                continue
            count += 1
            guess = prediction[a] - prediction[b]
            right += 0.5 if guess == 0 else float((guess > 0) == (gap > 0))
        values.append(right / count if count >= min_pairs else np.nan)
    return np.array(values)


def slow_correlation(data, function):
    """Within user and fold, averaged over folds by rows; constants as documented."""
    user, fold, _, rating, prediction = data
    values = []
    for u in np.unique(user):
        total, weight = 0.0, 0
        for f in np.unique(fold[user == u]):
            rows = (user == u) & (fold == f)
            y, x = rating[rows], prediction[rows]
            if np.ptp(y) == 0:
                continue
            r = 0.0 if np.ptp(x) == 0 else function(x, y).statistic
            total, weight = total + r * len(y), weight + len(y)
        values.append(total / weight if weight else np.nan)
    return np.array(values)


def slow_conflicts(data, prediction, weight=None):
    """Return (conflicts, single orders right, both right), one conflict at a time.

    A conflict counts the product of its users' weights.
    """
    user, fold, image, rating, _ = data
    orders = []
    for a, b in combinations(range(len(user)), 2):
        same = user[a] == user[b] and fold[a] == fold[b]
        if same and image[a] != image[b] and rating[a] != rating[b]:
            low, high = (a, b) if image[a] < image[b] else (b, a)
            up = rating[high] > rating[low]
            guess = prediction[high] - prediction[low]
            score = 0.5 if guess == 0 else float((guess > 0) == up)
            orders.append((fold[a], image[low], image[high], user[a], up, score))
    count, side, both = 0, 0.0, 0
    for p, q in combinations(orders, 2):
        if p[:3] == q[:3] and p[3] != q[3] and p[4] != q[4]:
            times = 1 if weight is None else weight[p[3]] * weight[q[3]]
            count += times
            side += times * (p[5] + q[5])
            both += times * (p[5] == q[5] == 1.0)
    return count, side, both


def shares(c):
    """Return each model's shares of single orders, and of both orders, that are right."""
    nobody = Draws(np.ones((1, c.orders.up.shape[1])))
    return tuple(point for point, _ in resampled_shares(c, nobody))


# --- by hand --------------------------------------------------------------------------------------
def test_accuracy_by_hand():
    # pairs: (1,2) right, (1,4) right, (2,4) tied, and the two 4s are no pair
    j = one_user([1, 2, 4, 4], [0.0, 2.0, 2.0, 3.0])
    got = m.pairwise_accuracy(j, [0.0, 2.0, 3.0], min_pairs=1)[0, :, 0]
    # margin 0: 1-2, 1-4a, 1-4b right, 2-4a tied, 2-4b right; 2: all but 1-2; 3: 1-4a, 1-4b
    np.testing.assert_allclose(got, [4.5 / 5, 3.5 / 4, 1.0])


def test_users_with_too_few_pairs_are_left_out():
    j = group_predictions([0, 0, 1, 1, 1, 1], range(6), [1, 2, 1, 2, 3, 4], [1, 2, 1, 2, 3, 4])
    accuracy = m.pairwise_accuracy(j, [0.0, 2.0], min_pairs=5)[:, :, 0]
    assert np.isnan(accuracy[0]).all()
    assert accuracy[1, 0] == 1.0
    assert np.isnan(accuracy[1, 1])  # three pairs differ by 2


def test_a_difference_of_the_margin_counts_despite_float_noise():
    third = np.float32(1 + 4 / 6), np.float32(1 + 4 / 6 * 4)  # a 1..7 scale mapped to 1..5
    j = one_user(third, [0.0, 1.0])
    assert m.pair_counts(j, [2.0]).count[0, 0] == 1
    assert m.pair_counts(one_user([1.0, 3.0 - 5e-7], [0, 1]), [2.0]).count[0, 0] == 1
    assert m.pair_counts(one_user([1.0, 3.0 - 5e-6], [0, 1]), [2.0]).count[0, 0] == 0
    assert m.pair_counts(one_user([3.0, 3.0 + 5e-7], [0, 1]), [0.0]).count[0, 0] == 0


def test_constant_prediction_counts_zero_and_constant_ratings_are_left_out():
    j = group_predictions(
        [0, 0, 0, 1, 1, 1], range(6), [1, 2, 3, 4, 4, 4], [3.3, 3.3, 3.3, 1, 2, 3]
    )
    for value in (m.srocc(j)[:, 0], m.plcc(j)[:, 0]):
        assert value[0] == 0.0
        assert np.isnan(value[1])


def test_rmse_and_coverage_by_hand():
    j = one_user([1, 2, 3, 4], [2, 2, 3, 6], [1, 1, 1, 1])
    assert m.rmse(j)[0, 0] == pytest.approx(np.sqrt(5 / 4))
    assert m.coverage_90(j)[0, 0] == pytest.approx(0.75)  # 2 off at 1.645 std
    assert np.isnan(m.coverage_90(one_user([1, 2], [1, 2]))[0, 0])


def test_coverage_of_a_calibrated_prediction_is_90_percent():
    rng = np.random.default_rng(0)
    mean, std = rng.normal(3, 1, 40_000), rng.uniform(0.5, 2, 40_000)
    j = one_user(rng.normal(mean, std), mean, std)
    assert m.coverage_90(j)[0, 0] == pytest.approx(0.9, abs=0.006)


def test_pairs_are_never_formed_across_folds():
    # perfect inside each fold; the second fit's scale is shifted far below the first's
    j = group_predictions(
        [0] * 8, range(8), [1, 2, 3, 4, 2, 3, 4, 5], [10, 20, 30, 40, 1, 2, 3, 4],
        fold=[0] * 4 + [1] * 4,
    )  # fmt: skip
    assert m.pairwise_accuracy(j, [0.0], 5)[0, 0, 0] == 1.0
    assert m.pair_counts(j, [0.0]).count[0, 0] == 12
    assert m.srocc(j)[0, 0] == pytest.approx(1.0)


def test_image_means_by_hand():
    j = group_predictions(["a", "b", "a", "b"], ["x", "x", "y", "y"], [1, 3, 4, 5], [1, 2, 5, 3])
    images = group_by_image(j)
    np.testing.assert_allclose(images.rating, [2.0, 4.5])
    np.testing.assert_allclose(images.mean[:, 0], [1.5, 4.0])


def test_coinciding_margins_of_the_usual_scales():
    assert m.coinciding_margins([1, 2, 3, 4, 5], MARGINS) == [[0, 0.5, 1], [1.5, 2], [3]]
    seven = (1 + np.arange(7, dtype=np.float32) / np.float32(6) * 4).astype(np.float64)
    assert m.coinciding_margins(seven, MARGINS) == [[0, 0.5], [1], [1.5, 2], [3]]
    continuous = np.random.default_rng(0).uniform(1, 5, 5000)
    assert m.coinciding_margins(continuous, MARGINS) == [[margin] for margin in MARGINS]


# --- properties -----------------------------------------------------------------------------------
@settings(max_examples=80, deadline=None)
@given(rated())
def test_agrees_with_the_slow_reference(data):
    j = build(data)
    accuracy = m.pairwise_accuracy(j, MARGINS, 2)[:, :, 0]
    for k, margin in enumerate(MARGINS):
        np.testing.assert_allclose(accuracy[:, k], slow_accuracy(data, margin, 2))
    np.testing.assert_allclose(m.srocc(j)[:, 0], slow_correlation(data, spearmanr), atol=1e-9)
    np.testing.assert_allclose(m.plcc(j)[:, 0], slow_correlation(data, pearsonr), atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(rated())
def test_reversed_predictions_reverse_the_metrics(data):
    j, back = build(data), build(data, -data[4])
    ahead = m.pairwise_accuracy(j, MARGINS, 1)
    np.testing.assert_allclose(ahead + m.pairwise_accuracy(back, MARGINS, 1), 1.0 + 0 * ahead)
    np.testing.assert_allclose(m.srocc(j), -m.srocc(back), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(rated(), st.floats(0.1, 5.0), st.floats(-3.0, 3.0))
def test_a_monotone_transform_changes_no_order(data, scale, shift):
    j, curved = build(data), build(data, np.exp(scale * data[4] / 5) + shift)
    np.testing.assert_array_equal(
        m.pairwise_accuracy(j, MARGINS, 1), m.pairwise_accuracy(curved, MARGINS, 1)
    )
    np.testing.assert_allclose(m.srocc(j), m.srocc(curved), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(rated())
def test_the_ratings_themselves_are_perfect(data):
    j = build(data, data[3])
    accuracy = m.pairwise_accuracy(j, MARGINS, 1)
    assert (accuracy[~np.isnan(accuracy)] == 1.0).all()
    for value in (m.srocc(j), m.plcc(j)):
        np.testing.assert_allclose(value[~np.isnan(value)], 1.0)
    assert (m.rmse(j) == 0).all()


@settings(max_examples=40, deadline=None)
@given(rated(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_of_models_does_not_matter(data, random):
    rows = list(range(len(data[0])))
    random.shuffle(rows)
    shuffled = tuple(column[rows] for column in data)
    both = group_predictions(
        data[0], data[2], data[3], np.stack([-data[4], data[4]], axis=1), fold=data[1]
    )
    expected = m.pairwise_accuracy(build(data), MARGINS, 1)[:, :, 0]
    np.testing.assert_allclose(m.pairwise_accuracy(build(shuffled), MARGINS, 1)[:, :, 0], expected)
    np.testing.assert_allclose(m.pairwise_accuracy(both, MARGINS, 1)[:, :, 1], expected)


@settings(max_examples=30, deadline=None)
@given(rated(), st.integers(1, 7))
def test_every_pair_comes_once_whatever_the_block(data, block):
    j = build(data)
    pairs = [
        (int(a), int(b)) for x, y in pair_blocks(j.unit, block) for a, b in zip(x, y, strict=True)
    ]
    wanted = [(a, b) for a, b in combinations(range(len(j)), 2) if j.unit[a] == j.unit[b]]
    assert sorted(pairs) == wanted


# --- conflicts ------------------------------------------------------------------------------------
@settings(max_examples=80, deadline=None)
@given(rated(repeats=True), st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("sums", [conflicts._sums_by_user, conflicts._sums_by_pair])
def test_weighed_conflicts_agree_with_the_slow_reference(sums, data, seed):
    """Users drawn some times, or never; images rated twice, tied predictions, two folds."""
    j = build(data, np.stack([data[4], -data[4] // 2], axis=1))
    c = find_conflicts(j)
    assert c.n_pairs == slow_conflicts(data, data[4])[0]
    weights = np.random.default_rng(seed).integers(0, 4, (3, j.n_users)).astype(float)
    with pytest.MonkeyPatch.context() as patch:  # a pair at a time, and beyond single precision
        patch.setattr(conflicts, "PAIRS", 1)
        patch.setattr(conflicts, "DRAWS", 2)
        patch.setattr(conflicts, "EXACT", 4.0)
        found = sums(c, weights)
    for draw, weight in enumerate(weights):
        for model, guess in enumerate((data[4], -data[4] // 2)):
            total, side, both = slow_conflicts(data, guess, weight)
            assert found.total[draw] == total
            assert found.side[draw, model] == side
            assert found.both[draw, model] == both


@settings(max_examples=40, deadline=None)
@given(rated(repeats=True))
def test_both_ways_to_weigh_conflicts_give_the_same_shares(data):
    j = build(data)
    draws, c = make_draws(j.n_users, 20, 0), find_conflicts(j)
    with pytest.MonkeyPatch.context() as patch:
        found = []
        for few in (10**9, 0):
            patch.setattr(conflicts, "FEW", few)
            found.append(resampled_shares(c, draws))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@settings(max_examples=60, deadline=None)
@given(rated(), st.lists(st.integers(-9, 9), min_size=20, max_size=20))
def test_a_non_personal_predictor_has_exactly_half_of_the_sides(data, quality):
    of_image = np.array(quality, float)[data[2] % 20] + 0.25 * data[0]  # with an offset per user
    side, both = shares(find_conflicts(build(data, of_image)))
    np.testing.assert_array_equal(side[~np.isnan(side)], 0.5)
    np.testing.assert_array_equal(both[~np.isnan(both)], 0.0)


def test_conflicts_by_hand():
    # a and b order (x, y) oppositely; only a's order is predicted rightly, then both
    user, image, rating = ["a", "a", "b", "b"], ["x", "y", "x", "y"], [1, 5, 4, 2]
    predictions = np.array([[1, 1], [2, 2], [1, 2], [2, 1]], float)
    c = find_conflicts(group_predictions(user, image, rating, predictions))
    assert c.n_pairs == 1
    side, both = shares(c)
    assert side.tolist() == [0.5, 1.0]
    assert both.tolist() == [0.0, 1.0]


def test_image_pairs_are_sampled_beyond_the_limit(monkeypatch):
    rng = np.random.default_rng(0)
    user, image = np.repeat(np.arange(30), 40), np.tile(np.arange(40), 30)
    rating = rng.integers(1, 6, len(user)).astype(float)
    j = group_predictions(user, image, rating, rating + rng.normal(0, 2, len(user)))
    whole = find_conflicts(j)
    monkeypatch.setattr("pamela.evaluation.metrics.conflicts.MAX_ORDERS", 8000)
    part = find_conflicts(j)
    assert 0.2 < part.n_pairs / whole.n_pairs < 0.5
    assert shares(part)[0] == pytest.approx(shares(whole)[0], abs=0.02)
