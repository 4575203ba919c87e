"""Which rows may enter: the canonical tables held to ``expectations/``, faulty rows set apart.

Run by ``python -m flows.validate``. A row that breaks a rule goes to
``data/quarantine/<dataset>/`` with the rule and where it came from; what is left is
``data/validated/``. Rows in = rows kept + rows quarantined, for every table.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from pamela import pictures
from pamela import schema as s
from pamela.errors import PamelaError
from pamela.io import atomic_folder, read_json, read_parquet, write_json, write_parquet
from pamela.project import Project
from pamela.suites import ROW, RULE, Outcome, Suite, load_suite, run_suite

RULES: Final = "rules"  # all the rules that a row breaks; `rule` is the first
TABLES: Final = ("ratings", "users", "images")
ORIGIN: Final = (s.SOURCE_FILE, s.SOURCE_ROW)


@dataclass(frozen=True)
class Verdict:
    """One table of one dataset, divided.

    Attributes
    ----------
    kept : the rows that broke no rule, in their order.
    quarantined : the others, led by the columns rule, rules, source_file and source_row.
    expectations : what each expectation said (`pamela.suites.Outcome`).
    """

    kept: pl.DataFrame
    quarantined: pl.DataFrame
    expectations: list[dict[str, Any]]

    @property
    def rows_in(self) -> int:
        """Rows before the division."""
        return self.kept.height + self.quarantined.height

    @property
    def share(self) -> float:
        """Share of the rows that is quarantined."""
        return self.quarantined.height / max(self.rows_in, 1)

    @property
    def by_rule(self) -> dict[str, int]:
        """Quarantined rows by the first rule they break, most frequent first."""
        counts = self.quarantined.group_by(RULE).len().sort(["len", RULE], descending=[True, False])
        return dict(counts.iter_rows())

    def summary(self) -> dict[str, Any]:
        """Return the counts for ``reports/validation.json``."""
        return {
            "rows_in": self.rows_in,
            "rows_kept": self.kept.height,
            "rows_quarantined": self.quarantined.height,
            "quarantined": self.by_rule,
        }


Verdicts = dict[str, Verdict]  # by table


def load_suites(project: Project) -> dict[str, Suite]:
    """Read the suite of every table."""
    return {table: load_suite(project.expectations, table) for table in TABLES}


def decode_pictures(project: Project) -> pl.DataFrame:
    """Return (sha256, decodes) of every picture of the datasets that ship pictures."""
    shipped = [name for name, meta in _datasets(project).items() if meta["has_images"]]
    images = read_parquet(project.tables / "images.parquet")
    return pictures.decode_files(images.filter(pl.col(s.DATASET).is_in(shipped)), project.root)


def _datasets(project: Project) -> dict[str, dict[str, Any]]:
    datasets: dict[str, dict[str, Any]] = read_json(project.tables / "datasets.json")
    return datasets


def dataset_names(project: Project) -> list[str]:
    """Return the names of the ingested datasets."""
    return list(_datasets(project))


def judge_dataset(
    project: Project, name: str, decoded: pl.DataFrame, suites: Mapping[str, Suite]
) -> Verdicts:
    """Judge the three tables of dataset `name` as ingested; see `judge`."""
    meta = _datasets(project)[name]
    own = pl.col(s.DATASET) == name
    tables = {t: read_parquet(project.tables / f"{t}.parquet").filter(own) for t in TABLES}
    sources = read_parquet(project.tables / "sources.parquet").filter(own).drop(s.DATASET)
    for table, key in (("users", s.USER), ("images", s.IMAGE)):
        origin = sources.filter(pl.col("table") == table).drop("table").rename({"id": key})
        tables[table] = tables[table].join(origin, on=key, how="left", maintain_order="left")
    return judge(name, tables, decoded, suites, meta["scale"], has_images=meta["has_images"])


def judge(
    name: str,
    tables: Mapping[str, pl.DataFrame],
    decoded: pl.DataFrame,
    suites: Mapping[str, Suite],
    scale: Sequence[float],
    *,
    has_images: bool,
) -> Verdicts:
    """Divide the tables of one dataset into rows kept and rows quarantined.

    Parameters
    ----------
    name : the dataset.
    tables : ratings, users and images, each with source_file and source_row.
    decoded : DataFrame (sha256, decodes) of the pictures.
    suites : what is expected of each table; one without a suite is not divided.
    scale : lowest and highest rating.
    has_images : whether the dataset ships pictures; if not, none is looked for.

    Raises
    ------
    PamelaError
        If a structural expectation fails.
    """
    images = _with_picture_state(tables["images"], decoded, has_images=has_images)
    states = images.select(
        s.IMAGE, "image_present", "image_decodes", pl.lit(True).alias("image_known")
    )
    ratings = (
        tables["ratings"]
        .join(states.unique(s.IMAGE), on=s.IMAGE, how="left", maintain_order="left")
        .with_columns(pl.col("image_known").fill_null(False))
    )
    judged = {**tables, "ratings": ratings, "images": images}
    parameters = {"scale_low": float(scale[0]), "scale_high": float(scale[1])}
    verdicts: Verdicts = {}
    for table, suite in suites.items():
        outcome = run_suite(suite, judged[table], parameters)
        _reject_structural(name, table, outcome)
        verdicts[table] = _divide(tables[table], outcome)
    return verdicts


def _with_picture_state(
    images: pl.DataFrame, decoded: pl.DataFrame, *, has_images: bool
) -> pl.DataFrame:
    """Add image_present and image_decodes; both are null, thus no fault, where not applicable."""
    if not has_images:
        nothing = pl.lit(None, pl.Boolean)
        return images.with_columns(image_present=nothing, image_decodes=nothing)
    return images.join(
        decoded.rename({"decodes": "image_decodes"}), on=s.SHA256, how="left", maintain_order="left"
    ).with_columns(image_present=pl.col(s.SHA256).is_not_null())


def _reject_structural(name: str, table: str, outcome: Outcome) -> None:
    for record in outcome.expectations:
        if record["severity"] == "structural" and not record["success"]:
            raise PamelaError(
                f"{name}: {record['says']} (rule {record['rule']} of expectations/{table}.json, "
                f"{record['failed']} rows); correct the dataset and run `dvc repro`"
            )


def _divide(table: pl.DataFrame, outcome: Outcome) -> Verdict:
    """Divide `table` by the outcome; a row that breaks several rules counts under the first."""
    broken = outcome.failures.group_by(ROW, maintain_order=True).agg(
        pl.col(RULE).first(), pl.col(RULE).alias(RULES)
    )
    marked = table.with_row_index(ROW).join(broken, on=ROW, how="left", maintain_order="left")
    bad = marked.filter(pl.col(RULE).is_not_null()).drop(ROW)
    kept = marked.filter(pl.col(RULE).is_null()).select(table.columns)
    lead = [RULE, RULES, *ORIGIN]
    quarantined = bad.select(*lead, pl.exclude(lead))
    if kept.height + quarantined.height != table.height:
        raise AssertionError(f"{table.height} rows in, {kept.height} + {quarantined.height} out")
    return Verdict(kept, quarantined, outcome.expectations)


def counts(name: str, verdicts: Verdicts) -> str:
    """Return what happened to dataset `name`, for people."""
    lines = []
    for table, verdict in verdicts.items():
        rules = ", ".join(f"{rule} {n:,}" for rule, n in verdict.by_rule.items())
        tail = f" ({rules})" if rules else ""
        lines.append(
            f"{name} {table}: {verdict.rows_in:,} in, {verdict.kept.height:,} kept, "
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
        if not tables["ratings"].kept.height:
            raise PamelaError(
                f"{name}: no rating is left after quarantine; see {_where(project, name)}"
            )
    with atomic_folder(project.validated) as folder:
        for table in TABLES:
            kept = [_canonical(table, verdicts[name][table].kept) for name in verdicts]
            write_parquet(folder / f"{table}.parquet", pl.concat(kept))


def _canonical(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    return frame if table == "ratings" else frame.drop(ORIGIN)


def _where(project: Project, name: str) -> str:
    return project.relative(project.quarantine / name / "ratings.parquet")


def _why_too_faulty(project: Project, name: str, verdict: Verdict, max_share: float) -> str:
    rule, n = next(iter(verdict.by_rule.items()))
    first = verdict.quarantined.filter(pl.col(RULE) == rule).row(0, named=True)
    return (
        f"{name}: {verdict.quarantined.height:,} of {verdict.rows_in:,} ratings "
        f"({verdict.share:.1%}) break a rule, more than validate.max_quarantined_share "
        f"{max_share:g}; mostly {rule} ({n:,}), first at {first[s.SOURCE_FILE]} row "
        f"{first[s.SOURCE_ROW]}; see {_where(project, name)}"
    )
