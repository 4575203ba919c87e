"""The split stage's files: the tables, and ``splits.json`` with hashes, counts and overlaps.

Run by ``python -m flows.split``, after `pamela.splits.assignment` has put everyone on a side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pamela.core import schema as s
from pamela.core.files import atomic_folder, read_parquet, write_json, write_parquet
from pamela.core.paths import Project
from pamela.data.leakage import overlaps_of
from pamela.data.row_groups import join_parquet
from pamela.splits.split import Split, split_cache


def describe(split: Split, images: pl.DataFrame) -> dict[str, Any]:
    """Return the record of one dataset in ``splits.json``: parts with hashes, and overlaps.

    ``overlaps`` counts, per fold, what lies on two sides (`pamela.data.leakage`).
    """
    return {
        "folds": split.folds,
        "own": split.own,
        "parts": {str(fold): split.part_counts(fold) for fold in range(split.folds)},
        "overlaps": {str(fold): _overlaps(split, images, fold) for fold in range(split.folds)},
    }


def _overlaps(split: Split, images: pl.DataFrame, fold: int) -> dict[str, int]:
    sides = split.images.filter(pl.col(s.FOLD) == fold)
    return overlaps_of(split.user_counts[fold], split.image_counts[fold], sides, images)


def write_splits(project: Project, splits: Sequence[Split]) -> dict[str, Any]:
    """Write ``data/splits/`` as a whole and return ``splits.json``."""
    ordered = sorted(splits, key=lambda split: split.name)
    images = read_parquet(project.validated / "images.parquet")
    record = {
        "folds": max(split.folds for split in ordered),
        "datasets": {
            split.name: describe(split, images.filter(pl.col(s.DATASET) == split.name))
            for split in ordered
        },
    }
    with atomic_folder(project.splits) as folder:
        for table in ("users", "images"):
            frames = [getattr(split, table) for split in ordered]
            write_parquet(folder / f"{table}.parquet", pl.concat(frames))
        files = [file.file for split in ordered for file in split.files]
        join_parquet(files, folder / "ratings.parquet")
        write_json(folder / "splits.json", record)
    split_cache(project).prune()
    return record


def counts(record: Mapping[str, Any]) -> str:
    """Return the parts of every dataset's first fold, for people."""
    lines = []
    for name, dataset in record["datasets"].items():
        parts = ", ".join(f"{part} {p['rows']:,}" for part, p in dataset["parts"]["0"].items())
        kind = "the release's own splits" if dataset["own"] else f"{dataset['folds']} folds"
        twice = sum(o["same_content_on_two_sides"] for o in dataset["overlaps"].values())
        warning = f"; WARNING: {twice} pictures lie on two sides under two ids" if twice else ""
        lines.append(f"{name}: {kind}; fold 0: {parts}{warning}")
    return "\n".join(lines)
