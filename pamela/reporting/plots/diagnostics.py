"""Figures about the data and the fit: calibration, reliability, histograms, training curves.

`calibration` has every model. `reliability_figure` has the personal ones: seen users solid, unseen
users after `SWAP_SHOTS` ratings dotted.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy.special import ndtri

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.evaluation.metrics.schema import SEEN, UNSEEN
from pamela.evaluation.swapped_users import SWAP_SHOTS
from pamela.reporting.presentation.plot_style import (
    BLUE,
    MUTED,
    drawable,
    legend_below,
    panels,
    series_style,
)

CURVE = np.linspace(0.1, 0.95, 18)  # nominal coverages of the calibration curve
NOMINAL = np.array([0.50, 0.60, 0.70, 0.80, 0.90, 0.95, 0.99])  # of the reliability figure
BINS = 10
SMALLEST = 1e-9  # a deviation of zero is certain, not undefined
SIDE = re.compile("^(train|val|valid)_")  # of a logged quantity's name
LINES = {SEEN: "-", UNSEEN: ":"}


def calibration(predictions: pl.DataFrame, models: list[str]) -> Figure:
    """Draw reliability (mean rating by predicted rating) and coverage of predictive intervals."""
    seen = predictions.filter(pl.col("population") == SEEN)
    rows = (seen if seen.height else predictions).drop_nulls(["mean", "std"])
    figure, (left, right) = panels(2, height=4.6)
    for model in models:
        mine = rows.filter(model=model)
        if not mine.height:
            continue
        style = series_style(model)
        kind = {"color": style.color, "linestyle": style.line, "label": model}
        bins = reliability(mine)
        left.plot(bins["mean"], bins["rating"], marker=style.marker, **kind)
        right.plot(CURVE, observed_coverage(mine, CURVE), **kind)
    left.axline((3, 3), slope=1, color=MUTED, linewidth=0.9)
    right.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9)
    left.set(title="Reliability", xlabel="predicted rating (1..5)", ylabel="mean rating given")
    right.set(
        title="Predictive intervals", xlabel="nominal coverage", ylabel="share of ratings inside",
        xlim=(0, 1), ylim=(0, 1),
    )  # fmt: skip
    legend_below(figure, left)
    return figure


def reliability(predictions: pl.DataFrame, bins: int = BINS) -> pl.DataFrame:
    """Return mean prediction and mean rating in `bins` equally filled bins of the prediction."""
    return (
        _with_bin(predictions, "mean", bins)
        .group_by("bin", maintain_order=True)
        .agg(pl.col("mean").mean(), pl.col("rating").mean(), n=pl.len())
        .sort("bin")
    )


def _with_bin(rows: pl.DataFrame, by: str, bins: int) -> pl.DataFrame:
    """Add which of `bins` equally filled bins of column `by` a row is in; equals share one."""
    rank = pl.col(by).rank("average") - 0.5
    return rows.with_columns(bin=(rank * bins) // pl.len())


def rating_histograms(ratings: pl.DataFrame, scale: tuple[float, float]) -> Figure:
    """Draw the distribution of ratings: all of them, and by the picture's type."""
    low, high = scale
    steps = ratings[s.RATING].n_unique()
    values = ratings[s.RATING].unique().sort()
    edges = np.linspace(low, high, 21).tolist() if steps > 12 else _edges(values)
    types = ratings[s.TYPE].drop_nulls().unique().sort().to_list()[:6]
    figure, axes = panels(2 if types else 1, height=3.6)
    weight = np.full(ratings.height, 1.0 / max(ratings.height, 1))
    axes[0].hist(ratings[s.RATING], bins=edges, weights=weight, color=BLUE, rwidth=0.9)
    mean = float(ratings[s.RATING].to_numpy().mean())
    axes[0].set(title=f"{ratings.height:,} ratings, mean {mean:.2f}", ylabel="share of ratings")
    colors = [series_style(n).color
              for n in ("paper", "hierarchical", "population", "feature_observer",
                                      "residual_ridge", "mf")]  # fmt: skip
    for name, color in zip(types, colors, strict=False):
        mine = ratings.filter(pl.col(s.TYPE) == name)[s.RATING]
        axes[1].hist(
            mine, bins=edges, weights=np.full(len(mine), 1 / len(mine)), color=color,
            histtype="step", linewidth=2.2, label=drawable(f"{name} ({len(mine):,})"),
        )  # fmt: skip
    if types:
        axes[1].set(title="By type", ylabel="share of the type's ratings")
        axes[1].legend(loc="upper left")
        axes[1].set_ylim(top=axes[1].get_ylim()[1] * 1.22)
    for axis in axes:
        axis.set_xlabel(f"rating ({low:g} to {high:g})")
        axis.grid(visible=False, axis="x")
        if steps == 2:  # likes: there is nothing between
            axis.set_xticks(values)
    return figure


