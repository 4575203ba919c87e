"""Verdicts on datasets: every part of the ratings judged once, then parts against each other.

A part's verdict follows from its rows, the suites, the scale, the states of the pictures that it
rates and the code; it is kept in the cache under the hash of these, so that a new batch has only
itself judged, and held against the rows that stand.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from pamela.core import hashing
from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, read_parquet, sink_parquet, write_json, write_parquet
from pamela.data import partitions
from pamela.data.partitions import Part, PartCache, PartFile
from pamela.validation import duplicates, partition_checks
from pamela.validation import expectations as suites
from pamela.validation.expectations import ROW, RULE, Suite, SuiteRun, merge_records, run_suite
from pamela.validation.partition_checks import ORIGIN, REPEATS, RULES, Judged, Law
from pamela.validation.standing import Faults, Standing, against_standing, without

HARMLESS = "rating_repeated"  # set apart, but no reason to refuse a dataset or a batch


@dataclass(frozen=True)
class Verdict:
    """One table of one dataset, divided.

    Attributes
    ----------
    kept : the rows that broke no rule, in their order (a LazyFrame).
    rows_kept : their number.
    quarantined : the others, led by the columns rule, rules, source_file and source_row.
    expectations : what each expectation said (`pamela.validation.expectations.Outcome`).
    files : the kept rows of each source, for ratings.
    """

    kept: pl.LazyFrame
    rows_kept: int
    quarantined: pl.DataFrame
    expectations: list[dict[str, Any]]
    files: tuple[PartFile, ...] = ()

    @property
    def rows_in(self) -> int:
        """Rows before the division."""
        return self.rows_kept + self.quarantined.height

    @property
    def faulty(self) -> int:
        """Quarantined rows that are wrong; a row that only says again what stands is not."""
        return self.quarantined.filter(pl.col(RULE) != HARMLESS).height

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


Verdicts = dict[str, Verdict]  # by table


# --- users and images: small tables -----------------------------------------------------------
def judge_table(dataset: str, table: str, frame: pl.DataFrame, suite: Suite) -> Verdict:
    """Divide a whole table, which has source_file and source_row, by its suite.

    Columns named ``image_present`` and ``image_decodes`` are looked at and not passed on.

    Raises
    ------
    PamelaError
        If a structural expectation fails.
    """
    outcome = run_suite(suite, frame, {})
    reject_structural(dataset, table, outcome.expectations)
    rows = frame.drop("image_present", "image_decodes", strict=False)
    numbered = rows.with_columns(pl.int_range(pl.len()).alias(ROW))
    kept, bad = partition_checks.divide(numbered, partition_checks.broken_rules(outcome.failures))
    return Verdict(kept.lazy(), kept.height, bad, outcome.expectations)


def reject_structural(dataset: str, table: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Raise on the first structural expectation that failed."""
    for record in records:
        if record["severity"] == "structural" and not record["success"]:
            raise PamelaError(
                f"{dataset}: {record['says']} (rule {record['rule']} of expectations/{table}.json, "
                f"{record['failed']} rows); correct the dataset and run `dvc repro`"
            )


def picture_states(
    images: pl.DataFrame, decoded: pl.DataFrame, *, has_images: bool
) -> pl.DataFrame:
    """Add image_present and image_decodes; both are null, thus no fault, where not applicable."""
    if not has_images:
        nothing = pl.lit(None, pl.Boolean)
        return images.with_columns(image_present=nothing, image_decodes=nothing)
    return images.join(
        decoded.rename({"decodes": "image_decodes"}), on=s.SHA256, how="left", maintain_order="left"
    ).with_columns(image_present=pl.col(s.SHA256).is_not_null())


def law_of(
    images: pl.DataFrame,
    found: Mapping[str, Suite],
    scale: Sequence[float],
    latest: dt.date | None,
) -> Law:
    """Return what ratings are held to, given `picture_states` of the images.

    Parameters
    ----------
    found : the suites.
    latest : ``validate.latest_rated_at``; None is the time of the run.
    """
    states = images.select(s.IMAGE, "image_present", "image_decodes").unique(
        s.IMAGE, keep="first", maintain_order=True
    )
    bounds = (float(scale[0]), float(scale[1]))
    limit = partition_checks.time_limit(latest)
    return Law(found[partition_checks.RATINGS], found[REPEATS], bounds, states, limit)


