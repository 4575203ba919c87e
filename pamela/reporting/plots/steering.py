"""Plots of steering: Elo and win shares by arm, and what is gained round by round."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pamela.registry.tracking.run_metrics import elo_by_arm
from pamela.reporting.presentation.plot_style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    RED,
    STYLE,
    drawable,
    panels,
    save,
)

OPINIONS: Final = {  # column: label and line
    "reward": ("the reward that is optimised", BLUE, "-"),
    "independent": ("a reward trained on other ratings", ORANGE, "--"),
    "truth": ("the person's true utility", INK, "-"),
}
ARMS: Final = {
    "self": (BLUE, "-"),
    "self_cautious": (BLUE, ":"),
    "population": (GREEN, "-"),
    "other": (RED, "--"),
    "chance": (MUTED, "-"),
}


def elo(steering: Mapping[str, float]) -> Figure:
    """Draw each arm's Elo and the win shares of `self`, with intervals."""
    by_arm = elo_by_arm(steering)
    arms = sorted(by_arm, key=by_arm.__getitem__)
    wins = [arm for arm in arms[::-1] if f"win_self_{arm}" in steering]
    figure, (left, right) = panels(2, height=1.5 + 0.42 * max(len(arms), len(wins)))
    for y, arm in enumerate(arms):
        _point(left, y, steering, f"elo_{arm}", "{:.0f}")
    left.set_yticks(range(len(arms)), [drawable(arm) for arm in arms])
    left.set(title="Elo of each arm", xlabel="Elo (mean 1000)")
    for y, other in enumerate(wins):
        _point(right, y, steering, f"win_self_{other}", "{:.2f}")
    right.axvline(0.5, color=MUTED, linewidth=0.9)
    right.set_yticks(range(len(wins)), [f"self vs {drawable(k)}" for k in wins])
    right.set(title="Share of comparisons won by self", xlabel="share (ties one half)")
    for axis, n in ((left, len(arms)), (right, len(wins))):
        axis.set_ylim(-0.6, n - 0.3)
        axis.margins(x=0.12)
    return figure


def _point(axis: Axes, y: int, values: Mapping[str, float], key: str, text: str) -> None:
    value, low, high = (values.get(k) for k in (key, f"{key}_ci_low", f"{key}_ci_high"))
    if value is None:
        return
    if low is not None and high is not None:
        axis.plot([low, high], [y, y], color=BLUE, linewidth=2.6, alpha=0.45)
    axis.plot(value, y, "o", color=BLUE, markersize=8)
    axis.annotate(text.format(value), (value, y), xytext=(0, 7), textcoords="offset points",
                  ha="center", size=9)  # fmt: skip


def over_optimisation(gains: pl.DataFrame) -> Figure:
    """Draw what the best picture so far is worth, by round: to whom, and by which arm.

    Parameters
    ----------
    gains : ``arm, round`` and mean gains on round 0 (`pamela.steer.outcomes.curves.mean_gains`).
    """
    figure, (left, right) = panels(2, height=5.0, sharey=True)
    mine = gains.filter(arm="self")
    for column, (label, color, line) in OPINIONS.items():
        if mine[column].null_count() < mine.height:
            left.plot(
                mine["round"], mine[column],
                color=color, linestyle=line, marker="o", label=label,
            )  # fmt: skip
    left.set(title="Steered by one's own reward", ylabel="mean gain on the original, points")
    for arm in gains["arm"].unique(maintain_order=True):
        rows = gains.filter(arm=arm).drop_nulls("truth")
        color, line = ARMS.get(arm, (ORANGE, ":"))
        if rows.height:
            right.plot(
                rows["round"], rows["truth"],
                color=color, linestyle=line, marker="o", label=drawable(arm),
            )  # fmt: skip
    right.set(title="True utility, by arm")
    for axis, columns in ((left, 1), (right, 2)):
        axis.axhline(0.0, color=MUTED, linewidth=0.8)
        axis.set_xlabel("round")
        axis.set_xticks(gains["round"].unique().sort().to_list())
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=columns)
    return figure


def write_steering_plots(steering: Mapping[str, float], gains: pl.DataFrame, folder: Path) -> None:
    """Write ``steering_elo.png`` and ``steering_rounds.png`` into `folder`."""
    with mpl.rc_context(STYLE):
        save(elo(steering), folder / "steering_elo.png")
        save(over_optimisation(gains), folder / "steering_rounds.png")
