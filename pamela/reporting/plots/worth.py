"""The curve of what ratings, choices and likes of a new person are worth."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import polars as pl
from matplotlib.figure import Figure

from pamela.reporting.presentation.plot_style import (
    BLUE,
    GREEN,
    RED,
    STYLE,
    legend_below,
    panels,
    save,
)

SERIES = {"ratings": (RED, "D"), "choices": (BLUE, "o"), "likes": (GREEN, "s")}


def write_worth(values: pl.DataFrame, path: Path) -> None:
    """Draw SROCC by how many ratings, choices or likes were given, one curve each.

    Parameters
    ----------
    values : DataFrame (kind, shots, value, ci_low, ci_high).
    """
    with mpl.rc_context(STYLE):
        save(_curves(values), path)


def _curves(values: pl.DataFrame) -> Figure:
    shots = values["shots"].unique().sort().to_list()
    figure, (axis,) = panels(1, height=4.2)
    for kind, (color, marker) in SERIES.items():
        line = values.filter(kind=kind).sort("shots")
        place = [shots.index(k) for k in line["shots"]]
        axis.plot(place, line["value"].to_list(), marker=marker, color=color, label=kind)
        low, high = line["ci_low"].to_list(), line["ci_high"].to_list()
        axis.fill_between(place, low, high, color=color, alpha=0.10, linewidth=0)
    axis.set_xticks(range(len(shots)), [str(k) for k in shots])
    axis.set(title="What a new person says is worth", ylabel="SROCC, mean over people")
    axis.set_xlabel("ratings, choices or likes given, of as many pictures")
    legend_below(figure, axis)
    return figure
