"""Which rows may enter: the canonical tables held to ``expectations/``, faulty rows set apart.

Run by ``python -m flows.validate``. A row that breaks a rule goes to
``data/quarantine/<dataset>/`` with the rule and where it came from; what is left is
``data/validated/``. Rows in = rows kept + rows quarantined, for every table.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import (
    atomic_folder,
    read_json,
    read_parquet,
    sink_parquet,
    write_json,
    write_parquet,
)
from pamela.core.paths import Project
from pamela.data import image_files
from pamela.data.partitions import partitions_of
from pamela.data.repeats import Repeats
from pamela.validation.checks import REPEATS, image_states
from pamela.validation.choices import CHOICE_REPEATS
from pamela.validation.division import ORIGIN, TableResult, TableResults, check_table
from pamela.validation.expectations import Suite, load_suite
from pamela.validation.rows import ROWS, Rows, any_left, too_faulty

TABLES: Final = (*ROWS, "users", "images")
SUITES: Final = (*TABLES, REPEATS, CHOICE_REPEATS)  # of rows held against each other
KEYS: Final = {"users": s.USER, "images": s.IMAGE}


def load_suites(project: Project) -> dict[str, Suite]:
    """Read the suite of every table."""
    return {name: load_suite(project.expectations, name) for name in SUITES}


def decode_pictures(project: Project) -> pl.DataFrame:
    """Return (sha256, decodes) of every picture of the datasets that ship pictures."""
    shipped = [name for name, meta in _datasets(project).items() if meta["has_images"]]
    images = read_parquet(project.tables / "images.parquet")
    images = images.filter(pl.col(s.DATASET).is_in(shipped))
    return image_files.decode_files(images, project.root, project.picture_cache)


def _datasets(project: Project) -> dict[str, dict[str, Any]]:
    datasets: dict[str, dict[str, Any]] = read_json(project.tables / "datasets.json")
    return datasets


def remarks_on(project: Project, name: str) -> list[str]:
    """Return what ingest found odd about dataset `name` (`pamela.data.remarks`)."""
    remarks: list[str] = _datasets(project)[name].get("remarks", [])
    return remarks


def ingested_datasets(project: Project) -> list[str]:
    """Return the names of the ingested datasets."""
    return list(_datasets(project))


def check_dataset(
    project: Project,
    name: str,
    decoded: pl.DataFrame,
    suites: Mapping[str, Suite],
    latest: dt.date | None = None,
) -> TableResults:
    """Check the tables of dataset `name` as ingested.

    Parameters
    ----------
    decoded : DataFrame (sha256, decodes) of the pictures.
    suites : what is expected (`load_suites`).
    latest : ``validate.latest_rated_at``: a rating after that day is faulty; None is the time of
        the run.

    Raises
    ------
    PamelaError
        If a structural expectation fails.
    """
    meta = _datasets(project)[name]
    users, images = (_with_origin(project, name, table) for table in ("users", "images"))
    images = image_states(images, decoded, has_images=meta["has_images"])
    checked = {
        table: check_table(name, table, frame, suites[table])
        for table, frame in (("users", users), ("images", images))
    }
    ratings, choices = (
        [pl.scan_parquet(file, glob=False) for file in _sources(project, name, table)]
        for table in ROWS
    )
    rows = Rows(name, ratings, choices, meta["scale"], latest, repeats=Repeats.from_meta(meta))
    return {**rows.check(images, suites), **checked}


def _sources(project: Project, name: str, table: str) -> list[Path]:
    return partitions_of(project.tables / f"{table}.parquet", name)


def _with_origin(project: Project, name: str, table: str) -> pl.DataFrame:
    """Return the users or images of a dataset with source_file and source_row."""
    own, key = pl.col(s.DATASET) == name, KEYS[table]
    origin = read_parquet(project.tables / "sources.parquet").filter(own, table=table)
    return (
        read_parquet(project.tables / f"{table}.parquet")
        .filter(own)
        .join(
            origin.drop(s.DATASET, "table").rename({"id": key}),
            on=key,
            how="left",
            maintain_order="left",
        )
    )


def counts(project: Project, name: str, results: TableResults) -> str:
    """Return what happened to dataset `name` and what is odd about it, for people."""
    lines = [f"{name}: warning: {remark}" for remark in remarks_on(project, name)]
    for table, result in results.items():
        if table in ROWS and not result.rows_in:
            continue
        rules = ", ".join(f"{rule} {n:,}" for rule, n in result.by_rule.items())
        tail = f" ({rules})" if rules else ""
        lines.append(
            f"{name} {table}: {result.rows_in:,} in, {result.rows_kept:,} kept, "
            f"{result.quarantined.height:,} quarantined{tail}"
        )
    return "\n".join(lines)


def write_quarantine(project: Project, results: Mapping[str, TableResults]) -> None:
    """Write ``data/quarantine/<dataset>/<table>.parquet``: all but users also when empty."""
    with atomic_folder(project.quarantine) as folder:
        for name, tables in results.items():
            for table, result in tables.items():
                if table != "users" or result.quarantined.height:
                    write_parquet(folder / name / f"{table}.parquet", result.quarantined)


def write_validation_report(
    project: Project, results: Mapping[str, TableResults], max_share: float
) -> None:
    """Write ``reports/validation.json``: per dataset the counts and what each expectation said."""
    datasets = {
        name: {
            **tables["ratings"].summary(),
            "share": tables["ratings"].share,
            "choices": {**tables["choices"].summary(), "share": tables["choices"].share},
            "remarks": remarks_on(project, name),
            "users": tables["users"].summary(),
            "images": tables["images"].summary(),
            "expectations": [
                {"table": table, **record}
                for table, result in tables.items()
                for record in result.expectations
            ],
        }
        for name, tables in results.items()
    }
    report = {
        "max_quarantined_share": max_share,
        "passed": not any(too_faulty(tables, max_share) for tables in results.values()),
        "datasets": datasets,
    }
    write_json(project.reports / "validation.json", report)


def write_validated(
    project: Project, results: Mapping[str, TableResults], max_share: float
) -> None:
    """Write ``data/validated/``, unless too many ratings or choices of a dataset are quarantined.

    Raises
    ------
    PamelaError
        If a dataset's share of quarantined ratings, or choices, exceeds `max_share`, none is left,
        or a table's rows are not all kept or quarantined; an earlier ``data/validated`` is removed
        then.
    """
    shutil.rmtree(project.validated, ignore_errors=True)
    for name, tables in results.items():
        for table in too_faulty(tables, max_share):
            raise PamelaError(_why_too_faulty(project, name, table, tables[table], max_share))
    for name, tables in results.items():
        if not any_left(tables):
            raise PamelaError(_none_left(project, name, tables))
    with atomic_folder(project.validated) as folder:
        for table in ("users", "images"):
            kept = [frame.drop(ORIGIN) for name in results for frame in results[name][table].kept]
            write_parquet(folder / f"{table}.parquet", pl.concat(kept).collect())
        for name, tables in results.items():
            for table in ROWS:
                files = _sources(project, name, table)
                for source, rows in zip(files, tables[table].kept, strict=True):
                    sink_parquet(folder / f"{table}.parquet" / source.name, rows)
        _reject_lost_rows(folder, results)


def _reject_lost_rows(folder: Path, results: Mapping[str, TableResults]) -> None:
    """Raise unless rows in = rows kept (as written) + rows quarantined, for every table."""
    for table in TABLES:
        rows = pl.scan_parquet(folder / f"{table}.parquet", glob=False).group_by(s.DATASET).len()
        written = dict(rows.collect(engine="streaming").iter_rows())
        for name, tables in results.items():
            result, kept = tables[table], written.get(name, 0)
            if result.rows_kept != kept:
                raise PamelaError(
                    f"{name} {table}: {result.rows_in:,} rows in are not {kept:,} kept + "
                    f"{result.quarantined.height:,} quarantined; run `dvc repro` again"
                )


def _where(project: Project, name: str, table: str) -> str:
    return project.relative(project.quarantine / name / f"{table}.parquet")


def _none_left(project: Project, name: str, tables: TableResults) -> str:
    table = next(table for table in ROWS if tables[table].rows_in)
    return (
        f"{name}: no {table.removesuffix('s')} is left after quarantine; see "
        f"{_where(project, name, table)}"
    )


def _why_too_faulty(
    project: Project, name: str, table: str, result: TableResult, max_share: float
) -> str:
    first = result.first_fault
    return (
        f"{name}: {result.describe_share(max_share, table)}, first at {first[s.SOURCE_FILE]} row "
        f"{first[s.SOURCE_ROW]}; see {_where(project, name, table)}"
    )
