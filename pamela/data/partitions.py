"""Rows by source: a table of ratings, or of choices, is a folder of Parquet files, one per source.

A source is a dataset as imported, or one batch. ``ratings.parquet/faces.parquet`` is
the dataset ``faces``, ``ratings.parquet/faces@monday.parquet`` its batch ``monday``. All files have
one schema, so that ``polars.scan_parquet`` of the folder is the whole table; and a new batch is a
new file, beside which the others stay as they are.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

SEPARATOR = "@"  # in no dataset's and no batch's name


def partition_name(dataset: str, batch: str | None = None) -> str:
    """Return the file name of a dataset's own rows, or of those of one of its batches."""
    return f"{dataset}.parquet" if batch is None else f"{dataset}{SEPARATOR}{batch}.parquet"


def partitions_of(table: Path, dataset: str) -> list[Path]:
    """Return the files of `dataset` in the folder `table`: its own, then its batches by name."""
    batches = sorted(table.glob(partition_name(dataset, "*")), key=lambda path: path.stem)
    return [table / partition_name(dataset), *batches]


def scan_partitions(table: Path, dataset: str) -> list[pl.LazyFrame]:
    """Return the rows of `dataset` in the folder `table`, source by source; none where absent."""
    files = partitions_of(table, dataset)
    return [pl.scan_parquet(file, glob=False) for file in files if table.exists()]
