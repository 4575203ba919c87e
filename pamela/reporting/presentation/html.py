"""What the HTML pages share: tables and pictures as plain objects, and the template environment.

The pages are self-contained: pictures are inline, styles too, and nothing is fetched from anywhere.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pamela.core.files import atomic_path

DASH = "–"
DOTS_PER_PIXEL = 1.44  # plots are drawn at 144 dpi, pages have 100


@dataclass(frozen=True)
class Cell:
    """A number or words, and what stands small under it."""

    text: str
    small: str = ""


@dataclass(frozen=True)
class Table:
    """A table: column titles, rows of cells (first: the row's name), rows to stress, a caption."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    caption: str = ""
    strong: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Picture:
    """A PNG as a data URI, the width it is shown at (pixels), a caption."""

    source: str
    width: int
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page: a title, a sentence that says what it means, and what is behind it."""

    title: str
    text: str
    table: Table | None = None
    picture: Picture | None = None
    folded: list[Table] = field(default_factory=list)  # shown when opened


def number_cell(row: dict[str, Any] | None, form: str = ".3f") -> Cell:
    """Return a value with its interval under it, or a dash."""
    if row is None or row.get("value") is None:
        return Cell(DASH)
    if row.get("ci_low") is None or row.get("ci_high") is None:
        return Cell(format(row["value"], form))
    return Cell(format(row["value"], form), f"{row['ci_low']:{form}} to {row['ci_high']:{form}}")


def inline(
    picture: Path | bytes, caption: str = "", dots_per_pixel: float = DOTS_PER_PIXEL
) -> Picture:
    """Return a PNG (a file or its bytes) to be put into the page."""
    content = picture if isinstance(picture, bytes) else picture.read_bytes()
    width = int.from_bytes(content[16:20], "big")  # the header's first number
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return Picture(source, round(width / dots_per_pixel), caption)


def write_page(path: Path, template: str, context: dict[str, Any]) -> None:
    """Fill ``pamela/templates/<template>`` with `context` and write it to `path`."""
    html = _environment().get_template(template).render(**context)
    with atomic_path(path) as aside:
        aside.write_text(html, encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("pamela.reporting.presentation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
