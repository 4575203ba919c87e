"""Ratings that callers give: pairs, triples, or a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any, Final

import numpy as np
import polars as pl

from pamela.core.errors import PamelaError
from pamela.serving.arguments.pictures import read_picture, read_prompt
from pamela.serving.arguments.texts import in_order, is_table, shown
from pamela.serving.types import ImageLike, detail

RATING: Final = "(image, rating) or (image, prompt, rating)"


@dataclass(frozen=True)
class RatedPictures:
    """Pictures that somebody rated; `names` is what a message calls each."""

    images: list[ImageLike]
    prompts: list[str | None]
    ratings: list[float]
    names: list[str]


NO_RATINGS: Final = RatedPictures([], [], [], [])


def read_ratings(value: Any, dataset: str) -> RatedPictures:
    """Return rated pictures.

    Parameters
    ----------
    value : pairs or triples as of `Reward.adapt`, or a table with the columns image or image_id,
        rating and, if there are any, prompt.
    dataset : what ids of pictures in a table belong to.
    """
    if is_table(value):
        from pamela.serving.arguments.ratings_table import RatingsTable

        table = RatingsTable(as_polars(value, "ratings", RATING), "ratings")
        table.require_ratings()
        return RatedPictures(table.images(dataset), table.prompts, table.ratings, table.names)
    rows = list(_rating_rows(in_order(value, "ratings", f"a list of {RATING}, or a DataFrame")))
    images = [read_picture(row[0], f"rating {number}") for number, row in enumerate(rows, 1)]
    names = [f"rating {number}{detail(one)}" for number, one in enumerate(images, 1)]
    texts = [row[1] if len(row) == 3 else None for row in rows]
    return RatedPictures(
        images,
        [read_prompt(text, f"{name}: prompt") for text, name in zip(texts, names, strict=True)],
        [_number(row[-1], name) for row, name in zip(rows, names, strict=True)],
        names,
    )


def _rating_rows(value: Iterable[Any]) -> Iterator[Sequence[Any]]:
    for number, row in enumerate(value, 1):
        if not isinstance(row, tuple | list) or len(row) not in (2, 3):
            raise PamelaError(f"rating {number}: {shown(row)} is none; give {RATING}")
        yield row


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real | Decimal):
        raise PamelaError(f"{name}: {shown(value)} is not a number; give {RATING}")
    try:
        return float(value)
    except OverflowError:
        return float("inf")  # off any scale


def as_polars(table: Any, name: str, instead: str) -> pl.DataFrame:
    """Return a DataFrame of Polars, pandas or another library that knows Arrow."""
    try:
        return table.collect() if isinstance(table, pl.LazyFrame) else pl.DataFrame(table)
    except Exception as error:  # of pandas, Arrow or Polars; each has its own
        why = (str(error).splitlines() or [type(error).__name__])[0]
        of_pandas = not isinstance(table, pl.DataFrame | pl.LazyFrame)
        kinds = dict(getattr(table, "dtypes", {})) if of_pandas else {}  # by column
        mixed = [str(column) for column, kind in kinds.items() if str(kind) == "object"]
        why += f"; of mixed types: {', '.join(mixed)}" if mixed else ""
        raise PamelaError(
            f"{name}: not readable as a table of text and numbers ({why}); give {instead} instead"
        ) from None
