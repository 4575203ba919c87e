"""Writing ratings as a folder of shards (`pamela.core.shards.fold`)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.files import write_parquet
from pamela.core.shards.fold import ITEM, ROWS, SCHEMA, USER

SHARD: Final = "shard"


def write_shard(path: Path, rows: pl.DataFrame) -> None:
    """Write all ratings of some people as a shard, in an order of their own.

    Parameters
    ----------
    rows : DataFrame (user, item, rating, part): rows of the people and the pictures.
    """
    typed = rows.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
    write_parquet(path, typed.sort(USER, ITEM, s.RATING, s.PART))


def write_shards(
    folder: Path,
    rows: pl.LazyFrame,
    size: int = ROWS,
    finish: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
) -> dict[str, int]:
    """Write ratings in any order as shards of about `size` rows; return the rows of each part.

    A shard has the ratings of as many people in a row as it takes, so that neither the order nor
    the files that the rows come from change a byte.

    Parameters
    ----------
    rows : LazyFrame as of `write_shard`; never held as a whole.
    finish : makes of the rows of a shard, with whatever columns they have, what is written.
    """
    placed = _shard_of_people(rows, size)
    counts: dict[str, int] = {}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        aside = Path(name)
        numbered = rows.cast({USER: SCHEMA[USER]}).join(placed.lazy(), on=USER)
        numbered.sink_parquet(
            pl.PartitionBy(aside, key=SHARD, include_key=False), engine="streaming", mkdir=True
        )
        for shard in placed.get_column(SHARD).unique().sort():
            files = sorted((aside / f"{SHARD}={shard}").glob("*.parquet"))
            own = pl.read_parquet(files, glob=False)
            own = own if finish is None else finish(own)
            write_shard(folder / f"{shard:06}.parquet", own)
            of_part = own.group_by(pl.col(s.PART).cast(pl.String)).len()
            counts.update({part: counts.get(part, 0) + n for part, n in of_part.iter_rows()})
    return counts


def _shard_of_people(rows: pl.LazyFrame, size: int) -> pl.DataFrame:
    """Return (user, shard): ratings are counted in pieces, as many as fit."""
    counted = pl.DataFrame(schema={USER: SCHEMA[USER], "len": pl.Int64})
    for piece in rows.select(USER).collect_batches(chunk_size=ROWS, engine="streaming"):
        own = piece.group_by(pl.col(USER).cast(SCHEMA[USER])).agg(pl.len().cast(pl.Int64))
        counted = pl.concat([counted, own]).group_by(USER).agg(pl.col("len").sum())
    number = (pl.col("len").cum_sum() - pl.col("len")) // size
    return counted.sort(USER).select(USER, number.cast(pl.Int32).alias(SHARD))
