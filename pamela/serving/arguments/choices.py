"""Choices between two pictures that callers give: tuples, or a table."""

from __future__ import annotations

from typing import Any, Final

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.serving.arguments.chosen_pictures import NO_CHOICES, SIDES, ChosenPictures
from pamela.serving.arguments.pictures import read_picture, read_prompt
from pamela.serving.arguments.texts import in_order, is_table, shown
from pamela.serving.types import ImageLike

CHOICE: Final = "(image_a, image_b, 'a', 'b' or 'tie') or (image_a, image_b, prompt, choice)"


def read_choices(value: Any, dataset: str) -> ChosenPictures:
    """Return pictures between which somebody chose.

    Parameters
    ----------
    value : tuples as of `Reward.adapt`, a table (`ChoicesTable`), or None for no choices.
    dataset : what ids of pictures in a table belong to.
    """
    if value is None:
        return NO_CHOICES
    if is_table(value):
        from pamela.serving.arguments.choices_table import ChoicesTable
        from pamela.serving.arguments.ratings import as_polars

        return ChoicesTable(as_polars(value, "choices", CHOICE), "choices").chosen(dataset)
    images: list[ImageLike] = []
    prompts: list[str | None] = []
    choices, names = [], []
    wanted = f"a list of {CHOICE}, or a DataFrame"
    for number, row in enumerate(in_order(value, "choices", wanted), 1):
        name = f"choice {number}"
        if not isinstance(row, tuple | list) or len(row) not in (3, 4):
            raise PamelaError(f"{name}: {shown(row)} is none; give {CHOICE}")
        images += [
            read_picture(one, f"{name}: {side}") for one, side in zip(row[:2], SIDES, strict=True)
        ]
        prompts += [read_prompt(row[2] if len(row) == 4 else None, f"{name}: prompt")] * 2
        choices.append(read_outcome(row[-1], name))
        names.append(name)
    return ChosenPictures(images, prompts, choices, names)


def read_outcome(value: Any, name: str) -> str:
    """Return what was chosen, one of `schema.OUTCOMES`."""
    if not isinstance(value, str) or value not in s.OUTCOMES:
        raise PamelaError(f"{name}: {shown(value)} is no choice; give {' or '.join(s.OUTCOMES)}")
    return value
