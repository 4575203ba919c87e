"""Tables as people have them, opened as lazy tables: CSV, TSV, JSON, JSON Lines, Parquet; packed
files; folders of parts as Spark writes them.

The suffix says what a file is; nothing is guessed from its contents. Packed files and those that
are not UTF-8 are written anew to a scratch folder first, so that the one reader reads all.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import json
import lzma
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data import json_faults
from pamela.data.csv_faults import ENCODING_OPTION, TableFault, find_fault
from pamela.data.formats import base, files
from pamela.data.formats.files import shown
from pamela.data.importing.archive import MAX_BYTES
from pamela.data.importing.options import TableOptions

SEPARATED: Final = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
JSON_LINES: Final = (".jsonl", ".ndjson")
JSON: Final = ".json"
PARQUET: Final = ".parquet"
PACKED: Final[dict[str, Callable[..., Any]]] = {
    ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open,
}  # fmt: skip
KINDS: Final = (*SEPARATED, *JSON_LINES, JSON, PARQUET)
SPREADSHEETS: Final = (".xlsx", ".xls", ".xlsm", ".ods")
HIVE_NULL: Final = "__HIVE_DEFAULT_PARTITION__"
LOGS: Final = {"_delta_log": "a Delta table", "metadata": "an Iceberg table"}
CHUNK: Final = 1 << 20
FREE: Final = 0.9  # share of the free space that one packed file may fill


@dataclass
class Opener:
    """Opens the tables of one import.

    Attributes
    ----------
    options : how text is read.
    scratch : a folder for what is unpacked and recoded; it must last as long as the tables.
    root : what names in messages are relative to.
    separators : what stands between the cells of each text file that was opened, by its name.
    """

    options: TableOptions
    scratch: Path
    root: Path
    separators: dict[str, str] = field(default_factory=dict, init=False)
    _texts: dict[str, Path] = field(default_factory=dict, init=False)
    _json_lines: dict[str, Path] = field(default_factory=dict, init=False)
    _written: int = field(default=0, init=False)

    def open(self, path: Path) -> pl.LazyFrame:
        """Open a file or a folder of parts, with source_file and source_row.

        Raises
        ------
        PamelaError
            If it is of no kind that is read, empty, or its header cannot be read.
        """
        if not path.is_dir():
            return self._open_file(path)
        parts = _parts(path, self.root)
        frames = [self._open_file(p).with_columns(_partition_values(p, path)) for p in parts]
        return pl.concat(frames, how="diagonal_relaxed")

    def find_fault(self) -> TableFault | None:
        """Return what is wrong with one of the text files that were opened, if that is found."""
        faults = (find_fault(p, name, self.separators[name]) for name, p in self._texts.items())
        mixes = (json_faults.find_mix_in_lines(p, name) for name, p in self._json_lines.items())
        return next((fault for fault in (*faults, *mixes) if fault), None)

    def _open_file(self, path: Path) -> pl.LazyFrame:
        kind = kind_of(path)
        if kind is None:
            raise _unknown_suffix(shown(path, self.root), path)
        plain, root = self._plain(path)
        if kind in SEPARATED:
            separator = self.options.separator or SEPARATED[kind]
            name = shown(path, self.root)
            self.separators[name], self._texts[name] = separator, plain
            return files.scan_table(plain, root, separator=separator)
        if kind == PARQUET:
            return files.scan_table(plain, root)
        if kind in JSON_LINES:
            self._json_lines[shown(path, self.root)] = plain
        return scan_json(plain, root, lines=kind in JSON_LINES)

    def _plain(self, path: Path) -> tuple[Path, Path]:
        """Return the file unpacked and in UTF-8, and what its name is relative to."""
        root = self.root
        if path.suffix.lower() in PACKED:
            path, root = self._unpack(path), self.scratch
        if self.options.encoding and kind_of(path) in SEPARATED:
            path, root = self._recode(path, shown(path, root), self.options.encoding), self.scratch
        return path, path.parent if root == self.scratch else root

    def _new(self, name: str) -> Path:
        """Return a new path in a folder of its own, so that messages name the file as it was."""
        self._written += 1
        folder = self.scratch / f"opened-{self._written}"
        folder.mkdir(parents=True)
        return folder / name

    def _unpack(self, path: Path) -> Path:
        target, written = self._new(path.stem), 0
        bound = min(MAX_BYTES, int(shutil.disk_usage(self.scratch).free * FREE))
        try:
            with PACKED[path.suffix.lower()](path, "rb") as source, target.open("wb") as stream:
                while chunk := source.read(CHUNK):
                    written += len(chunk)
                    if written > bound:
                        break
                    stream.write(chunk)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise PamelaError(
                f"{shown(path, self.root)}: cannot be unpacked ({str(error)[:100]}); copy it again"
            ) from None
        if written > bound:
            raise PamelaError(
                f"{shown(path, self.root)}: unpacks to over {bound:,} bytes, more than there is "
                "room for; import a part of it"
            )
        return target

    def _recode(self, path: Path, name: str, encoding: str) -> Path:
        """Return a copy in UTF-8."""
        target = self._new(path.name)
        try:
            with (
                path.open(encoding=encoding, newline="") as source,
                target.open("w", encoding="utf-8", newline="") as stream,
            ):
                shutil.copyfileobj(source, stream, CHUNK)
        except UnicodeError as error:
            reason = str(error)[:100]
            raise PamelaError(
                f"{name}: not {encoding} text ({reason}); {ENCODING_OPTION}"
            ) from None
        except OSError as error:
            raise PamelaError(f"{name}: cannot be read ({error.strerror or error})") from None
        return target


def kind_of(path: Path) -> str | None:
    """Return the suffix of `KINDS` that says what a file or folder is, or None."""
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    suffix = Path(name).suffix
    return suffix if suffix in KINDS else None


def find(folder: Path, stem: str, root: Path) -> Path | None:
    """Return the one file or folder of parts called `stem` in `folder`, or None.

    Raises
    ------
    PamelaError
        If there are several, or only one of an unknown suffix.
    """
    named = sorted(p for p in folder.glob(f"{stem}.*") if p.is_file() or p.is_dir())
    found = [path for path in named if kind_of(path)]
    if len(found) > 1:
        raise PamelaError(
            f"{shown(folder, root)}: both {found[0].name} and {found[1].name}; keep one of them"
        )
    if found:
        files.reject_link_out(found[0], folder, root)
        return found[0]
    if named and named[0].is_file():
        raise _unknown_suffix(shown(named[0], root), named[0])
    return None


def _unknown_suffix(name: str, path: Path) -> PamelaError:
    if path.suffix.lower() in SPREADSHEETS:
        return PamelaError(f"{name}: a spreadsheet; save its sheet as UTF-8 CSV")
    every = f"{', '.join(KINDS)}, each also packed ({', '.join(PACKED)})"
    return PamelaError(f"{name}: unknown suffix; give {every}")


# --- folders of parts -----------------------------------------------------------------------------
def _parts(folder: Path, root: Path) -> list[Path]:
    """Return the files of a folder that Spark, Dask or DuckDB wrote as one table."""
    name = shown(folder, root)
    for log, what in LOGS.items():
        if (folder / log).is_dir():
            raise PamelaError(f"{name}: {what}, of whose files some are out of date; write it anew "
                              "as Parquet")  # fmt: skip
    kind = kind_of(folder)
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and not _is_hidden(p, folder))
    parts = [path for path in paths if kind_of(path) == kind]
    if not parts:
        raise PamelaError(f"{name}: a folder without any {kind} file; put the table's files there")
    return parts


def _is_hidden(path: Path, folder: Path) -> bool:
    """Tell whether it is one of Spark's own files (``_SUCCESS``, ``.part-0.crc``)."""
    return any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)


