"""Writing aside, then renaming: a reader never meets half a file."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from pamela.core.errors import DiskFullError, PamelaError

METRIC_DIGITS = 3  # after the point, of figures that stand in git: machines differ beyond them
# A temporary folder of `atomic_folder`: for which name, by which process.
ABANDONED = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)(\.t[0-9a-f]{8})?\.tmp")
ROW_GROUP = 1 << 18  # rows that are in memory at once where a table is written in pieces
FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk is full, or a person's share of it
# Polars and safetensors, SQLite, and the commands that others run say so in their text alone.
FULL_TEXT = (*(f"(os error {n})" for n in FULL), os.strerror(errno.ENOSPC), "disk is full")


def tells_full(error: Exception | str) -> bool:
    """Tell whether an error, or what a command said of one, is that no space is left."""
    full = getattr(error, "errno", None) in FULL
    return full or any(text in str(error) for text in FULL_TEXT)


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn what a full disk raises into one line that names `folder`.

    Raises
    ------
    DiskFullError
        If there is no room.
    """
    try:
        yield
    except PamelaError:
        raise
    except Exception as error:  # of any kind that a library makes of it
        if tells_full(error):
            raise DiskFullError(
                f"{folder}: no space is left there; make room and run the command again, it goes "
                "on from what was done"
            ) from None
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the name `path`.

    The temporary keeps the suffix of `path`, so that writers that look at it still work.
    """
    aside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with writing_to(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; on success it takes the name `path`.

    What killed processes left of earlier attempts is removed first.

    Parameters
    ----------
    replace : whether a folder `path` may be replaced.

    Raises
    ------
    FileExistsError
        If `path` exists at the end, whoever made it, and may not be replaced.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.t{secrets.token_hex(4)}.tmp")
    try:
        with writing_to(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(path.parent, path.name)
            aside.mkdir()
            yield aside
            if replace and path.exists():
                shutil.rmtree(path)
            _rename_to_new(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _rename_to_new(folder: Path, path: Path) -> None:
    """Rename `folder` to `path`; a folder with contents there is never lost (POSIX's rename)."""
    try:
        folder.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise FileExistsError(error.errno, f"{path} exists already") from None
        raise


def remove_abandoned(parent: Path, name: str | None = None) -> None:
    """Remove the temporary folders of `atomic_folder` in `parent` whose process is gone.

    Parameters
    ----------
    name : only those for a folder of this name.
    """
    for aside in parent.glob(".*.tmp"):
        made_by = ABANDONED.fullmatch(aside.name)
        if made_by and name in (None, made_by["name"]) and not _is_running(int(made_by["pid"])):
            shutil.rmtree(aside, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's process
        return True
    return True


def write_json(path: Path, value: Any) -> None:
    """Write `value` as stable, indented JSON."""
    with atomic_path(path) as aside:
        aside.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_metrics(path: Path, figures: Mapping[str, float]) -> None:
    """Write the flat figures of ``metrics/*.json``, rounded to what two machines agree on."""
    write_json(path, {name: round(value, METRIC_DIGITS) for name, value in figures.items()})


def read_json(path: Path) -> Any:
    """Read JSON; a missing or broken file is an error that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PamelaError(f"{path}: no such file; run the stage that writes it") from None
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested without end
        raise PamelaError(f"{path}: not readable as JSON ({error})") from None


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    """Write `frame` as Parquet, with the same bytes for the same frame."""
    with atomic_path(path) as aside:
        frame.write_parquet(aside, compression="zstd", statistics=False)


def write_csv(path: Path, frame: pl.DataFrame) -> None:
    """Write `frame` as CSV, numbers with six decimals."""
    with atomic_path(path) as aside:
        frame.write_csv(aside, float_precision=6)


def sink_parquet(path: Path, frame: pl.LazyFrame) -> None:
    """Write a table that need not fit into memory, piece by piece and in its order."""
    with atomic_path(path) as aside:
        frame.sink_parquet(
            aside,
            compression="zstd",
            compression_level=1,  # a tenth larger, and twice as fast
            statistics=False,
            row_group_size=ROW_GROUP,
            maintain_order=True,
            engine="streaming",
        )


def read_parquet(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """Read Parquet; a missing or broken file is an error that names it."""
    try:
        return pl.read_parquet(path, columns=columns, glob=False)
    except FileNotFoundError:
        raise PamelaError(f"{path}: no such file; run the stage that writes it") from None
    except pl.exceptions.PolarsError as error:
        raise PamelaError(f"{path}: not readable as Parquet ({error})".splitlines()[0]) from None


def scan_table(path: Path, schema: pl.Schema) -> pl.LazyFrame:
    """Open a Parquet file, or a folder of some; no rows where there is none, as choices once."""
    if not path.exists():
        return pl.LazyFrame(schema=schema)
    return pl.scan_parquet(path, glob=False)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_sha256(folder: Path, skipped: Collection[str] = ()) -> str:
    """Return one SHA-256 over the names and contents of all files below `folder`.

    Parameters
    ----------
    skipped : names of files directly in `folder` that do not count.
    """
    digest = hashlib.sha256()
    left_out = {folder / name for name in skipped}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p not in left_out):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(bytes.fromhex(file_sha256(path)))
    return digest.hexdigest()
