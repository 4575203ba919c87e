"""The inbox: batches of new ratings wait in ``data/inbox/<dataset>/<batch>/``.

A batch is complete when it holds a file ``_DONE``; until then it is not touched. A complete one is
checked and accepted or refused (`pamela.retraining.admission`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pamela.core.paths import Project

DONE = "_DONE"
REFUSED = "_REFUSED"


@dataclass(frozen=True, order=True)
class Batch:
    """One folder of new ratings for one dataset."""

    dataset: str
    name: str
    folder: Path

    @property
    def label(self) -> str:
        """``dataset/batch``, unique."""
        return f"{self.dataset}/{self.name}"


@dataclass(frozen=True)
class Inbox:
    """What lies in the inbox now.

    Attributes
    ----------
    ready : complete batches of datasets that are ingested, in order of dataset and name.
    refused : complete batches that a retrain refused earlier.
    foreign : complete batches of datasets that are not in ``ingest.datasets``.
    waiting : batches without ``_DONE``.
    """

    ready: list[Batch]
    refused: list[Batch]
    foreign: list[Batch]
    waiting: list[Batch]


def scan_inbox(project: Project, datasets: Collection[str]) -> Inbox:
    """Return what lies in the inbox; nothing is touched.

    Parameters
    ----------
    datasets : the names in ``ingest.datasets``.
    """
    inbox = Inbox([], [], [], [])
    for batch in _batches_below(project.inbox):
        if not (batch.folder / DONE).exists():
            inbox.waiting.append(batch)
        elif batch.dataset not in datasets:
            inbox.foreign.append(batch)
        elif (batch.folder / REFUSED).exists():
            inbox.refused.append(batch)
        else:
            inbox.ready.append(batch)
    return inbox


def accepted(project: Project) -> list[Batch]:
    """Return the batches in ``data/batches/``, in order of dataset and name."""
    return _batches_below(project.batches)


def _batches_below(root: Path) -> list[Batch]:
    """Return ``<dataset>/<batch>`` folders below `root`; hidden ones are half-made copies."""
    return sorted(
        Batch(folder.parent.name, folder.name, folder)
        for folder in root.glob("*/*")
        if folder.is_dir() and not folder.name.startswith(".") and folder.parent.name[0] != "."
    )
