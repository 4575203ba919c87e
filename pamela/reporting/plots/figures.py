"""The figures of the report: evaluation frames in, PNG files out.

Every function draws one `matplotlib.figure.Figure`; `write_plots` writes all of them to
``reports/plots/``. Bands and whiskers are 95 % intervals.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pamela.evaluation.comparators.population_user_mean import POPULATION_USER_MEAN
from pamela.evaluation.comparisons import BASELINE
from pamela.evaluation.metrics.definitions import PAIRWISE_ACCURACY, SROCC
from pamela.evaluation.metrics.schema import MODEL, SEEN, UNSEEN
from pamela.evaluation.observers import FEATURE_OBSERVER, IDEAL_OBSERVER
from pamela.evaluation.results import (
    CEILINGS,
    POPULATIONS,
    Results,
    headline_rows,
    personal_models,
    shot_rows,
)
from pamela.reporting.plots.diagnostics import (
    calibration,
    rating_histograms,
    reliability_figure,
    training_curves,
)
from pamela.reporting.plots.steering import elo, over_optimisation
from pamela.reporting.presentation.plot_style import (
    INK,
    MUTED,
    STYLE,
    legend_below,
    panels,
    save,
    series_style,
    tell_apart,
)

REFERENCES = (BASELINE, FEATURE_OBSERVER, IDEAL_OBSERVER)  # beside the curves over shots
TITLES = {SEEN: "Seen users, new images", UNSEEN: "Unseen users, 0 shots"}


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Draw every figure that the results allow into `folder` (emptied first).

    Returns
    -------
    The files, in reading order; a name starts with its dataset, or with ``steering`` or
    ``training``.
    """
    shutil.rmtree(folder, ignore_errors=True)
    files = []
    tell_apart(results.external)
    with mpl.rc_context(STYLE):
        for name, figure in _figures(results):
            save(figure, folder / f"{name}.png")
            files.append(folder / f"{name}.png")
    return files


def _figures(results: Results) -> Iterator[tuple[str, Figure]]:
    for dataset in filter(results.has_ratings, results.datasets):
        # with user means, `population` orders every user's pictures as without
        models = [m for m in results.models(dataset) if m != POPULATION_USER_MEAN]
        rows = results.evaluation.filter(dataset=dataset)
        # scores from elsewhere that miss pictures have no value, and nothing to draw
        valued = set(rows.drop_nulls("value")[MODEL].unique())
        models = [m for m in models if m in valued or m not in results.external]
        yield f"{dataset}_srocc", rank_correlation(rows, models)
        yield f"{dataset}_margins", margin_curves(rows, models)
        yield f"{dataset}_gap", seen_unseen_gap(rows, models)
        champion = results.params.train.champion
        shown = [*personal_models(results, dataset), champion, *REFERENCES]
        shown = [m for m in dict.fromkeys(shown) if m in models]
        if shown and rows["shots"].n_unique() > 2:
            gains = results.differences.filter(dataset=dataset)
            yield f"{dataset}_shots", shots_curve(rows, gains, shown, champion)
        predictions = results.predictions.filter(dataset=dataset)
        if predictions.height:
            yield f"{dataset}_calibration", calibration(predictions, models)
        figure = reliability_figure(predictions, personal_models(results, dataset))
        if figure is not None:
            yield f"{dataset}_reliability", figure
        scale = tuple(results.dataset_meta[dataset]["scale"])
        yield (
            f"{dataset}_ratings",
            rating_histograms(results.ratings.filter(dataset=dataset), scale),
        )
    for model in results.params.train.models:
        history = results.histories(model)
        if history is not None and (figure := training_curves(history, model)) is not None:
            yield f"training_{model}", figure
    if results.steered:
        yield "steering_elo", elo(results.steering)
        if (rounds := results.project.reports / "steering" / "gains_by_round.csv").is_file():
            yield "steering_rounds", over_optimisation(pl.read_csv(rounds, glob=False))


def margin_curves(evaluation: pl.DataFrame, models: list[str]) -> Figure:
    """Draw pairwise accuracy against the margin, seen and unseen, one line per model."""
    rows = headline_rows(evaluation, PAIRWISE_ACCURACY)
    figure, axes = panels(2, height=4.4, sharey=True)
    for axis, population in zip(axes, POPULATIONS, strict=True):
        for model in models:
            _curve(axis, rows.filter(model=model, population=population).sort("margin"), "margin")
        axis.axhline(0.5, color=MUTED, linewidth=0.8)
        axis.set(title=TITLES[population], xlabel="margin (points on a 1..5 scale)")
        axis.set_xticks(rows["margin"].unique().drop_nulls().sort().to_list())
    axes[0].set_ylabel("pairwise accuracy, mean over users")
    legend_below(figure, axes[0])
    return figure


def _curve(axis: Axes, rows: pl.DataFrame, x: str, *, band: bool = True) -> None:
    """Draw one model's line, with its band if wanted."""
    rows = rows.drop_nulls("value")
    if not rows.height:
        return
    name = rows["model"][0]
    style = series_style(name)
    axis.plot(
        rows[x], rows["value"],
        color=style.color, linestyle=style.line, marker=style.marker, label=name,
    )  # fmt: skip
    if not band:
        return
    low, high = (rows[c].fill_null(strategy=None, value=np.nan) for c in ("ci_low", "ci_high"))
    axis.fill_between(rows[x], low, high, color=style.color, alpha=0.13, linewidth=0)


