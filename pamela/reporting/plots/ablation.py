"""The ablation's figure: what every variant gains or loses against the full model."""

from __future__ import annotations

import matplotlib as mpl
import polars as pl

from pamela.evaluation.ablation import FULL, VARIANT, VARIANTS, variant_name
from pamela.evaluation.metrics.schema import MODEL, POPULATION, SEEN, SHOTS
from pamela.reporting.presentation.plot_style import (
    MUTED,
    STYLE,
    legend_below,
    panels,
    png,
    series_style,
)

STEP = 0.22  # vertical distance between models of one variant


def draw_differences(rows: pl.DataFrame) -> bytes:
    """Draw a metric's differences with intervals, a panel per kind of users; return a PNG.

    Parameters
    ----------
    rows : of `pamela.evaluation.ablation.ABLATION`, one dataset and metric.
    """
    places = rows.select(POPULATION, SHOTS).unique(maintain_order=True).rows()
    models = rows[MODEL].unique(maintain_order=True).to_list()
    variants = [name for name in VARIANTS if name != FULL][::-1]
    with mpl.rc_context(STYLE):
        figure, axes = panels(len(places), height=1.6 + 0.5 * len(variants), sharey=True)
        for axis, (population, shots) in zip(axes, places, strict=True):
            here = rows.drop_nulls("difference").filter(
                pl.col(SHOTS).eq_missing(shots), population=population
            )
            axis.axvline(0.0, color=MUTED, linewidth=0.8)
            for order, model in enumerate(models):
                mine = {row[VARIANT]: row for row in here.filter(pl.col(MODEL) == model).to_dicts()}
                offset = STEP * ((len(models) - 1) / 2 - order)
                drawn = [(y + offset, mine[v]) for y, v in enumerate(variants) if v in mine]
                style = series_style(model)
                axis.plot(
                    [row["difference"] for _, row in drawn], [y for y, _ in drawn],
                    linestyle="", marker=style.marker, color=style.color, label=model,
                )  # fmt: skip
                spans = [(y, row) for y, row in drawn if row["difference_ci_low"] is not None]
                axis.hlines(
                    [y for y, _ in spans],
                    [row["difference_ci_low"] for _, row in spans],
                    [row["difference_ci_high"] for _, row in spans],
                    color=style.color, linewidth=1.6,
                )  # fmt: skip
            title = "seen users" if population == SEEN else f"unseen users, {shots} shots"
            axis.set(title=title, xlabel="minus the full model")
            axis.set_yticks(range(len(variants)), [variant_name(name) for name in variants])
            axis.set_ylim(-0.6, len(variants) - 0.4)
            axis.grid(visible=False, axis="y")
        ends = [axis.get_xlim() for axis in axes]  # one scale, so that panels compare
        for axis in axes:
            axis.set_xlim(min(low for low, _ in ends), max(high for _, high in ends))
        legend_below(figure, axes[0])
        return png(figure)
