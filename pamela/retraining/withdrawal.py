"""People who withdraw: what was adapted to them goes at once, what was learned of them next.

Who withdraws stands in ``data/withdrawn.csv``. Stage ingest leaves them out of the tables
(`pamela.data.withdrawn`), and a retrain follows (`pamela.retraining.triggers`).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from pamela.core import schema as s
from pamela.core.files import read_json, read_parquet
from pamela.core.paths import Project
from pamela.data.withdrawn import read_withdrawn
from pamela.training.bundle import USERS
from pamela.training.bundle_tables import IN_TRAIN


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


def withdrawn_in(project: Project, bundle: Path) -> int:
    """Return how many people who have withdrawn the model that serves from `bundle` learned."""
    gone = read_withdrawn(project)
    if not gone.height:
        return 0
    learned = read_parquet(bundle / USERS).filter(pl.col(IN_TRAIN))
    return learned.join(gone, on=[s.DATASET, s.USER], how="semi").height
