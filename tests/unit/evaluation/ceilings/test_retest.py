"""The measured noise ceiling, on people whose consistency is known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pamela.core import schema as s
from pamela.evaluation.ceilings.retest import Retest, retest_people

PEOPLE, PICTURES, PASSES = 60, 80, 2


def ratings_of(reliability: float, passes: int = PASSES) -> pl.DataFrame:
    """Return passes of variance one that correlate `reliability` within each person."""
    rng = np.random.default_rng(0)
    opinion = rng.normal(0, np.sqrt(reliability), (PEOPLE, PICTURES, 1))
    noise = rng.normal(0, np.sqrt(1 - reliability), (PEOPLE, PICTURES, passes))
    user, image, turn = np.indices(noise.shape)
    rows = pl.DataFrame(
        {
            s.DATASET: "d",
            s.USER: [f"u{u}" for u in user.ravel()],
            s.IMAGE: [f"i{i}" for i in image.ravel()],
            s.RATING: (opinion + noise).ravel(),
            s.POSITION: turn.ravel() * 1000 + image.ravel(),
        }
    )
    return rows.with_columns(pl.lit(None, s.RATINGS_SCHEMA[s.RATED_AT]).alias(s.RATED_AT))


def test_ceilings_follow_from_how_far_people_agree_with_themselves():
    found = Retest.of(
        retest_people(ratings_of(0.45).sample(fraction=1, shuffle=True).lazy()), "all"
    )
    assert found.people.height == PEOPLE
    assert found.passes == PASSES
    assert found.people["noise"].mean() == pytest.approx(np.sqrt(0.55), abs=0.02)
    retest = found.correlation("plcc")
    assert retest.value == pytest.approx(0.45, abs=0.03)
    assert retest.ci_low < 0.45 < retest.ci_high
    assert found.one_pass_ceiling("plcc").value == pytest.approx(np.sqrt(0.45), abs=0.03)
    assert found.ceiling("plcc").value == pytest.approx(np.sqrt(0.9 / 1.45), abs=0.03)
    assert found.ceiling("srocc").value == pytest.approx(np.sqrt(0.9 / 1.45), abs=0.04)


def test_no_score_reaches_more_than_the_ceiling_says():
    """The opinion itself, as the prediction, reaches just that."""
    found = Retest.of(retest_people(ratings_of(0.6).lazy()), "mean")
    rng = np.random.default_rng(0)
    opinion = rng.normal(0, np.sqrt(0.6), (PEOPLE, PICTURES, 1))
    mean = (opinion + rng.normal(0, np.sqrt(0.4), (PEOPLE, PICTURES, PASSES))).mean(axis=2)
    reached = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(opinion[..., 0], mean, strict=True)])
    assert found.ceiling("plcc").value == pytest.approx(reached, abs=0.02)


def test_one_rating_is_scored_where_first_or_last_reduce():
    people = retest_people(ratings_of(0.45).lazy())
    for mode in ("first", "last"):
        reduced = Retest.of(people, mode)
        assert reduced.ceiling("srocc") == reduced.one_pass_ceiling("srocc")


def test_whoever_rates_nothing_twice_or_always_the_same_says_nothing():
    rows = ratings_of(0.5)
    once = pl.col(s.POSITION) < 1000
    constant = pl.when(pl.col(s.USER) == "u1").then(1.0).otherwise(s.RATING)
    found = retest_people(
        rows.filter((pl.col(s.USER) != "u0") | once).with_columns(constant.alias(s.RATING)).lazy()
    )
    assert "u0" not in found[s.USER]
    mine = found.row(by_predicate=pl.col(s.USER) == "u1", named=True)
    assert (mine["noise"], mine["srocc"]) == (0.0, None)
    assert retest_people(rows.filter(once).lazy()).is_empty()
