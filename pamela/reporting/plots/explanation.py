"""Figures of an explanation: a profile of what raises and lowers, and example pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet
from pamela.core.images import open_rgb
from pamela.core.paths import Project, find_root
from pamela.explain.result import Explanation, clear, ends, telling_words
from pamela.reporting.presentation.plot_style import BLUE, INK, MUTED, RED, STYLE, drawable, save

Drawn = Figure | SubFigure
CONCEPTS: Final = 9  # in the profile
BARS: Final = 3  # of metadata and of words, each way
TILES: Final = 3  # pictures in a row
ROWS: Final = 2  # of pictures, each way
SIDE: Final = 288  # pixels of a thumbnail
PALE: Final = "#c3cad3"
NARROW, WIDE = 26, 34  # characters in a line of a label
PROFILE_WIDTH, SHEET_WIDTH, ROW_HEIGHT = 5.6, 4.55, 0.33  # inches
SHEET_HEIGHT: Final = 7.35


def write_plot(explanation: Explanation, path: Path, files: Mapping[str, Path]) -> Path:
    """Draw profile and pictures side by side into one PNG."""
    shown = any(image in files for image in explanation.pictures["image_id"])
    width = PROFILE_WIDTH + (SHEET_WIDTH if shown else 0.0)
    height = profile_height(explanation)
    with mpl.rc_context(STYLE):
        figure = _figure(width, max(height, SHEET_HEIGHT if shown else 0.0))
        if shown:
            below = max(height - SHEET_HEIGHT, 0.01)
            grid = figure.add_gridspec(
                2, 2, width_ratios=[PROFILE_WIDTH, SHEET_WIDTH], height_ratios=[SHEET_HEIGHT, below]
            )
            draw_profile(figure.add_subfigure(grid[:, 0]), explanation)
            draw_pictures(figure.add_subfigure(grid[0, 1]), explanation, files)
        else:
            draw_profile(figure, explanation)
        title = drawable(f"{explanation.user}: against the population")
        figure.suptitle(title, x=0.02, ha="left", weight="bold")
        save(figure, path)
    return path


def profile_figure(explanation: Explanation) -> Figure:
    """Return the profile alone."""
    figure = _figure(PROFILE_WIDTH, profile_height(explanation))
    draw_profile(figure, explanation)
    return figure


def _figure(width: float, height: float) -> Figure:
    engine = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    return Figure(figsize=(width, height), layout=engine)


def profile_height(explanation: Explanation) -> float:
    """Return the height in inches that the profile needs."""
    rows = min(explanation.concepts.height, CONCEPTS) + bars(explanation).height
    panels = int(explanation.concepts.height > 0) + int(bars(explanation).height > 0)
    return 0.5 + 0.85 * panels + ROW_HEIGHT * rows


def draw_profile(figure: Drawn, explanation: Explanation) -> None:
    """Draw concepts between their two ends, then metadata and words as bars."""
    concepts, others = explanation.concepts.head(CONCEPTS), bars(explanation)
    heights = [frame.height for frame in (concepts, others) if frame.height]
    if not heights:
        return
    axes = figure.subplots(len(heights), 1, height_ratios=[h + 1.2 for h in heights], squeeze=False)
    rest = list(axes[:, 0])
    reach = 1.06 * max(_furthest(concepts), _furthest(others), 1e-3)  # one scale for both
    for axis in rest:
        axis.set_xlim(-reach, reach)
    if concepts.height:
        _between_ends(rest.pop(0), concepts)
    if others.height:
        _raise_and_lower(rest.pop(0), others)
    low, high = explanation.scale
    axes[-1, 0].set_xlabel(f"points of the scale {low:g} to {high:g}, against the population")


def bars(explanation: Explanation) -> pl.DataFrame:
    """Return the metadata levels and words that raise and lower most: label, kind, effect, ci."""
    columns = ("label", "kind", "effect", "ci_low", "ci_high")
    parts = [
        part.with_columns(label=label, kind=pl.lit(label)).select(columns)
        for label, sides in (
            ("level", ends(explanation.levels, BARS)),
            ("word", telling_words(explanation.words, BARS)),
        )
        for part in sides
    ]
    return pl.concat(parts).sort("effect", descending=True, maintain_order=True)


def _between_ends(axis: Axes, concepts: pl.DataFrame) -> None:
    sure = clear(concepts).to_list()
    places = list(range(concepts.height))
    _bars(axis, concepts, [BLUE if s else PALE for s in sure])
    axis.set_title("Which look raises the rating")
    other = axis.twinx()
    other.set_ylim(axis.get_ylim())
    other.spines[["top", "right", "left", "bottom"]].set_visible(False)
    other.grid(False)
    lows = [
        row["low"] if row["low"] is not None else f"other {row['theme']}"
        for row in concepts.iter_rows(named=True)
    ]
    for side, labels, towards in ((axis, lows, -1.0), (other, concepts["high"].to_list(), 1.0)):
        side.set_yticks(places, [_wrapped(text, NARROW) for text in labels], fontsize=8.6)
        for tick, effect, known in zip(
            side.get_yticklabels(), concepts["effect"], sure, strict=True
        ):
            chosen = known and effect * towards > 0
            tick.set(color=INK if chosen else MUTED, weight="bold" if chosen else "normal")


def _raise_and_lower(axis: Axes, rows: pl.DataFrame) -> None:
    sure = clear(rows).to_list()
    colors = [
        (BLUE if effect > 0 else RED) if known else PALE
        for effect, known in zip(rows["effect"], sure, strict=True)
    ]
    _bars(axis, rows, colors)
    labels = [
        _wrapped(f"“{text}”" if kind == "word" else text, WIDE)
        for text, kind in zip(rows["label"], rows["kind"], strict=True)
    ]
    axis.set_yticks(range(rows.height), labels, fontsize=8.6)
    axis.set_title("Metadata and “words” of prompts")


def _bars(axis: Axes, rows: pl.DataFrame, colors: list[str]) -> None:
    """Draw a bar per row from zero, with its interval; the first row on top."""
    places = range(rows.height)
    axis.barh(places, rows["effect"], height=0.56, color=colors)
    axis.hlines(places, rows["ci_low"], rows["ci_high"], color=INK, linewidth=1.0)
    axis.axvline(0, color=MUTED, linewidth=0.9)
    axis.set_ylim(rows.height - 0.4, -0.6)
    axis.spines[["left"]].set_visible(False)
    axis.grid(axis="y", visible=False)


def _furthest(rows: pl.DataFrame) -> float:
    """Return how far from zero effects and intervals go."""
    values = rows.select("effect", "ci_low", "ci_high").cast(pl.Float64).to_numpy()
    return float(np.abs(values).max(initial=0.0))


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(drawable(text), width, max_lines=2, placeholder=" …"))


def draw_pictures(figure: Drawn, explanation: Explanation, files: Mapping[str, Path]) -> None:
    """Draw the pictures raised and lowered most, each with both predicted ratings."""
    up, down = ends(explanation.pictures, TILES * ROWS)
    axes = figure.subplots(2 * ROWS, TILES)
    for axis in axes.ravel():
        axis.set_axis_off()
    for block, table, title in ((0, up, "Raised most"), (ROWS, down, "Lowered most")):
        grid = axes[block : block + ROWS].ravel()
        found = thumbnails(table, files, SIDE)
        for axis, (row, tile) in zip(grid, found, strict=False):
            axis.imshow(tile)
            axis.set_title(_ratings(row), fontsize=8.6, weight="normal", loc="center", pad=4)
        grid[0].text(
            0.0, 1.2, title, transform=grid[0].transAxes, fontsize=11, weight="bold", va="bottom"
        )


def _ratings(row: dict[str, Any]) -> str:
    return f"{row['person']:.1f}, others {row['population']:.1f}"


def files_here(explanation: Explanation) -> dict[str, Path]:
    """Return the picture files in the project around the working directory; {} outside of one."""
    try:
        root = find_root()
    except PamelaError:
        return {}
    return files_of(Project(root), explanation)


def files_of(project: Project, explanation: Explanation) -> dict[str, Path]:
    """Return ``{image_id: file}`` of the example pictures whose content the project has."""
    path = project.validated / "images.parquet"
    if not path.is_file():
        return {}
    wanted = explanation.pictures.select(s.IMAGE, _content=s.SHA256)
    found = (
        read_parquet(path, columns=[s.DATASET, s.IMAGE, s.FILE, s.SHA256])
        .filter(pl.col(s.DATASET) == explanation.dataset)
        .join(wanted, on=s.IMAGE, how="inner")
        .filter(pl.col(s.SHA256).eq_missing(pl.col("_content")))
        .drop_nulls(s.FILE)
    )
    files = {row[s.IMAGE]: project.root / row[s.FILE] for row in found.iter_rows(named=True)}
    return {image: file for image, file in files.items() if file.is_file()}


def thumbnails(
    table: pl.DataFrame, files: Mapping[str, Path], side: int
) -> list[tuple[dict[str, Any], npt.NDArray[np.uint8]]]:
    """Return the rows of `table` that have a file, each with its middle square, (side, side, 3)."""
    found = []
    for row in table.iter_rows(named=True):
        file = files.get(row[s.IMAGE])
        if file is not None:
            found.append((row, _square(open_rgb(file, str(file)), side)))
    return found


def _square(image: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    edge = min(image.size)
    left, top = ((length - edge) // 2 for length in image.size)
    middle = image.crop((left, top, left + edge, top + edge))
    return np.asarray(middle.resize((side, side), Image.Resampling.LANCZOS))
