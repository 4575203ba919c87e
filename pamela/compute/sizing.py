"""How many processes a stage opens: none for little data, no more than cores and memory allow."""

from __future__ import annotations

from typing import Final

import psutil

from pamela.compute.processes import usable_cores
from pamela.core.files import read_json
from pamela.core.paths import Project

MOST: Final = 4
LEAST_ROWS: Final = 20_000  # ratings and choices; fewer are done before processes have started
EACH: Final = 1.0e9  # bytes of one process, whatever the data
PER_ROW: Final = 400  # bytes
COPIES: Final = 8  # of the features


def process_count(project: Project) -> int:
    """Return how many processes work on the folds of `project` side by side."""
    rows = fold_rows(project)
    if rows < LEAST_ROWS:
        return 1
    features = sum(path.stat().st_size for path in project.features.glob("*.npy"))
    each = EACH + PER_ROW * rows + COPIES * features
    room = int(psutil.virtual_memory().available / each)
    return max(1, min(usable_cores(), room, MOST))


def fold_rows(project: Project) -> int:
    """Return how many rows the parts of fold 0 hold, over all datasets."""
    datasets = read_json(project.splits / "splits.json").get("datasets", {}).values()
    parts = [part for one in datasets for part in one.get("parts", {}).get("0", {}).values()]
    return sum(part["rows"] for part in parts)
