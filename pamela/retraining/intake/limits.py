"""How much one batch and one person may bring: ``retrain.limits``.

Sizes are asked for before anything is read into memory: a small Parquet or ``.npz`` file can hold
billions of equal numbers. Pictures have bounds of their own (`pamela.core.images`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.data.counts import N_CHOICES, N_RATINGS
from pamela.data.formats.base import Tables
from pamela.data.image_files import SUFFIXES
from pamela.params import LimitParams
from pamela.retraining.intake.faults import UnfitError

MB: Final = 1_000_000
N_ROWS: Final = "n_rows"


def check_bytes(size: int, limits: LimitParams) -> None:
    """Raise if a batch of `size` bytes is too large to be copied."""
    if size > limits.batch_mb * MB:
        raise UnfitError(
            f"{size / MB:,.0f} MB, more than retrain.limits.batch_mb ({limits.batch_mb:,g}); give "
            "several batches, or raise the limit in params.yaml"
        )


def check_unpacked(folder: Path, limits: LimitParams) -> None:
    """Raise if a table or an archive in the batch `folder` is too large to be read.

    A file that is neither is not this function's concern: whoever reads it says what is wrong.
    """
    for path in sorted(folder.glob("*.parquet")):
        try:
            rows = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
        if rows > limits.ratings_per_batch:
            raise UnfitError(_too_many(path.name, rows, limits))
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES or not zipfile.is_zipfile(path):
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            continue
        if size > limits.batch_mb * MB:
            raise UnfitError(
                f"{path.relative_to(folder)}: {size / MB:,.0f} MB unpacked, more than "
                f"retrain.limits.batch_mb ({limits.batch_mb:,g}); give several batches"
            )


def check_rows(tables: Tables, earlier: Sequence[Tables], limits: LimitParams) -> None:
    """Raise if the batch gives more ratings and choices than it may, or one person does with it.

    Parameters
    ----------
    earlier : the batches accepted before: a person's limit is on all that came by the inbox. What
        the dataset held when it was imported does not count.
    """
    given = {"ratings": tables.n_ratings, "choices": tables.n_choices}
    name = " and ".join(table for table, n in given.items() if n) or "ratings"
    if sum(given.values()) > limits.ratings_per_batch:
        raise UnfitError(_too_many(name, sum(given.values()), limits))
    before = pl.concat([_by_user(one) for one in earlier] or [_by_user(tables).clear()])
    both = _by_user(tables).join(
        before.group_by(s.USER).agg(pl.col(N_ROWS).sum().alias("before")), on=s.USER, how="left"
    )
    total = (pl.col(N_ROWS) + pl.col("before").fill_null(0)).alias("total")
    over = both.with_columns(total).filter(pl.col("total") > limits.ratings_per_user)
    if not over.height:
        return
    first = over.sort("total", s.USER, descending=[True, False]).row(0, named=True)
    others = f" (and {over.height - 1:,} others)" if over.height > 1 else ""
    earlier_ones = f" after {first['before']:,} in earlier batches" if first["before"] else ""
    raise UnfitError(
        f"{name}: user {first[s.USER]!r} gives {first[N_ROWS]:,}{earlier_ones}{others}, more "
        f"than retrain.limits.ratings_per_user ({limits.ratings_per_user:,}); leave some out, or "
        "raise the limit in params.yaml"
    )


def _by_user(tables: Tables) -> pl.DataFrame:
    """Return how many ratings and choices everyone gave."""
    rows = (
        counted.select(s.USER, pl.col(n).cast(pl.Int64).alias(N_ROWS))
        for counted, n in ((tables.by_rater, N_RATINGS), (tables.by_chooser, N_CHOICES))
    )
    return pl.concat(rows).drop_nulls(s.USER).group_by(s.USER).agg(pl.col(N_ROWS).sum())


def _too_many(name: str, rows: int, limits: LimitParams) -> str:
    return (
        f"{name}: {rows:,} rows, more than retrain.limits.ratings_per_batch "
        f"({limits.ratings_per_batch:,}); give several batches, or raise the limit in params.yaml"
    )
