"""The figures: drawn from the numbers, the same bytes every time."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.evaluation.results import Results
from pamela.reporting.plots.diagnostics import (
    CURVE,
    observed_coverage,
    reliability,
    training_curves,
)
from pamela.reporting.plots.figures import margin_curves, seen_unseen_gap, write_plots
from pamela.reporting.plots.steering import elo, over_optimisation
from tests.helpers.made_up import evaluation, make_project, params_of, steering

MODELS = ["paper", "population", "global_mean"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("plots"))
    return Results(project, params_of(project))


def test_every_figure_is_written_twice_with_the_same_bytes(results):
    folder = results.project.reports / "plots"
    first = {p.name: p.read_bytes() for p in write_plots(results, folder)}
    (folder / "stale.png").write_bytes(b"of an earlier run")
    second = {p.name: p.read_bytes() for p in write_plots(results, folder)}
    assert first == second
    assert {p.name for p in folder.iterdir()} == set(first)
    kinds = ("srocc", "margins", "gap", "shots", "calibration", "ratings")
    assert {f"synthetic_{k}.png" for k in kinds} <= set(first)
    assert {"training_paper.png", "steering_elo.png"} <= set(first)
    assert all(content.startswith(b"\x89PNG") for content in first.values())


def test_margin_curves_draw_the_numbers_of_each_population():
    rows = evaluation("d")
    figure = margin_curves(rows, MODELS)
    for axis, population in zip(figure.axes, ("seen", "unseen"), strict=True):
        line = next(x for x in axis.lines if x.get_label() == "paper")
        wanted = rows.filter(
            (pl.col("model") == "paper")
            & (pl.col("population") == population)
            & (pl.col("metric") == "pairwise_accuracy")
            & (pl.col("shots").is_null() | (pl.col("shots") == 0))
        ).sort("margin")
        np.testing.assert_allclose(line.get_xdata(), wanted["margin"])
        np.testing.assert_allclose(line.get_ydata(), wanted["value"])


def test_a_model_without_a_value_is_left_out_and_breaks_nothing():
    rows = evaluation("d").with_columns(
        value=pl.when(pl.col("model") == "paper").then(None).otherwise("value")
    )
    figure = margin_curves(rows, MODELS)
    assert "paper" not in {line.get_label() for line in figure.axes[0].lines}
    seen_unseen_gap(rows, MODELS)


def test_elo_arms_stand_in_the_order_of_their_elo():
    labels = [t.get_text() for t in elo(steering()).axes[0].get_yticklabels()]
    assert labels == ["none", "other", "population", "self"]


def test_gains_by_round_are_drawn_per_opinion_and_per_arm():
    gains = pl.DataFrame(
        {
            "arm": ["chance"] * 2 + ["self"] * 2,
            "round": [0, 1] * 2,
            "reward": [0.0, 0.4, 0.0, 0.5],
            "independent": [0.0, 0.3, 0.0, 0.3],
            "truth": [0.0, 0.2, 0.0, 0.4],
        }
    )
    left, right = over_optimisation(gains).axes
    assert len(left.get_legend_handles_labels()[1]) == 3
    assert right.get_legend_handles_labels()[1] == ["chance", "self"]
    unknown = gains.with_columns(truth=pl.lit(None, pl.Float64))
    assert over_optimisation(unknown).axes[1].get_legend() is None


def test_training_curves_need_more_than_one_step():
    one = pl.DataFrame({"step": [1], "train_loss": [0.5], "fold": [0]})
    assert training_curves(one, "paper") is None
    two = pl.DataFrame({"step": [1, 2], "train_loss": [0.5, 0.4], "fold": [0, 0]})
    assert training_curves(two, "paper") is not None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3.0))
def test_coverage_of_a_true_gaussian_is_the_nominal_one(seed, std):
    noise = np.random.default_rng(seed).standard_normal(4000) * std
    frame = pl.DataFrame({"rating": 3 + noise, "mean": 3.0, "std": std})
    np.testing.assert_allclose(observed_coverage(frame, CURVE), CURVE, atol=0.05)
    wider = observed_coverage(frame.with_columns(std=pl.col("std") * 2), CURVE)
    assert (wider > observed_coverage(frame, CURVE)).all()


def test_equal_predictions_share_a_bin_of_the_reliability_curve():
    frame = pl.DataFrame({"mean": [3.0] * 50, "rating": np.arange(50) % 5 + 1.0})
    bins = reliability(frame)
    assert bins.height == 1
    assert bins["rating"][0] == pytest.approx(3.0)


def test_reliability_keeps_every_row_and_its_mean():
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({"mean": rng.normal(size=200), "rating": rng.normal(size=200)})
    bins = reliability(frame)
    assert bins["n"].sum() == 200
    assert (bins["rating"] * bins["n"]).sum() / 200 == pytest.approx(frame["rating"].mean())
    assert bins["mean"].is_sorted()
