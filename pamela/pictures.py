"""Picture files: whether their paths stay inside, what they hold (SHA-256), whether they decode."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import polars as pl
from PIL import Image

from pamela import schema as s
from pamela.errors import PamelaError
from pamela.io import file_sha256
from pamela.progress import progress

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 89_478_485  # a decompression bomb starts here (Pillow's own bound)
THREADS = min(8, os.cpu_count() or 1)
T = TypeVar("T")


def check_paths(images: pl.DataFrame, folder: Path) -> None:
    """Raise on the first ``file`` (relative to `folder`) that leaves the folder or is no picture.

    Parameters
    ----------
    images : DataFrame with file, source_file and source_row.
    folder : what every path must stay in, links followed.

    Raises
    ------
    PamelaError
        Naming file, row and path: an absolute path, ``..``, a link that leads out, or a suffix
        other than those of `SUFFIXES`.
    """
    named = images.drop_nulls(s.FILE)
    path = pl.col(s.FILE)
    leaves = (
        path.str.contains(r"^([/\\~]|[A-Za-z]:)") | path.str.contains(r"(^|[/\\])\.\.([/\\]|$)")
    ) | path.str.contains("\0", literal=True)
    known = path.str.to_lowercase().str.contains(rf"({'|'.join(map(_escaped, SUFFIXES))})$")
    _reject(named.filter(leaves), "leaves the dataset's folder; name a path inside it")
    _reject(named.filter(~known), f"has an unknown suffix; give {', '.join(SUFFIXES)}")
    outside = _links_out(named.get_column(s.FILE).unique().to_list(), folder)
    _reject(named.filter(path.is_in(outside)), "is a link that leads out of the dataset's folder")


def _escaped(suffix: str) -> str:
    return suffix.replace(".", r"\.")


def _reject(rows: pl.DataFrame, why: str) -> None:
    if rows.height:
        row = rows.row(0, named=True)
        raise PamelaError(
            f"{row[s.SOURCE_FILE]} row {row[s.SOURCE_ROW]}: file {row[s.FILE]!r} {why}"
        )


def _links_out(files: Iterable[str], folder: Path) -> list[str]:
    """Return those `files` that a symbolic link leads out of `folder`.

    Each parent is resolved and listed once, so that 100,000 files cost one pass over the folder.
    """
    inside = folder.resolve()
    by_parent: dict[str, list[str]] = {}
    for file in files:
        by_parent.setdefault(os.path.dirname(file), []).append(file)  # noqa: PTH120 (text)
    out: list[str] = []
    for parent, names in by_parent.items():
        where = (folder / parent).resolve()
        if not where.is_relative_to(inside):
            out += names
            continue
        if not where.is_dir():
            continue
        with os.scandir(where) as entries:
            links = {entry.name for entry in entries if entry.is_symlink()}
        out += [
            name
            for name in names
            if Path(name).name in links and not (folder / name).resolve().is_relative_to(inside)
        ]
    return out


def hash_files(files: Iterable[str], root: Path) -> pl.DataFrame:
    """Return (file, sha256) of every distinct path below `root`; null where there is no file."""
    names = sorted(set(files))
    hashes = _in_threads("hash pictures", _sha256_or_none, [root / name for name in names])
    return pl.DataFrame(
        {s.FILE: names, s.SHA256: hashes}, schema={s.FILE: pl.String, s.SHA256: pl.String}
    )


def _sha256_or_none(path: Path) -> str | None:
    try:
        return file_sha256(path) if path.is_file() else None
    except OSError:
        return None


def decode_files(files: pl.DataFrame, root: Path) -> pl.DataFrame:
    """Return (sha256, decodes) of every distinct content in `files` (file, sha256)."""
    distinct = files.drop_nulls([s.FILE, s.SHA256]).sort(s.FILE).unique(s.SHA256, keep="first")
    distinct = distinct.sort(s.FILE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's bomb warning: `decodes` judges the size itself
        verdicts = _in_threads(
            "decode pictures", decodes, [root / name for name in distinct.get_column(s.FILE)]
        )
    return distinct.select(s.SHA256, pl.Series("decodes", verdicts, dtype=pl.Boolean, strict=True))


def decodes(path: Path) -> bool:
    """Tell whether the whole file decodes as PNG, JPEG or WebP of bearable size."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return False
            image.load()
    except Exception:  # Pillow's decoders raise a dozen kinds on broken bytes
        return False
    return True


def _in_threads(label: str, function: Callable[[Path], T], paths: list[Path]) -> list[T]:
    """Return ``function(path)`` of all `paths`, in order, with a progress bar."""
    results: list[T] = []
    with progress(label, len(paths)) as advance, ThreadPoolExecutor(THREADS) as pool:
        for result in pool.map(function, paths):
            results.append(result)
            advance(1)
    return results
