"""Bringing a dataset under ``data/raw/NAME``, in its own layout.

Run by ``pamela import KIND SRC --name NAME``. The reader that ingest uses checks the source before
it comes in; a faulty one leaves nothing. Only the files that the format names are brought, and
``import.json`` records the kind.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from pamela.core.errors import PamelaError
from pamela.core.files import atomic_folder, write_json
from pamela.core.paths import Project
from pamela.data import formats
from pamela.data.formats.tables import PICTURES
from pamela.data.importing import hub
from pamela.data.importing.archive import Archive, is_junk
from pamela.data.importing.placing import How, place, remove_originals
from pamela.data.importing.release import HOME, Store, bring_release
from pamela.data.importing.summary import ImportSummary, named_pictures, summarise
from pamela.data.ingest import SYNTHETIC

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # as `pamela.params` has it
RELEASE: Final = "pamela"  # the kind that may come as a zip file or from the hub
TABLES: Final = "tables"
ZIP: Final = ".zip"


def import_dataset(
    project: Project, kind: str, src: str, name: str, how: How = "copy"
) -> ImportSummary:
    """Check the dataset at `src` and bring it to ``data/raw/<name>``, in one rename.

    Parameters
    ----------
    kind : a key of `pamela.data.formats.FORMATS`.
    src : a folder; for `pamela` also the release's zip file, or ``hf://OWNER/NAME[@REVISION]``.
    name : the dataset's name in this project.
    how : whether a folder's files are copied, hard-linked or moved; symbolic links are followed.

    Raises
    ------
    PamelaError
        On a structural fault, an unknown kind, an unfit or reserved name, or a name that is taken.
    """
    if kind not in formats.FORMATS:
        raise PamelaError(f"{kind}: no such kind of dataset; give {', '.join(formats.FORMATS)}")
    target = project.raw / name
    _check_name(project, name, target)
    packed = src.startswith(hub.SCHEME) or Path(src).suffix.lower() == ZIP
    if not packed:
        return _import_folder(project, kind, Path(src).resolve(), target, how)
    if kind != RELEASE:
        raise PamelaError(f"{src}: {kind} comes as a folder; unpack it first")
    if how != "copy":
        raise PamelaError(f"{src}: --{how} is for folders; this is unpacked once, without a copy")
    return _import_packed(project, src, target)


def _check_name(project: Project, name: str, target: Path) -> None:
    if not NAME.fullmatch(name):
        raise PamelaError(
            f"--name {name!r}: use letters, digits, '_', '.' and '-', a letter or digit first"
        )
    if name == SYNTHETIC:
        raise PamelaError(f"--name {name}: reserved for the embedded dataset; choose another")
    if target.exists() or target.with_name(f"{name}.dvc").exists():
        raise PamelaError(
            f"{project.relative(target)}: exists already; choose another --name, or remove it and "
            f"{name}.dvc first"
        )


# --- a folder -------------------------------------------------------------------------------------
def _import_folder(project: Project, kind: str, src: Path, target: Path, how: How) -> ImportSummary:
    if not src.is_dir():
        raise PamelaError(f"{src}: no such folder; `pamela import --help` says what {kind} needs")
    tables = formats.FORMATS[kind].read(src, target.name, src.parent)
    summary = summarise(tables, project.relative(target), src.parent)  # before anything moves
    features = [tables.features] if tables.features else []
    brought = [*tables.files, *features, *named_pictures(tables, src.parent)]
    with atomic_folder(target) as aside:
        inside = aside / HOME if kind == RELEASE else aside
        if kind == TABLES and tables.has_images:
            (aside / PICTURES).mkdir()  # says that pictures are shipped, even if all are absent
        files = {path: inside / path.relative_to(tables.folder) for path in brought}
        place(files, how)
        _record(aside, kind)
    others = _other_files(src, brought)
    if how == "move":
        remove_originals(files, src)
    junk = sum(map(is_junk, others))
    return replace(summary, unnamed=len(others) - junk, junk=junk)


def _other_files(src: Path, brought: list[Path]) -> list[str]:
    """Return the files below `src` that are not brought, relative to it."""
    every = (Path(home, file) for home, _, files in os.walk(src) for file in files)
    return [path.relative_to(src).as_posix() for path in {*every} - {*brought}]


def _record(folder: Path, kind: str) -> None:
    write_json(folder / formats.RECORD, {"kind": kind, "options": {}})


# --- a zip file or the hub ------------------------------------------------------------------------
def _import_packed(project: Project, src: str, target: Path) -> ImportSummary:
    with _stores(src) as stores, atomic_folder(target) as aside:
        brought = bring_release(stores, src, target.name, aside)
        summary = summarise(brought.tables, project.relative(target), aside)
        _record(aside, RELEASE)
        junk = sum(len(store.junk) for store in stores if isinstance(store, Archive))
    return replace(summary, unnamed=brought.left_out, junk=junk)


@contextmanager
def _stores(src: str) -> Iterator[list[Store]]:
    """Open what `src` names: a zip file, or the hub's cached files and the zip files among them."""
    with ExitStack() as stack:
        if not src.startswith(hub.SCHEME):
            path = Path(src)
            if path.is_dir():
                raise PamelaError(f"{src}: a folder called .zip; rename it and import it again")
            yield [stack.enter_context(Archive(path))]
            return
        snapshot = hub.Snapshot(hub.fetch(hub.parse(src)))
        zips = [name for name in snapshot.names() if name.lower().endswith(ZIP)]
        archives = [stack.enter_context(Archive(snapshot.path / name)) for name in zips]
        yield [snapshot.without(zips), *archives]
