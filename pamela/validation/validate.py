"""Which rows may enter: the canonical tables held to ``expectations/``, faulty rows set apart.

Run by ``python -m flows.validate``. A row that breaks a rule goes to
``data/quarantine/<dataset>/`` with the rule and where it came from; what is left is
``data/validated/``. Rows in = rows kept + rows quarantined, for every table.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import atomic_folder, read_json, read_parquet, write_json, write_parquet
from pamela.core.paths import Project
from pamela.data import image_files
from pamela.data.partitions import PartCache, read_parts, write_parts
from pamela.validation.checks import (
    ORIGIN,
    RULES,
    Verdict,
    Verdicts,
    judge_ratings,
    judge_table,
    law_of,
    picture_states,
)
from pamela.validation.expectations import RULE, Suite, load_suite
from pamela.validation.partition_checks import REPEATS

__all__ = ["ORIGIN", "RULE", "RULES", "TABLES", "Verdict", "Verdicts", "judge_dataset"]

TABLES: Final = ("ratings", "users", "images")
SUITES: Final = (*TABLES, REPEATS)  # repeats: ratings held against each other
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


def dataset_names(project: Project) -> list[str]:
    """Return the names of the ingested datasets."""
    return list(_datasets(project))


def judge_dataset(
    project: Project,
    name: str,
    decoded: pl.DataFrame,
    suites: Mapping[str, Suite],
    latest: dt.date | None = None,
) -> Verdicts:
    """Judge the three tables of dataset `name` as ingested.

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
    images = picture_states(images, decoded, has_images=meta["has_images"])
    judged = {
        table: judge_table(name, table, frame, suites[table])
        for table, frame in (("users", users), ("images", images))
    }
    found = [p for p in read_parts(project.tables / "ratings.parquet") if p.dataset == name]
    law = law_of(images, suites, meta["scale"], latest)
    ratings = judge_ratings(name, found, law, verdict_cache(project))
    return {"ratings": ratings, **judged}


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


def verdict_cache(project: Project) -> PartCache:
    """Return where verdicts on unchanged parts are kept."""
    return PartCache(project.part_cache / "validate")


def counts(name: str, verdicts: Verdicts) -> str:
    """Return what happened to dataset `name`, for people."""
    lines = []
    for table, verdict in verdicts.items():
        rules = ", ".join(f"{rule} {n:,}" for rule, n in verdict.by_rule.items())
        tail = f" ({rules})" if rules else ""
        lines.append(
            f"{name} {table}: {verdict.rows_in:,} in, {verdict.rows_kept:,} kept, "
            f"{verdict.quarantined.height:,} quarantined{tail}"
        )
    return "\n".join(lines)


def write_quarantine(project: Project, verdicts: Mapping[str, Verdicts]) -> None:
    """Write ``data/quarantine/<dataset>/<table>.parquet``: ratings and images, also when empty."""
    with atomic_folder(project.quarantine) as folder:
        for name, tables in verdicts.items():
            for table, verdict in tables.items():
                if table != "users" or verdict.quarantined.height:
                    write_parquet(folder / name / f"{table}.parquet", verdict.quarantined)


def write_report(project: Project, verdicts: Mapping[str, Verdicts], max_share: float) -> None:
    """Write ``reports/validation.json``: per dataset the counts and what each expectation said."""
    datasets = {
        name: {
            **tables["ratings"].summary(),
            "share": tables["ratings"].share,
            "users": tables["users"].summary(),
            "images": tables["images"].summary(),
            "expectations": [
                {"table": table, **record}
                for table, verdict in tables.items()
                for record in verdict.expectations
            ],
        }
        for name, tables in verdicts.items()
    }
    report = {
        "max_quarantined_share": max_share,
        "passed": not _too_faulty(verdicts, max_share),
        "datasets": datasets,
    }
    write_json(project.reports / "validation.json", report)


def _too_faulty(verdicts: Mapping[str, Verdicts], max_share: float) -> list[str]:
    return [name for name, tables in verdicts.items() if tables["ratings"].share > max_share]


def write_validated(project: Project, verdicts: Mapping[str, Verdicts], max_share: float) -> None:
    """Write ``data/validated/``, unless too many ratings of a dataset are quarantined.

    Raises
    ------
    PamelaError
        If a dataset's share of quarantined ratings exceeds `max_share`, or none is left; an
        earlier ``data/validated`` is removed then.
    """
    shutil.rmtree(project.validated, ignore_errors=True)
    for name in _too_faulty(verdicts, max_share):
        raise PamelaError(_why_too_faulty(project, name, verdicts[name]["ratings"], max_share))
    for name, tables in verdicts.items():
        if not tables["ratings"].rows_kept:
            raise PamelaError(
                f"{name}: no rating is left after quarantine; see {_where(project, name)}"
            )
    with atomic_folder(project.validated) as folder:
        for table in ("users", "images"):
            kept = [verdicts[name][table].kept.drop(ORIGIN) for name in verdicts]
            write_parquet(folder / f"{table}.parquet", pl.concat(kept).collect())
        files = [file for name in verdicts for file in verdicts[name]["ratings"].files]
        write_parts(folder / "ratings.parquet", files)
    verdict_cache(project).prune()


def _where(project: Project, name: str) -> str:
    return project.relative(project.quarantine / name / "ratings.parquet")


def _why_too_faulty(project: Project, name: str, verdict: Verdict, max_share: float) -> str:
    rule, n = next(iter(verdict.by_rule.items()))
    first = verdict.quarantined.filter(pl.col(RULE) == rule).row(0, named=True)
    return (
        f"{name}: {verdict.faulty:,} of {verdict.rows_in:,} ratings "
        f"({verdict.share:.1%}) break a rule, more than validate.max_quarantined_share "
        f"{max_share:g}; mostly {rule} ({n:,}), first at {first[s.SOURCE_FILE]} row "
        f"{first[s.SOURCE_ROW]}; see {_where(project, name)}"
    )
