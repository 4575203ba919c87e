"""Where every batch is, how many ratings it holds, and why: what ``pamela batches`` lists."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.paths import Project
from pamela.data.partitions import partition_name
from pamela.retraining import batches, inbox
from pamela.retraining.inbox import Batch
from pamela.retraining.intake.refusals import refusal_of

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
    ratings : rows of its table; None where it cannot be read.
    quarantined : those that the last validation set apart; None where it has not seen the batch.
    """

    batch: str
    state: str
    ratings: int | None
    quarantined: int | None
    why: str


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
    return Row(batch.label, state, _count(batch.folder), None, why or MEANING.get(state, ""))


def _misplaced(project: Project, path: Path) -> Row:
    return Row(inbox.printable(project.relative(path)), MISPLACED, None, None, MEANING[MISPLACED])


def _count(folder: Path) -> int | None:
    """Return the rows of a batch's ratings, if it has a table of them that can be read."""
    for name, scan in (("ratings.parquet", pl.scan_parquet), ("ratings.csv", _scan_csv)):
        path = folder / name
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
    rows = _count(batch.folder)
    if not validated.is_file():
        return Row(batch.label, ACCEPTED, rows, None, "the pipeline has not run on it yet")
    quarantine = project.quarantine / batch.dataset / "ratings.parquet"
    if not quarantine.is_file():
        return Row(batch.label, ACCEPTED, rows, None, "")
    here = pl.col(s.SOURCE_FILE).str.starts_with(f"{project.relative(batch.folder)}/")
    apart = pl.scan_parquet(quarantine, glob=False).filter(here).group_by("rule").len()
    rules = apart.sort("len", "rule", descending=[True, False]).collect()
    why = ", ".join(f"{rule} {n:,}" for rule, n in rules.iter_rows())
    return Row(batch.label, ACCEPTED, rows, int(rules["len"].sum()), why)
