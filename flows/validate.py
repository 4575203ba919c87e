"""Stage validate: data/tables/ -> data/validated/ and quarantine. ``python -m flows.validate``."""

from __future__ import annotations

import datetime as dt

import polars as pl

from flows.runtime import here, main, stage, step
from pamela.core.paths import Project
from pamela.reporting.data_docs.page import write_data_docs
from pamela.validation import validate
from pamela.validation.division import TableResults
from pamela.validation.expectations import Suite

load_expectations = step("load expectations")(validate.load_suites)
decode_pictures = step("decode pictures")(validate.decode_pictures)
document = step("write data docs")(write_data_docs)
write_validated = step("write validated")(validate.write_validated)


@step("check dataset")
def check_dataset(
    project: Project,
    name: str,
    decoded: pl.DataFrame,
    suites: dict[str, Suite],
    latest: dt.date | None,
) -> TableResults:
    """Hold one dataset to the expectations."""
    results = validate.check_dataset(project, name, decoded, suites, latest)
    print(validate.counts(project, name, results))
    return results


@step("write quarantine")
def write_quarantine(project: Project, results: dict[str, TableResults], max_share: float) -> None:
    """Set faulty rows apart and report the counts."""
    validate.write_quarantine(project, results)
    validate.write_validation_report(project, results, max_share)


@stage("validate")
def flow() -> None:
    """Check every dataset; quarantine faulty rows; pass the rest on."""
    project, params = here()
    max_share = params.validate_.max_quarantined_share
    suites = load_expectations(project)
    decoded = decode_pictures(project)
    names = validate.ingested_datasets(project)
    latest = params.validate_.latest_rated_at
    results = {name: check_dataset(project, name, decoded, suites, latest) for name in names}
    write_quarantine(project, results, max_share)
    document(project, params.validate_)  # whatever the result
    write_validated(project, results, max_share)


if __name__ == "__main__":
    main(flow)
