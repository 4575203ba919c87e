"""Scoring a table: parts beside the result, each whole, then one file; a killed run goes on.

The result appears whole, with the bytes that an undisturbed run writes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.progress import progress
from pamela.serving.bulk import places
from pamela.serving.bulk.names import REASON
from pamela.serving.bulk.part import (
    PERCENTILE,
    ROW,
    SOURCE,
    STD,
    ScorePart,
    TableScorer,
)
from pamela.serving.bulk.parts_folder import FORMAT, PartsFolder, rejected_of
from pamela.serving.bulk.source import SourceTable, open_table

if TYPE_CHECKING:
    from pamela.serving.api import Reward

ROWS_AT_ONCE: Final = 1 << 18  # rows of a part
MOST_WORKERS: Final = 4  # of one's own accord: each holds a part in memory
Done = Iterator[tuple[ScorePart, int]]
# scores every part, in any order, and yields each with how many of its rows it could not
PartRunner: TypeAlias = Callable[[Sequence[ScorePart]], Done]


@dataclass(frozen=True)
class ScoredTable:
    """What became of a table.

    Attributes
    ----------
    out : the result.
    rows, rejected : how many there were, and how many of them could not be scored.
    reasons : why, and how many rows for each reason, the most first.
    rejected_file : these rows; None where there are none.
    resumed : rows that an earlier, unfinished run had done.
    """

    out: str
    rows: int
    rejected: int
    reasons: dict[str, int]
    rejected_file: str | None
    resumed: int

    @property
    def scored(self) -> int:
        """Rows of the result."""
        return self.rows - self.rejected


def score_table(
    reward: Reward,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    percentile: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    run: PartRunner | None = None,
    rows_at_once: int = ROWS_AT_ONCE,
) -> ScoredTable:
    """Score every row of a table; see `Reward.score_table`.

    Parameters
    ----------
    run : what runs the parts, e.g. on a cluster; by default `workers` threads of this process.
    rows_at_once : rows of a part.
    """
    if run and reward.bundle.folder is None:
        raise PamelaError("this model was loaded from no folder, so that workers cannot load it")
    address, target = _address(source), _address(out)
    _check_names(address, target)
    table = open_table(address, [s.RATING, STD, SOURCE, PERCENTILE, ROW, REASON])
    folder = PartsFolder(target)
    note = _note(reward, table, percentile=percentile, rows_at_once=rows_at_once)
    differing = folder.differences(note)
    _refuse_other(target, differing, overwrite=overwrite)
    with folder.held(), places.stopped(target):
        parts = _parts(reward, table, folder, rows_at_once, percentile=percentile, job=_id(note))
        if differing == []:
            done = {part: n for part in parts if (n := rejected_of(part)) is not None}
        else:
            folder.begin(note)
            done = {}
        resumed = sum(part.rows for part in done)
        todo = [part for part in parts if part not in done]
        label = f"score {os.path.basename(target)}"  # noqa: PTH119 (an s3:// address is no path)
        with progress(label, table.rows, unit="rows", done=resumed) as advance:
            running = run(todo) if run else _in_threads(reward, todo, workers)
            for part, rejected in running:
                done[part] = rejected
                advance(part.rows)
        reasons = _finish(reward, parts, done, folder)
        folder.remove()
    rejected = sum(done.values())
    beside = rejected_name(os.fspath(out)) if rejected else None
    return ScoredTable(os.fspath(out), table.rows, rejected, reasons, beside, resumed)


def rejected_name(out: str) -> str:
    """Return the file of the rows that could not be scored, beside the result."""
    return f"{out.removesuffix(places.SUFFIX)}.rejected{places.SUFFIX}"


def _address(given: str | os.PathLike[str]) -> str:
    """Return an address that means the same for every process on this machine."""
    text = os.fspath(given)
    return text if places.is_remote(text) else os.path.abspath(text)  # noqa: PTH100 (links stay)


def _check_names(source: str, target: str) -> None:
    if not target.endswith(places.SUFFIX):
        raise PamelaError(f"{target}: name a file that ends in {places.SUFFIX}")
    if target == source or target.startswith(f"{source}/"):
        raise PamelaError(f"{target}: lies in the table to be scored; write it elsewhere")
    if os.path.isdir(target):  # noqa: PTH112 (false for an s3:// address)
        raise PamelaError(f"{target}: a folder; name a file")


def _refuse_other(target: str, differing: list[str] | None, *, overwrite: bool) -> None:
    """Raise where something else is there that may not be replaced."""
    if overwrite or differing == []:
        return
    if differing:
        raise PamelaError(
            f"{target}.parts: parts of a run with another {' and another '.join(differing)}; "
            "finish that run, or start anew with --overwrite"
        )
    if places.exists(target):
        raise PamelaError(f"{target}: exists already; name another file, or say --overwrite")


def _note(
    reward: Reward, table: SourceTable, *, percentile: bool, rows_at_once: int
) -> dict[str, Any]:
    """Return what a result depends on, by what a message calls it."""
    people = reward.people
    saved = {name: list(people.state(name) or ()) for name in people.names} if people else {}
    return {
        "format": FORMAT,
        "model": reward.version,
        "table": [[one.address, one.size, one.changed] for one in table.files],
        "state of saved people": saved,
        "setting of percentile": percentile,
        "size of parts": rows_at_once,
    }


def _id(note: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(note, sort_keys=True).encode()).hexdigest()[:16]


def _parts(
    reward: Reward,
    table: SourceTable,
    folder: PartsFolder,
    rows_at_once: int,
    *,
    percentile: bool,
    job: str,
) -> list[ScorePart]:
    model, people = reward.bundle.folder, reward.people
    return [
        ScorePart(
            job,
            str(model.resolve()) if model else "",
            reward.version,
            str(people.root.resolve()) if people else "",
            one.files,
            one.start,
            one.rows,
            one.first,
            folder.file("scored", number),
            folder.file("rejected", number),
            percentile,
        )
        for number, one in enumerate(table.slices(rows_at_once))
    ]


def _in_threads(reward: Reward, parts: Sequence[ScorePart], workers: int | None) -> Done:
    """Score parts in threads of this process: what takes long holds no lock of Python's."""
    if not parts:
        return
    scorer = TableScorer(reward)
    pool = ThreadPoolExecutor(workers or min(os.cpu_count() or 1, MOST_WORKERS))
    try:
        running = {pool.submit(scorer.score_part, part): part for part in parts}
        for one in as_completed(running):
            yield running[one], one.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _finish(
    reward: Reward, parts: Sequence[ScorePart], done: dict[ScorePart, int], folder: PartsFolder
) -> dict[str, int]:
    """Write the result of its parts, what was set apart first; return why that was."""
    told = {"model_version": reward.version}
    target, aside = folder.out, f"{folder.address}/joined{places.SUFFIX}"
    apart = [part.rejected for part in parts if done[part]]
    reasons = {}
    if apart:
        counts = pl.scan_parquet(apart, glob=False).group_by(REASON).len()
        rows = counts.sort(["len", REASON], descending=[True, False]).collect()
        reasons = dict(rows.iter_rows())
        places.join_tables(apart, aside, rejected_name(target), {})
    else:
        places.remove(rejected_name(target))
    places.join_tables([part.scored for part in parts], aside, target, told)
    return reasons
