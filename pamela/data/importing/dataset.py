"""Bringing a dataset under ``data/raw/NAME``.

Run by ``pamela import KIND SRC --name NAME``. The reader that ingest uses checks the source before
it comes in; a faulty one leaves nothing. A published release and sound tables come in their own
layout, only the files that the format names; tables of another form are written anew in the tables
format (`convert`). ``import.json`` records the kind and the options.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import atomic_folder, remove_abandoned, write_json
from pamela.core.paths import Project
from pamela.data import formats
from pamela.data.csv_faults import TableFault
from pamela.data.formats import tables as tables_format
from pamela.data.formats.base import Tables
from pamela.data.importing import hub, label_studio, open_tables, preferences
from pamela.data.importing.archive import Archive, is_junk
from pamela.data.importing.convert import Converted, convert
from pamela.data.importing.options import TABLES, TableOptions
from pamela.data.importing.placing import How, check_name, exists_already, place, remove_originals
from pamela.data.importing.preferences.release import write_release
from pamela.data.importing.release import HOME, ZIP, bring_release, open_stores
from pamela.data.importing.sources import Source, open_source
from pamela.data.importing.summary import ImportSummary, named_pictures, summarise

RELEASE: Final = "pamela"  # the kind that may come as a zip file or from the hub
TABULAR: Final = "tables"
LABEL_STUDIO: Final = "label-studio"  # read into the tables format
KINDS: Final = (*formats.FORMATS, LABEL_STUDIO, *preferences.KINDS)
NO_OPTIONS: Final = TableOptions()
Track = Callable[[Path], None]


@dataclass(frozen=True)
class Loaded:
    """A dataset that was read and checked, and is not yet in its place.

    Attributes
    ----------
    tables : as read; the paths of pictures are relative to `root`.
    files : what is still to be brought: where a file lies, and its path in the dataset's folder.
    kind, options : what ``import.json`` records.
    unnamed, junk : files of the source that nothing names; those an operating system left.
    """

    tables: Tables
    root: Path
    files: Mapping[Path, Path]
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    unnamed: int = 0
    junk: int = 0

    @property
    def record(self) -> dict[str, Any]:
        """What ``import.json`` holds."""
        notes = {"notes": list(self.tables.notes)} if self.tables.notes else {}
        return {"kind": self.kind, "options": self.options, **notes}

    def summary(self, folder: str) -> ImportSummary:
        """Return what was found, for people."""
        found = summarise(self.tables, folder, self.root)
        return replace(found, unnamed=self.unnamed, junk=self.junk)


def import_dataset(
    project: Project,
    kind: str,
    src: str,
    name: str,
    how: How = "copy",
    options: TableOptions = NO_OPTIONS,
    track: Track | None = None,
) -> ImportSummary:
    """Check the dataset at `src` and bring it to ``data/raw/<name>``, in one rename.

    Parameters
    ----------
    kind : one of `KINDS`.
    src : a folder; for `pamela` also the release's zip file, or ``hf://OWNER/NAME[@REVISION]``;
        for `tables` also the file of ratings, for `label-studio` the export.
    name : the dataset's name in this project.
    how : whether a folder's files are copied, hard-linked or moved; symbolic links are followed.
    options : what is to be known of tables.
    track : done with the dataset's folder when it stands; if that fails, the folder is removed.

    Raises
    ------
    PamelaError
        On a structural fault, an unknown kind, an unfit or reserved name, or a name that is taken,
        be it by another import at the same time.
    """
    target = project.raw / name
    check_name(project, name, target)
    if project.raw.is_dir():
        remove_abandoned(project.raw)
    try:
        with atomic_folder(target, replace=False) as aside:
            loaded = load(kind, src, name, how, options, aside)
            summary = loaded.summary(project.relative(target))  # before anything moves
            place({now: aside / path for now, path in loaded.files.items()}, how)
            write_json(aside / formats.RECORD, loaded.record)
    except FileExistsError:
        raise exists_already(project, target) from None
    if track is not None:
        try:
            track(target)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
    if how == "move" and loaded.files:
        remove_originals(loaded.files, Path(src).resolve())
    return summary


@contextmanager
def preview(
    project: Project, kind: str, src: str, name: str, options: TableOptions = NO_OPTIONS
) -> Iterator[Loaded]:
    """Yield what an import would bring; a temporary folder holds what must be unpacked for it.

    Raises
    ------
    PamelaError
        Where the import would.
    """
    check_name(project, name, project.raw / name)
    with tempfile.TemporaryDirectory(prefix="pamela-import-") as scratch:
        yield load(kind, src, name, "copy", options, Path(scratch))


def load(kind: str, src: str, name: str, how: How, options: TableOptions, aside: Path) -> Loaded:
    """Read and check the dataset at `src`; what is unpacked or written anew goes to `aside`."""
    if kind not in KINDS:
        raise PamelaError(f"{kind}: no such kind of dataset; give {', '.join(KINDS)}")
    of_choices = kind in preferences.KINDS
    given = replace(options, pictures=None) if of_choices else options
    if given.given and kind not in (TABULAR, LABEL_STUDIO):
        raise PamelaError(f"{kind} has columns of its own: --map and the like are for your tables")
    path = Path(src).resolve()
    if kind == LABEL_STUDIO:
        _reject_move(how, kind)
        source = label_studio.read_export(path, options)
        return _converted(source, kind, name, options, aside)
    packed = src.startswith(hub.SCHEME) or path.suffix.lower() == ZIP
    if of_choices and not packed:
        _reject_move(how, kind)
        return _of_choices(kind, path, name, options.pictures, aside)
    if packed and kind != RELEASE:
        raise PamelaError(f"{src}: {kind} comes as a folder; unpack it first")
    if packed and how != "copy":
        raise PamelaError(f"{src}: --{how} is for folders; this is unpacked once, without a copy")
    if packed:
        return _unpacked(src, name, aside)
    if kind == TABULAR and _needs_conversion(path, options):
        _reject_move(how, src)
        return _opened(path, name, options, aside)
    return _as_it_is(kind, path, name, aside)


# --- a folder in its own layout -------------------------------------------------------------------
def _as_it_is(kind: str, src: Path, name: str, aside: Path) -> Loaded:
    if not src.is_dir():
        raise PamelaError(f"{src}: no such folder; `pamela import --help` says what {kind} needs")
    try:
        tables = formats.FORMATS[kind].read(src, name, src.parent)
    except TableFault as fault:
        raise (fault.with_option() if kind == TABULAR else PamelaError(str(fault))) from None
    features = [tables.features] if tables.features else []
    pictures = named_pictures(tables, src.parent)
    if kind == TABULAR:
        _require_pictures(tables, pictures)
        if tables.has_images:
            (aside / tables_format.PICTURES).mkdir()  # pictures are shipped, even if all are absent
    brought = [*tables.files, *features, *pictures]
    home = Path(HOME) if kind == RELEASE else Path()
    placed = {path: home / path.relative_to(tables.folder) for path in brought}
    unnamed, junk = _others(src, brought)
    return Loaded(tables, src.parent, placed, kind, unnamed=unnamed, junk=junk)


def _require_pictures(tables: Tables, pictures: list[Path]) -> None:
    """Raise where pictures are shipped and none of them is where the images table says."""
    named = tables.images.drop_nulls(s.FILE)
    if tables.has_images and tables.features is None and named.height and not pictures:
        first = named.row(0, named=True)
        raise PamelaError(
            f"{first[s.SOURCE_FILE]} row {first[s.SOURCE_ROW]}: {first[s.FILE]} is not there, nor "
            "is any other picture; write paths from the dataset's folder on, or have them looked "
            "for with --pictures FOLDER"
        )


def _others(src: Path, brought: list[Path]) -> tuple[int, int]:
    """Return how many files below `src` are not brought, and how many are junk."""
    every = {Path(home, file) for home, _, names in os.walk(src) for file in names}
    others = [path.relative_to(src).as_posix() for path in every - {*brought}]
    junk = sum(map(is_junk, others))
    return len(others) - junk, junk


# --- tables of another form -----------------------------------------------------------------------
def _reject_move(how: How, what: str) -> None:
    if how == "move":
        raise PamelaError(
            f"{what}: --move is for folders that come in as they are; these tables are written "
            "anew, so the originals stay: copy or --link the pictures"
        )


def _needs_conversion(src: Path, options: TableOptions) -> bool:
    """Tell whether `src` is other than a folder in the tables format."""
    if options.given or not src.is_dir() or open_tables.kind_of(src):
        return True
    if not (src / tables_format.DATASET_FILE).exists() and not any(src.glob("ratings.*")):
        return any(src.glob("choices.*"))  # which need none
    found = [path for table in TABLES for path in src.glob(f"{table}.*")]
    plain = [p.name.removeprefix(f"{p.stem}.") in ("csv", "parquet") and p.is_file() for p in found]
    return bool(found) and not all(plain)


def _opened(src: Path, name: str, options: TableOptions, aside: Path) -> Loaded:
    if not src.exists():
        raise PamelaError(f"{src}: no such folder or file; `pamela import --help` says what it is")
    with tempfile.TemporaryDirectory(dir=aside) as scratch:
        try:
            source = open_source(src, options, Path(scratch))
            loaded = _converted(source, TABULAR, name, options, aside)
        except TableFault as fault:
            raise fault.with_option() from None
    if not src.is_dir() or open_tables.kind_of(src):
        return loaded
    unnamed, junk = _others(src, [*source.paths, *loaded.files])
    return replace(loaded, unnamed=unnamed, junk=junk)


def _converted(source: Source, kind: str, name: str, options: TableOptions, aside: Path) -> Loaded:
    renamed = replace(options, columns=()) if kind == LABEL_STUDIO else options
    try:
        found = convert(source, name, renamed, aside)
    except TableFault as fault:
        raise fault.with_option() from None
    return _placed(found, {"from": kind, **options.record()})


def _placed(found: Converted, record: dict[str, Any]) -> Loaded:
    now = {file: path.as_posix().lstrip("/") for file, path in found.pictures.items()}
    file = pl.col(s.FILE).str.strip_prefix("./")
    files = file.replace_strict(now, default=file, return_dtype=pl.String)
    here = replace(found.tables, images=found.tables.images.with_columns(files))
    placed = {path: Path(file) for file, path in found.pictures.items()}
    return Loaded(here, Path("/"), placed, TABULAR, record)


# --- choices --------------------------------------------------------------------------------------
def _of_choices(kind: str, src: Path, name: str, pictures: Path | None, aside: Path) -> Loaded:
    if not src.exists():
        raise PamelaError(f"{src}: no such folder or file; `pamela import --help` says what it is")
    try:
        release = preferences.KINDS[kind].read(src)
        found = write_release(release, name, aside, pictures)
    except TableFault as fault:
        raise PamelaError(str(fault)) from None
    record = {"from": kind, **({"pictures": str(pictures)} if pictures else {})}
    if release.unpack is not None:
        loaded = Loaded(found.tables, aside, {}, TABULAR, record)
    else:
        loaded = _placed(found, record)
    if src.is_file():
        return loaded
    unnamed, junk = _others(src, [*release.files, *loaded.files])
    return replace(loaded, unnamed=unnamed, junk=junk)


# --- a zip file or the hub ------------------------------------------------------------------------
def _unpacked(src: str, name: str, aside: Path) -> Loaded:
    with open_stores(src) as stores:
        brought = bring_release(stores, src, name, aside)
        junk = sum(len(store.junk) for store in stores if isinstance(store, Archive))
    return Loaded(brought.tables, aside, {}, RELEASE, unnamed=brought.left_out, junk=junk)
