"""Agreement between raters: against a direct computation, and against a planted truth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.reporting.data_docs.agreement import agreement


def sums(ratings: list[list[float]]) -> pl.DataFrame:
    """Return the sums of each image's ratings."""
    return pl.DataFrame(
        {
            "n": [len(r) for r in ratings],
            "total": [float(np.sum(r)) for r in ratings],
            "squares": [float(np.sum(np.square(r))) for r in ratings],
        },
        schema={"n": pl.Int64, "total": pl.Float64, "squares": pl.Float64},
    )


def slow_icc(ratings: list[list[float]]) -> float | None:
    """One-way analysis of variance, rating by rating, from the textbook's definitions."""
    a, every = len(ratings), [x for image in ratings for x in image]
    if a < 2 or len(every) == a or len(set(every)) == 1:
        return None
    grand = sum(every) / len(every)
    between = sum((sum(r) / len(r) - grand) ** 2 for r in ratings for _ in r) / (a - 1)
    within = sum((x - sum(r) / len(r)) ** 2 for r in ratings for x in r) / (len(every) - a)
    n0 = (len(every) - sum(len(r) ** 2 for r in ratings) / len(every)) / (a - 1)
    of_images = (between - within) / n0
    return of_images / (of_images + within)


def planted(truth: float, images: int, most: int, seed: int) -> list[list[float]]:
    """Return ratings of which `truth` is the share of variance between images; unbalanced."""
    rng = np.random.default_rng(seed)
    level = rng.normal(0, np.sqrt(truth), images)
    noise = np.sqrt(1 - truth)
    return [(x + rng.normal(0, noise, rng.integers(1, most + 1))).tolist() for x in level]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=6), max_size=12))
def test_the_icc_is_that_of_a_direct_computation(ratings: list[list[int]]) -> None:
    floats = [[float(x) for x in image] for image in ratings]
    found, wanted = agreement(sums(floats), draws=20).single.value, slow_icc(floats)
    assert found is wanted is None or found == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("truth", [0.0, 0.2, 0.47, 0.9])
def test_a_planted_share_comes_back(truth: float) -> None:
    found = agreement(sums(planted(truth, images=4000, most=12, seed=3)))
    single = found.single
    assert single.value is not None
    assert single.ci_low is not None
    assert single.ci_high is not None
    assert single.value == pytest.approx(truth, abs=0.03)
    assert single.ci_low < single.value < single.ci_high
    assert single.ci_low - 0.01 < truth < single.ci_high + 0.01
    assert single.ci_high - single.ci_low < 0.07


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(60):
        # Other seeds than the data's: the same stream of numbers would tie the draws to them.
        ratings = planted(0.3, 150, 8, seed=1000 + seed)
        single = agreement(sums(ratings), draws=300, seed=seed).single
        assert single.ci_low is not None
        assert single.ci_high is not None
        hits += single.ci_low < 0.3 < single.ci_high
    assert hits >= 53  # of 60 at 95 %: fewer happen once in a hundred times


def test_groups_of_images_give_the_interval_of_the_images() -> None:
    images = sums(planted(0.3, 6000, 8, seed=4))
    one, many = (agreement(images, units=units).single for units in (10_000, 700))
    assert one.value == many.value
    for single in (one, many):
        assert single.ci_low is not None
        assert single.ci_high is not None
    width = (one.ci_high or 0) - (one.ci_low or 0)
    assert (many.ci_high or 0) - (many.ci_low or 0) == pytest.approx(width, rel=0.12)
    assert many.ci_low == pytest.approx(one.ci_low, abs=0.1 * width)
    assert many.ci_low != one.ci_low


def test_the_reliability_of_a_mean_is_that_of_the_analysis_of_variance() -> None:
    """With k ratings of every image, ICC(1, k) = 1 - within / between."""
    rng = np.random.default_rng(0)
    table = rng.normal(0, 1, (60, 1)) + rng.normal(0, 1.5, (60, 7))
    between = 7 * table.mean(axis=1).var(ddof=1)
    within = table.var(axis=1, ddof=1).mean()
    found = agreement(sums(table.tolist()))
    assert found.per_image == 7
    assert found.mean.value == pytest.approx(1 - within / between)
    assert found.mean.ci_low is not None
    assert found.mean.ci_high is not None
    assert found.mean.ci_low < 1 - within / between < found.mean.ci_high


@pytest.mark.parametrize(
    "ratings", [[], [[1.0, 2.0]], [[1.0], [2.0], [5.0]], [[4.3, 4.3], [4.3, 4.3, 4.3]]]
)
def test_where_it_is_undefined_there_is_no_number(ratings: list[list[float]]) -> None:
    found = agreement(sums(ratings))
    for estimate in (found.single, found.mean):
        assert (estimate.value, estimate.ci_low, estimate.ci_high) == (None, None, None)
    assert found.images == len(ratings)


def test_unit_and_origin_do_not_count_and_the_seed_decides() -> None:
    ratings = planted(0.4, 80, 6, seed=1)
    one = agreement(sums(ratings), draws=100)
    other = agreement(sums([[20 * x + 37 for x in image] for image in ratings]), draws=100)
    for a, b in ((one.single, other.single), (one.mean, other.mean)):
        assert a.value == pytest.approx(b.value)
        assert a.ci_low == pytest.approx(b.ci_low)
    assert agreement(sums(ratings), draws=100) == one
    assert agreement(sums(ratings), draws=100, seed=1).single.ci_low != one.single.ci_low


def test_more_raters_make_a_better_mean_not_a_better_rating() -> None:
    found = [agreement(sums(planted(0.3, 800, most, 5)), draws=50) for most in (2, 8, 32)]
    means = [f.mean.value or 0.0 for f in found]
    assert all(a + 0.1 < b for a, b in pairwise(means))
    assert all(f.single.value == pytest.approx(0.3, abs=0.08) for f in found)
