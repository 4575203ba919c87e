"""Shares, relative errors, shares of the seen users' gain, slices, groups and their gaps."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.dataset import Pairs
from pamela.evaluation.comparators.population_user_mean import PopulationUserMean
from pamela.evaluation.metrics.bootstrap import Draws, make_draws, quotient_estimates
from pamela.evaluation.metrics.definitions import PAIRWISE_ACCURACY, SROCC
from pamela.evaluation.metrics.grouping import group_predictions
from pamela.evaluation.metrics.image_slices import SLICES, picture_slices
from pamela.evaluation.metrics.normalised_gain import (
    Ideal,
    all_shares,
    conflict_shares,
    ratio_name,
    seen_gain_shares,
    share_estimates,
    share_names,
)
from pamela.evaluation.metrics.pooled import relative_rmse
from pamela.evaluation.metrics.schema import PREDICTIONS
from pamela.evaluation.metrics.subgroup_gaps import (
    GAPS,
    GROUPS,
    MIN_GROUP_USERS,
    demographic_gaps,
    gaps_between,
)
from pamela.models.gaussian_process.model import Population
from pamela.params import load_params
from pamela.reporting.plots.diagnostics import NOMINAL, error_by_deviation, observed_coverage
from pamela.reporting.presentation.plot_style import series_style
from tests.helpers.planted import make_world
from tests.paths import ROOT

EVALUATE = load_params(ROOT / "params.yaml").evaluate.model_copy(update={"bootstrap": 200})


# --- normalised gain over the ideal observer ------------------------------------------------------
def test_a_share_is_the_gain_over_what_there_is_to_gain() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.2, 0.4, 60)
    columns = [base, base + 0.05, base + 0.1, base + 0.02, base + 0.08]
    values = np.stack(columns, axis=1) + 0.002 * rng.normal(size=(60, 5))
    values[3] = np.nan  # a user without any order
    ideal = Ideal((1,), population=0, observer=2, ideal_population=3, feature_observer=4)
    draws = make_draws(60, 300, 0)
    keys = {(SROCC, None): values, (PAIRWISE_ACCURACY, 0.0): 0.5 + values,
            (PAIRWISE_ACCURACY, 3.0): 0.5 + values}  # fmt: skip
    found = all_shares(keys, ideal, [0.0, 3.0], draws)
    assert list(found) == share_names(ideal, [0.0, 3.0])
    for metric in (SROCC, PAIRWISE_ACCURACY):
        (of_ideal,) = found[f"share_of_ideal_{metric}"]
        (of_features,) = found[f"share_of_features_{metric}"]
        assert of_ideal.value == pytest.approx(0.05 / 0.08, abs=0.04)
        assert of_features.value == pytest.approx(0.05 / 0.06, abs=0.04)
        assert of_ideal.ci_low < of_ideal.value < of_ideal.ci_high
        assert of_ideal.n == 59
    mean = np.nanmean(keys[PAIRWISE_ACCURACY, 3.0], axis=0)
    (ratio,) = found[ratio_name([0.0, 3.0])]
    assert ratio.value == pytest.approx(mean[1] / mean[2])
    alone = Ideal((1,), population=0, observer=2, ideal_population=3)
    assert not any("features" in name for name in all_shares(keys, alone, [0.0, 3.0], draws))


def test_a_share_of_nothing_has_no_value_and_of_next_to_nothing_no_interval() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0.4, 0.2, (40, 4))
    values[:, 3] = values[:, 2] + 0.01  # what the ideal gains is negative
    ideal = Ideal((1,), population=0, observer=2, ideal_population=3)
    draws = make_draws(40, 300, 0)
    assert share_estimates(values, ideal, draws)[0].value is None
    values[:, 3] = values[:, 2] - 0.05 + rng.normal(0, 0.5, 40)
    values[:, 3] += (values[:, 2] - values[:, 3]).mean() - 0.02  # + 0.02 on average, noisy
    (unsure,) = share_estimates(values, ideal, draws)
    assert unsure.value is not None
    assert unsure.ci_low is None


def test_conflict_shares_count_from_one_half() -> None:
    point = np.array([0.5, 0.58, 0.62])
    resampled = point + np.linspace(-0.01, 0.01, 50)[:, None]
    ideal = Ideal((0, 1), population=0, observer=2, ideal_population=0)
    nothing, some = conflict_shares(point, resampled, ideal, 30)
    assert nothing.value == pytest.approx(0)
    assert some.value == pytest.approx(0.08 / 0.12)
    assert some.n == 30


@settings(max_examples=30, deadline=None)
@given(st.floats(-2, 2), st.floats(0.1, 3), st.integers(2, 50))
def test_a_quotient_of_sure_numbers_is_their_quotient(top, bottom, draws) -> None:
    one, many = np.array([top]), np.full((draws, 1), top)
    (e,) = quotient_estimates((one, many), (np.array([bottom]), np.full((draws, 1), bottom)), 5)
    assert e.value == pytest.approx(top / bottom)
    assert e.ci_low == pytest.approx(top / bottom)


# --- error relative to a baseline -----------------------------------------------------------------
def test_relative_rmse_is_the_quotient_of_pooled_errors_less_one() -> None:
    rng = np.random.default_rng(2)
    n = 600
    user, image = rng.integers(0, 30, n), np.arange(n) % 40
    rating = rng.normal(3, 1, n)
    error = rng.normal(0, 1, n)
    mean = np.stack([rating + error, rating + 0.9 * error], axis=1)
    j = group_predictions(user, image, rating, mean)
    users = make_draws(j.n_users, 200, 0)
    (exact,) = relative_rmse(j, users, [(1, 0)])
    assert exact.value == pytest.approx(-0.1, abs=1e-5)
    assert exact.ci_low == pytest.approx(-0.1, abs=1e-5)  # the same in every resample
    noisy = np.stack([rating + error, rating + rng.normal(0, 0.9, n)], axis=1)
    j = group_predictions(user, image, rating, noisy)
    (by_users,) = relative_rmse(j, users, [(1, 0)])
    wanted = np.sqrt(((noisy[:, 1] - rating) ** 2).mean() / (error**2).mean()) - 1
    assert by_users.value == pytest.approx(wanted, abs=1e-5)
    assert by_users.ci_low < wanted < by_users.ci_high
    both = make_draws(j.n_users, 200, 0, n_prompts=j.n_clusters)
    (two_way,) = relative_rmse(j, both, [(1, 0)])
    assert two_way.value == by_users.value
    once = Draws(both.users, np.ones_like(both.prompts))  # every prompt drawn once: users alone
    assert relative_rmse(j, once, [(1, 0)])[0].ci_low == pytest.approx(
        relative_rmse(j, Draws(both.users), [(1, 0)])[0].ci_low
    )
    assert relative_rmse(j, users, []) == []


def test_the_comparator_takes_off_the_level_of_a_persons_ratings_and_keeps_the_order() -> None:
    world = make_world(seed=4, seen=24, unseen=6, train_items=80, test_items=30)
    fold = world.fold
    model = Population(3)
    model.fit(fold, seed=0)
    comparator = PopulationUserMean.fit(model, fold)
    test = fold[s.TEST_SEEN]
    plain = model.predict(fold.items, fold.people, test)
    level = comparator.predict(fold.items, fold.people, test)

    def rmse(mean, pairs):
        return float(np.sqrt(np.mean((mean - pairs.rating) ** 2)))

    assert rmse(level.mean, test) < 0.9 * rmse(plain.mean, test)
    for user in np.unique(test.user)[:5]:
        mine = test.user == user
        order = np.argsort(plain.mean[mine], kind="stable")
        assert (np.diff(level.mean[mine][order]) >= -1e-6).all()
    assert np.mean((level.mean - test.rating) ** 2 / level.std**2) == pytest.approx(1, abs=0.3)
    # cold-start users: nothing without ratings, their level after some
    new = fold[s.TEST_UNSEEN]
    bare = comparator.predict(fold.items, fold.people, new)
    base = model.predict(fold.items, fold.people, new)
    assert np.abs(bare.mean - base.mean).max() < 0.2  # the mean residual of everybody is near 0
    shown = new.take(np.arange(len(new)) % 2 == 0)
    asked = new.take(np.arange(len(new)) % 2 == 1)
    told = comparator.predict(fold.items, fold.people, asked, shown)
    before = comparator.predict(fold.items, fold.people, asked)
    assert rmse(told.mean, asked) < rmse(before.mean, asked)
    assert (told.std < before.std).all()
    turned = Pairs(shown.user[::-1], shown.item[::-1], shown.rating[::-1])
    again = comparator.predict(fold.items, fold.people, asked, turned)
    np.testing.assert_array_equal(again.mean, told.mean)


# --- predictions made up --------------------------------------------------------------------------
def made_up(
    skills: dict[str, dict[str, float]], *, users: int = 40, images: int = 60, shots: int = 20,
    same_people: bool = False, seed: int = 0,
) -> pl.DataFrame:  # fmt: skip
    """Return predictions: rating = taste + noise, prediction = skill x taste + other noise.

    `skills` says per model its skill for ``seen`` and for ``unseen`` users.
    """
    rng = np.random.default_rng(seed)
    frames = []
    for population, k in (("seen", None), ("unseen", shots)):
        start = 0 if same_people or population == "seen" else users
        user = np.repeat(np.arange(start, start + users), images)
        image = np.tile(np.arange(images), users)
        taste = rng.normal(size=len(user))
        rating = np.clip(np.rint(3 + taste + 0.5 * rng.normal(size=len(user))), 1, 5)
        for model, skill in skills.items():
            mean = 3 + skill[population] * taste + 0.5 * rng.normal(size=len(user))
            frames.append(
                pl.DataFrame(
                    {
                        s.DATASET: "here",
                        s.FOLD: int(population == "unseen"),
                        "model": model,
                        "population": population,
                        "shots": pl.Series([k] * len(user), dtype=pl.Int64),
                        s.USER: [f"u{i:03}" for i in user],
                        s.IMAGE: [f"i{i:03}" for i in image],
                        s.RATING: rating,
                        "mean": mean,
                        "std": np.ones(len(user)),
                        "pictures": "new",
                    }
                ).select(pl.col(c).cast(t) for c, t in PREDICTIONS.items())
            )
    return pl.concat(frames)


# --- share of the seen users' gain ----------------------------------------------------------------
@pytest.mark.parametrize("same_people", [False, True])
@pytest.mark.parametrize("images", [60, 240])  # few prompts are resampled as well
def test_the_share_of_the_seen_gain_is_the_quotient_of_two_gains(same_people, images) -> None:
    skills = {
        "population": {"seen": 0.3, "unseen": 0.3},
        "all": {"seen": 0.8, "unseen": 0.8},
        "half": {"seen": 0.8, "unseen": 0.5},
        "none": {"seen": 0.3, "unseen": 0.8},
    }
    rows = made_up(skills, users=20, images=images, same_people=same_people)
    rows = rows.with_columns(pl.col(s.IMAGE).alias(s.PROMPT_ID))
    rho = {
        key: frame.group_by(s.USER).agg(r=pl.corr("mean", s.RATING, method="spearman"))["r"].mean()
        for key, frame in rows.group_by("model", "population")
    }
    by_shots = seen_gain_shares(rows, ["all", "half"], "population", EVALUATE, stream="here")
    found, pairs = by_shots[20]
    assert pairs == 20 * images
    for name, e in zip(("all", "half"), found, strict=True):
        gain = [rho[name, p] - rho["population", p] for p in ("unseen", "seen")]
        assert e.value == pytest.approx(gain[0] / gain[1], abs=1e-9)
        assert e.ci_low < e.value < e.ci_high
        assert e.ci_high - e.ci_low < 1.0
        assert e.n == 20
    (nothing,), _ = seen_gain_shares(rows, ["none"], "population", EVALUATE, stream="x")[20]
    assert nothing.value is None or nothing.ci_low is None
    (empty, _), none = by_shots[5]
    assert (empty.value, empty.n, none) == (None, 0, 0)
    again = seen_gain_shares(rows.reverse(), ["all"], "population", EVALUATE, stream="here")[20][0]
    assert again[0].value == pytest.approx(found[0].value, abs=1e-12)
    assert again[0].ci_low == pytest.approx(found[0].ci_low, abs=1e-12)


# --- kinds of pictures ----------------------------------------------------------------------------
def pictures(images: int) -> pl.DataFrame:
    kinds = np.arange(images) % 3
    return pl.DataFrame(
        {
            s.DATASET: "here",
            s.IMAGE: [f"i{i:03}" for i in range(images)],
            s.TYPE: ["Art" if k == 0 else "Photo" for k in kinds],
            s.GROUP: [("landscape", "landscape", "food")[k] for k in kinds],
            s.STYLE: pl.Series([None] * images, dtype=pl.String),
        }
    )


def test_slices_count_pairs_within_a_kind_and_name_shared_groups_with_their_type() -> None:
    rows = made_up({"population": {"seen": 0.2, "unseen": 0.2}, "me": {"seen": 1, "unseen": 1}},
                   users=12, images=30, shots=0)  # fmt: skip
    found = picture_slices(rows, pictures(30), EVALUATE)
    assert found.schema == SLICES
    assert set(found["column"]) == {"type", "group"}  # no picture has a style
    names = found.filter(column="group")["level"].unique().sort().to_list()
    assert names == ["food", "landscape (Art)", "landscape (Photo)"]
    seen = rows.filter(population="seen", model="me")
    kept = seen.join(pictures(30).filter(pl.col(s.TYPE) == "Art"), on=[s.DATASET, s.IMAGE])
    right = count = 0.0
    for _, mine in kept.group_by(s.USER):
        y, x = mine[s.RATING].to_numpy(), mine["mean"].to_numpy()
        a, b = np.triu_indices(len(y), 1)
        differ = y[a] != y[b]
        count += differ.sum()
        right += (np.sign(y[a] - y[b]) == np.sign(x[a] - x[b]))[differ].sum()
    row = found.filter(
        population="seen", model="me", column="type", level="Art", metric=PAIRWISE_ACCURACY
    ).row(0, named=True)
    assert row["value"] == pytest.approx(right / count)
    assert row["n_pairs"] == count
    assert row["n_users"] == 12
    assert row["ci_low"] < row["value"] < row["ci_high"]
    error = found.filter(
        population="seen", model="me", column="type", level="Art", metric="rmse"
    ).row(0, named=True)
    assert error["value"] == pytest.approx(((kept["mean"] - kept[s.RATING]) ** 2).mean() ** 0.5)
    again = picture_slices(rows.reverse(), pictures(30).reverse(), EVALUATE)
    order = ["model", "population", "column", "level", "metric"]
    assert found.sort(order).equals(again.sort(order))


# --- demographic groups ---------------------------------------------------------------------------
def test_a_planted_gap_is_beyond_chance_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(5)
    group = np.repeat([0, 1, 2], 60)
    values = 0.5 + 0.15 * (group == 1) + 0.1 * rng.normal(size=180)
    both = np.stack([values, -values], axis=1)
    gap, other = gaps_between(both, group, 500, [0])
    assert gap.best == 1
    assert gap.p_value < 0.01
    assert gap.gap.ci_low < gap.gap.value < gap.gap.ci_high
    assert gap.gap.ci_low < 0.15 < gap.gap.ci_high + 0.02
    assert gap.by_chance < gap.by_chance_95 < gap.gap.value
    assert [e.n for e in gap.groups] == [60, 60, 60]
    assert (other.best, other.worst, other.p_value) == (gap.worst, gap.best, gap.p_value)
    assert gaps_between(both, group, 500, [0]) == [gap, other]


def test_without_a_gap_p_values_are_spread_evenly() -> None:
    rng = np.random.default_rng(6)
    p = [
        gaps_between(rng.normal(size=(60, 1)), np.arange(60) % 4, 99, [seed])[0].p_value
        for seed in range(200)
    ]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.05)
    assert np.mean(p) == pytest.approx(0.5, abs=0.08)
    assert gaps_between(np.ones((40, 1)), np.arange(40) % 2, 99, [0])[0].p_value == 1.0


def test_groups_are_those_of_enough_users() -> None:
    rows = made_up({"population": {"seen": 0.4, "unseen": 0.4}}, users=40, images=20, shots=0)
    few = MIN_GROUP_USERS - 1
    users = pl.DataFrame(
        {
            s.DATASET: "here",
            s.USER: [f"u{i:03}" for i in range(80)],
            "gender": (["female"] * 18 + ["male"] * 18 + [None] * 4) * 2,
            "region": (["north"] * (40 - few) + ["south"] * few) * 2,
        }
    )
    groups, gaps = demographic_gaps(rows, users, ["population", "absent"], EVALUATE)
    assert groups.schema == GROUPS
    assert gaps.schema == GAPS
    assert set(gaps["column"]) == {"gender"}  # `region` has one large group only
    at = {"population": "seen", "metric": SROCC}
    told = {r["level"]: r for r in groups.filter(**at).to_dicts()}
    assert {level: r["n_users"] for level, r in told.items()} == {"female": 18, "male": 18}
    gap = gaps.filter(**at).row(0, named=True)
    assert gap["value"] == pytest.approx(told[gap["best"]]["value"] - told[gap["worst"]]["value"])
    assert gap["value"] >= 0
    assert gap["n_users"] == 36


# --- reliability ----------------------------------------------------------------------------------
def test_calibrated_deviations_lie_on_the_diagonal_and_too_small_ones_do_not() -> None:
    rng = np.random.default_rng(7)
    n = 20000
    std = rng.uniform(0.5, 1.5, n)
    rows = pl.DataFrame(
        {"mean": np.full(n, 3.0), "std": std, "rating": 3 + std * rng.normal(size=n)}
    )
    np.testing.assert_allclose(observed_coverage(rows), NOMINAL, atol=0.015)
    bins = error_by_deviation(rows)
    assert bins["n"].to_list() == [n // 10] * 10
    np.testing.assert_allclose(bins["rmse"], bins["std"], rtol=0.08)
    sure = rows.with_columns(pl.col("std") / 2)
    assert (observed_coverage(sure) < NOMINAL - 0.02).all()
    bins = error_by_deviation(sure)
    np.testing.assert_allclose(bins["rmse"], 2 * bins["std"], rtol=0.08)
    assert error_by_deviation(rows.with_columns(std=pl.lit(1.0))).height == 1
    assert series_style("population_user_mean") != series_style("population")
