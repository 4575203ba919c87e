"""The processes of a stage: none for little data, no more than cores and memory allow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

import psutil

from pamela.compute.processes import Processes, side_by_side, usable_cores
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.core.progress import shown_now

# slow to import; imported once for all processes
PRELOAD: Final = ("numpy", "polars", "scipy.optimize", "torch", "threadpoolctl")
LEARNING: Final = (*PRELOAD, "lightning")
DRAWING: Final = (*PRELOAD, "matplotlib.pyplot")
MOST: Final = 4
LEAST_ROWS: Final = 20_000  # ratings and choices; fewer are done before processes have started
EACH: Final = 1.0e9  # bytes of one process, whatever the data
PER_ROW: Final = 400  # bytes
COPIES: Final = 8  # of the features


@contextlib.contextmanager
def open_processes(
    stage: str, count: int, preload: Sequence[str] = PRELOAD
) -> Iterator[Processes | None]:
    """Open `count` processes for a stage and show what runs in them; none where that is one."""
    with (
        side_by_side(count, preload) as processes,
        shown_now(stage, quiet=processes is None) as show,
    ):
        if processes is not None:
            processes.on_change = show
        yield processes


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
