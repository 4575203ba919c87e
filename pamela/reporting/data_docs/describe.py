"""One dataset as the data docs know it, gathered from what ingest and validate wrote."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.files import read_json, read_parquet
from pamela.core.paths import Project
from pamela.evaluation.ceilings.retest import Retest, retest_people
from pamela.params import ValidateParams
from pamela.reporting.data_docs.agreement import Agreement, agreement
from pamela.reporting.data_docs.choices.statistics import ChoiceStatistics, summarise
from pamela.reporting.data_docs.raters import SPEEDER, STRAIGHT, flag_raters
from pamela.reporting.data_docs.statistics import (
    DatasetStatistics,
    Demographic,
    collect,
    dataset_meta,
    demographics,
    kept_rows,
)

EXAMPLES: Final = 3  # offending rows that are shown per rule
IDS: Final = 100  # flagged users that reports/validation.json names
TABLES: Final = ("ratings", "choices", "users", "images")


@dataclass(frozen=True)
class DatasetDocs:
    """What the data docs say of one dataset.

    Attributes
    ----------
    checked : its entry in ``reports/validation.json``.
    meta : its entry in ``data/tables/datasets.json``.
    examples : {(table, rule): the first rows that break it}, each with source_file and source_row.
    statistics, agreement, demographics : of the rows that broke no rule.
    choices : of the choices that broke no rule; None where there are none.
    retest : what people's repeats say, where repeats are measures and there are any.
    raters : the raters with their flags.
    users, images : how many the tables list.
    """

    name: str
    checked: dict[str, Any]
    meta: dict[str, Any]
    examples: dict[tuple[str, str], list[dict[str, Any]]]
    statistics: DatasetStatistics
    agreement: Agreement
    choices: ChoiceStatistics | None
    retest: Retest | None
    raters: pl.DataFrame
    demographics: list[Demographic]
    users: int
    images: int


def describe_dataset(project: Project, name: str, params: ValidateParams) -> DatasetDocs:
    """Gather everything about dataset `name`."""
    meta = dataset_meta(project)[name]
    statistics = collect(kept_rows(project, name, "ratings"), meta["scale"])
    own = pl.col(s.DATASET) == name
    users = read_parquet(project.tables / "users.parquet").filter(own)
    images = read_parquet(project.tables / "images.parquet", columns=[s.DATASET, s.IMAGE])
    return DatasetDocs(
        name=name,
        checked=read_json(project.reports / "validation.json")["datasets"][name],
        meta=meta,
        examples=_examples(project, name),
        statistics=statistics,
        agreement=agreement(statistics.images),
        choices=summarise(kept_rows(project, name, "choices").collect(engine="streaming")),
        retest=_retest(project, name, meta.get("repeats")),
        raters=flag_raters(statistics.raters, params, two_values=statistics.values.two_values),
        demographics=demographics(users),
        users=users.height,
        images=images.filter(own).height,
    )


def _retest(project: Project, name: str, repeats: str | None) -> Retest | None:
    if repeats is None:
        return None
    people = retest_people(kept_rows(project, name, "ratings"))
    return Retest.of(people, repeats) if people.height else None


def _examples(project: Project, name: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the first rows that break each rule, whatever other rules they break."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for table in TABLES:
        path = project.quarantine / name / f"{table}.parquet"
        if not path.is_file():
            continue
        rows = pl.scan_parquet(path, glob=False).with_row_index("_row")
        broken = rows.select("_row", rule="rules").explode("rule")
        first = broken.group_by("rule").agg(pl.col("_row").bottom_k(EXAMPLES)).explode("_row")
        wanted = first.sort("rule", "_row").collect()
        shown = rows.join(wanted.lazy().select("_row").unique(), on="_row", how="semi").collect()
        keyed = wanted.join(shown.drop("rule"), on="_row", maintain_order="left")
        for row in keyed.iter_rows(named=True):  # at most three per rule
            found.setdefault((table, row["rule"]), []).append(row)
    return found


def flags_record(docs: DatasetDocs, params: ValidateParams) -> dict[str, Any]:
    """Return the flags for ``reports/validation.json``: counts, and ids up to 100."""
    enough = pl.col("n") >= params.flag_min_ratings
    clocked = (pl.col("timed") >= params.flag_min_ratings) & pl.col("median_seconds").is_not_null()
    return {
        "raters": docs.raters.height,
        "judged": docs.raters.filter(enough).height,
        "judged_by_order": docs.raters.filter(enough & pl.col("longest_run").is_not_null()).height,
        "judged_by_time": docs.raters.filter(clocked).height,
        "straight_liners": _flagged(docs.raters.filter(STRAIGHT)),
        "speeders": _flagged(docs.raters.filter(SPEEDER)),
    }


def _flagged(raters: pl.DataFrame) -> dict[str, Any]:
    return {"n": raters.height, "user_ids": raters[s.USER][:IDS].to_list()}


def agreement_record(found: Agreement) -> dict[str, Any]:
    """Return the agreement for ``reports/validation.json``."""
    ends = ("value", "ci_low", "ci_high")
    single, mean = asdict(found.single), asdict(found.mean)
    return {
        "icc_single": {k: single[k] for k in ends},
        "icc_mean": {k: mean[k] for k in ends},
        "ratings_per_image": found.per_image,
        "images": found.images,
    }
