"""Choices between two pictures held to ``expectations/choices.json``, row by row.

Who chooses between the same two pictures again, the other one perhaps, has said two things: both
stay. Only what a later source says as an earlier one does, at the same time and position, is the
same row delivered again: as often as the earlier one has it. Choices are read in pieces, so that a
table need not fit into memory.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.validation.checks import time_limit
from pamela.validation.division import TableResult
from pamela.validation.duplicates import SOURCE
from pamela.validation.expectations import Suite
from pamela.validation.repeated_rows import check_rows

CHOICES: Final = "choices"
CHOICE_REPEATS: Final = "choice_repeats"
# What is equal in a row that was delivered again:
SAME: Final = (s.USER, s.IMAGE_A, s.IMAGE_B, s.CHOICE, s.CHOSEN_AT, s.POSITION)
STATES: Final = ("image_present", "image_decodes")  # null where the dataset ships no pictures


@dataclass(frozen=True)
class ChoiceRules:
    """What the choices of one dataset are held to.

    Attributes
    ----------
    rows : suite for each row by itself.
    repeats : suite for rows that are held against those of earlier sources.
    images : DataFrame (image_id, image_present, image_decodes), one row per known image.
    before : a choice's time must lie before it.
    """

    rows: Suite
    repeats: Suite
    images: pl.DataFrame
    before: dt.datetime

    @classmethod
    def of(
        cls, images: pl.DataFrame, suites: Mapping[str, Suite], latest: dt.date | None
    ) -> ChoiceRules:
        """Return the rules, given the `pamela.validation.checks.image_states` of the images.

        Parameters
        ----------
        latest : ``validate.latest_rated_at``; None is the time of the run.
        """
        states = images.select(s.IMAGE, *STATES)
        distinct = states.unique(s.IMAGE, keep="first", maintain_order=True)
        return cls(suites[CHOICES], suites[CHOICE_REPEATS], distinct, time_limit(latest))

    @property
    def parameters(self) -> dict[str, float]:
        """Values of the suites' ``$PARAMETER`` s: there is none."""
        return {}

    def annotate(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return `rows` with what the suite asks of each besides its own columns."""
        for column in (s.IMAGE_A, s.IMAGE_B):
            known = self.images.select(
                pl.col(s.IMAGE).alias(column),
                pl.col(STATES).name.suffix(f"_{column}"),
                pl.lit(True).alias(f"known_{column}"),
            )
            rows = rows.join(known, on=column, how="left", maintain_order="left")
        a, b = s.IMAGE_A, s.IMAGE_B
        return rows.with_columns(
            against_itself=pl.col(a) == pl.col(b),
            chosen_in_future=pl.col(s.CHOSEN_AT) >= self.before,
            images_known=pl.all_horizontal(pl.col(f"known_{c}").fill_null(False) for c in (a, b)),
            images_present=pl.all_horizontal(f"image_present_{c}" for c in (a, b)),
            images_decode=pl.all_horizontal(f"image_decodes_{c}" for c in (a, b)),
        )


def check_choices(
    dataset: str,
    sources: Sequence[pl.LazyFrame],
    rules: ChoiceRules,
    accepted: Sequence[pl.LazyFrame] = (),
) -> TableResult:
    """Divide choices by `rules`.

    Parameters
    ----------
    sources : what is checked, as `pamela.core.schema.CHOICES_SCHEMA`, the earliest first.
    accepted : the kept rows of sources that were checked before, which precede all `sources`.

    Raises
    ------
    PamelaError
        If a structural expectation fails.
    """

    def mark(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(delivered_again().alias("repeated"))

    return check_rows(dataset, sources, rules, accepted, SAME, SAME, mark)


def delivered_again() -> pl.Expr:
    """Return whether a row of `SAME` and source stands in an earlier source, as many times."""
    nth = pl.int_range(pl.len()).over(SOURCE, *SAME)
    return pl.col(SOURCE) > pl.col(SOURCE).min().over(*SAME, nth)
