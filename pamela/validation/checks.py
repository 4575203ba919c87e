"""Ratings held to ``expectations/``: which rows are kept, which are quarantined, and why.

`check_ratings` is the one way in for ratings: the sources of a dataset pass through it together, a
new batch by itself beside the ratings accepted before.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.data.repeats import FAULTS, Repeats
from pamela.validation import duplicates
from pamela.validation.division import TableResult
from pamela.validation.expectations import Suite
from pamela.validation.repeated_rows import check_rows

RATINGS: Final = "ratings"
REPEATS: Final = "repeats"
FURTHEST_ZONE: Final = dt.timedelta(hours=14)  # the clock that is furthest ahead of UTC


def image_states(images: pl.DataFrame, decoded: pl.DataFrame, *, has_images: bool) -> pl.DataFrame:
    """Add image_present and image_decodes; both are null, thus no fault, where not applicable."""
    if not has_images:
        nothing = pl.lit(None, pl.Boolean)
        return images.with_columns(image_present=nothing, image_decodes=nothing)
    return images.join(
        decoded.rename({"decodes": "image_decodes"}), on=s.SHA256, how="left", maintain_order="left"
    ).with_columns(image_present=pl.col(s.SHA256).is_not_null())


@dataclass(frozen=True)
class RatingRules:
    """What the ratings of one dataset are held to.

    Attributes
    ----------
    rows : suite for each row by itself.
    repeats : suite for rows of one user and one image, held against each other.
    scale : lowest and highest rating.
    images : DataFrame (image_id, image_present, image_decodes), one row per known image.
    before : a rating's time must lie before it.
    measures : what several ratings of one image by one user are.
    """

    rows: Suite
    repeats: Suite
    scale: tuple[float, float]
    images: pl.DataFrame
    before: dt.datetime
    measures: Repeats = FAULTS

    @classmethod
    def of(
        cls,
        images: pl.DataFrame,
        suites: Mapping[str, Suite],
        scale: Sequence[float],
        latest: dt.date | None,
        repeats: Repeats = FAULTS,
    ) -> RatingRules:
        """Return the rules, given the `image_states` of the images.

        Parameters
        ----------
        latest : ``validate.latest_rated_at``; None is the time of the run.
        repeats : what several ratings of one image by one user are.
        """
        states = images.select(s.IMAGE, "image_present", "image_decodes")
        distinct = states.unique(s.IMAGE, keep="first", maintain_order=True)
        bounds = (float(scale[0]), float(scale[1]))
        before = time_limit(latest)
        rules = (suites[RATINGS], suites[REPEATS])
        return cls(*rules, bounds, distinct, before, repeats)

    @property
    def parameters(self) -> dict[str, float]:
        """Values of the suites' ``$PARAMETER`` s."""
        return {"scale_low": self.scale[0], "scale_high": self.scale[1]}

    def annotate(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return `rows` with what the suite asks of each besides its own columns."""
        known = self.images.with_columns(image_known=pl.lit(True))
        return rows.join(known, on=s.IMAGE, how="left", maintain_order="left").with_columns(
            pl.col("image_known").fill_null(False),
            rated_in_future=pl.col(s.RATED_AT) >= self.before,
        )


def time_limit(latest: dt.date | None) -> dt.datetime:
    """Return what a rating's time must lie before.

    Parameters
    ----------
    latest : the last day on which a rating can have been given; None: now, anywhere on Earth.
    """
    if latest is None:
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        return now + FURTHEST_ZONE
    return dt.datetime.combine(latest, dt.time()) + dt.timedelta(days=1)


def check_ratings(
    dataset: str,
    sources: Sequence[pl.LazyFrame],
    rules: RatingRules,
    accepted: Sequence[pl.LazyFrame] = (),
) -> TableResult:
    """Divide ratings by `rules`.

    Parameters
    ----------
    sources : what is checked, as `pamela.core.schema.RATINGS_SCHEMA`; an earlier source takes
        precedence over a later one.
    accepted : the kept rows of sources that were checked before, which precede all `sources`.

    Raises
    ------
    PamelaError
        If a structural expectation fails.
    """

    def mark(rows: pl.DataFrame) -> pl.DataFrame:
        return pl.concat([rows, duplicates.mark_repeats(rows, rules.measures)], how="horizontal")

    return check_rows(dataset, sources, rules, accepted, duplicates.COLUMNS, duplicates.PAIR, mark)
