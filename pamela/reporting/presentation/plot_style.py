"""One look for every figure: colour-blind safe, the same colour for the same model everywhere."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl

mpl.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

INK, MUTED, GRID = "#1d2530", "#667180", "#e4e8ee"
WIDTH = 9.6  # inches
LONGEST = 80  # characters of a name in a plot
# Okabe and Ito's palette; baselines are greys, ceilings are dark and dashed.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY = "#CC79A7", "#56B4E9"


class SeriesStyle(NamedTuple):
    """How one series is drawn."""

    color: str
    line: Any
    marker: str


LOOKS: dict[str, SeriesStyle] = {
    "paper": SeriesStyle(BLUE, "-", "o"),
    "hierarchical": SeriesStyle(RED, "-", "D"),
    "population": SeriesStyle(GREEN, "-", "s"),
    "residual_ridge": SeriesStyle(PURPLE, "-", "^"),
    "mf": SeriesStyle(SKY, "-", "v"),
    "group_mean": SeriesStyle("#6b7583", (0, (5, 2)), "P"),
    "user_mean": SeriesStyle("#98a1ad", (0, (3, 2)), "X"),
    "global_mean": SeriesStyle("#b9c0c9", (0, (1, 1.5)), "."),
    "population_user_mean": SeriesStyle("#4f9e86", (0, (4, 2)), "s"),
    "population_shuffled": SeriesStyle("#8fb8a8", (0, (3, 2)), "s"),
    "noise_ceiling": SeriesStyle("#111111", (0, (2, 2)), ""),
    "ideal_observer": SeriesStyle("#111111", (0, (6, 2)), ""),
    "ideal_population": SeriesStyle("#555555", (0, (6, 2, 1, 2)), ""),
    "feature_observer": SeriesStyle(ORANGE, (0, (6, 2)), ""),
}
_SPARE = (
    SeriesStyle("#8c510a", "-", "h"),
    SeriesStyle("#01665e", "-", "p"),
    SeriesStyle("#762a83", "-", "*"),
    SeriesStyle("#a6761d", (0, (4, 1)), "<"),
    SeriesStyle("#40b0a6", (0, (4, 1)), ">"),
    SeriesStyle("#9970ab", (0, (4, 1)), "d"),
)
_assigned: dict[str, SeriesStyle] = {}  # by `tell_apart`

STYLE: Any = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same pixels everywhere
    "font.size": 10,
    # names of styles and people may hold dollar signs: no text is mathematics
    "text.parse_math": False,
    "text.usetex": False,
    "axes.formatter.use_mathtext": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa4b1",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 2.0,
    "lines.markersize": 5.5,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 144,
    "svg.hashsalt": "pamela",
}


def tell_apart(names: Iterable[str]) -> None:
    """Give each of `names` a spare look of its own, as many as there are."""
    _assigned.clear()
    _assigned.update(zip(names, cycle(_SPARE), strict=False))


def series_style(name: str) -> SeriesStyle:
    """Return how series `name` is drawn; an unknown name always gets the same spare look."""
    known = LOOKS.get(name) or _assigned.get(name)
    return known or _SPARE[sum(name.encode()) % len(_SPARE)]


def drawable(text: str) -> str:
    """Return text from data as a plot may hold it: one line, of a length that can be drawn.

    matplotlib leaves names that begin with an underscore out of legends, and stops at some control
    characters. What stands between dollar signs is text by `STYLE`.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    short = line if len(line) <= LONGEST else f"{line[: LONGEST - 2]} …"
    return f" {short}" if short.startswith("_") else short


def panels(columns: int, *, height: float = 3.9, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure with one row of `columns` axes; nothing global is touched."""
    width = WIDTH if columns > 1 else 0.72 * WIDTH
    engine = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08)
    figure = Figure(figsize=(width, height), layout=engine)
    axes = figure.subplots(1, columns, squeeze=False, sharey=sharey)[0]
    return figure, list(axes)


def legend_below(figure: Figure, axes: Axes, columns: int = 5) -> None:
    """Put one legend for the whole figure under its panels."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(labels)))


def png(figure: Figure) -> bytes:
    """Return `figure` as PNG, the same bytes for the same figure."""
    stream = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():  # ticks are made while it is drawn
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # drawn as boxes
        figure.savefig(stream, format="png", metadata={"Software": "pamela"})
    return stream.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write `figure` as PNG."""
    from pamela.core.files import atomic_path

    with atomic_path(path) as aside:
        aside.write_bytes(png(figure))
