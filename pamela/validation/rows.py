"""What people said of a dataset, ratings and choices, held to the expectations together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from pamela.data.repeats import FAULTS, Repeats
from pamela.validation.checks import RatingRules, check_ratings
from pamela.validation.choices import ChoiceRules, check_choices
from pamela.validation.division import TableResults, none_given
from pamela.validation.expectations import Suite

ROWS: Final = ("ratings", "choices")  # the tables that may be large


@dataclass(frozen=True)
class Rows:
    """What the people of dataset `name` said, source by source.

    Attributes
    ----------
    scale : lowest and highest rating.
    latest : ``validate.latest_rated_at``.
    accepted : ratings and choices of sources that were checked before; they precede these.
    repeats : what several ratings of one image by one user are.
    """

    name: str
    ratings: Sequence[pl.LazyFrame]
    choices: Sequence[pl.LazyFrame]
    scale: Sequence[float]
    latest: dt.date | None
    accepted: tuple[Sequence[pl.LazyFrame], Sequence[pl.LazyFrame]] = ((), ())
    repeats: Repeats = FAULTS

    def check(self, images: pl.DataFrame, suites: Mapping[str, Suite]) -> TableResults:
        """Check both tables, given the `image_states`; one of them may have no rows.

        Raises
        ------
        PamelaError
            If a structural expectation fails, such as that of ratings where there are no choices.
        """
        ratings, choices = self.accepted
        found = {"ratings": none_given(self.ratings), "choices": none_given(self.choices)}
        if _any_row(self.choices):
            chosen = ChoiceRules.of(images, suites, self.latest)
            found["choices"] = check_choices(self.name, self.choices, chosen, choices)
        if _any_row(self.ratings) or not found["choices"].rows_in:
            rated = RatingRules.of(images, suites, self.scale, self.latest, self.repeats)
            found["ratings"] = check_ratings(self.name, self.ratings, rated, ratings)
        return found


def _any_row(sources: Sequence[pl.LazyFrame]) -> bool:
    return pl.concat(sources).head(1).collect(engine="streaming").height > 0


def too_faulty(tables: TableResults, max_share: float) -> list[str]:
    """Return the tables of `ROWS` of which more than `max_share` is faulty."""
    return [table for table in ROWS if tables[table].share > max_share]


def any_left(tables: TableResults) -> bool:
    """Tell whether a rating or a choice is left."""
    return any(tables[table].rows_kept for table in ROWS)
