"""Tables held to ``expectations/``: which rows are kept, which are quarantined, and why.

`check_ratings` is the one way in for ratings: the sources of a dataset pass through it together, a
new batch by itself beside the ratings accepted before. Ratings are read in pieces, so that a table
need not fit into memory.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import ROW_GROUP
from pamela.validation import duplicates
from pamela.validation.expectations import ROW, RULE, Outcome, Suite, SuiteRun, run_suite

RULES: Final = "rules"  # all the rules that a row breaks; `rule` is the first
ORIGIN: Final = (s.SOURCE_FILE, s.SOURCE_ROW)  # unique: each row comes from one row of one file
RATINGS: Final = "ratings"
REPEATS: Final = "repeats"
HARMLESS: Final = "rating_repeated"  # set apart, but no reason to refuse a dataset or a batch
FURTHEST_ZONE: Final = dt.timedelta(hours=14)  # the clock that is furthest ahead of UTC


@dataclass(frozen=True)
class TableResult:
    """One table of one dataset, divided into rows that are kept and rows that are not.

    Attributes
    ----------
    kept : the rows that broke no rule, source by source, each in its order.
    rows_in : number of rows before the division.
    quarantined : the others, led by the columns rule, rules, source_file and source_row.
    expectations : what each expectation said (`pamela.validation.expectations.Outcome`).
    """

    kept: tuple[pl.LazyFrame, ...]
    rows_in: int
    quarantined: pl.DataFrame
    expectations: list[dict[str, Any]]

    @property
    def rows_kept(self) -> int:
        """Rows that broke no rule."""
        return self.rows_in - self.quarantined.height

    @property
    def faulty(self) -> int:
        """Quarantined rows that are wrong; one that only repeats an accepted row is not."""
        return self.quarantined.filter(pl.col(RULE) != HARMLESS).height

    @property
    def share(self) -> float:
        """Share of the rows that is faulty."""
        return self.faulty / max(self.rows_in, 1)

    @property
    def by_rule(self) -> dict[str, int]:
        """Quarantined rows by the first rule they break, most frequent first."""
        counts = self.quarantined.group_by(RULE).len().sort(["len", RULE], descending=[True, False])
        return dict(counts.iter_rows())

    def summary(self) -> dict[str, Any]:
        """Return the counts for ``reports/validation.json``."""
        return {
            "rows_in": self.rows_in,
            "rows_kept": self.rows_kept,
            "rows_quarantined": self.quarantined.height,
            "quarantined": self.by_rule,
        }

    @property
    def first_fault(self) -> dict[str, Any]:
        """The first quarantined row of the rule that most rows break."""
        rule = next(iter(self.by_rule))
        return self.quarantined.filter(pl.col(RULE) == rule).row(0, named=True)

    def describe_share(self, allowed: float) -> str:
        """Return for people how many ratings, more than `allowed`, break which rule."""
        rule, n = next(iter(self.by_rule.items()))
        return (
            f"{self.faulty:,} of {self.rows_in:,} ratings ({self.share:.1%}) break a rule, more "
            f"than validate.max_quarantined_share {allowed:g}; mostly {rule} ({n:,})"
        )


TableResults = dict[str, TableResult]  # by table


# --- users and images: small tables -----------------------------------------------------------
def check_table(dataset: str, table: str, frame: pl.DataFrame, suite: Suite) -> TableResult:
    """Divide a whole table, which has source_file and source_row, by its suite.

    Columns named ``image_present`` and ``image_decodes`` are looked at and not passed on.

    Raises
    ------
    PamelaError
        If a structural expectation fails.
    """
    outcome = run_suite(suite, frame, {})
    _reject_structural(dataset, table, outcome.expectations)
    rows = frame.drop("image_present", "image_decodes", strict=False).lazy()
    return _divide([rows], frame.height, outcome)


def _reject_structural(dataset: str, table: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Raise on the first structural expectation that failed."""
    for record in records:
        if record["severity"] == "structural" and not record["success"]:
            raise PamelaError(
                f"{dataset}: {record['says']} (rule {record['rule']} of expectations/{table}.json, "
                f"{record['failed']} rows); correct the dataset and run `dvc repro`"
            )