def _partition_values(path: Path, folder: Path) -> list[pl.Expr]:
    """Return the columns that the names of the folders say, such as ``split=train``."""
    pairs = (part.partition("=") for part in path.relative_to(folder).parts[:-1] if "=" in part)
    return [
        pl.lit(None if value == HIVE_NULL else unquote(value), pl.String).alias(column)
        for column, _, value in pairs
    ]


# --- JSON -----------------------------------------------------------------------------------------
def scan_json(path: Path, root: Path, *, lines: bool) -> pl.LazyFrame:
    """Open JSON Lines, or a JSON list of records."""
    name = shown(path, root)
    if path.stat().st_size == 0:
        raise PamelaError(f"{name}: the file is empty (0 bytes); copy it again")
    try:
        frame = (
            pl.scan_ndjson(glob.escape(str(path)), infer_schema_length=None)
            if lines
            else _json_records(path, name).lazy()
        )
        columns = frame.collect_schema().names()
    except files.BROKEN as error:
        fault = json_faults.find_fault(path, name) if lines else None
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:100]
        raise fault or PamelaError(
            f"{name}: not readable as JSON ({reason}); give a record, {{...}}, per row"
        ) from None
    taken = sorted({*base.SOURCE, s.DATASET} & set(columns))
    if taken:
        raise PamelaError(f"{name}: the column name {taken[0]} is reserved; rename the column")
    numbered = frame.with_row_index(s.SOURCE_ROW, offset=1)
    return numbered.with_columns(
        pl.lit(name).alias(s.SOURCE_FILE), pl.col(s.SOURCE_ROW).cast(pl.Int64)
    )


def _json_records(path: Path, name: str) -> pl.DataFrame:
    """Return a list of records; a field that is a number here and text there is text."""
    try:
        records = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        hint = "; call it .jsonl if each line is a record" if "Extra data" in str(error) else ""
        raise PamelaError(f"{name}: not readable as JSON ({str(error)[:100]}){hint}") from None
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise PamelaError(f"{name}: not a list of records; give [{{...}}, {{...}}]")
    if not records:
        raise PamelaError(f"{name}: the list has no records; copy it again")
    if any("annotations" in one for one in records[:1]):
        raise PamelaError(
            f"{name}: looks like Label Studio's export; `pamela import label-studio` reads it"
        )
    try:
        return pl.from_dicts(records, infer_schema_length=None, strict=False)
    except files.BROKEN:
        fault = json_faults.find_mix(enumerate(records, 1), name, "record")
        if fault is None:
            raise
        raise fault from None