# --- ratings: parts of any size ---------------------------------------------------------------
def judge_ratings(dataset: str, found: Sequence[Part], law: Law, cache: PartCache) -> Verdict:
    """Judge the parts of a dataset's ratings, in order: an earlier one stands over a later one.

    Raises
    ------
    PamelaError
        If a structural expectation fails.
    """
    standing: list[Standing] = []
    for part in found:
        judged = _judge_once(part, law, cache)
        reject_structural(
            dataset, partition_checks.RATINGS, judged.records[partition_checks.RATINGS]
        )
        faults = against_standing(judged, standing, law)
        standing.append(Standing(without(judged, faults, part, cache)))
    return _verdict([one.judged for one in standing])


def judge_batch(rows: pl.LazyFrame, standing: pl.LazyFrame, law: Law) -> Verdict:
    """Judge a batch that is not in the tables yet.

    Parameters
    ----------
    rows : its ratings.
    standing : ratings that stand (user_id, image_id, rating), each pair at most once.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "ratings.parquet"
        sink_parquet(file, rows)
        made = PartFile.of("", "", file)
        part = Part("", "", file, 0, made.rows, made.sha256)
        cache = PartCache(Path(folder) / "cache")
        judged = _judge_once(part, law, cache)
        kept = pl.read_parquet(judged.kept.file)
        known = standing.join(kept.lazy().select(*duplicates.PAIR), on=duplicates.PAIR, how="semi")
        run = SuiteRun(law.repeats, {})
        marks = duplicates.mark_across(kept, known.collect(engine="streaming"))
        failures = partition_checks.add_marked(run, marks, np.arange(kept.height))
        faults = Faults(failures, run.finish().expectations)
        verdict = _verdict([without(judged, faults, part, cache)])
        return Verdict(
            verdict.kept.collect().lazy(),  # the files go
            verdict.rows_kept,
            verdict.quarantined,
            verdict.expectations,
        )


def _verdict(judged: Sequence[Judged]) -> Verdict:
    records = judged[0].records
    for one in judged[1:]:
        records = {suite: merge_records(records[suite], one.records[suite]) for suite in records}
    files = tuple(one.kept for one in judged)
    return Verdict(
        pl.concat([pl.scan_parquet(one.file, glob=False) for one in files]),
        sum(one.rows for one in files),
        pl.concat([one.quarantined for one in judged]),
        [record for suite in records.values() for record in suite],
        files,
    )


# --- each part by itself ----------------------------------------------------------------------
def _judge_once(part: Part, law: Law, cache: PartCache) -> Judged:
    """Judge `part`, unless the same was done in an earlier run."""
    survey = cache.obtain(_survey_key(part), lambda entry: _survey(part, entry))
    last = read_json(survey / "times.json")["last"]
    open_bound = last is None or dt.datetime.fromisoformat(last) < law.before
    rated = read_parquet(survey / "images.parquet").join(
        law.states, on=s.IMAGE, how="left", maintain_order="left"
    )
    known = rated.join(law.states, on=s.IMAGE, how="semi").select(s.IMAGE)
    key = partitions.key_of(
        "judged",
        part.sha256,
        [suite.model_dump() for suite in (law.rows, law.repeats)],
        law.scale,
        partitions.frame_sha256(rated),
        partitions.frame_sha256(known),
        None if open_bound else law.before.isoformat(),
        partitions.code_version(partition_checks, duplicates, suites, hashing, s, partitions),
        version("great-expectations"),
    )
    return partition_checks.open_judged(
        part, cache.obtain(key, lambda entry: partition_checks.judge_part(part, law, entry))
    )


def _survey_key(part: Part) -> str:
    return partitions.key_of("survey", part.sha256, partitions.code_version(partitions))


def _survey(part: Part, entry: Path) -> None:
    """Write which images a part rates, and the latest time in it."""
    rated = pl.DataFrame(schema={s.IMAGE: pl.String})
    last: dt.datetime | None = None
    for chunk in part.chunks((s.IMAGE, s.RATED_AT)):
        rated = rated.vstack(chunk.select(s.IMAGE)).unique()
        latest = chunk.get_column(s.RATED_AT).max()
        if isinstance(latest, dt.datetime):
            last = latest if last is None else max(last, latest)
    write_parquet(entry / "images.parquet", rated.drop_nulls().sort(s.IMAGE))
    write_json(entry / "times.json", {"last": None if last is None else last.isoformat()})


__all__ = ["ORIGIN", "RULE", "RULES", "Verdict", "Verdicts", "judge_batch", "judge_ratings"]
