"""Writing ratings as a folder of shards (`pamela.core.shards.fold`)."""

from __future__ import annotations

import tempfile
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


def write_shards(folder: Path, rows: pl.LazyFrame, size: int = ROWS) -> dict[str, int]:
    """Write ratings in any order as shards of about `size` rows; return the rows of each part.

    A shard has the ratings of as many people in a row as it takes, so that neither the order nor
    the files that the rows come from change a byte.

    Parameters
    ----------
    rows : LazyFrame as of `write_shard`; never held as a whole.
    """
    each = rows.group_by(USER, s.PART).len().collect(engine="streaming")
    people = each.group_by(USER).agg(pl.col("len").sum()).sort(USER)
    number = ((pl.col("len").cum_sum() - pl.col("len")) // size).cast(pl.Int32)
    placed = people.select(pl.col(USER), number.alias(SHARD))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        aside = Path(name)
        numbered = rows.join(placed.lazy(), on=USER)
        numbered.sink_parquet(
            pl.PartitionBy(aside, key=SHARD, include_key=False), engine="streaming", mkdir=True
        )
        for number_ in placed.get_column(SHARD).unique().sort():
            own = pl.read_parquet(aside / f"{SHARD}={number_}" / "*.parquet")
            write_shard(folder / f"{number_:06}.parquet", own)
    counts = each.group_by(s.PART).agg(pl.col("len").sum()).sort(s.PART)
    return dict(counts.iter_rows())
