"""Stage validate: data/tables/ -> data/validated/ and quarantine. ``python -m flows.validate``."""

from __future__ import annotations

import datetime as dt

import polars as pl

from flows.runtime import here, main, stage, step
from pamela.core.paths import Project
from pamela.params import Params
from pamela.reporting.data_docs.page import write_data_docs
from pamela.validation import validate
from pamela.validation.expectations import Suite
from pamela.validation.validate import Verdicts


@step("load expectations")
def load_expectations(project: Project) -> dict[str, Suite]:
    """Read the suites."""
    return validate.load_suites(project)


@step("decode pictures")
def decode_pictures(project: Project) -> pl.DataFrame:
    """Decode every picture once."""
    return validate.decode_pictures(project)


@step("judge dataset")
def judge_dataset(
    project: Project,
    name: str,
    decoded: pl.DataFrame,
    suites: dict[str, Suite],
    latest: dt.date | None,
) -> Verdicts:
    """Hold one dataset to the expectations."""
    verdicts = validate.judge_dataset(project, name, decoded, suites, latest)
    print(validate.counts(name, verdicts))
    return verdicts


@step("write quarantine")
def write_quarantine(project: Project, verdicts: dict[str, Verdicts], max_share: float) -> None:
    """Set faulty rows apart and report the counts."""
    validate.write_quarantine(project, verdicts)
    validate.write_report(project, verdicts, max_share)


@step("write data docs")
def document(project: Project, params: Params) -> None:
    """Write ``reports/data.html`` and flag raters, whatever the verdict."""
    write_data_docs(project, params.validate_)


@step("write validated")
def write_validated(project: Project, verdicts: dict[str, Verdicts], max_share: float) -> None:
    """Pass the rest on, unless too much is faulty."""
    validate.write_validated(project, verdicts, max_share)


@stage("validate")
def flow() -> None:
    """Judge every dataset; quarantine faulty rows; pass the rest on."""
    project, params = here()
    max_share = params.validate_.max_quarantined_share
    suites = load_expectations(project)
    decoded = decode_pictures(project)
    names = validate.dataset_names(project)
    latest = params.validate_.latest_rated_at
    verdicts = {name: judge_dataset(project, name, decoded, suites, latest) for name in names}
    write_quarantine(project, verdicts, max_share)
    document(project, params)
    write_validated(project, verdicts, max_share)


if __name__ == "__main__":
    main(flow)
