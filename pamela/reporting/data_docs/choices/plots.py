"""The figures of the data docs on choices, drawn from counts."""

from __future__ import annotations

from typing import Final

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from scipy.special import ndtr

from pamela.core.arrays import Floats
from pamela.reporting.data_docs.choices.consistency import CHANCE
from pamela.reporting.data_docs.choices.statistics import ChoiceStatistics, win_rates
from pamela.reporting.data_docs.plots import HALF, THIRD, draw_per, small
from pamela.reporting.presentation.plot_style import BLUE, INK, MUTED, PURPLE, RED, STYLE, png

ENOUGH: Final = 10  # choices, or closed triads, from which on a person or picture has a share
BINS: Final = 21  # so that one half is the middle of a bin


def draw_choice_counts(statistics: ChoiceStatistics) -> list[bytes]:
    """Draw choices per user, choices per image and the images' win rates; return three PNGs."""
    drawn = []
    with mpl.rc_context(STYLE):
        for draw in (
            lambda axis: draw_per(axis, statistics.users["n"], "user", "choices"),
            lambda axis: draw_per(axis, statistics.images["n"], "image", "choices"),
            lambda axis: _win_rates(axis, statistics.images),
        ):
            figure, axis = small(THIRD)
            draw(axis)
            drawn.append(png(figure))
    return drawn


def draw_choosers(statistics: ChoiceStatistics) -> dict[str, bytes]:
    """Draw the position bias over a session and of every user, and circular triads of every user.

    Returns
    -------
    {what is drawn: PNG}; without what is not known of anyone.
    """
    users = statistics.users
    plots = {
        "Position bias over a session": (statistics.stretches.height > 1, _over_places),
        "Position bias of every user": ((users["decided"] >= ENOUGH).any(), _first_named),
        "Circular triads of every user": ((users["closed"] >= ENOUGH).any(), _circular),
    }
    known = {title: draw for title, (there, draw) in plots.items() if there}
    size = THIRD if len(known) > 2 else HALF
    drawn = {}
    with mpl.rc_context(STYLE):
        for title, draw in known.items():
            figure, axis = small(size)
            draw(axis, statistics)
            drawn[title] = png(figure)
    return drawn


def _win_rates(axis: Axes, images: pl.DataFrame) -> None:
    """Draw how often images win, beside how it would be if people flipped coins."""
    asked = images.filter(pl.col("n") >= pl.min_horizontal(ENOUGH, pl.col("n").median()))
    edges = np.linspace(0, 1, BINS + 1)
    axis.hist(win_rates(asked), bins=edges.tolist(), color=PURPLE, rwidth=0.9)
    by_chance = coin_flips(asked["n"], edges)
    middles = (edges[:-1] + edges[1:]) / 2
    axis.plot(middles, by_chance, color=INK, linewidth=1.4, label="coin flips")
    axis.legend(loc="upper left", fontsize=8.5, handlelength=1.4)
    axis.set(title="Win rates", xlabel="share of choices won", ylabel="images", xlim=(0, 1))
    _percent(axis)


def coin_flips(n: pl.Series, edges: Floats) -> Floats:
    """Return how many images would fall between `edges` if each of `n` choices were a coin flip."""
    counted = n.value_counts(name="images")
    spread = 0.5 / np.sqrt(counted[n.name].to_numpy().astype(np.float64))
    below = ndtr((edges[None, :] - 0.5) / spread[:, None])
    below[:, 0], below[:, -1] = 0.0, 1.0
    return np.asarray(counted["images"].to_numpy() @ np.diff(below, axis=1))


def _over_places(axis: Axes, statistics: ChoiceStatistics) -> None:
    found = statistics.stretches
    middles = ((found["start"] + found["end"]) / 2 + 1).to_numpy()
    axis.axhline(0.5, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)))
    axis.fill_between(
        middles, found["first_low"].to_numpy(), found["first_high"].to_numpy(), color=BLUE,
        alpha=0.18, linewidth=0,
    )  # fmt: skip
    axis.plot(middles, found["first"].to_numpy(), "o-", color=BLUE)
    axis.set(title="First-named chosen", xlabel="place in the session", ylabel="share")
    low = np.nanmin([0.4, *found["first_low"].to_numpy()])
    high = np.nanmax([0.6, *found["first_high"].to_numpy()])
    axis.set_ylim(max(0.0, float(low) - 0.02), min(1.0, float(high) + 0.02))
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _first_named(axis: Axes, statistics: ChoiceStatistics) -> None:
    """Draw how often every user took the first-named image."""
    users = statistics.users.filter(pl.col("decided") >= ENOUGH)
    _histogram(axis, users["first"] / users["decided"], BLUE)
    axis.axvline(0.5, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)))
    axis.set(title="First-named, per user", xlabel="share of the user's choices", ylabel="users")


def _circular(axis: Axes, statistics: ChoiceStatistics) -> None:
    """Draw what share of every user's closed triads is circular."""
    users = statistics.users.filter(pl.col("closed") >= ENOUGH)
    _histogram(axis, users["circular"] / users["closed"], RED)
    axis.axvline(CHANCE, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)))
    axis.set(title="Circular triads", xlabel="share of the user's triads", ylabel="users")


def _histogram(axis: Axes, shares: pl.Series, color: str) -> None:
    axis.hist(shares, bins=np.linspace(0, 1, BINS + 1).tolist(), color=color, rwidth=0.9)
    axis.set_xlim(0, 1)
    _percent(axis)


def _percent(axis: Axes) -> None:
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    axis.grid(visible=False, axis="x")
