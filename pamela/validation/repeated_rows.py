"""Rows held to a suite each by itself, then those that are about the same against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import polars as pl

from pamela.validation import duplicates
from pamela.validation.division import TableResult, check_in_pieces, divide
from pamela.validation.duplicates import SOURCE
from pamela.validation.expectations import ROW, Outcome, Suite, run_suite


class Rules(Protocol):
    """What the rows of one table of one dataset are held to."""

    @property
    def rows(self) -> Suite:
        """Suite for each row by itself."""
        ...

    @property
    def repeats(self) -> Suite:
        """Suite for rows that are held against each other."""
        ...

    @property
    def parameters(self) -> Mapping[str, float]:
        """Values of the suites' ``$PARAMETER`` s."""
        ...

    def annotate(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return `rows` with what the suite asks of each besides its own columns."""
        ...


def check_rows(
    dataset: str,
    sources: Sequence[pl.LazyFrame],
    rules: Rules,
    accepted: Sequence[pl.LazyFrame],
    columns: Sequence[str],
    pair: Sequence[str],
    mark: Callable[[pl.DataFrame], pl.DataFrame],
) -> TableResult:
    """Divide a table by `rules`.

    Parameters
    ----------
    sources : what is checked, the earliest first.
    accepted : the kept rows of sources that were checked before, which precede all `sources`.
    columns : what is looked at where rows are held against each other.
    pair : of these, what rows must share to be held against each other.
    mark : adds what the suite of repeats asks of such rows, of which `SOURCE` is the place of their
        source.

    Raises
    ------
    PamelaError
        If a structural expectation fails.
    """
    of_rows, height = check_in_pieces(
        dataset, sources, rules.rows, rules.parameters, rules.annotate
    )
    every = [*accepted, *sources]
    rows = pl.concat(
        frame.select(*columns, pl.lit(place, pl.Int32).alias(SOURCE))
        for place, frame in enumerate(every)
    )
    before = sum(frame.select(pl.len()).collect().item() for frame in accepted)
    numbered = rows.with_row_index(ROW).with_columns(pl.col(ROW).cast(pl.Int64) - before)
    candidates = duplicates.find_candidates(numbered, pair).join(
        of_rows.failures, on=ROW, how="anti", maintain_order="left"
    )
    new = mark(candidates).filter(pl.col(SOURCE) >= len(accepted))
    found = run_suite(rules.repeats, new, {})
    failed = found.failures.with_columns(new.get_column(ROW).gather(found.failures.get_column(ROW)))
    both = Outcome(
        pl.concat([of_rows.failures, failed]), [*of_rows.expectations, *found.expectations]
    )
    return divide(sources, height, both)
