"""Whether a batch of new ratings may enter: copied, the copy checked, then accepted or refused.

A complete batch (`pamela.retraining.inbox`) is copied beside ``data/batches/``, the copy is held to
the pipeline's rules (`intake.check`), takes its name ``data/batches/<dataset>/<batch>/`` in one
rename, and only then the original leaves the inbox. A process that dies at any point leaves a batch
that is whole in one of the two places, and the next cycle goes on from there. What cannot be taken
stays in the inbox: refused, with a file ``_REFUSED`` that says why, or for the next time. No batch
stops those behind it.
"""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core.errors import DiskFullError, PamelaError, hidden
from pamela.core.files import FULL, atomic_folder, remove_abandoned
from pamela.core.paths import Project
from pamela.params import Params
from pamela.retraining import batches
from pamela.retraining.inbox import Batch, accepted, scan_inbox, set_aside
from pamela.retraining.intake import copying, limits, refusals
from pamela.retraining.intake.check import Kept, KnownDataset, check
from pamela.retraining.intake.contents import is_reserved, state_of, walk
from pamela.retraining.intake.copying import Hashes
from pamela.retraining.intake.faults import NotNowError, UnfitError
from pamela.retraining.tracking import dvc_file, folder_hash, tracked_hash

LONGEST_NAME: Final = 100  # of a batch; its name becomes part of others
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # as params names datasets; safe as a path
NOT_NOW: Final = "stays in the inbox for the next time"


# --- taking -----------------------------------------------------------------------------------
def take(project: Project, params: Params) -> dict[str, str]:
    """Accept every complete batch that is sound; leave the others where they are.

    Returns
    -------
    ``{dataset/batch: why}`` of the batches that were not taken now: refused, or (a full disk, a
    batch that changed meanwhile) left for the next time.

    Raises
    ------
    PamelaError
        If the pipeline has not run yet, or a dataset itself cannot be read; no batch is touched.
    """
    missed = sweep(project)
    ready = scan_inbox(project, params.ingest.datasets).ready
    if ready and not (project.validated / "images.parquet").is_file():
        raise PamelaError(
            "the pipeline has not run here yet, so there is nothing to check a batch against: run "
            "`make repro` first; the batches stay in data/inbox"
        )
    names = sorted({batch.dataset for batch in ready})
    try:
        known = {name: KnownDataset.read(project, name) for name in names}
    except PamelaError:
        batches.check_unchanged(project)  # an accepted batch that is not whole: how it comes back
        raise
    for batch in ready:
        why = _take_one(project, params, batch, known[batch.dataset])
        if why is not None:
            missed[batch.label] = why
    return missed


def _take_one(project: Project, params: Params, batch: Batch, known: KnownDataset) -> str | None:
    """Accept `batch`, or say why not; whatever is wrong with it, those behind it go on."""
    state = state_of(batch.folder)
    trace = ""
    try:
        _Taking(project, params, batch, known, state).run()
        refusals.forget(project, batch.folder)
        return None
    except (NotNowError, DiskFullError) as error:
        return f"{batch.label}: {_told(project, error)}; it {NOT_NOW}"
    except PamelaError as error:
        why = _told(project, error)
        why = why if batch.label in why else f"{batch.label}: {why}"
    except (Exception, pl.exceptions.PanicException) as error:
        trace = hidden(traceback.format_exc())
        why = (
            f"{batch.label}: an unexpected {type(error).__name__} ({error}) while it was checked: "
            f"a fault of pamela, please report it with the {refusals.REFUSED} of the batch"
        )
    why = str(PamelaError(why))
    refusals.refuse(project, batch.folder, why, state, trace=trace)
    return why


