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

from pamela.errors import PamelaError
from pamela.io import read_json
from pamela.params import first_fault

ROW: Final = "_row"  # 0-based row of the table that was checked
RULE: Final = "rule"


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
    results = _validate(suite, frame.select(suite.columns).with_row_index(ROW), parameters)
    failures: list[pl.DataFrame] = []
    records: list[dict[str, Any]] = []
    for expectation, result in zip(suite.expectations, results, strict=True):
        _reject_exception(suite, expectation, result.exception_info)
        rows = [index[ROW] for index in result.result.get("unexpected_index_list") or []]
        records.append(
            {
                "type": expectation.type,
                "column": expectation.kwargs.get("column"),
                **expectation.meta.model_dump(),
                "success": bool(result.success),
                "failed": len(rows),
            }
        )
        if expectation.meta.severity == "row":
            failures.append(
                pl.DataFrame({ROW: rows}, schema={ROW: pl.UInt32}).with_columns(
                    pl.lit(expectation.meta.rule).alias(RULE)
                )
            )
    schema = {ROW: pl.UInt32, RULE: pl.String}
    return Outcome(pl.concat([pl.DataFrame(schema=schema), *failures]), records)


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
    report = definition.get_batch({"dataframe": frame.to_pandas()}).validate(
        expected,
        expectation_parameters=dict(parameters),
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": [ROW],
            "return_unexpected_index_query": False,
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
