"""Reading single files of a dataset: what cannot be read becomes one line that names the file."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data import csv_faults
from pamela.data.csv_faults import TableFault

TABLE_SUFFIXES = (".parquet", ".csv")
LATIN1: Final = "pamela.latin1"  # name of the error handler below
# First bytes of files that are given a table's name; compressed ones have no bound in memory.
# What it is, what to do, and what `pamela import tables` has for it.
UTF_16: Final = ("UTF-16 text", "save it as UTF-8 CSV", "add --encoding utf-16")
OTHER_CONTENT: Final = {
    b"\x1f\x8b": ("compressed (gzip)", "unpack it", "end its name in .gz"),
    b"BZh": ("compressed (bzip2)", "unpack it", "end its name in .bz2"),
    b"\xfd7zXZ": ("compressed (xz)", "unpack it", "end its name in .xz"),
    b"\x28\xb5\x2f\xfd": ("compressed (zstandard)", "unpack it", ""),
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "unpack it, or save it as UTF-8 CSV", ""),
    b"\xd0\xcf\x11\xe0": ("a spreadsheet (.xls)", "save it as UTF-8 CSV", ""),
    b"\xff\xfe": UTF_16,
    b"\xfe\xff": UTF_16,
    b"version https://git-lfs": ("a pointer of Git LFS", "fetch the file: git lfs pull", ""),
}
# The same of files called CSV.
NO_CSV: Final = {
    b"PAR1": ("Parquet", "end its name in .parquet", ""),
    b"<": ("HTML or XML, no table", "download the file itself", ""),
    b"[": ("JSON", "save it as UTF-8 CSV", "end its name in .json"),
    b"{": ("JSON", "save it as UTF-8 CSV", "end its name in .jsonl"),
    b"sep=": ("a first line 'sep=...', for spreadsheets alone", "take that line out", ""),
}
RESERVED: Final = frozenset({s.DATASET, s.SOURCE_FILE, s.SOURCE_ROW})
# What reading a broken file raises; Polars panics on damaged Parquet pages.
BROKEN: Final = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    UnicodeDecodeError,
)
HEAD_BYTES: Final = 1 << 12  # how much of a file's beginning tells what it is
NO_CELLS: Final = (pl.Binary, pl.Object, pl.Duration)  # what no canonical column holds
TAIL_BYTES: Final = 1 << 16  # how much of a CSV file's end is looked at for rows without a cell


def shown(path: Path, root: Path) -> str:
    """Return `path` for people: relative to the project root where it lies below it."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def find_table(folder: Path, stem: str, root: Path) -> Path | None:
    """Return ``<stem>.parquet`` or ``<stem>.csv`` of `folder`, or None.

    Raises
    ------
    PamelaError
        If both are there, if only another suffix or a folder is, or if it is a link that leads out.
    """
    _reject_folder(folder, stem, root)
    found = [p for suffix in TABLE_SUFFIXES if (p := folder / f"{stem}{suffix}").is_file()]
    if len(found) > 1:
        raise PamelaError(
            f"{shown(folder, root)}: both {found[0].name} and {found[1].name}; keep one of them"
        )
    if found:
        reject_link_out(found[0], folder, root)
        return found[0]
    others = sorted(p.name for p in folder.glob(f"{stem}.*") if p.is_file())
    if others:
        raise PamelaError(
            f"{shown(folder, root)}/{others[0]}: unknown suffix; give {stem}.csv or {stem}.parquet"
        )
    return None


def _reject_folder(folder: Path, stem: str, root: Path) -> None:
    for path in (folder / f"{stem}{suffix}" for suffix in TABLE_SUFFIXES):
        if path.is_dir():
            raise PamelaError(
                f"{shown(path, root)}: a folder, as Spark writes; put one file of that name there"
            )


