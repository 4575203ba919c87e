"""A contact sheet of steered pictures: ``reports/steering/sheet.png``.

One row per prompt: the original, what pleases the population, and what pleases two different
people, with what changed in words and what either would rate it on their own scale.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from pamela.core import schema as s
from pamela.core.files import atomic_path
from pamela.steer.arms import COLD_START, NONE, POPULATION, SELF
from pamela.steer.generators.base import Generator, Image
from pamela.steer.judging.judges import SimulatedJudge
from pamela.steer.results import ARM, candidates_of
from pamela.steer.search.scoring import draw
from pamela.steer.search.store import Store
from pamela.steer.wording import changes

ROWS = 8
TILE = 260  # pixels a side
GAP = 14
FONT = 13
LINE = 17  # pixels
CHARACTERS = 38  # of a line below a tile

Row = dict[str, Any]  # of the table of what arms show


def pick_prompts(chosen: pl.DataFrame, rows: int = ROWS) -> list[list[Row]]:
    """Return what is shown of each of `rows` prompts: original, population, two people's own.

    Prompts are spread over the people who share them.
    """
    people = chosen.group_by(s.PROMPT_ID, maintain_order=True).agg(pl.col(s.USER).unique().sort())
    shared = people.filter(pl.col(s.USER).list.len() >= 2)
    first = shared.with_columns(turn=pl.int_range(pl.len()).over(s.USER)).sort("turn", s.USER)
    return [
        [
            *(_shown(chosen, prompt, pair[0], arm) for arm in (NONE, POPULATION)),
            *(_shown(chosen, prompt, user, SELF) for user in pair[:2]),
        ]
        for prompt, pair in first.select(s.PROMPT_ID, s.USER).head(rows).iter_rows()
    ]


def _shown(chosen: pl.DataFrame, prompt: str, user: str, arm: str) -> Row:
    one = (pl.col(s.PROMPT_ID) == prompt) & (pl.col(s.USER) == user) & (pl.col(ARM) == arm)
    return chosen.filter(one).row(0, named=True)


def write_steering_sheet(
    chosen: pl.DataFrame,
    generator: Generator,
    store: Store,
    judge: SimulatedJudge | None,
    path: Path,
    rows: int = ROWS,
) -> None:
    """Draw the sheet of `pick_prompts` and write it to `path` as PNG.

    Parameters
    ----------
    chosen : table of `pamela.steer.results.chosen_rows`.
    judge : who says what people would rate; None where nobody can.
    """
    prompts = pick_prompts(chosen, rows)
    pictures = _pictures(prompts, generator, store)
    texts = [[_lines(row, shown, judge) for shown in row] for row in prompts]
    heights = [TILE + GAP + LINE * max(map(len, text)) + GAP for text in texts]
    width = GAP + (TILE + GAP) * max(map(len, prompts), default=1)
    sheet = PillowImage.new("RGB", (width, GAP + sum(heights)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT)
    top = GAP
    for row, text, images, height in zip(prompts, texts, pictures, heights, strict=True):
        for column in range(len(row)):
            left = GAP + column * (TILE + GAP)
            sheet.paste(_tile(images[column]), (left, top))
            for number, line in enumerate(text[column]):
                pen.text((left, top + TILE + 6 + number * LINE), line, "black", font)
        top += height
    with atomic_path(path) as aside:
        sheet.save(aside, "PNG")


def _pictures(
    rows: Sequence[Sequence[Row]], generator: Generator, store: Store
) -> list[list[Image]]:
    flat = pl.DataFrame([shown for row in rows for shown in row], infer_schema_length=None)
    candidates = candidates_of(flat)
    drawn = draw(list(dict.fromkeys(candidates)), generator, store)
    images = iter(candidates)
    return [[drawn[next(images)] for _ in row] for row in rows]


def _tile(image: Image) -> PillowImage.Image:
    """Return the picture in the middle of a square tile."""
    picture = PillowImage.fromarray(image)
    scale = TILE / max(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    tile = PillowImage.new("RGB", (TILE, TILE), "#f1f3f6")
    smaller = picture.resize(size, PillowImage.Resampling.LANCZOS)
    tile.paste(smaller, ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    return tile


def _lines(row: Sequence[Row], shown: Row, judge: SimulatedJudge | None) -> list[str]:
    """Return what stands below a picture, wrapped and never cut."""
    said = [_title(shown)]
    people = [one[s.USER] for one in row if one[ARM] == SELF]
    if judge is not None:
        picture = candidates_of(pl.DataFrame([shown]))
        ratings = judge.would_rate(people, picture * len(people))
        said += [
            f"{user} would rate it {rating:.1f} of 5"
            for user, rating in zip(people, ratings, strict=True)
        ]
    if shown[ARM] == NONE:
        said.append(shown[s.PROMPT])
    else:
        before = row[0][s.PROMPT]
        changed = changes(before, shown[s.PROMPT], embedded=judge is not None)
        said += [str(one) for one in changed] or ["nothing changed"]
    return [line for text in said for line in textwrap.wrap(text, CHARACTERS)]


def _title(shown: Row) -> str:
    if shown[ARM] == NONE:
        return "THE PROMPT AS IT IS"
    if shown[ARM] == POPULATION:
        return "FOR THE POPULATION"
    known = " (known by a few ratings)" if shown[COLD_START] else ""
    return f"FOR {shown[s.USER]}{known}"
