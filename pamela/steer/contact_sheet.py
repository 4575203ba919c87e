"""A contact sheet of steered pictures: ``reports/steering/sheet.png``.

One row per user and prompt: the original and what each arm chose, with the words that changed and
the user's true opinion.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import polars as pl
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from pamela.core import schema as s
from pamela.core.files import atomic_path
from pamela.steer.generators.base import Generator
from pamela.steer.judging.judges import SimulatedJudge
from pamela.steer.results import ARMS, candidates_of

ROWS = 8
TILE = 220  # pixels a side
TEXT = 98  # pixels below a tile
GAP = 10
_FONT = 12
_LINE = 34  # characters
_LINES = 6


def pick_cases(chosen: pl.DataFrame, rows: int = ROWS) -> pl.DataFrame:
    """Return the chosen pictures of `rows` cases, a different user and prompt in each.

    Users come in the order of their ids, and each next user shows their next prompt.
    """
    users = chosen[s.USER].unique().sort().to_list()
    cases = chosen.select(s.USER, s.PROMPT_ID).unique().sort(s.USER, s.PROMPT_ID)
    place = pl.int_range(pl.len()).over(s.USER)
    number = pl.col(s.USER).replace_strict(users, range(len(users)), return_dtype=pl.Int64)
    wanted = (
        cases.filter(place == number % pl.len().over(s.USER))
        .gather_every(max(1, len(users) // rows))
        .head(rows)
    )
    return chosen.join(wanted, on=[s.USER, s.PROMPT_ID], how="semi")


def write_steering_sheet(
    chosen: pl.DataFrame, generator: Generator, judge: SimulatedJudge, path: Path
) -> None:
    """Draw the sheet of `pick_cases`, a column per arm, and write it to `path` as PNG.

    Parameters
    ----------
    chosen : table of `pamela.steer.results.chosen_rows`.
    """
    shown = pick_cases(chosen)
    candidates = candidates_of(shown)
    truth = judge.truth(shown[s.USER].to_list(), candidates)
    images = generator.generate([c.prompt for c in candidates], [c.seed for c in candidates])
    order = list(dict.fromkeys(zip(shown[s.USER], shown[s.PROMPT_ID], strict=True)))
    sheet = PillowImage.new(
        "RGB",
        (len(ARMS) * (TILE + GAP) + GAP, len(order) * (TILE + TEXT + GAP) + GAP),
        "white",
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    for row, image, opinion in zip(shown.iter_rows(named=True), images, truth, strict=True):
        x = GAP + ARMS.index(row["arm"]) * (TILE + GAP)
        y = GAP + order.index((row[s.USER], row[s.PROMPT_ID])) * (TILE + TEXT + GAP)
        tile = PillowImage.fromarray(image).resize((TILE, TILE), PillowImage.Resampling.LANCZOS)
        sheet.paste(tile, (x, y))
        head = f"{row['arm']} for {row[s.USER]}: likes it {opinion:.2f}"
        body = textwrap.wrap(row[s.PROMPT], _LINE, max_lines=_LINES, placeholder=" …")
        draw.multiline_text((x, y + TILE + 2), "\n".join([head, *body]), "black", font, spacing=1)
    with atomic_path(path) as aside:
        sheet.save(aside)
