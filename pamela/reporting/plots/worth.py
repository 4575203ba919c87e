"""The curve of what ratings, choices and likes of a new person are worth."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure

from pamela.reporting.presentation.plot_style import legend_below, panels, series_style

SERIES = {"ratings": "hierarchical", "choices": "mf", "likes": "paper"}  # whose colours they take


def worth_curves(values: pl.DataFrame) -> Figure:
    """Draw SROCC by how many ratings, choices or likes were given, one curve each.

    Parameters
    ----------
    values : DataFrame (kind, shots, value, ci_low, ci_high).
    """
    shots = values["shots"].unique().sort().to_list()
    figure, (axis,) = panels(1, height=4.2)
    for kind, look in SERIES.items():
        line = values.filter(kind=kind).sort("shots")
        place, style = [shots.index(k) for k in line["shots"]], series_style(look)
        axis.plot(place, line["value"].to_list(), "o-", color=style.color, label=kind)
        low, high = line["ci_low"].to_list(), line["ci_high"].to_list()
        axis.fill_between(place, low, high, color=style.color, alpha=0.12, linewidth=0)
    axis.set_xticks(range(len(shots)), [str(k) for k in shots])
    axis.set(title="New people", ylabel="SROCC, mean over people")
    axis.set_xlabel("ratings, choices or likes given, of as many pictures")
    legend_below(figure, axis)
    return figure
