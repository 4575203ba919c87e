"""People who have withdrawn: ``data/withdrawn.csv`` (dataset, user_id).

Stage ingest leaves them, their ratings and their choices out, of every dataset and batch.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.data.formats.base import Tables


def read_withdrawn(project: Project) -> pl.DataFrame:
    """Return (dataset, user_id) of everybody who has withdrawn; empty without the file.

    Raises
    ------
    PamelaError
        If the file has other columns or an empty cell.
    """
    path = project.withdrawn
    columns = [s.DATASET, s.USER]
    if not path.is_file():
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    try:
        frame = pl.read_csv(path, infer_schema=False, glob=False)
    except pl.exceptions.PolarsError as error:
        raise PamelaError(f"{project.relative(path)}: not readable as CSV ({error})") from None
    if frame.columns != columns:
        raise PamelaError(
            f"{project.relative(path)}: columns {', '.join(frame.columns)}; wanted: dataset,user_id"
        )
    empty = frame.with_row_index("row", offset=1).filter(pl.any_horizontal(pl.all().is_null()))
    if empty.height:
        raise PamelaError(
            f"{project.relative(path)} row {empty['row'][0]}: an empty cell; name dataset and user"
        )
    return frame.unique(maintain_order=True)


def without(tables: Tables, withdrawn: pl.DataFrame) -> Tables:
    """Return `tables` without the ratings, the choices and the row of anybody in `withdrawn`."""
    mine = withdrawn.filter(pl.col(s.DATASET) == tables.name).get_column(s.USER).to_list()
    if not mine:
        return tables
    stays = pl.col(s.USER).is_in(mine).not_() | pl.col(s.USER).is_null()
    return replace(
        tables,
        ratings=tables.ratings.filter(stays),
        choices=tables.choices.filter(stays),
        users=tables.users.filter(stays),
        counted=tables.by_rater.filter(stays),
        choices_counted=tables.by_chooser.filter(stays),
    )
