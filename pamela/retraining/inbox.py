"""The inbox: batches of new ratings wait in ``data/inbox/<dataset>/<batch>/``.

A batch is complete when it holds a file ``_DONE``; until then it is not touched. A complete one is
checked and accepted or refused (`pamela.retraining.admission`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from pamela.core.paths import Project
from pamela.retraining.intake.contents import DONE, REFUSED
from pamela.retraining.intake.refusals import refusal_of

__all__ = ["DONE", "REFUSED", "Batch", "Inbox", "accepted", "scan_inbox", "set_aside"]


@dataclass(frozen=True, order=True)
class Batch:
    """One folder of new ratings for one dataset."""

    dataset: str
    name: str
    folder: Path

    @property
    def label(self) -> str:
        """``dataset/batch``, for people; unique among accepted batches, whose names are plain."""
        return printable(f"{self.dataset}/{self.name}")


@dataclass(frozen=True)
class Inbox:
    """What lies in the inbox now.

    Attributes
    ----------
    ready : complete batches of datasets that are ingested, in order of dataset and name.
    refused : complete batches that a retrain refused earlier, and that did not change since.
    foreign : complete batches of datasets that are not in ``ingest.datasets``.
    waiting : batches without ``_DONE``.
    misplaced : files that lie in no batch's folder, which nobody will ever read.
    """

    ready: list[Batch]
    refused: list[Batch]
    foreign: list[Batch]
    waiting: list[Batch]
    misplaced: list[Path] = field(default_factory=list)


def scan_inbox(project: Project, datasets: Collection[str]) -> Inbox:
    """Return what lies in the inbox; nothing is touched.

    Parameters
    ----------
    datasets : the names in ``ingest.datasets``.
    """
    inbox = Inbox([], [], [], [], _misplaced(project.inbox))
    for batch in _batches_below(project.inbox):
        if not _is_complete(batch.folder):
            inbox.waiting.append(batch)
        elif batch.dataset not in datasets:
            inbox.foreign.append(batch)
        elif refusal_of(project, batch.folder) is not None:
            inbox.refused.append(batch)
        else:
            inbox.ready.append(batch)
    return inbox


def printable(name: str) -> str:
    """Return the name of a file as one line of text, whatever bytes it has."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def accepted(project: Project) -> list[Batch]:
    """Return the batches in ``data/batches/``, in order of dataset and name."""
    return _batches_below(project.batches)


def set_aside(project: Project) -> list[Batch]:
    """Return the batches in ``data/set_aside/``, in order of dataset and name."""
    return _batches_below(project.set_aside)


def _is_complete(folder: Path) -> bool:
    """Tell whether a batch is declared complete; one that cannot be read will be refused."""
    try:
        return (folder / DONE).exists()
    except OSError:
        return True


def _batches_below(root: Path) -> list[Batch]:
    """Return ``<dataset>/<batch>`` folders below `root`; hidden ones are half-made copies."""
    return sorted(
        Batch(folder.parent.name, folder.name, folder)
        for folder in root.glob("*/*")
        if folder.is_dir() and not folder.name.startswith(".") and folder.parent.name[0] != "."
    )


def _misplaced(root: Path) -> list[Path]:
    """Return the files directly in the inbox or in a dataset's folder of it."""
    found = (path for pattern in ("*", "*/*") for path in root.glob(pattern))
    return sorted(path for path in found if path.name[0] != "." and not path.is_dir())
