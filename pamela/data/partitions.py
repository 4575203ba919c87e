"""Ratings in parts: what one source brings (a dataset as imported, or one batch) stays together.

A table of ratings is the parts of its sources one after the other, each in row groups of its own;
``parts.json`` beside it says which rows are whose, and the hash of each part. So a new batch leaves
the earlier parts as they are, and what a stage has worked out for a part is kept in the project's
git-ignored cache under the hash of everything that it follows from: the part, the settings, the
code. The cache changes how long a run takes and never what comes out; it may be deleted.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import ROW_GROUP, atomic_folder, file_sha256, read_json, write_json
from pamela.data.row_groups import join_parquet

RECORD: Final = "parts.json"
MANIFEST: Final = "manifest.json"
CHUNK: Final = ROW_GROUP  # rows that are in memory at once
SOURCE: Final = "source"  # the folder of a part, relative to the project root
BATCH_FOLDER: Final = r"^(data/batches/[^/]+/[^/]+)/"


@dataclass(frozen=True)
class Part:
    """The ratings of one source of one dataset, as rows of a Parquet file.

    Attributes
    ----------
    dataset : whose ratings.
    source : the folder that they came from, relative to the project root.
    file : Parquet file that holds them.
    start, rows : which of its rows.
    sha256 : hash of what it holds: of the part's own Parquet file, where that was recorded.
    """

    dataset: str
    source: str
    file: Path
    start: int
    rows: int
    sha256: str

    def scan(self) -> pl.LazyFrame:
        """Return the part's rows, not yet read."""
        return pl.scan_parquet(self.file, glob=False).slice(self.start, self.rows)

    def chunks(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the part's rows in order, at most `CHUNK` at a time."""
        lazy = pl.scan_parquet(self.file, glob=False)
        picked = lazy if columns is None else lazy.select(columns)
        for start in range(self.start, self.start + self.rows, CHUNK):
            length = min(CHUNK, self.start + self.rows - start)
            yield picked.slice(start, length).collect()


# --- writing a table of parts -----------------------------------------------------------------
class ChunkWriter:
    """Writes one Parquet file chunk by chunk; `close` puts it in place."""

    def __init__(self, target: Path, schema: pl.Schema) -> None:
        self._target = target
        self._schema = schema
        self._aside = target.with_name(f".{target.stem}.chunks")
        shutil.rmtree(self._aside, ignore_errors=True)
        self._aside.mkdir(parents=True)
        self._files: list[Path] = []
        self.rows = 0

    def write(self, frame: pl.DataFrame) -> None:
        """Append rows; empty chunks leave no trace."""
        if frame.height:
            self._put(frame)

    def close(self) -> None:
        """Join the chunks to the target file, which has the schema also when it has no rows."""
        if not self._files:
            self._put(pl.DataFrame(schema=self._schema))
        join_parquet(self._files, self._target)
        shutil.rmtree(self._aside)

    def _put(self, frame: pl.DataFrame) -> None:
        path = self._aside / f"{len(self._files):06}.parquet"
        write_chunk(path, frame.select(pl.col(c).cast(t) for c, t in self._schema.items()))
        self._files.append(path)
        self.rows += frame.height


def write_chunk(path: Path, frame: pl.DataFrame) -> None:
    """Write rows of a large table: quicker and a little larger than `files.write_parquet`."""
    frame.write_parquet(
        path, compression="zstd", compression_level=1, statistics=False, row_group_size=CHUNK
    )


@dataclass(frozen=True)
class PartFile:
    """A part as a Parquet file of its own, on the way into a table."""

    dataset: str
    source: str
    file: Path
    rows: int
    sha256: str

    @classmethod
    def of(cls, dataset: str, source: str, file: Path) -> PartFile:
        """Describe `file`."""
        rows = int(pl.scan_parquet(file, glob=False).select(pl.len()).collect().item())
        return cls(dataset, source, file, rows, file_sha256(file))


def write_parts(table: Path, parts: Sequence[PartFile]) -> None:
    """Write `parts` one after the other as the table ``<table>`` with `RECORD` beside it."""
    join_parquet([part.file for part in parts], table)
    record = {
        "sha256": file_sha256(table),
        "parts": [
            {"dataset": p.dataset, SOURCE: p.source, "rows": p.rows, "sha256": p.sha256}
            for p in parts
        ],
    }
    write_json(table.with_name(RECORD), record)


def read_parts(table: Path) -> list[Part]:
    """Return the parts of the table ``<table>``, in its order.

    Where `RECORD` is absent or does not speak of this very file, the parts are found in the rows
    (dataset and source_file), and are known by the hash of the whole table.

    Raises
    ------
    PamelaError
        If the table is missing or not Parquet.
    """
    record = table.with_name(RECORD)
    if not table.is_file():
        raise PamelaError(f"{table}: no such file; run the stage that writes it")
    sha256 = file_sha256(table)
    if record.is_file():
        said = read_json(record)
        if said["sha256"] == sha256:
            return _placed(table, said["parts"])
    return _placed(table, _found(table, sha256))


def _placed(table: Path, parts: Sequence[dict[str, Any]]) -> list[Part]:
    placed, start = [], 0
    for part in parts:
        placed.append(Part(file=table, start=start, **part))
        start += part["rows"]
    return placed


def _found(table: Path, sha256: str) -> list[dict[str, Any]]:
    """Return the runs of rows of one dataset and one source."""
    batch = pl.col(s.SOURCE_FILE).fill_null("").str.extract(BATCH_FOLDER)
    try:
        runs = (
            pl.scan_parquet(table, glob=False)
            .select(pl.struct(s.DATASET, batch.fill_null("").alias(SOURCE)).rle().alias("run"))
            .collect()
            .get_column("run")
        )
    except pl.exceptions.PolarsError as error:
        raise PamelaError(f"{table}: not readable ({error})") from None
    return [
        {**run["value"], "rows": run["len"], "sha256": key_of(sha256, number)}
        for number, run in enumerate(runs.to_list())
    ]


# --- the cache --------------------------------------------------------------------------------
_used: set[Path] = set()  # entries that this process asked for


class PartCache:
    """Folders of results, each under the hash of what it follows from.

    An entry appears by one rename and holds the hashes of its files: a damaged one is worked out
    again. A stage prunes what its run did not use.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def obtain(self, key: str, build: Callable[[Path], None]) -> Path:
        """Return the folder of `key`, which ``build(folder)`` fills if it is not there."""
        entry = self._folder / key
        _used.add(entry)
        if not _whole(entry):
            with atomic_folder(entry) as aside:
                build(aside)
                files = sorted(p for p in aside.iterdir() if p.is_file())
                write_json(aside / MANIFEST, {p.name: file_sha256(p) for p in files})
        return entry

    def prune(self) -> None:
        """Remove every entry that this process did not ask for."""
        if self._folder.is_dir():
            for entry in self._folder.iterdir():
                if entry not in _used:
                    shutil.rmtree(entry, ignore_errors=True)


def manifest(entry: Path) -> dict[str, str]:
    """Return the hash of each file of a cache entry."""
    said: dict[str, str] = read_json(entry / MANIFEST)
    return said


def _whole(entry: Path) -> bool:
    if not (entry / MANIFEST).is_file():
        return False
    try:
        said = manifest(entry)
        return all(file_sha256(entry / name) == sha256 for name, sha256 in said.items())
    except (OSError, PamelaError):
        return False


def key_of(*what: Any) -> str:
    """Return the hash of values that can be written as JSON."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def frame_sha256(frame: pl.DataFrame) -> str:
    """Return a hash of a small table's names, types and values."""
    digest = hashlib.sha256(repr(frame.schema).encode())
    digest.update(frame.write_csv(null_value="\0", include_header=False).encode())
    return digest.hexdigest()


def code_version(*modules: ModuleType) -> str:
    """Return the hash of the source of `modules` and the version of Polars."""
    digest = hashlib.sha256(pl.__version__.encode())
    for module in modules:
        digest.update(Path(inspect.getfile(module)).read_bytes())
    return digest.hexdigest()