def image_states(images: pl.DataFrame, decoded: pl.DataFrame, *, has_images: bool) -> pl.DataFrame:
    """Add image_present and image_decodes; both are null, thus no fault, where not applicable."""
    if not has_images:
        nothing = pl.lit(None, pl.Boolean)
        return images.with_columns(image_present=nothing, image_decodes=nothing)
    return images.join(
        decoded.rename({"decodes": "image_decodes"}), on=s.SHA256, how="left", maintain_order="left"
    ).with_columns(image_present=pl.col(s.SHA256).is_not_null())


# --- ratings: tables of any size --------------------------------------------------------------
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
    """

    rows: Suite
    repeats: Suite
    scale: tuple[float, float]
    images: pl.DataFrame
    before: dt.datetime

    @classmethod
    def of(
        cls,
        images: pl.DataFrame,
        suites: Mapping[str, Suite],
        scale: Sequence[float],
        latest: dt.date | None,
    ) -> RatingRules:
        """Return the rules, given the `image_states` of the images.

        Parameters
        ----------
        latest : ``validate.latest_rated_at``; None is the time of the run.
        """
        states = images.select(s.IMAGE, "image_present", "image_decodes")
        distinct = states.unique(s.IMAGE, keep="first", maintain_order=True)
        bounds = (float(scale[0]), float(scale[1]))
        return cls(suites[RATINGS], suites[REPEATS], bounds, distinct, time_limit(latest))

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
    run = SuiteRun(rules.rows, rules.parameters)
    for chunk in pl.concat(sources).collect_batches(
        chunk_size=ROW_GROUP, maintain_order=True, engine="streaming"
    ):
        run.add(rules.annotate(chunk))
    of_rows = run.finish()
    _reject_structural(dataset, RATINGS, of_rows.expectations)
    of_repeats = _check_repeats(sources, rules, accepted, of_rows.failures)
    both = Outcome(
        pl.concat([of_rows.failures, of_repeats.failures]),
        [*of_rows.expectations, *of_repeats.expectations],
    )
    return _divide(sources, run.height, both)


def _check_repeats(
    sources: Sequence[pl.LazyFrame],
    rules: RatingRules,
    accepted: Sequence[pl.LazyFrame],
    failures: pl.DataFrame,
) -> Outcome:
    """Hold the rows without `failures` to the suite of repeats, the accepted ones beside them."""
    every = [*accepted, *sources]
    rows = pl.concat(
        frame.select(*duplicates.COLUMNS, pl.lit(place, pl.Int32).alias(duplicates.SOURCE))
        for place, frame in enumerate(every)
    )
    before = sum(frame.select(pl.len()).collect().item() for frame in accepted)
    numbered = rows.with_row_index(ROW).with_columns(pl.col(ROW).cast(pl.Int64) - before)
    candidates = duplicates.find_candidates(numbered).join(
        failures, on=ROW, how="anti", maintain_order="left"
    )
    marked = pl.concat([candidates, duplicates.mark_repeats(candidates)], how="horizontal")
    new = marked.filter(pl.col(duplicates.SOURCE) >= len(accepted))
    found = run_suite(rules.repeats, new, {})
    failed = new.get_column(ROW).gather(found.failures.get_column(ROW))
    return Outcome(found.failures.with_columns(failed), found.expectations)


def _divide(sources: Sequence[pl.LazyFrame], rows_in: int, outcome: Outcome) -> TableResult:
    """Return the rows of `sources` divided by the failures of `outcome`."""
    broken = outcome.failures.group_by(ROW, maintain_order=True).agg(
        pl.col(RULE).first(), pl.col(RULE).alias(RULES)
    )
    lead = [RULE, RULES, *ORIGIN]
    bad = (
        pl.concat(sources)
        .with_row_index(ROW)
        .with_columns(pl.col(ROW).cast(pl.Int64))
        .join(broken.lazy(), on=ROW)
        .collect(engine="streaming")
        .sort(ROW)
        .select(*lead, pl.exclude(*lead, ROW))
    )
    origins = bad.lazy().select(ORIGIN)
    kept = [frame.join(origins, on=ORIGIN, how="anti", maintain_order="left") for frame in sources]
    return TableResult(tuple(kept), rows_in, bad, outcome.expectations)
