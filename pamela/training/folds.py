"""A fold to train on: in memory, or in shards where there are too many ratings for that."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core.dataset import Fold, load_fold
from pamela.core.files import writing_to
from pamela.core.paths import Project
from pamela.core.shards.loading import load_sharded_fold
from pamela.core.split_rows import RATINGS

MOST_IN_MEMORY: Final = 10_000_000  # ratings; from there on a fit reads shards


@contextmanager
def training_fold(project: Project, number: int, most: int = MOST_IN_MEMORY) -> Iterator[Fold]:
    """Yield fold `number`; of more than `most` ratings as shards, on disk as long as it is used.

    They lie in the git-ignored folder of checkpoints: 12 bytes a rating, less what compresses.
    """
    if _ratings(project) <= most:
        yield load_fold(project, number)
        return
    project.checkpoints.mkdir(exist_ok=True)
    with (
        writing_to(project.checkpoints),
        tempfile.TemporaryDirectory(prefix="shards-", dir=project.checkpoints) as folder,
    ):
        yield load_sharded_fold(project, number, Path(folder))


def _ratings(project: Project) -> int:
    """Return how many ratings the split has; where it has none, reading it will say so."""
    path = project.splits / RATINGS
    if not path.is_file():
        return 0
    return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
