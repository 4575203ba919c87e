"""Great Expectations behind two functions: read a suite of ``expectations/``, run it on a table.

A suite is slim JSON: ``type`` and ``kwargs`` as Great Expectations names them, and a ``meta`` of
our own: ``rule`` (the name that a quarantined row carries), ``severity`` (``row``: quarantine the
row; ``structural``: stop) and ``says`` (for people). ``{"$PARAMETER": name}`` stands for a value
that differs by dataset. Polars tables become pandas here and nowhere else; the library is imported
on first use, as that takes seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pamela.core.errors import PamelaError
from pamela.core.files import read_json
from pamela.params import first_fault

ROW: Final = "_row"  # 0-based row of the table that was checked
RULE: Final = "rule"
FAILURES: Final = pl.Schema({ROW: pl.Int64(), RULE: pl.String()})
OF_VALUES: Final = "expect_column_values_"
OF_HEIGHT: Final = "expect_table_row_count_"
# Those of values that a chunk cannot answer for the whole column.
WHOLE_COLUMN: Final = (
    "expect_column_values_to_be_unique",
    "expect_column_values_to_be_increasing",
    "expect_column_values_to_be_decreasing",
)


class Meta(BaseModel):
    """What an expectation means to this project."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    rule: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    severity: Literal["row", "structural"]
    says: str


class Expectation(BaseModel):
    """One line of a suite."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    type: str
    kwargs: dict[str, Any]
    meta: Meta


class Suite(BaseModel):
    """One file of ``expectations/``; the order of its row rules is their precedence."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    expectations: Annotated[list[Expectation], Field(min_length=1)]

    @property
    def columns(self) -> list[str]:
        """The columns that the suite looks at."""
        return list(
            dict.fromkeys(e.kwargs["column"] for e in self.expectations if "column" in e.kwargs)
        )


@dataclass(frozen=True)
class Outcome:
    """What a suite said of a table.

    Attributes
    ----------
    failures : DataFrame (_row, rule), one row per broken row rule, in the order of the suite.
    expectations : one record per expectation: type, column, rule, severity, says, success, failed.
    """

    failures: pl.DataFrame
    expectations: list[dict[str, Any]]


def load_suite(folder: Path, name: str) -> Suite:
    """Read ``<folder>/<name>.json``.

    Raises
    ------
    PamelaError
        If it is missing, not JSON, or has an unknown or missing key.
    """
    path = folder / f"{name}.json"
    try:
        return Suite.model_validate(read_json(path))
    except ValidationError as error:
        raise PamelaError(f"expectations/{path.name}: {first_fault(error)}") from None


def run_suite(suite: Suite, frame: pl.DataFrame, parameters: Mapping[str, float]) -> Outcome:
    """Hold `frame` to `suite`.

    Parameters
    ----------
    suite : what is expected.
    frame : the table, with at least ``suite.columns``.
    parameters : values of the suite's ``$PARAMETER`` s.

    Raises
    ------
    PamelaError
        If an expectation cannot be evaluated (an unknown type, a column that is not there).
    """
    if not suite.expectations:
        return Outcome(pl.DataFrame(schema=FAILURES), [])
    results = _validate(suite, frame, parameters)
    failures: list[pl.DataFrame] = []
    records: list[dict[str, Any]] = []
    for expectation, result in zip(suite.expectations, results, strict=True):
        _reject_exception(suite, expectation, result.exception_info)
        rows = result.result.get("unexpected_index_list") or []
        records.append(_record(expectation, len(rows), bool(result.success)))
        if expectation.meta.severity == "row":
            failures.append(
                pl.DataFrame({ROW: rows}, schema={ROW: pl.Int64}).with_columns(
                    pl.lit(expectation.meta.rule).alias(RULE)
                )
            )
    return Outcome(pl.concat([pl.DataFrame(schema=FAILURES), *failures]), records)


