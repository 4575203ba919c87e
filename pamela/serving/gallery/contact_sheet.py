"""A contact sheet of what a person likes best: pictures in their order, each above its score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont, ImageOps

from pamela.core.errors import PamelaError
from pamela.core.files import atomic_path
from pamela.core.images import open_rgb
from pamela.serving.types import Ranked

COLUMNS: Final = 5
TILE: Final = 200  # pixels a side
TEXT: Final = 34  # pixels below a tile
GAP: Final = 8
FONT: Final = 12
LETTERS: Final = 30  # of an id that fit below a tile


def write_sheet(ranked: Sequence[Ranked], path: Path) -> None:
    """Draw the pictures that have a file here and write them to `path` as PNG.

    Raises
    ------
    PamelaError
        If it cannot be written.
    """
    columns = min(COLUMNS, len(ranked))
    rows = -(-len(ranked) // columns)
    size = (columns * (TILE + GAP) + GAP, rows * (TILE + TEXT + GAP) + GAP)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT)
    for number, one in enumerate(ranked):
        x = GAP + number % columns * (TILE + GAP)
        y = GAP + number // columns * (TILE + TEXT + GAP)
        if one.file is not None and one.file.is_file():
            tile = ImageOps.contain(open_rgb(one.file, str(one.file)), (TILE, TILE))
            sheet.paste(tile, (x + (TILE - tile.width) // 2, y + (TILE - tile.height) // 2))
        else:
            draw.rectangle((x, y, x + TILE, y + TILE), outline="lightgrey")
        rated = ", rated" if one.rated else ""
        text = f"{number + 1}: {one.score.rating:.2f}{rated}\n{(one.image_id or '')[:LETTERS]}"
        draw.multiline_text((x, y + TILE + 2), text, "black", font, spacing=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as aside:
            sheet.save(aside, "PNG")
    except OSError as error:
        raise PamelaError(f"{path}: cannot be written ({error.strerror})") from None
