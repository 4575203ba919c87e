"""Accepted batches: whether they are what was accepted; setting them aside and taking them back.

A batch that made the model worse leaves the training data: its folder and DVC's pointer to it move
to ``data/set_aside/<dataset>/``, beside ``<batch>.json``, which says why. That file is written
first and says where the two belong, so that `finish_moves` completes what a killed process began.
No message here advises a command that could delete the only copy of a batch.
"""

from __future__ import annotations

import datetime as dt
import errno
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pamela.core.errors import PamelaError
from pamela.core.files import atomic_folder, read_json, write_json
from pamela.core.paths import Project
from pamela.retraining import inbox
from pamela.retraining.tracking import (
    Listing,
    cached_listing,
    discard_damaged,
    dvc_file,
    has_remote,
    is_cached,
    listing,
    listing_hash,
    tracked_hash,
)

BELONGS: Final = "belongs_in"  # of `<batch>.json`: the folder of data/ in which the batch lies
SET_ASIDE, BATCHES = "set_aside", "batches"
NAMED: Final = 3  # files that a message names


# --- unchanged --------------------------------------------------------------------------------
def check_unchanged(project: Project, pointers: Iterable[Path] | None = None) -> list[Path]:
    """Raise if a tracked folder is no longer what DVC tracked: batches are immutable.

    A damaged entry of DVC's cache is removed, so that DVC can add or fetch it again.

    Parameters
    ----------
    pointers : ``.dvc`` files; all those of accepted batches where not given.

    Returns
    -------
    The folders that are sound but not, or not whole, in DVC's cache: ``dvc add`` them again.

    Raises
    ------
    PamelaError
        Naming each folder, what of it is missing or changed, and where it can come from.
    """
    faults, uncached = [], []
    for pointer in all_pointers(project) if pointers is None else pointers:
        folder = pointer.with_suffix("")
        md5 = tracked_hash(folder)
        if md5 is None:
            continue
        found = listing(folder)
        discard_damaged(project, md5, folder, found)
        if not folder.is_dir() or listing_hash(found) != md5:
            faults.append(_fault(project, folder, md5))
        elif not is_cached(project, md5):
            uncached.append(folder)
    if faults:
        more = f"; and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise PamelaError(faults[0] + more)
    return uncached


def all_pointers(project: Project) -> list[Path]:
    """Return DVC's pointers to accepted batches, those without their folder too."""
    return sorted(project.batches.glob("*/*.dvc"))


def _fault(project: Project, folder: Path, md5: str) -> str:
    """Return what is missing or changed of a tracked folder, and what can be done about it."""
    shown, expected = project.relative(folder), cached_listing(project, md5)
    if not folder.is_dir():
        return f"{shown}: the folder is not here{_source(project, folder, md5)}"
    if expected is None:
        return (
            f"{shown}: not what was accepted, and DVC's cache does not say what was"
            f"{_source(project, folder, md5)}"
        )
    return f"{shown}: {_differences(expected, listing(folder))}{_source(project, folder, md5)}"


def _differences(expected: Listing, found: Listing) -> str:
    kinds = {
        "missing": sorted(expected.keys() - found.keys()),
        "changed": sorted(p for p in expected.keys() & found.keys() if expected[p] != found[p]),
        "new": sorted(found.keys() - expected.keys()),
    }
    return ", ".join(
        f"{kind} since it was accepted: {', '.join(paths[:NAMED])}"
        + (f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else "")
        for kind, paths in kinds.items()
        if paths
    )


def _source(project: Project, folder: Path, md5: str) -> str:
    """Return where the folder as accepted can come from, without a risk to what lies there."""
    shown, pointer = project.relative(folder), project.relative(dvc_file(folder))
    if is_cached(project, md5):
        command = f"`dvc checkout {pointer}`"
    elif has_remote(project):
        command = f"`dvc pull {pointer}`"
    else:
        command = ""
    if not folder.is_dir():
        way = f"; {command} brings it back" if command else _nowhere(project, folder)
    elif command:
        way = (
            f"; keep what is there under another name (mv {shown} ELSEWHERE), then {command} brings"
            " the accepted one back"
        )
    else:
        way = _nowhere(project, folder) + "; do not delete what is there: it may be the only copy"
    return way


