"""The split stage's files: the tables, and ``splits.json`` with hashes, counts and overlaps.

Run by ``python -m flows.split``, after `pamela.splits` has put everyone on a side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pamela import schema as s
from pamela.io import atomic_folder, read_parquet, write_json, write_parquet
from pamela.project import Project
from pamela.splits import ORDER, SIDE, Split


def describe(split: Split, images: pl.DataFrame) -> dict[str, Any]:
    """Return the record of one dataset in ``splits.json``: parts with hashes, and overlaps.

    ``overlaps`` counts, per fold, what lies on two sides: the same picture content under two ids,
    unseen users' test or validation rows on training images, and (release splits) images and users
    that both validation and test hold.
    """
    return {
        "folds": split.folds,
        "own": split.own,
        "parts": {
            str(fold): {
                part: _describe_part(split.ratings.filter(fold=fold, part=part))
                for part in s.PARTS
                if part in split.ratings.filter(fold=fold).get_column(s.PART)
            }
            for fold in range(split.folds)
        },
        "overlaps": {str(fold): _overlaps(split, images, fold) for fold in range(split.folds)},
    }


def _describe_part(rows: pl.DataFrame) -> dict[str, Any]:
    content = rows.select(ORDER).write_csv(include_header=False).encode()
    return {
        "rows": rows.height,
        "users": rows.get_column(s.USER).n_unique(),
        "images": rows.get_column(s.IMAGE).n_unique(),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _overlaps(split: Split, images: pl.DataFrame, fold: int) -> dict[str, int]:
    sides = split.images.filter(pl.col(s.FOLD) == fold)
    contents = images.select(s.IMAGE, s.SHA256).drop_nulls().join(sides, on=s.IMAGE)
    per_content = contents.group_by(s.SHA256).agg(pl.col(SIDE).n_unique())
    rows = split.ratings.filter(pl.col(s.FOLD) == fold)
    unseen = rows.filter(pl.col(s.PART).is_in([s.VAL_UNSEEN, s.TEST_UNSEEN]))
    trained = rows.filter(pl.col(s.PART) == s.TRAIN)
    val = rows.filter(pl.col(s.PART).is_in([s.VAL_SEEN, s.VAL_UNSEEN]))
    test = rows.filter(pl.col(s.PART).is_in([s.TEST_SEEN, s.TEST_UNSEEN]))
    return {
        "same_content_on_two_sides": per_content.filter(pl.col(SIDE) > 1).height,
        "unseen_rows_on_train_images": unseen.join(trained, on=s.IMAGE, how="semi").height,
        "images_in_val_and_test": _shared(val, test, s.IMAGE),
        "unseen_users_in_val_and_test": _shared(
            val.filter(pl.col(s.PART) == s.VAL_UNSEEN),
            test.filter(pl.col(s.PART) == s.TEST_UNSEEN),
            s.USER,
        ),
    }


def _shared(one: pl.DataFrame, other: pl.DataFrame, column: str) -> int:
    return one.select(column).unique().join(other.select(column), on=column, how="semi").height


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
        for table in ("users", "images", "ratings"):
            frames = [getattr(split, table) for split in ordered]
            write_parquet(folder / f"{table}.parquet", pl.concat(frames))
        write_json(folder / "splits.json", record)
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
