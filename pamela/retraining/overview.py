"""Where every batch is, what it holds, and why: what ``pamela batches`` lists."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.paths import Project
from pamela.data.partitions import partition_name
from pamela.retraining import batches, inbox
from pamela.retraining.inbox import Batch
from pamela.retraining.intake.refusals import refusal_of

ROWS: Final = ("ratings", "choices")
WAITING: Final = "not complete"
READY: Final = "ready"
REFUSED: Final = "refused"
FOREIGN: Final = "foreign"
MISPLACED: Final = "misplaced"
ACCEPTED: Final = "accepted"
SET_ASIDE: Final = "set aside"
# What a state means, where there is no reason of the batch's own.
MEANING: Final = {
    WAITING: f"without {inbox.DONE}",
    READY: "the next retrain takes it up",
    FOREIGN: "its dataset is not in ingest.datasets",
    MISPLACED: "a file in no batch's folder: nobody reads it",
}


# What counting rows raises; a TypeError on a path that is no text.
BROKEN: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, TypeError)


@dataclass(frozen=True)
class Row:
    """One batch.

    Attributes
    ----------
    ratings, choices : rows of its tables; None where there is none, or none that can be read.
    quarantined : those that the last validation set apart; None where it has not seen the batch.
    """

    batch: str
    state: str
    ratings: int | None
    quarantined: int | None
    why: str
    choices: int | None = None


def overview(project: Project, datasets: Collection[str]) -> list[Row]:
    """Return every batch of the project; nothing is touched.

    Parameters
    ----------
    datasets : the names in ``ingest.datasets``.
    """
    found = inbox.scan_inbox(project, datasets)
    waiting = ((found.waiting, WAITING), (found.ready, READY), (found.foreign, FOREIGN))
    return [
        *(_row(batch, state) for some, state in waiting for batch in some),
        *(_row(batch, REFUSED, _refusal(project, batch)) for batch in found.refused),
        *(_misplaced(project, path) for path in found.misplaced),
        *(_accepted(project, batch) for batch in inbox.accepted(project)),
        *(_row(batch, SET_ASIDE, _reason(project, batch)) for batch in inbox.set_aside(project)),
    ]


def _row(batch: Batch, state: str, why: str = "") -> Row:
    ratings, choices = (_count(batch.folder, table) for table in ROWS)
    return Row(batch.label, state, ratings, None, why or MEANING.get(state, ""), choices)


def _misplaced(project: Project, path: Path) -> Row:
    return Row(inbox.printable(project.relative(path)), MISPLACED, None, None, MEANING[MISPLACED])


def _count(folder: Path, table: str) -> int | None:
    """Return the rows of a batch's ratings or choices, if it has them and they can be read."""
    for suffix, scan in ((".parquet", pl.scan_parquet), (".csv", _scan_csv)):
        path = folder / f"{table}{suffix}"
        if path.is_file():
            try:
                return int(scan(path).select(pl.len()).collect(engine="streaming").item())
            except BROKEN:
                return None
    return None


def _scan_csv(path: Path) -> pl.LazyFrame:
    return pl.scan_csv(path, infer_schema=False, glob=False)


def _refusal(project: Project, batch: Batch) -> str:
    found = refusal_of(project, batch.folder)
    return found.why.removeprefix(f"{batch.label}: ") if found else ""


def _reason(project: Project, batch: Batch) -> str:
    try:
        record = json.loads(batches.record_file(project, batch.label).read_text(encoding="utf-8"))
        return f"{record['why']} ({record['when']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _accepted(project: Project, batch: Batch) -> Row:
    """Return an accepted batch with what validation made of it."""
    validated = project.validated / "ratings.parquet" / partition_name(batch.dataset, batch.name)
    held = _row(batch, ACCEPTED)
    if not validated.is_file():
        return replace(held, why="the pipeline has not run on it yet")
    there = [project.quarantine / batch.dataset / f"{table}.parquet" for table in ROWS]
    there = [path for path in there if path.is_file()]
    if not there:
        return held
    here = pl.col(s.SOURCE_FILE).str.starts_with(f"{project.relative(batch.folder)}/")
    apart = pl.concat(
        pl.scan_parquet(path, glob=False).filter(here).select("rule") for path in there
    )
    rules = apart.group_by("rule").len().sort("len", "rule", descending=[True, False]).collect()
    why = ", ".join(f"{rule} {n:,}" for rule, n in rules.iter_rows())
    return replace(held, quarantined=int(rules["len"].sum()), why=why)
