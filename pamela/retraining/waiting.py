"""What waits for a retrain; cheap, so that a cycle with nothing to do is decided at once."""

from __future__ import annotations

from pathlib import Path

from pamela.core.paths import Project
from pamela.core.strict_yaml import read_yaml
from pamela.params import Params
from pamela.retraining import inbox, promotion


def work_waits(project: Project, params: Params) -> bool:
    """Return whether a cycle would do anything: a batch to take, or one that was not judged."""
    if inbox.scan_inbox(project, params.ingest.datasets).ready:
        return True
    present = inbox.accepted(project)
    return (
        any(not dvc_file(batch).is_file() for batch in present)
        or batch_hashes(project) != promotion.judged(project)
    )  # fmt: skip


def nothing_to_do(project: Project, params: Params) -> str:
    """Return the line for an inbox without a complete batch; it names what else lies there."""
    found = inbox.scan_inbox(project, params.ingest.datasets)
    also = [
        (found.waiting, f"without {inbox.DONE}"),
        (found.refused, f"refused, see its {inbox.REFUSED}"),
        (found.foreign, "of a dataset that is not in ingest.datasets"),
    ]
    notes = [f"{', '.join(b.label for b in some)} ({why})" for some, why in also if some]
    line = f"nothing to do: no complete batch in {project.relative(project.inbox)}"
    return f"{line}; left there: {'; '.join(notes)}" if notes else line


def batch_hashes(project: Project) -> dict[str, str]:
    """Return ``{dataset/batch: DVC's hash of its contents}`` of every tracked batch."""
    return {
        batch.label: str(read_yaml(dvc_file(batch))["outs"][0]["md5"])
        for batch in inbox.accepted(project)
        if dvc_file(batch).is_file()
    }


def dvc_file(batch: inbox.Batch) -> Path:
    """Return where DVC's pointer to an accepted batch lies."""
    return batch.folder.with_name(f"{batch.name}.dvc")
