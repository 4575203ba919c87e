"""Picture files: whether their paths stay inside, what they hold (SHA-256), whether they decode.

Decoding is by far the most that validate does (a minute of CPU for some 10,000 photographs), and
the same pictures come by in every run; so what was found is kept in a git-ignored folder: a hash by
path, size and times of change, whether a picture decodes by its content and the decoder. The
folder may be deleted at will: nothing but time depends on it.
"""

from __future__ import annotations

import os
import stat
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import file_sha256, write_parquet
from pamela.core.images import DECODER, open_rgb
from pamela.core.progress import progress
from pamela.data.csv_faults import TableFault

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
THREADS = min(8, os.cpu_count() or 1)
PICTURES_OPTION: Final = "have it looked for by the end of its path: --pictures FOLDER"
DECODES: Final = "decodes"
_STAMPS: Final = [(c, pl.Int64()) for c in ("size", "mtime_ns", "ctime_ns")]
STATE: Final = pl.Schema([(s.FILE, pl.String()), *_STAMPS])
HASHED: Final = pl.Schema([*STATE.items(), (s.SHA256, pl.String())])
DECODED: Final = pl.Schema(
    [(s.SHA256, pl.String()), ("decoder", pl.String()), (DECODES, pl.Boolean())]
)
SETTLED_NS: Final = 2_000_000_000  # a file changed later than this may change within its time stamp
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
        other than those of `SUFFIXES`, or a backslash (no folder here would be found by it).
    """
    named = images.drop_nulls(s.FILE)
    path = pl.col(s.FILE)
    leaves = (
        path.str.contains(r"^([/\\~]|[A-Za-z]:)") | path.str.contains(r"(^|[/\\])\.\.([/\\]|$)")
    ) | path.str.contains("\0", literal=True)
    backslash = path.str.contains("\\", literal=True)
    known = path.str.to_lowercase().str.contains(rf"({'|'.join(map(_escaped, SUFFIXES))})$")
    _reject(named.filter(leaves), "leaves the dataset's folder; name a path inside it")
    _reject(named.filter(backslash), "has a backslash; write / between folders and file")
    _reject(named.filter(~known), f"has an unknown suffix; give {', '.join(SUFFIXES)}")
    outside = _links_out(named.get_column(s.FILE).unique().to_list(), folder)
    _reject(named.filter(path.is_in(outside)), "is a link that leads out of the dataset's folder")


def _escaped(suffix: str) -> str:
    return suffix.replace(".", r"\.")


def _reject(rows: pl.DataFrame, why: str) -> None:
    if rows.height:
        row = rows.row(0, named=True)
        raise TableFault(
            f"{row[s.SOURCE_FILE]} row {row[s.SOURCE_ROW]}: file {row[s.FILE]!r} {why}",
            PICTURES_OPTION,
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


def hash_files(files: Iterable[str], root: Path, cache: Path | None = None) -> pl.DataFrame:
    """Return (file, sha256) of every distinct path below `root`.

    Parameters
    ----------
    files : paths relative to `root`.
    cache : folder of a `PictureCache`: an unchanged file is not read again.

    Returns
    -------
    DataFrame sorted by file; the hash is null where there is no regular file that can be read.
    """
    names = sorted(set(files))
    known = PictureCache(cache).add_known_hashes(_states(names, root))
    began = time.time_ns()
    new = known.filter(pl.col("size").is_not_null() & pl.col(s.SHA256).is_null())
    paths = [root / name for name in new.get_column(s.FILE)]
    hashes = _in_threads("hash pictures", _sha256_or_none, paths)
    fresh = new.with_columns(pl.Series(s.SHA256, hashes, dtype=pl.String))
    PictureCache(cache).keep_hashes(fresh, began)
    return known.update(fresh, on=s.FILE).select(s.FILE, s.SHA256)


def _states(names: list[str], root: Path) -> pl.DataFrame:
    """Return size and times of change of each file; null where there is no regular file."""
    states = [_state(f"{root}/{name}") for name in names]
    columns = zip(*states, strict=True) if states else ((), (), ())
    return pl.DataFrame([names, *map(list, columns)], schema=STATE, orient="col")


def _state(path: str) -> tuple[int | None, int | None, int | None]:
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None, None, None
    if not stat.S_ISREG(found.st_mode):
        return None, None, None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _sha256_or_none(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None


def decode_files(files: pl.DataFrame, root: Path, cache: Path | None = None) -> pl.DataFrame:
    """Return (sha256, decodes) of every distinct content in `files` (file, sha256).

    Parameters
    ----------
    files : DataFrame (file, sha256), paths relative to `root`.
    cache : folder of a `PictureCache`: a known content is not decoded again.
    """
    distinct = files.drop_nulls([s.FILE, s.SHA256]).sort(s.FILE).unique(s.SHA256, keep="first")
    known = PictureCache(cache).add_known_decodes(distinct.select(s.FILE, s.SHA256).sort(s.FILE))
    new = known.filter(pl.col(DECODES).is_null())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's bomb warning: `decodes` looks at the size itself
        found = _in_threads("decode pictures", decodes, [root / f for f in new[s.FILE]])
    fresh = new.with_columns(pl.Series(DECODES, found, dtype=pl.Boolean, strict=True))
    PictureCache(cache).keep_decodes(fresh)
    return known.update(fresh, on=s.SHA256).select(s.SHA256, DECODES)


def decodes(path: Path) -> bool:
    """Tell whether an encoder could decode the whole file (`pamela.core.images.open_rgb`)."""
    try:
        open_rgb(path, "")
    except PamelaError:
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


# --- what earlier runs found ----------------------------------------------------------------------
@dataclass(frozen=True)
class PictureCache:
    """Two tables in `folder`; with None nothing is known and nothing kept."""

    folder: Path | None

    def add_known_hashes(self, state: pl.DataFrame) -> pl.DataFrame:
        """Return `state` (file, size, mtime_ns, ctime_ns) with ``sha256``, null where not known."""
        known = self._read("hashed.parquet", HASHED)
        return state.join(known, on=list(STATE), how="left", maintain_order="left")

    def keep_hashes(self, fresh: pl.DataFrame, began_ns: int) -> None:
        """Keep `fresh` (as `HASHED`), hashed after `began_ns`, unless changed just before that."""
        changed = pl.max_horizontal("mtime_ns", "ctime_ns")
        settled = fresh.drop_nulls(s.SHA256).filter(changed < began_ns - SETTLED_NS)
        self._merge("hashed.parquet", HASHED, settled, key=s.FILE)

    def add_known_decodes(self, contents: pl.DataFrame) -> pl.DataFrame:
        """Return `contents` with ``decodes`` by ``sha256``, null where not known."""
        known = self._read("decoded.parquet", DECODED).filter(decoder=DECODER)
        known = known.select(s.SHA256, DECODES)
        return contents.join(known, on=s.SHA256, how="left", maintain_order="left")

    def keep_decodes(self, fresh: pl.DataFrame) -> None:
        """Keep `fresh` (sha256, decodes)."""
        rows = fresh.with_columns(pl.lit(DECODER).alias("decoder")).select(DECODED.names())
        self._merge("decoded.parquet", DECODED, rows, key=s.SHA256)

    def _read(self, name: str, schema: pl.Schema) -> pl.DataFrame:
        """Return a table; what is absent, broken or of another version knows nothing."""
        path = self.folder / name if self.folder else None
        try:
            frame = pl.read_parquet(path, glob=False) if path and path.is_file() else None
        except (pl.exceptions.PolarsError, OSError):
            frame = None
        return (
            frame if frame is not None and frame.schema == schema else pl.DataFrame(schema=schema)
        )

    def _merge(self, name: str, schema: pl.Schema, fresh: pl.DataFrame, key: str) -> None:
        if self.folder is None or not fresh.height:
            return
        kept = self._read(name, schema).join(fresh, on=key, how="anti")
        merged = pl.concat([kept, fresh.select(pl.col(c).cast(t) for c, t in schema.items())])
        write_parquet(self.folder / name, merged.sort(key))