def reject_link_out(path: Path, folder: Path, root: Path) -> None:
    """Raise if a link leads `path` out of the dataset's `folder`: it is not the dataset's then."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PamelaError(
            f"{shown(path, root)}: a link out of the dataset's folder; put the file there"
        )


@contextmanager
def reading(
    path: Path, root: Path, *, separator: str = ",", kind: str | None = None
) -> Iterator[None]:
    """Turn what Polars raises on a broken file into one line that names `path`.

    Rows of a lazy table are read when it is collected, so whoever collects one wraps that.

    Parameters
    ----------
    separator : what stands between the cells of a CSV file.
    kind : what it should be, where the suffix (CSV or Parquet) does not say it.
    """
    try:
        yield
    except BROKEN as error:
        name, is_csv = shown(path, root), kind is None and path.suffix != ".parquet"
        fault = csv_faults.find_fault(path, name, separator) if is_csv else None
        what = kind or ("UTF-8 CSV" if is_csv else "Parquet")
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise fault or PamelaError(f"{name}: not readable as {what} ({reason})") from None


def scan_table(
    path: Path,
    root: Path,
    *,
    separator: str = ",",
    latin1: bool = False,
    reserved: frozenset[str] = RESERVED,
) -> pl.LazyFrame:
    """Open a CSV (every cell as text) or Parquet file without loading its rows.

    Parameters
    ----------
    path : the file.
    root : project root, which source_file is relative to.
    separator : what stands between the cells of a CSV file.
    latin1 : whether bytes that are not UTF-8 count as Latin-1; such a file is loaded at once.
    reserved : names that no column may have.

    Header names lose their outer blanks and a byte-order mark. Rows without any cell at the end of
    a CSV file are no rows. The columns source_file and source_row (1-based data row) are added.

    Raises
    ------
    PamelaError
        If the file is empty or its header cannot be read; damage further on shows when the rows
        are collected (see `reading`).
    """
    name = shown(path, root)
    with reading(path, root, separator=separator, kind="CSV" if latin1 else None):
        if path.stat().st_size == 0:
            raise PamelaError(f"{name}: the file is empty (0 bytes); copy it again")
        _reject_other_content(path, name, is_csv=path.suffix != ".parquet")
        if path.suffix == ".parquet":
            _reject_reserved(pl.read_parquet_schema(path), name, reserved)
            frame = pl.scan_parquet(
                path, glob=False, row_index_name=s.SOURCE_ROW, row_index_offset=1
            )
        else:
            source = _with_latin1(path.read_bytes()) if latin1 else path
            frame = _scan_csv(source, name, separator, _may_end_blank(path, separator), reserved)
    return frame.with_columns(
        pl.lit(name).alias(s.SOURCE_FILE), pl.col(s.SOURCE_ROW).cast(pl.Int64)
    )


def read_table(
    path: Path,
    root: Path,
    *,
    separator: str = ",",
    latin1: bool = False,
    reserved: frozenset[str] = RESERVED,
) -> pl.DataFrame:
    """Read a file as `scan_table` opens it, all rows at once.

    Raises
    ------
    PamelaError
        If the file is empty, truncated, not UTF-8, or otherwise not what its suffix says.
    """
    frame = scan_table(path, root, separator=separator, latin1=latin1, reserved=reserved)
    with reading(path, root, separator=separator, kind="CSV" if latin1 else None):
        return frame.collect()


def _reject_other_content(path: Path, name: str, *, is_csv: bool) -> None:
    """Raise on content that is no table though a reader might take it for one."""
    with path.open("rb") as stream:
        start = stream.read(HEAD_BYTES)
    for mark, (what, advice, option) in (OTHER_CONTENT | (NO_CSV if is_csv else {})).items():
        if start.removeprefix(codecs.BOM_UTF8).startswith(mark):
            raise TableFault(f"{name}: {what}; {advice}", option)
    if is_csv and b"\0" in start.partition(b"\n")[0]:
        raise TableFault(
            f"{name}: no text (bytes of value 0), or UTF-16 without a mark; save it as UTF-8 CSV",
            "add --encoding utf-16-le",
        )
    if is_csv and b"\r" in start and b"\n" not in start:
        raise PamelaError(
            f"{name}: its lines end in CR alone, as on old Macs; save it as UTF-8 CSV"
        )


def _scan_csv(
    source: Path | bytes,
    name: str,
    separator: str,
    may_end_blank: bool,
    reserved: frozenset[str],
) -> pl.LazyFrame:
    head = pl.read_csv(source, infer_schema=False, glob=False, separator=separator, n_rows=0)
    columns = [c.strip() for c in head.columns]
    repeated = [c for c in head.columns if c.endswith("_duplicated_0")]
    if repeated or len(set(columns)) < len(columns):
        twice = (repeated or columns)[0].removesuffix("_duplicated_0")
        raise pl.exceptions.DuplicateError(
            f"a column is named twice: {twice}"
            if twice
            else "several columns have no name; the first line must be the header"
        )
    _reject_reserved(columns, name, reserved)
    frame = pl.scan_csv(
        source,
        infer_schema=False,
        glob=False,
        separator=separator,
        row_index_name=s.SOURCE_ROW,
        row_index_offset=1,
    ).rename(dict(zip(head.columns, columns, strict=True)))
    if not may_end_blank:
        return frame
    filled = pl.any_horizontal(pl.col(columns).is_not_null())
    last = frame.select(pl.col(s.SOURCE_ROW).filter(filled).max()).collect(engine="streaming")
    return frame.filter(pl.col(s.SOURCE_ROW) <= (last.item() or 0))


def _with_latin1(content: bytes) -> bytes:
    """Return `content` as UTF-8; every byte that is not is a letter of Latin-1.

    Files that were put together from several sources mix both in one table.
    """
    return content.decode("utf-8", errors=LATIN1).encode()


def _latin1_letters(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(LATIN1, _latin1_letters)


def _reject_reserved(columns: Iterable[str], name: str, reserved: frozenset[str]) -> None:
    found = sorted(reserved & set(columns))
    if found:
        raise PamelaError(f"{name}: the column name {found[0]} is reserved; rename the column")


def _may_end_blank(path: Path, separator: str) -> bool:
    """Tell whether the last line holds no cell; only then is the last row that does looked for."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - TAIL_BYTES))
        tail = stream.read()
    end = tail.removesuffix(b"\n").removesuffix(b"\r")
    last = end.rsplit(b"\n", 1)[-1]
    return not last.strip(b' \t\r"' + separator.encode())


