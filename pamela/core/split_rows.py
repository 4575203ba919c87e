"""``data/splits/ratings.parquet``: every rating once, with a column for its part in each fold."""

from __future__ import annotations

from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_json
from pamela.core.paths import Project

KEPT: Final = (s.DATASET, s.USER, s.IMAGE, s.RATING, s.RATED_AT, s.POSITION)
PART_TYPE: Final = pl.Enum(s.PARTS)


def part_column(fold: int) -> str:
    """Return the column of a rating's part in `fold`: null beyond its dataset's own folds."""
    return f"{s.PART}_{fold}"


def read_fold_rows(project: Project, number: int) -> pl.DataFrame:
    """Return the ratings of fold `number` with their part, datasets in the order of their names.

    A dataset with fewer folds contributes its fold modulo its count.

    Raises
    ------
    PamelaError
        If the split stage has not run.
    """
    path = project.splits / "ratings.parquet"
    if not path.is_file():
        raise PamelaError(f"{path}: no such file; run the stage that writes it")
    datasets = read_json(project.splits / "splits.json")["datasets"]
    rows = pl.scan_parquet(path, glob=False)
    picked = [
        rows.filter(pl.col(s.DATASET) == name).select(
            *KEPT, pl.col(part_column(number % record["folds"])).cast(pl.String).alias(s.PART)
        )
        for name, record in sorted(datasets.items())
    ]
    return pl.concat(picked).collect()
