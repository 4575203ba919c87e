"""Parts of a dataset against each other: a later source's row that only repeats is set apart.

The pair hashes of `pamela.validation.partition_checks` find the few rows that may meet; they are
compared exactly.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.files import write_json
from pamela.core.hashing import Hashes
from pamela.data import partitions
from pamela.data.partitions import Part, PartCache
from pamela.validation import duplicates, partition_checks
from pamela.validation.expectations import ROW, SuiteRun, merge_records
from pamela.validation.partition_checks import ORIGIN, REPEATS, Judged, Law, quarantine_schema


class Standing:
    """A judged part and its pair hashes, in memory as far as they are looked at."""

    def __init__(self, judged: Judged) -> None:
        self.judged = judged
        self.hashes, self.rows = judged.pairs()

    def rows_of(self, hashes: Hashes) -> pl.DataFrame:
        """Return (user_id, image_id, rating) of the kept rows with one of `hashes` (sorted)."""
        low = np.searchsorted(self.hashes, hashes, side="left")
        high = np.searchsorted(self.hashes, hashes, side="right")
        counts = high - low  # mostly 1: two pairs of one hash are rare
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        chosen = np.sort(self.rows[np.repeat(low, counts) + within])
        return partition_checks.pick_rows(self.chunks((*duplicates.PAIR, s.RATING)), chosen)

    def chunks(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the kept rows."""
        kept = self.judged.kept
        part = Part(kept.dataset, kept.source, kept.file, 0, kept.rows, kept.sha256)
        return part.chunks(columns)


@dataclass(frozen=True)
class Faults:
    """Failures (_row of the kept rows, rule) and what the suite of repeats said."""

    failures: pl.DataFrame
    records: list[dict[str, Any]]


def against_standing(judged: Judged, standing: Sequence[Standing], law: Law) -> Faults | None:
    """Hold the kept rows of a part to those of the parts before it; None where none meet."""
    mine = Standing(judged)
    shared = [_common(mine.hashes, one.hashes) for one in standing]
    if not any(len(hashes) for hashes in shared):
        return None
    known = [
        one.rows_of(hashes) for one, hashes in zip(standing, shared, strict=True) if len(hashes)
    ]
    positions = np.flatnonzero(np.isin(mine.hashes, np.concatenate(shared)))
    chosen = np.sort(np.asarray(mine.rows)[positions])
    rows = partition_checks.pick_rows(mine.chunks((*duplicates.PAIR, s.RATING)), chosen)
    run = SuiteRun(law.repeats, {})
    failures = partition_checks.add_marked(
        run, duplicates.mark_across(rows, pl.concat(known)), chosen
    )
    return Faults(failures, run.finish().expectations)


def _common(few: Hashes, many: Hashes) -> Hashes:
    """Return the distinct hashes of `few` that `many` (sorted) has too."""
    asked = np.unique(few)
    found = np.searchsorted(many, asked)
    there = found < len(many)
    there[there] = many[found[there]] == asked[there]
    return asked[there]


def without(judged: Judged, faults: Faults | None, part: Part, cache: PartCache) -> Judged:
    """Return `judged` with the faulty of its kept rows moved to its quarantine."""
    if faults is None or not faults.failures.height:
        return judged
    code = partitions.code_version(sys.modules[__name__])
    key = partitions.key_of(
        "against", judged.entry.name, partitions.frame_sha256(faults.failures), code
    )
    entry = cache.obtain(key, lambda folder: _move(judged, faults, folder))
    return partition_checks.open_judged(part, entry)


def _move(judged: Judged, faults: Faults, entry: Path) -> None:
    rows = pl.read_parquet(judged.kept.file)
    numbered = rows.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(ROW))
    kept, bad = partition_checks.divide(numbered, partition_checks.broken_rules(faults.failures))
    schema = quarantine_schema(s.RATINGS_SCHEMA)
    quarantined = pl.concat([judged.quarantined, bad.cast(schema)]).sort(ORIGIN)
    partitions.write_chunk(entry / "kept.parquet", kept)
    partitions.write_chunk(entry / "quarantined.parquet", quarantined)
    hashes, positions = judged.pairs()
    gone = faults.failures.get_column(ROW).unique().sort().to_numpy()
    stays = ~np.isin(positions, gone)
    left = np.asarray(positions)[stays]
    np.save(entry / "pairs.npy", np.asarray(hashes)[stays])
    np.save(entry / "rows.npy", left - np.searchsorted(gone, left))
    merged = merge_records(judged.records[REPEATS], faults.records)
    write_json(entry / "records.json", {**judged.records, REPEATS: merged})