def require_columns(
    frame: pl.DataFrame | pl.LazyFrame,
    columns: Sequence[str],
    path: Path,
    root: Path,
    *,
    separator: str = ",",
) -> None:
    """Raise if a column of `columns` is missing, naming the file, the column and what is there."""
    found = frame.collect_schema().names()
    missing = [c for c in columns if c not in found]
    if missing:
        there = [c for c in found if c not in (s.SOURCE_FILE, s.SOURCE_ROW)]
        name = shown(path, root)
        other = csv_faults.other_separator(there[0], separator) if len(there) == 1 else None
        if other:
            raise csv_faults.separator_fault(name, other, separator)
        if there[:1] and there[0].startswith("#"):
            raise PamelaError(f"{name}: a comment where the header should be; take it out")
        line = f"{name}: no column {missing[0]}; the file has {', '.join(there)}"[:300]
        option = f"say which one it is: --map {missing[0]}=COLUMN"
        if len(there) == 1 and not there[0].isidentifier():
            option += ", or what stands between the cells: --separator"
        raise TableFault(line, option)


def require_cells(
    frame: pl.DataFrame | pl.LazyFrame, columns: Iterable[str], path: Path, root: Path
) -> None:
    """Raise if a column holds lists, structs, bytes or durations: no canonical column does."""
    schema = frame.collect_schema()
    for column in columns:
        dtype = schema.get(column)
        if dtype is not None and (dtype.is_nested() or dtype in NO_CELLS):
            raise PamelaError(
                f"{shown(path, root)}: column {column} holds {dtype}; give text or numbers"
            )
