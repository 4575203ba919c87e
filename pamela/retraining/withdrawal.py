"""People who withdraw: what was adapted to them goes at once, what was learned of them next.

Who withdraws stands in ``data/withdrawn.csv``. Stage ingest leaves them out of the tables
(`pamela.data.withdrawn`), and a retrain follows (`pamela.retraining.triggers`).
"""

from __future__ import annotations

from pamela.core import schema as s
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.data.withdrawn import read_withdrawn


def forget_withdrawn(project: Project) -> list[str]:
    """Delete what `pamela adapt` saved of people who have withdrawn; return their names.

    Meant is the saved person of the same dataset whose name is the user's id.
    """
    gone = set(read_withdrawn(project).select(s.DATASET, s.USER).iter_rows())
    forgotten = []
    for path in sorted(project.people.glob("[!.]*.json")):
        if gone and (read_json(path).get("dataset"), path.stem) in gone:
            path.unlink()
            forgotten.append(path.stem)
    return forgotten
