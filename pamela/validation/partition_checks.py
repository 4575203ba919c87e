"""One source's ratings held to ``expectations/``, chunk by chunk, whatever their number.

A first pass judges every row by itself and notes a hash of its user and image; the few rows that
share one are compared exactly (`pamela.validation.duplicates`); a second pass divides the rows.
What comes out is a folder of files, so that `pamela.validation.validate` may keep it for as long as
nothing that it follows from changes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.files import read_json, read_parquet, write_json
from pamela.core.hashing import Hashes
from pamela.data.partitions import ChunkWriter, Part, PartFile, manifest
from pamela.validation import duplicates
from pamela.validation.expectations import FAILURES, ROW, RULE, Outcome, Suite, SuiteRun

RULES: Final = "rules"  # all the rules that a row breaks; `rule` is the first
ORIGIN: Final = (s.SOURCE_FILE, s.SOURCE_ROW)
RATINGS: Final = "ratings"
REPEATS: Final = "repeats"
FURTHEST_ZONE: Final = dt.timedelta(hours=14)  # the clock that is furthest ahead of UTC


@dataclass(frozen=True)
class Law:
    """What the ratings of one dataset are held to.

    Attributes
    ----------
    rows : suite for each row by itself.
    repeats : suite for rows of one user and one image, held against each other.
    scale : lowest and highest rating.
    states : DataFrame (image_id, image_present, image_decodes), one row per known image.
    before : a rating's time must lie before it.
    """

    rows: Suite
    repeats: Suite
    scale: tuple[float, float]
    states: pl.DataFrame
    before: dt.datetime

    @property
    def parameters(self) -> dict[str, float]:
        """Values of the suites' ``$PARAMETER`` s."""
        return {"scale_low": self.scale[0], "scale_high": self.scale[1]}

    def look(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return `rows` with what the suite asks of each besides its own columns."""
        known = self.states.with_columns(image_known=pl.lit(True))
        return rows.join(known, on=s.IMAGE, how="left", maintain_order="left").with_columns(
            pl.col("image_known").fill_null(False),
            rated_in_future=pl.col(s.RATED_AT) >= self.before,
        )


def time_limit(latest: dt.date | None) -> dt.datetime:
    """Return what a rating's time must lie before.

    Parameters
    ----------
    latest : the last day on which a rating can have been given; None: now, anywhere on Earth.
    """
    if latest is None:
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        return now + FURTHEST_ZONE
    return dt.datetime.combine(latest, dt.time()) + dt.timedelta(days=1)


@dataclass(frozen=True)
class Judged:
    """The files of a judged source (see `judge_part`), opened.

    Attributes
    ----------
    kept : the faultless rows.
    quarantined : DataFrame of the others, led by rule, rules, source_file and source_row.
    records : what each expectation said, by suite: ``ratings``, then ``repeats``.
    entry : the folder.
    """

    kept: PartFile
    quarantined: pl.DataFrame
    records: dict[str, list[dict[str, Any]]]
    entry: Path

    def pairs(self) -> tuple[Hashes, npt.NDArray[np.int64]]:
        """Return the sorted pair hashes of the kept rows, and which row of `kept` each is."""
        return (
            np.load(self.entry / "pairs.npy", mmap_mode="r"),
            np.load(self.entry / "rows.npy", mmap_mode="r"),
        )


def judge_part(part: Part, law: Law, entry: Path) -> None:
    """Divide the rows of `part` by `law` into the files of the folder `entry`."""
    run = SuiteRun(law.rows, law.parameters)
    hashes = np.empty(part.rows, np.uint64)
    sound = np.ones(part.rows, bool)
    start = 0
    for chunk in part.chunks():
        failures = run.add(law.look(chunk))
        sound[failures.get_column(ROW).to_numpy()] = False
        hashes[start : start + chunk.height] = duplicates.pair_hashes(chunk)
        start += chunk.height
    of_rows = run.finish()
    of_pairs = _judge_repeats(part, law, hashes, sound)
    sound[of_pairs.failures.get_column(ROW).to_numpy()] = False
    _divide(part, pl.concat([of_rows.failures, of_pairs.failures]), entry)
    _write_pairs(hashes[sound], entry)
    records = {RATINGS: of_rows.expectations, REPEATS: of_pairs.expectations}
    write_json(entry / "records.json", records)


def open_judged(part: Part, entry: Path) -> Judged:
    """Open what `judge_part` wrote."""
    quarantined = read_parquet(entry / "quarantined.parquet")
    kept = PartFile(
        part.dataset,
        part.source,
        entry / "kept.parquet",
        part.rows - quarantined.height,
        manifest(entry)["kept.parquet"],
    )
    return Judged(kept, quarantined, read_json(entry / "records.json"), entry)


def _judge_repeats(part: Part, law: Law, hashes: Hashes, sound: npt.NDArray[np.bool_]) -> Outcome:
    """Hold the sound rows that may share user and image to the suite of repeats."""
    run = SuiteRun(law.repeats, {})
    failures = [pl.DataFrame(schema=FAILURES)]
    rows = np.flatnonzero(sound)
    order = np.argsort(hashes[rows], kind="stable")
    for chosen in duplicates.candidates(rows[order], hashes[rows[order]]):
        picked = pick_rows(part.chunks(duplicates.COLUMNS), chosen)
        failures.append(add_marked(run, duplicates.mark_within(picked), chosen))
    return Outcome(pl.concat(failures), run.finish().expectations)


def add_marked(run: SuiteRun, marks: pl.DataFrame, rows: npt.NDArray[np.int64]) -> pl.DataFrame:
    """Judge `marks`; return the failures by the numbers that `rows` gives."""
    before = run.height
    failures = run.add(marks)
    numbers = rows[failures.get_column(ROW).to_numpy() - before]
    return failures.with_columns(pl.Series(ROW, numbers, dtype=pl.Int64))


def pick_rows(chunks: Iterator[pl.DataFrame], rows: npt.NDArray[np.int64]) -> pl.DataFrame:
    """Return the rows of a table in chunks whose sorted numbers are `rows`."""
    found: list[pl.DataFrame] = []
    start = 0
    for chunk in chunks:
        low, high = np.searchsorted(rows, [start, start + chunk.height])
        if high > low or not found:
            found.append(chunk[rows[low:high] - start])
        start += chunk.height
    return pl.concat(found)


def _divide(part: Part, failures: pl.DataFrame, entry: Path) -> None:
    broken = broken_rules(failures)
    kept = ChunkWriter(entry / "kept.parquet", s.RATINGS_SCHEMA)
    faulty = ChunkWriter(entry / "quarantined.parquet", quarantine_schema(s.RATINGS_SCHEMA))
    start = 0
    for chunk in part.chunks():
        numbered = chunk.with_columns(pl.int_range(start, start + chunk.height).alias(ROW))
        sound, bad = divide(numbered, broken)
        kept.write(sound)
        faulty.write(bad)
        start += chunk.height
    kept.close()
    faulty.close()


def broken_rules(failures: pl.DataFrame) -> pl.DataFrame:
    """Return (_row, rule, rules): for each faulty row the first rule that it breaks, and all."""
    return failures.group_by(ROW, maintain_order=True).agg(
        pl.col(RULE).first(), pl.col(RULE).alias(RULES)
    )


def divide(numbered: pl.DataFrame, broken: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the sound and the faulty rows of a table with row numbers; those go."""
    marked = numbered.join(broken, on=ROW, how="left", maintain_order="left")
    lead = [RULE, RULES, *ORIGIN]
    bad = marked.filter(pl.col(RULE).is_not_null()).drop(ROW)
    sound = marked.filter(pl.col(RULE).is_null()).drop(ROW, RULE, RULES)
    if sound.height + bad.height != numbered.height:
        raise AssertionError(f"{numbered.height} rows in, {sound.height} + {bad.height} out")
    return sound, bad.select(*lead, pl.exclude(lead))


def quarantine_schema(schema: Mapping[str, pl.DataType]) -> pl.Schema:
    """Return the columns of a table's quarantine: rule, rules and origin first."""
    rest = {name: dtype for name, dtype in schema.items() if name not in ORIGIN}
    lead = {RULE: pl.String(), RULES: pl.List(pl.String())}
    return pl.Schema({**lead, **{c: schema[c] for c in ORIGIN}, **rest})


def _write_pairs(hashes: Hashes, entry: Path) -> None:
    order = np.argsort(hashes, kind="stable")
    np.save(entry / "pairs.npy", hashes[order])
    np.save(entry / "rows.npy", order)