def _edges(values: pl.Series) -> list[float]:
    """Return bin edges half-way between the few values that occur."""
    array = values.to_numpy().astype(float)
    middle = (array[:-1] + array[1:]) / 2
    half = np.diff(array).min() / 2 if len(array) > 1 else 0.5
    return [float(array[0] - half), *middle.tolist(), float(array[-1] + half)]


def training_curves(history: pl.DataFrame, model: str) -> Figure | None:
    """Draw a model's logged quantities by step: train solid, validation dashed, folds thin.

    Returns
    -------
    None when nothing was logged at more than one step.
    """
    numeric = [
        c for c in history.columns
        if c not in ("step", "fold", "epoch") and history[c].dtype.is_numeric()
        and history[c].drop_nulls().len() > 1
    ]  # fmt: skip
    if not numeric or history["step"].n_unique() < 2:
        return None
    groups: dict[str, list[str]] = {}
    for column in numeric:
        groups.setdefault(SIDE.sub("", column), []).append(column)
    groups = dict(list(groups.items())[:3])
    figure, axes = panels(len(groups), height=3.7)
    color = {True: series_style("hierarchical").color, False: series_style("paper").color}
    for axis, (title, columns) in zip(axes, groups.items(), strict=True):
        for column in columns:
            held = column.startswith("val")
            for number, (_, fold) in enumerate(history.group_by("fold", maintain_order=True)):
                rows = fold.drop_nulls(column).sort("step")
                axis.plot(
                    rows["step"], rows[column], color=color[held],
                    linestyle="--" if held else "-", linewidth=1.8, alpha=0.45 if number else 1.0,
                    label=("validation" if held else "training") if number == 0 else None,
                )  # fmt: skip
        axis.set(title=f"{model}: {title.replace('_', ' ')}", xlabel="step")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    legend_below(figure, axes[0])
    return figure


def reliability_figure(predictions: pl.DataFrame, models: list[str]) -> Figure | None:
    """Draw nominal against observed coverage, and predicted deviation against error.

    Parameters
    ----------
    predictions : of one dataset.
    models : to draw; those without a deviation are left out.

    Returns
    -------
    None where there is nothing to draw.
    """
    rows = predictions.drop_nulls(["mean", "std"]).filter(pl.col("model").is_in(models))
    if not rows.height:
        return None
    figure, (left, right) = panels(2, height=4.8)
    for model in models:
        for population, shots in ((SEEN, None), (UNSEEN, SWAP_SHOTS)):
            mine = rows.filter(
                pl.col("shots").eq_missing(shots), model=model, population=population
            )
            if not mine.height:
                continue
            style = series_style(model)
            name = f"{model}, {population}" + (f" after {shots}" if shots else "")
            line = LINES[population]
            kind: dict[str, Any] = {"color": style.color, "linestyle": line, "label": name}
            left.plot(NOMINAL, observed_coverage(mine), marker=style.marker, **kind)
            bins = error_by_deviation(mine)
            right.plot(bins["std"], bins["rmse"], marker=style.marker, **kind)
    left.axline((0.5, 0.5), slope=1, color=MUTED, linewidth=0.9)
    right.axline((1, 1), slope=1, color=MUTED, linewidth=0.9)
    left.set(title="Coverage", xlabel="the interval should hold", ylabel="ratings it holds")
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    right.set(
        title="Error by predicted deviation",
        xlabel="predicted standard deviation (1..5)",
        ylabel="root mean squared error",
    )
    legend_below(figure, left, columns=3)
    return figure


def observed_coverage(predictions: pl.DataFrame, nominal: Floats = NOMINAL) -> Floats:
    """Return the share of ratings inside the central Gaussian interval of each nominal size."""
    error = (predictions["rating"] - predictions["mean"]).abs().to_numpy()
    score = error / np.maximum(predictions["std"].to_numpy().astype(np.float64), SMALLEST)
    inside = score[:, None] <= ndtri(0.5 + nominal / 2)[None, :]
    return np.asarray(inside.mean(axis=0), dtype=np.float64)


def error_by_deviation(predictions: pl.DataFrame, bins: int = BINS) -> pl.DataFrame:
    """Return ``std``, ``rmse`` and ``n`` in equally filled bins of the predicted deviation.

    The deviation of a bin is the root of its mean square: what the error of a calibrated model is.
    """
    squared = (pl.col("rating") - pl.col("mean")).cast(pl.Float64) ** 2
    return (
        _with_bin(predictions, "std", bins)
        .group_by("bin", maintain_order=True)
        .agg(
            std=(pl.col("std").cast(pl.Float64) ** 2).mean().sqrt(),
            rmse=squared.mean().sqrt(),
            n=pl.len(),
        )
        .sort("bin")
        .drop("bin")
    )
