"""Are the predictive deviations right? Coverage from 50 to 99 %, and error by predicted deviation.

Drawn for the personal models: seen users solid, unseen users after `SWAP_SHOTS` ratings dotted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.special import ndtri

from pamela.evaluation.metrics.schema import SEEN, UNSEEN
from pamela.evaluation.swapped_users import SWAP_SHOTS
from pamela.reporting.presentation.plot_style import MUTED, legend_below, look, panels

NOMINAL = np.array([0.50, 0.60, 0.70, 0.80, 0.90, 0.95, 0.99])
BINS = 10
SMALLEST = 1e-9  # a deviation of zero is certain, not undefined
LINES = {SEEN: "-", UNSEEN: ":"}


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
                (pl.col("model") == model)
                & (pl.col("population") == population)
                & pl.col("shots").eq_missing(shots)
            )
            if not mine.height:
                continue
            style = look(model)
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


def observed_coverage(
    predictions: pl.DataFrame, nominal: npt.NDArray[np.float64] = NOMINAL
) -> npt.NDArray[np.float64]:
    """Return the share of ratings inside the central Gaussian interval of each nominal size."""
    error = (predictions["rating"] - predictions["mean"]).abs().to_numpy()
    score = error / np.maximum(predictions["std"].to_numpy().astype(np.float64), SMALLEST)
    inside = score[:, None] <= ndtri(0.5 + nominal / 2)[None, :]
    return np.asarray(inside.mean(axis=0), dtype=np.float64)


def error_by_deviation(predictions: pl.DataFrame, bins: int = BINS) -> pl.DataFrame:
    """Return ``std``, ``rmse`` and ``n`` in equally filled bins of the predicted deviation.

    The deviation of a bin is the root of its mean square: what the error of a calibrated model is.
    """
    rank = pl.col("std").rank("average") - 0.5  # equal deviations share a bin
    squared = (pl.col("rating") - pl.col("mean")).cast(pl.Float64) ** 2
    return (
        predictions.with_columns(bin=(rank * bins) // pl.len())
        .group_by("bin", maintain_order=True)
        .agg(
            std=(pl.col("std").cast(pl.Float64) ** 2).mean().sqrt(),
            rmse=squared.mean().sqrt(),
            n=pl.len(),
        )
        .sort("bin")
        .drop("bin")
    )