@dataclass(frozen=True)
class _Taking:
    """One batch on its way in.

    Attributes
    ----------
    state : of the batch when it was first looked at; what differs at the end is not accepted.
    """

    project: Project
    params: Params
    batch: Batch
    known: KnownDataset
    state: str

    @property
    def target(self) -> Path:
        return self.project.batches / self.batch.dataset / self.batch.name

    def run(self) -> None:
        check_name(self.project, self.batch)
        if self.target.exists():
            hashes = copying.hash_files(self.target)
            if copying.hash_files(self.batch.folder) != hashes:
                raise UnfitError(
                    f"{self.project.relative(self.target)} exists with other contents and is "
                    "immutable; give the new batch another name"
                )
        else:
            hashes = self._accept()
        copying.let_go(self.batch.folder, hashes)

    def _accept(self) -> Hashes:
        """Copy the batch, check the copy, and give it its name in one rename."""
        size = sum(entry.size for entry in walk(self.batch.folder))
        limits.check_bytes(size, self.params.retrain.limits)
        most = int(self.params.retrain.limits.batch_mb * limits.MB)
        try:
            with atomic_folder(self.target, replace=False) as aside:
                hashes = copying.copy_files(self.batch.folder, aside, most)
                kept = self._check(aside)
                if state_of(self.batch.folder) != self.state:
                    raise NotNowError("it changed while it was read")
        except OSError as error:
            where = self.project.relative(Path(error.filename or self.target.parent))
            raise NotNowError(f"{where} cannot be written ({error.strerror or error})") from None
        self.known.add(self.project, self.target, kept)
        return hashes

    def _check(self, aside: Path) -> Kept:
        """Hold the copy to the rules; what is said of it is said of the batch."""
        lost = tracked_hash(self.target)
        if lost is not None and folder_hash(aside) != lost:
            raise UnfitError(
                f"a batch of this name was accepted before ({self.project.relative(self.target)}."
                "dvc) and is not here now; `dvc pull` brings it back; give a new batch another name"
            )
        shown = self.project.relative(aside), self.project.relative(self.batch.folder)
        try:
            return check(self.project, self.params, aside, self.known)
        except DiskFullError:
            raise
        except PamelaError as error:
            raise UnfitError(str(error).replace(*shown)) from None
        except OSError as error:
            if error.errno in FULL:
                raise
            raise RuntimeError(f"{type(error).__name__}: {error}") from error


def _told(project: Project, error: PamelaError) -> str:
    """Return what `error` says, with paths relative to the project."""
    return str(error).replace(f"{project.root}/", "")


# --- what a batch may be called ---------------------------------------------------------------
def check_name(project: Project, batch: Batch) -> None:
    """Raise unless `batch` can become ``data/batches/<dataset>/<batch>``."""
    if batch.folder.is_symlink() or batch.folder.parent.is_symlink():
        raise UnfitError("a link; a batch must be a folder of its own")
    if not _NAME.fullmatch(batch.name):
        raise UnfitError(
            "a batch's name may hold letters, digits, '_', '.' and '-', and begins with a letter "
            "or digit; rename it"
        )
    if len(batch.name) > LONGEST_NAME:
        raise UnfitError(f"a batch's name has at most {LONGEST_NAME} letters; rename it")
    if is_reserved(batch.name) or batch.name.casefold().endswith(".json"):
        raise UnfitError("DVC, git or pamela take this name for something else; rename it")
    for other in [*accepted(project), *set_aside(project)]:
        same = other.name.casefold() == batch.name.casefold()
        if other.dataset == batch.dataset and same and other.name != batch.name:
            raise UnfitError(
                f"differs from {other.name}, which was accepted before, in case alone; rename it"
            )
    aside = project.set_aside / batch.dataset / batch.name
    record = batches.record_file(project, batch.label)
    if aside.exists() or dvc_file(aside).exists() or record.exists():
        raise UnfitError(
            f"a batch of this name was set aside ({project.relative(record)} says why): "
            f"`pamela batches take-back {batch.label}` takes that one, a new one needs another name"
        )


# --- what earlier processes left --------------------------------------------------------------
def sweep(project: Project) -> dict[str, str]:
    """Finish or remove what killed processes left half-done; what is not ours is not touched.

    Returns
    -------
    ``{dataset/batch: why}`` of folders that could not be dealt with.
    """
    batches.finish_moves(project)
    for home in (project.root / "data", project.batches, project.set_aside):
        remove_abandoned(home)
        for dataset in home.glob("*/"):
            remove_abandoned(dataset)
    told: dict[str, str] = {}
    for dataset in sorted(project.inbox.glob("*/")):
        for name, leaving in copying.leaving_folders(dataset):
            try:
                copying.finish_leaving(leaving, _copy_of(project, dataset.name, name))
            except (PamelaError, OSError) as error:
                told[f"{dataset.name}/{name}"] = f"{dataset.name}/{name}: {error}"
    return told


def _copy_of(project: Project, dataset: str, name: str) -> Hashes:
    """Return the hashes of an accepted batch, wherever it lies now; nothing if nowhere."""
    for home in (project.batches, project.set_aside):
        folder = home / dataset / name
        if folder.is_dir():
            return copying.hash_files(folder)
    return {}
