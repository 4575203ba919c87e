"""A table divided by a suite of ``expectations/`` into rows that are kept and rows that are not.

Tables of any size are read in pieces, so that they need not fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import ROW_GROUP
from pamela.validation.expectations import ROW, RULE, Outcome, Suite, SuiteRun, run_suite

RULES: Final = "rules"  # all the rules that a row breaks; `rule` is the first
ORIGIN: Final = (s.SOURCE_FILE, s.SOURCE_ROW)  # unique: each row comes from one row of one file
# Set apart, but no reason to refuse a dataset or a batch:
HARMLESS: Final = ("rating_repeated", "choice_repeated")


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
        return self.quarantined.filter(~pl.col(RULE).is_in(HARMLESS)).height

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

    def describe_share(self, allowed: float, table: str) -> str:
        """Return for people how many rows of `table`, more than `allowed`, break which rule."""
        rule, n = next(iter(self.by_rule.items()))
        return (
            f"{self.faulty:,} of {self.rows_in:,} {table} ({self.share:.1%}) break a rule, more "
            f"than validate.max_quarantined_share {allowed:g}; mostly {rule} ({n:,})"
        )


TableResults = dict[str, TableResult]  # by table


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
    return divide([rows], frame.height, outcome)


def _reject_structural(dataset: str, table: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Raise on the first structural expectation that failed."""
    for record in records:
        if record["severity"] == "structural" and not record["success"]:
            raise PamelaError(
                f"{dataset}: {record['says']} (rule {record['rule']} of expectations/{table}.json, "
                f"{record['failed']} rows); correct the dataset and run `dvc repro`"
            )


def check_in_pieces(
    dataset: str,
    sources: Sequence[pl.LazyFrame],
    suite: Suite,
    parameters: Mapping[str, float],
    annotate: Callable[[pl.DataFrame], pl.DataFrame],
) -> tuple[Outcome, int]:
    """Hold the rows of `sources` to a `suite`, a bounded number at a time.

    Parameters
    ----------
    annotate : what adds to some rows the columns that the suite looks at.

    Returns
    -------
    What the suite said, and the number of rows.

    Raises
    ------
    PamelaError
        If a structural expectation fails.
    """
    run = SuiteRun(suite, parameters)
    for chunk in pl.concat(sources).collect_batches(
        chunk_size=ROW_GROUP, maintain_order=True, engine="streaming"
    ):
        run.add(annotate(chunk))
    outcome = run.finish()
    _reject_structural(dataset, suite.name, outcome.expectations)
    return outcome, run.height


def none_given(sources: Sequence[pl.LazyFrame]) -> TableResult:
    """Return the result of tables that have no row, and so break no rule."""
    columns = pl.concat(sources).collect_schema()
    rules = {RULE: pl.String(), RULES: pl.List(pl.String())}
    return TableResult(
        tuple(sources),
        0,
        pl.DataFrame(schema=rules | {c: columns[c] for c in (*ORIGIN, *columns)}),
        [],
    )


def divide(sources: Sequence[pl.LazyFrame], rows_in: int, outcome: Outcome) -> TableResult:
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
