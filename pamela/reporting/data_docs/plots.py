"""The figures of the data docs, drawn from counts: the cost does not depend on the ratings."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from pamela.core.arrays import Floats, Ints
from pamela.reporting.data_docs.raters import SPEEDER, STRAIGHT
from pamela.reporting.data_docs.statistics import DatasetStatistics, Distribution
from pamela.reporting.presentation.plot_style import BLUE, GREEN, MUTED, ORANGE, RED, STYLE, png

BINS = 30
POINTS = 2000  # more raters than this are drawn as a density
TICKS = 12  # more steps than this get a label here and there
HALF, THIRD = (4.7, 3.5), (3.15, 3.0)  # inches: two or three beside each other


def draw_counts(statistics: DatasetStatistics) -> list[bytes]:
    """Draw the ratings' distribution, ratings per user and ratings per image; return three PNGs."""
    drawn = []
    with mpl.rc_context(STYLE):
        for draw in (
            lambda axis: _ratings(axis, statistics.values, statistics.scale),
            lambda axis: draw_per(axis, statistics.raters["n"], "user"),
            lambda axis: draw_per(axis, statistics.images["n"], "image"),
        ):
            figure, axis = small(THIRD)
            draw(axis)
            drawn.append(png(figure))
    return drawn


def _ratings(axis: Axes, values: Distribution, scale: tuple[float, float]) -> None:
    edges = values.edges
    middles, widths = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    axis.bar(middles, values.counts / max(values.counts.sum(), 1), 0.88 * widths, color=BLUE)
    if values.steps is not None and len(values.steps) <= TICKS:
        axis.set_xticks(values.steps, [f"{v:g}" for v in values.steps])
    axis.set(
        title="Ratings", xlabel=f"rating ({scale[0]:g} to {scale[1]:g})", ylabel="share of ratings"
    )
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.grid(visible=False, axis="x")


def draw_per(axis: Axes, counts: pl.Series, what: str, of: str = "ratings") -> None:
    """Draw how many users or images have how many ratings; on a log scale where that spreads.

    Parameters
    ----------
    what : ``user`` or ``image``.
    of : what is counted.
    """
    n = counts.to_numpy()
    edges = count_edges(n)
    axis.hist(n, bins=edges.tolist(), color=GREEN if what == "user" else ORANGE)
    middle = float(np.median(n))
    axis.axvline(middle, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)))
    axis.set(
        title=f"Per {what}: median {middle:g}",
        xlabel=f"{of} of a {what}" if what == "user" else f"{of} of an {what}",
        ylabel=f"{what}s",
    )
    if n.min() == n.max():
        axis.set(xticks=[n.min()], xlim=(n.min() - 2.5, n.min() + 2.5))
    elif _spreads(n):
        axis.set_xscale("log")
    else:
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axis.xaxis.set_minor_formatter("")
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    axis.grid(visible=False, axis="x")


def _spreads(n: Ints) -> bool:
    return bool(n.max() > 50 * max(float(np.median(n)), 1.0))


def count_edges(n: Ints) -> Floats:
    """Return bin edges half-way between whole numbers, so that no bin holds more of them."""
    low, high = int(n.min()), int(n.max())
    if _spreads(n):
        inner = np.unique(np.rint(np.geomspace(low, high + 1, BINS)))
        return np.asarray(inner - 0.5)
    width = max(1, -(-(high - low + 1) // BINS))
    return np.arange(low, high + width + 1, width, dtype=np.float64) - 0.5


def draw_raters(raters: pl.DataFrame, scale: tuple[float, float]) -> list[bytes]:
    """Draw every rater's level and use of the scale, and one value's share; return two PNGs.

    Parameters
    ----------
    raters : from `raters.flag_raters`; users with one rating have no use of the scale and are left
        out.
    """
    shown = raters.filter(pl.col("n") > 1)
    with mpl.rc_context(STYLE):
        level, axis = small(HALF)
        _levels(axis, shown, scale)
        share, axis = small(HALF)
        _shares(axis, shown)
        return [png(level), png(share)]


def _levels(axis: Axes, raters: pl.DataFrame, scale: tuple[float, float]) -> None:
    """Draw mean against standard deviation; many raters as a density."""
    flagged = raters.filter(pl.col(STRAIGHT) | pl.col(SPEEDER))
    if raters.height > POINTS:
        axis.hexbin(
            raters["mean"], raters["sd"], gridsize=40, mincnt=1, bins="log", cmap="Blues",
            linewidths=0.1,
        )  # fmt: skip
    else:
        axis.scatter(raters["mean"], raters["sd"], s=16, color=BLUE, alpha=0.55, linewidths=0)
    if flagged.height:
        axis.scatter(
            flagged["mean"][:POINTS], flagged["sd"][:POINTS], s=26, color=RED, marker="D",
            linewidths=0, label=f"flagged ({flagged.height:,})",
        )  # fmt: skip
        axis.legend(loc="upper left", frameon=True, framealpha=0.8, edgecolor="none")
    axis.set(
        title="Level and use of the scale", xlabel="mean of a user's ratings",
        ylabel="standard deviation", xlim=_padded(*scale), ylim=_padded(0, _half(scale)),
    )  # fmt: skip


def _half(scale: tuple[float, float]) -> float:
    """Return the largest standard deviation there can be: half the ratings at either end."""
    return (scale[1] - scale[0]) / 2


def _shares(axis: Axes, raters: pl.DataFrame) -> None:
    """Draw how much of a user's ratings is the most frequent value."""
    edges = np.linspace(0, 1, 21).tolist()
    axis.hist(raters["top_n"] / raters["n"], bins=edges, color=BLUE, rwidth=0.9)
    axis.set(
        title="One value's share", xlabel="share of the most frequent value", ylabel="users",
        xlim=(0, 1),
    )  # fmt: skip
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    axis.grid(visible=False, axis="x")


def _padded(low: float, high: float) -> tuple[float, float]:
    pad = 0.04 * (high - low)
    return low - pad, high + pad


def small(size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Return a figure of `size` inches with one panel."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()
