"""What waits for a retrain; cheap, so that a cycle with nothing to do is decided at once."""

from __future__ import annotations

import datetime as dt

from pamela.core.paths import Project
from pamela.data.partitions import SEPARATOR, partition_name
from pamela.params import Params
from pamela.registry import healing, versions
from pamela.retraining import inbox
from pamela.retraining.gate.decision import DONE, last_decision
from pamela.retraining.tracking import dvc_file
from pamela.retraining.triggers import fired, new_data, pending


def work_waits(project: Project, params: Params) -> bool:
    """Return whether a cycle would do anything: mend, take a batch, complete a decision, train."""
    if not healing.is_sound(project, params):
        return True
    last = last_decision(project)
    if (last is not None and last.state != DONE) or pending(project):
        return True
    if inbox.scan_inbox(project, params.ingest.datasets).ready:
        return True
    if any(not dvc_file(batch.folder).is_file() for batch in inbox.accepted(project)):
        return True
    if tables_lag(project, params):
        return True
    return bool(fired(project, params, new_data(project), now=dt.datetime.now(dt.UTC)))


def tables_lag(project: Project, params: Params) -> bool:
    """Return whether an interrupted cycle left tables without what is accepted, or none at all.

    New batches are held to these tables: they must be whole first. Before the first run of the
    pipeline there are none.
    """
    if versions.champion(project, params) is None:
        return False
    tables = [project.validated / f"{name}.parquet" for name in ("images", "users")]
    if not all(table.is_file() for table in tables):
        return True
    names = params.ingest.datasets
    wanted = {partition_name(b.dataset, b.name)
              for b in inbox.accepted(project) if b.dataset in names}  # fmt: skip
    ratings = project.validated / "ratings.parquet"
    return wanted != {path.name for path in ratings.glob(f"*{SEPARATOR}*.parquet")}


def nothing_to_do(project: Project, params: Params) -> str:
    """Return the line for a cycle that does not train; it names what lies there."""
    found = inbox.scan_inbox(project, params.ingest.datasets)
    also = [
        (found.waiting, f"without {inbox.DONE}"),
        (found.refused, f"refused, see its {inbox.REFUSED}"),
        (found.foreign, "of a dataset that is not in ingest.datasets"),
    ]
    notes = [f"{', '.join(b.label for b in some)} ({why})" for some, why in also if some]
    unjudged = new_data(project).added if not pending(project) else []
    if unjudged:
        notes.append(f"{', '.join(unjudged)} accepted (below retrain.triggers)")
    line = f"nothing to do: no complete batch in {project.relative(project.inbox)}"
    return f"{line}; left there: {'; '.join(notes)}" if notes else line
