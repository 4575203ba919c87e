"""Text from data in plots: no mathematics, nothing hidden, nothing that stops the drawing."""

from __future__ import annotations

import matplotlib as mpl
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.reporting.plots.diagnostics import rating_histograms
from pamela.reporting.presentation.plot_style import LONGEST, STYLE, drawable, png
from tests.paths import ROOT

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=30)
ODD = ["$x$", "$\\frac{", "cost: $5 and $6", "_hidden", "a\nb", "\x00", "x" * 5000, "$", "\\"]


def legend_of(name: str) -> list[str]:
    """Draw the histogram of a picture type called `name`; return its legend."""
    ratings = pl.DataFrame({s.RATING: [1.0, 2.0, 3.0], s.TYPE: [name] * 3})
    with mpl.rc_context(STYLE):
        figure = rating_histograms(ratings, (1.0, 5.0))
        assert png(figure).startswith(b"\x89PNG")
        return [text.get_text() for text in figure.axes[1].get_legend().get_texts()]


@settings(max_examples=15, deadline=None)
@given(st.one_of(st.sampled_from(ODD), TEXTS))
def test_a_type_of_any_name_is_drawn_and_stands_in_the_legend(name):
    assert legend_of(name) == [drawable(f"{name} (3)")]


@settings(deadline=None)
@given(TEXTS)
def test_what_is_drawable_is_one_short_line(text):
    line = drawable(text)
    assert len(line) <= LONGEST + 1
    assert line.isprintable()
    assert not line.startswith("_")
    assert len(drawable(text * 100)) <= LONGEST + 1


def test_every_figure_is_made_in_the_one_style():
    """`Figure` is drawn by ``png`` or ``save``, which know the style."""
    for path in sorted((ROOT / "pamela").rglob("*.py")):
        text = path.read_text()
        assert "savefig(" not in text or path.name == "plot_style.py", path