def _nowhere(project: Project, folder: Path) -> str:
    """Return what to do where neither DVC's cache nor a remote holds the folder."""
    label = Path(folder.parent.name) / folder.name
    others = [home / label for home in (project.inbox, project.set_aside)]
    there = [project.relative(path) for path in others if path.is_dir()]
    look = f" (one lies in {there[0]})" if there else ""
    return (
        "; DVC's cache does not hold it whole and no remote is set up: put a copy as it was "
        f"delivered{look} into {project.relative(folder)}"
    )


# --- set aside and taken back -----------------------------------------------------------------
def set_aside(
    project: Project, labels: Iterable[str], table: Mapping[str, Any], *, why: str | None = None
) -> None:
    """Take accepted batches out of the training data; doing it again changes nothing.

    Parameters
    ----------
    labels : ``dataset/batch`` of each.
    table : what the gate found; it is kept beside each batch.
    why : in one line; else ``table["why"]``.

    Raises
    ------
    PamelaError
        If there is no such batch; those before it are set aside by then.
    """
    for label in labels:
        record = record_file(project, label)
        if not record.is_file():
            if not (project.batches / label).is_dir():
                raise PamelaError(f"{label}: no accepted batch of this name in data/batches")
            now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            said = table.get("why", "") if why is None else why
            entry = {"batch": label, "why": said, "when": now, "table": dict(table)}
            write_json(record, {**entry, BELONGS: SET_ASIDE})
        _finish(project, label)


def take_back(project: Project, name: str) -> str:
    """Bring a batch that was set aside back to ``data/batches/``; return its label.

    A label (``dataset/batch``) that is there already is left as it is.

    Parameters
    ----------
    name : ``dataset/batch``, or the batch alone where that is unique.

    Raises
    ------
    PamelaError
        If no batch, or more than one, of this name was set aside.
    """
    finish_moves(project)
    labels = [batch.label for batch in inbox.set_aside(project)]
    found = [label for label in labels if name in (label, label.partition("/")[2])]
    if not found and name in [batch.label for batch in inbox.accepted(project)]:
        return name
    if len(found) != 1:
        there = f"there are {', '.join(labels)}" if labels else "there is none"
        fault = "several have this name" if found else "no batch of this name was set aside"
        raise PamelaError(f"{name}: {fault}; {there}")
    record = record_file(project, found[0])
    entry = read_json(record) if record.is_file() else {}
    write_json(record, {**entry, BELONGS: BATCHES})
    _finish(project, found[0])
    return found[0]


def finish_moves(project: Project) -> None:
    """Complete what a killed process began to set aside or to take back."""
    for record in sorted(project.set_aside.glob("*/*.json")):
        if not record.name.startswith("."):
            _finish(project, f"{record.parent.name}/{record.stem}")


def record_file(project: Project, label: str) -> Path:
    """Return the file that says why a batch was set aside."""
    folder = project.set_aside / label
    return folder.with_name(f"{folder.name}.json")


def _finish(project: Project, label: str) -> None:
    """Move a batch to where its record says that it belongs."""
    record = record_file(project, label)
    aside, back = project.set_aside / label, project.batches / label
    try:
        if read_json(record).get(BELONGS) != BATCHES:
            _move(back, aside)
            return
        _move(aside, back)
        record.unlink()
    except OSError as error:
        where = project.relative(Path(error.filename or back))
        raise PamelaError(
            f"{label}: cannot be moved between data/batches and data/set_aside "
            f"({where}: {error.strerror})"
        ) from None


def _move(source: Path, target: Path) -> None:
    """Move a folder and DVC's pointer to it, in whatever state an earlier attempt left them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        _move_folder(source, target)
    if dvc_file(source).is_file():
        dvc_file(source).replace(dvc_file(target))


def _move_folder(source: Path, target: Path) -> None:
    if not target.exists():
        try:
            source.rename(target)
            return
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        with atomic_folder(target, replace=False) as copy:  # another file system
            shutil.copytree(source, copy, dirs_exist_ok=True)
    if not listing(source).items() <= listing(target).items():
        raise PamelaError(
            f"{source}: cannot be moved to {target}, where something else lies; give that another "
            "name"
        )
    shutil.rmtree(source)