def rank_correlation(evaluation: pl.DataFrame, models: list[str]) -> Figure:
    """Draw SROCC as a bar per model, seen and unseen, with the ideal observer as a line."""
    rows = headline_rows(evaluation, SROCC)
    bars = [m for m in models if m not in CEILINGS][::-1]
    figure, axes = panels(2, height=1.5 + 0.36 * len(bars), sharey=True)
    for axis, population in zip(axes, POPULATIONS, strict=True):
        here = {r["model"]: r for r in rows.filter(population=population).to_dicts()}
        for y, model in enumerate(bars):
            _bar(axis, y, here.get(model), series_style(model).color)
        for model in CEILINGS:
            value = here.get(model, {}).get("value")
            if value is not None:
                axis.axvline(
                    value, color=series_style(model).color, linestyle=series_style(model).line,
                    linewidth=1.4,
                    label=model,
                )  # fmt: skip
        axis.set_yticks(range(len(bars)), bars)
        axis.set_ylim(-0.6, len(bars) - 0.4)
        axis.grid(visible=False, axis="y")
        axis.set(title=TITLES[population], xlabel="SROCC, mean over users")
        axis.set_xlim(left=min(0.0, axis.get_xlim()[0]), right=axis.get_xlim()[1] * 1.08)
    legend_below(figure, axes[0])
    return figure


def _bar(axis: Axes, y: float, row: dict[str, Any] | None, color: str) -> None:
    if row is None or row["value"] is None:
        axis.text(0.004, y, "not defined (one value per user)", va="center", color=MUTED, size=8.5)
        return
    axis.barh(y, row["value"], height=0.66, color=color)
    high = row["value"]
    if row["ci_low"] is not None:
        high = row["ci_high"]
        axis.plot([row["ci_low"], high], [y, y], color=INK, linewidth=1.4, solid_capstyle="butt")
    axis.annotate(
        f"{row['value']:.3f}", (max(high, 0.0), y), xytext=(5, 0), textcoords="offset points",
        va="center", size=9,
        bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )  # fmt: skip


def shots_curve(
    evaluation: pl.DataFrame, differences: pl.DataFrame, models: list[str], champion: str
) -> Figure:
    """Draw what the ratings of unseen users are worth: SROCC, and what is gained on `population`.

    Fewer users have many ratings, so that a curve of SROCC also shows who is left; the gain is on
    the same users. One band, the champion's, as a dozen would hide each other.
    """
    rows = shot_rows(evaluation, SROCC).drop_nulls("shots")
    gains = differences.filter(
        pl.col("shots").is_not_null(), metric=SROCC, baseline=BASELINE, population=UNSEEN
    )
    shots = rows["shots"].unique().sort().to_list()
    place = pl.col("shots").replace_strict(shots, list(range(len(shots))), return_dtype=pl.Float64)
    figure, axes = panels(2, height=4.6)
    for axis, frame in zip(axes, (rows, gains), strict=True):
        for model in models:
            line = frame.filter(model=model).with_columns(place=place).sort("place")
            _curve(axis, line, "place", band=model == champion)
        axis.set_xlabel("ratings shown (users who have as many)")
    users = rows.filter(model=models[0]).sort("shots")["n_users"].to_list()
    for axis in axes:
        labels = [f"{k}\n({n})" for k, n in zip(shots, users, strict=True)]
        axis.set_xticks(range(len(shots)), labels)
    axes[0].set(title="Unseen users", ylabel="SROCC, mean over users")
    axes[1].axhline(0.0, color=series_style(BASELINE).color, linewidth=1.4)
    axes[1].set(title=f"The same users: gain on {BASELINE}", ylabel="SROCC")
    legend_below(figure, axes[0], columns=4)
    return figure


def seen_unseen_gap(evaluation: pl.DataFrame, models: list[str]) -> Figure:
    """Draw, per model, its seen and its unseen value joined by a line."""
    names = models[::-1]
    figure, axes = panels(2, height=1.7 + 0.34 * len(names), sharey=True)
    titles = {SROCC: "SROCC", PAIRWISE_ACCURACY: "Pairwise accuracy, margin 0"}
    for axis, (metric, title) in zip(axes, titles.items(), strict=True):
        rows = headline_rows(evaluation, metric, margin=0.0).drop_nulls("value")
        for y, model in enumerate(names):
            ends = {r["population"]: r["value"] for r in rows.filter(model=model).to_dicts()}
            color = series_style(model).color
            axis.plot(list(ends.values()), [y] * len(ends), color=color, linewidth=2.4, alpha=0.5)
            for population, fill in ((SEEN, color), (UNSEEN, "white")):
                if population in ends:
                    axis.plot(ends[population], y, "o", color=color, markerfacecolor=fill,
                              markersize=7.5, markeredgewidth=1.8)  # fmt: skip
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.set(title=title)
    for fill, label in ((MUTED, "seen users"), ("white", "unseen users, 0 shots")):
        axes[0].plot([], [], "o", color=MUTED, markerfacecolor=fill, markeredgewidth=1.8,
                     markersize=7.5, label=label)  # fmt: skip
    legend_below(figure, axes[0])
    return figure
