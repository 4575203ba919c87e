"""A contact sheet of one steered prompt: the original, each round's best, and the best of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont, ImageOps

from pamela.core.files import atomic_path
from pamela.steer.generators.base import Image as Pixels

COLUMNS: Final = 4
TILE: Final = 256  # pixels a side
GAP: Final = 16
FONT: Final = 14
LINE: Final = 19  # pixels from line to line
GREY: Final = "#555555"


@dataclass(frozen=True)
class Tile:
    """A picture and what stands below it: a title, then lines that are broken where needed."""

    image: Pixels
    title: str
    lines: Sequence[str]


def write_sheet(path: Path, heading: Sequence[str], tiles: Sequence[Tile]) -> None:
    """Write the sheet as PNG; no text is cut: rows are as high as their longest."""
    font = ImageFont.load_default(FONT)
    columns = min(COLUMNS, len(tiles))
    width = columns * (TILE + GAP) + GAP
    top = [part for line in heading for part in broken(line, font, width - 2 * GAP)]
    texts = [
        (broken(tile.title, font, TILE), [p for x in tile.lines for p in broken(x, font, TILE)])
        for tile in tiles
    ]
    starts = range(0, len(tiles), columns)
    heights = [
        TILE + LINE * max(len(a) + len(b) for a, b in texts[i : i + columns]) + GAP + LINE
        for i in starts
    ]
    sheet = Image.new("RGB", (width, 2 * GAP + LINE * len(top) + sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    _write(draw, (GAP, GAP), top, font, "black")
    y = 2 * GAP + LINE * len(top)
    for begin, height in zip(starts, heights, strict=True):
        for place, tile in enumerate(tiles[begin : begin + columns]):
            x = GAP + place * (TILE + GAP)
            picture = ImageOps.contain(
                Image.fromarray(tile.image), (TILE, TILE), Image.Resampling.LANCZOS
            )
            sheet.paste(picture, (x + (TILE - picture.width) // 2, y))
            title, lines = texts[begin + place]
            _write(draw, (x, y + TILE + 4), title, font, "black")
            _write(draw, (x, y + TILE + 4 + LINE * len(title)), lines, font, GREY)
        y += height
    with atomic_path(path) as aside:
        sheet.save(aside, "PNG")


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    lines: Sequence[str],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    colour: str,
) -> None:
    for number, line in enumerate(lines):
        draw.text((at[0], at[1] + number * LINE), line, colour, font)


def broken(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Break `text` into lines of at most `width` pixels, between words where that is possible."""
    lines = [""]
    for word in text.split():
        while word:
            room = f"{lines[-1]} {word}".strip()
            if font.getlength(room) <= width:
                lines[-1], word = room, ""
            elif lines[-1]:
                lines.append("")
            else:  # a word that is wider than a line
                fits = max(1, sum(font.getlength(word[: i + 1]) <= width for i in range(len(word))))
                lines[-1], word = word[:fits], word[fits:]
    return lines