class SuiteRun:
    """Holds a table to a suite chunk by chunk, so that the table need not fit into memory.

    Rows are numbered through. What a suite asks of the table as a whole (its number of rows) is
    checked at the end. ``height`` is the number of rows so far.

    Raises
    ------
    PamelaError
        If an expectation looks at all values of a column together: chunks cannot answer that.
    """

    def __init__(self, suite: Suite, parameters: Mapping[str, float]) -> None:
        for expectation in suite.expectations:
            if not (_of_rows(expectation) or expectation.type.startswith(OF_HEIGHT)):
                raise PamelaError(
                    f"expectations/{suite.name}.json: {expectation.type} looks at all rows "
                    "together, and this table is checked in pieces; use a rule about single rows"
                )
        self._suite, self._parameters = suite, parameters
        self._rows = _only(suite, [e for e in suite.expectations if _of_rows(e)])
        self._whole = _only(suite, [e for e in suite.expectations if not _of_rows(e)])
        self._failures: list[pl.DataFrame] = [pl.DataFrame(schema=FAILURES)]
        self._failed = [0] * len(self._rows.expectations)
        self.height = 0

    def add(self, chunk: pl.DataFrame) -> None:
        """Check the next rows."""
        outcome = run_suite(self._rows, chunk, self._parameters)
        for position, record in enumerate(outcome.expectations):
            self._failed[position] += record["failed"]
        self._failures.append(outcome.failures.with_columns(pl.col(ROW) + self.height))
        self.height += chunk.height

    def finish(self) -> Outcome:
        """Return what the suite said of all rows."""
        rows = pl.DataFrame(height=self.height)  # counted, not looked at
        whole = iter(run_suite(self._whole, rows, self._parameters).expectations)
        failed = iter(self._failed)
        records = [
            _record(e, next(failed)) if _of_rows(e) else next(whole)
            for e in self._suite.expectations
        ]
        return Outcome(pl.concat(self._failures), records)


def _of_rows(expectation: Expectation) -> bool:
    """Tell whether an expectation looks at each value of a column by itself."""
    return expectation.type.startswith(OF_VALUES) and expectation.type not in WHOLE_COLUMN


def _only(suite: Suite, expectations: list[Expectation]) -> Suite:
    return suite.model_copy(update={"expectations": expectations})


def _record(expectation: Expectation, failed: int, success: bool | None = None) -> dict[str, Any]:
    return {
        "type": expectation.type,
        "column": expectation.kwargs.get("column"),
        **expectation.meta.model_dump(),
        "success": failed == 0 if success is None else success,
        "failed": failed,
    }


@cache
def _context() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("tables")
    return source.add_dataframe_asset("table").add_batch_definition_whole_dataframe("all")


def _validate(suite: Suite, frame: pl.DataFrame, parameters: Mapping[str, float]) -> list[Any]:
    definition = _context()
    import great_expectations as gx
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    expected = gx.ExpectationSuite(name=suite.name)
    for position, expectation in enumerate(suite.expectations):
        expected.add_expectation_configuration(
            ExpectationConfiguration(
                type=expectation.type, kwargs=dict(expectation.kwargs), meta={"position": position}
            )
        )
    seen = frame.select(suite.columns) if suite.columns else frame
    report = definition.get_batch({"dataframe": seen.to_pandas()}).validate(
        expected,
        expectation_parameters=dict(parameters),
        result_format={
            "result_format": "COMPLETE",
            "return_unexpected_index_query": False,  # rows are known by their number
        },
    )
    return sorted(report.results, key=lambda r: int(r.expectation_config.meta["position"]))


def _reject_exception(suite: Suite, expectation: Expectation, info: dict[str, Any]) -> None:
    details = [info] if "raised_exception" in info else list(info.values())
    raised = [d for d in details if d["raised_exception"]]
    if raised:
        reason = str(raised[0]["exception_message"]).splitlines()[0][:200]
        raise PamelaError(
            f"expectations/{suite.name}.json: {expectation.type} (rule {expectation.meta.rule}) "
            f"cannot be evaluated: {reason}"
        )
