"""Where tables lie: files here, or objects of an S3-compatible store (``s3://bucket/key``).

Polars reads and writes both. Credentials, region and the store's address come from the usual
variables (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from pamela.core.errors import PamelaError, one_line, require
from pamela.core.files import ROW_GROUP, atomic_path, writing_to

S3: Final = "s3://"
SUFFIX: Final = ".parquet"
QUICK: Final[dict[str, Any]] = {  # a tenth larger than the default, and twice as fast
    "compression": "zstd",
    "compression_level": 1,
    "statistics": False,
    "row_group_size": ROW_GROUP,
}


@dataclass(frozen=True)
class StoredFile:
    """A file, and what changes when its content does."""

    address: str
    size: int
    changed: str


def is_remote(address: str) -> bool:
    """Tell whether an address is one of an object store."""
    return address.startswith(S3)


def read_slice(files: Sequence[str], start: int, rows: int) -> pl.DataFrame:
    """Read some rows of Parquet files that follow each other; folders may name columns (Hive)."""
    return scan(files).slice(start, rows).collect()


def scan(files: Sequence[str]) -> pl.LazyFrame:
    """Open Parquet files that follow each other as one table."""
    return pl.scan_parquet(list(files), hive_partitioning=True, glob=False)


def write_table(address: str, table: pl.DataFrame, told: Mapping[str, str]) -> None:
    """Write a part, whole or not at all; once this returns it outlives a loss of power.

    Parameters
    ----------
    told : metadata of the file.
    """
    if is_remote(address):  # an object is there once all of it is
        table.write_parquet(address, metadata=dict(told), **QUICK)
        return
    with atomic_path(Path(address)) as aside:
        table.write_parquet(aside, metadata=dict(told), **QUICK)
        _flush(aside)


def join_tables(files: Sequence[str], aside: str, address: str, told: Mapping[str, str]) -> None:
    """Write one table of several, piece by piece, whole or not at all; it replaces what is there.

    Parameters
    ----------
    aside : where it is written first; an object is there only once all of it is.
    told : metadata of the file.
    """
    rows = pl.scan_parquet(list(files), glob=False)
    settings = {**QUICK, "metadata": dict(told), "maintain_order": True, "engine": "streaming"}
    if is_remote(address):
        rows.sink_parquet(address, **settings)
        return
    first = Path(aside)
    try:
        with writing_to(first.parent):
            rows.sink_parquet(first, **settings)
            _flush(first)
            first.replace(address)
    finally:
        first.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def count_rows(address: str) -> int:
    """Return the number of rows, from what the end of the file says."""
    return int(scan([address]).select(pl.len()).collect().item())


def find_files(address: str) -> list[StoredFile]:
    """Return the file of this address, or every Parquet file below it, by name; none if none."""
    return _remote_files(address) if is_remote(address) else _local_files(Path(address))


def exists(address: str) -> bool:
    """Tell whether there is a file or folder of this address."""
    if is_remote(address):
        return bool(_remote_files(address, suffix=""))
    return os.path.lexists(address)


def _local_files(path: Path) -> list[StoredFile]:
    found = [path] if path.is_file() else sorted(path.rglob(f"*{SUFFIX}"))
    inside = [one for one in found if one == path or not _hidden(one.relative_to(path))]
    stats = [(one, one.stat()) for one in inside if one.is_file()]
    return [StoredFile(str(one), stat.st_size, str(stat.st_mtime_ns)) for one, stat in stats]


def _hidden(path: Path) -> bool:
    """Tell whether a file, or a folder it lies in, is not part of a table, as Spark has it."""
    return any(part.startswith((".", "_")) for part in path.parts)


def _remote_files(address: str, suffix: str = SUFFIX) -> list[StoredFile]:
    from pyarrow import fs

    store, key = _store(address)
    info = store.get_file_info(key)
    if info.type == fs.FileType.File:
        return [_stored(info)]
    below = store.get_file_info(fs.FileSelector(key, recursive=True, allow_not_found=True))
    found = [one for one in below if one.type == fs.FileType.File and one.path.endswith(suffix)]
    return [
        _stored(one)
        for one in sorted(found, key=lambda one: one.path)
        if not _hidden(Path(one.path).relative_to(key))
    ]


def _stored(info: Any) -> StoredFile:
    return StoredFile(f"{S3}{info.path}", info.size, str(info.mtime_ns))


def _store(address: str) -> tuple[Any, str]:
    require("pyarrow", f"{S3} addresses")
    from pyarrow import fs

    key = address.removeprefix(S3).rstrip("/")
    if "/" not in key:
        raise PamelaError(f"{address}: no object; write {S3}BUCKET/KEY{SUFFIX}")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return fs.S3FileSystem(endpoint_override=endpoint, region=region), key


def read_note(address: str) -> str | None:
    """Return the text of a small file; None where there is none."""
    if not is_remote(address):
        with suppress(FileNotFoundError):
            return Path(address).read_text(encoding="utf-8")
        return None
    store, key = _store(address)
    with suppress(FileNotFoundError), store.open_input_stream(key) as stream:
        return bytes(stream.read()).decode()
    return None


def write_note(address: str, text: str) -> None:
    """Write a small file, whole or not at all."""
    if is_remote(address):
        store, key = _store(address)
        with store.open_output_stream(key) as stream:
            stream.write(text.encode())
        return
    with atomic_path(Path(address)) as aside:
        aside.write_text(text, encoding="utf-8")


def remove(address: str) -> None:
    """Remove a file; nothing there is fine."""
    if not is_remote(address):
        Path(address).unlink(missing_ok=True)
        return
    store, key = _store(address)
    with suppress(FileNotFoundError):
        store.delete_file(key)


def empty(address: str) -> None:
    """Remove what is in a folder; no folder is fine."""
    if not is_remote(address):
        for one in Path(address).iterdir():
            one.unlink()
        return
    store, key = _store(address)
    with suppress(FileNotFoundError):
        store.delete_dir(key)  # object stores have no empty folders


@contextmanager
def stopped(address: str) -> Iterator[None]:
    """Turn what a library raises while `address` is written into one line.

    Raises
    ------
    PamelaError
        Saying why, and that nothing is lost.
    """
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        raise PamelaError(
            f"{address}: stopped ({reason(error)}); the next run goes on from what was done"
        ) from None


def reason(error: Exception) -> str:
    """Return the first line of what a library says, or what kind of error it is."""
    lines = str(error).splitlines()
    return one_line(lines[0])[:300] if lines else type(error).__name__
