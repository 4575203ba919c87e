"""The plots of drift: old ratings and new ones, side by side, as shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from pamela.reporting.presentation.plot_style import (
    BLUE,
    MUTED,
    ORANGE,
    STYLE,
    drawable,
    legend_below,
    panels,
    png,
)

OLD, NEW = "the champion's", "new"
MOST = 12  # values of a column that are drawn


def draw_ratings(values: Sequence[float], old: Sequence[int], new: Sequence[int]) -> bytes:
    """Return the distributions of old and new ratings, on 1..5."""
    with mpl.rc_context(STYLE):
        figure, (axes,) = panels(1, height=3.2)
        step = min(np.diff(values)) if len(values) > 1 else 1.0
        for shares, color, label, side in _sides(old, new):
            axes.bar(
                np.asarray(values) + side * 0.2 * step, shares, 0.4 * step, color=color, label=label
            )
        axes.set_xlabel("rating, points of 1..5")
        axes.set_ylabel("share of ratings")
        axes.grid(axis="x", visible=False)
        legend_below(figure, axes)
        return png(figure)


def draw_raters(columns: dict[str, list[dict[str, Any]]]) -> bytes:
    """Return how old and new raters describe themselves, a panel per column."""
    tallest = max(min(len(rows), MOST) for rows in columns.values())
    with mpl.rc_context(STYLE):
        figure, all_axes = panels(len(columns), height=1.6 + 0.32 * tallest)
        for axes, (column, rows) in zip(all_axes, columns.items(), strict=True):
            _bars(axes, rows)
            axes.set_title(drawable(column))
            axes.set_xlabel("share of people")
        legend_below(figure, all_axes[0])
        return png(figure)


def _bars(axes: Axes, rows: list[dict[str, Any]]) -> None:
    some = rows[:MOST]
    place = np.arange(len(some))
    every = [[row[key] for row in rows] for key in ("old", "new")]
    for shares, color, label, side in _sides(*every):
        axes.barh(place + side * 0.2, shares[:MOST], 0.4, color=color, label=label)
    axes.set_yticks(place, [drawable(row["value"]) for row in some])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def draw_pictures(edges: Sequence[float], old: Sequence[int], new: Sequence[int]) -> bytes:
    """Return what the classifier says of the champion's pictures and of the new ones."""
    with mpl.rc_context(STYLE):
        figure, (axes,) = panels(1, height=3.2)
        for shares, color, label, _ in _sides(old, new):
            axes.stairs(shares, edges, color=color, label=label, linewidth=2)
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set_xlabel("score of the classifier (new pictures: higher)")
        axes.set_ylabel("share of pictures")
        legend_below(figure, axes)
        return png(figure)


def _sides(old: Sequence[int], new: Sequence[int]) -> list[tuple[Any, str, str, int]]:
    """Return shares, colour, label and side of both."""
    sides = ((old, BLUE, OLD, -1), (new, ORANGE, NEW, 1))
    return [
        (np.asarray(counts) / max(sum(counts), 1), color, label, side)
        for counts, color, label, side in sides
    ]
