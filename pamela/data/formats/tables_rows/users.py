"""Users of the tables format: an id each, and categorical demographics."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import base, files
from pamela.data.formats.files import shown

QUARANTINED_AS: Final = ("rule", "rules")  # columns that quarantined rows are given


def read_users(folder: Path, name: str, root: Path) -> pl.DataFrame:
    """Read the users of dataset `name` with their demographics; nobody where there is no table.

    Raises
    ------
    PamelaError
        On a column that cannot be a demographic, or an empty or repeated id.
    """
    path = files.find_table(folder, "users", root)
    if path is None:
        return base.empty_table(s.USERS_KEYS)
    frame = files.read_table(path, root)
    files.require_columns(frame, [s.USER], path, root)
    files.require_cells(frame, frame.columns, path, root)
    demographics = [c for c in frame.columns if c not in (s.USER, *base.SOURCE)]
    _reject_names(demographics, path, root)
    frame = base.whole_floats_as_integers(frame, [s.USER, *demographics]).select(
        pl.lit(name).alias(s.DATASET),
        s.identifier(s.USER),
        *(base.category(c) for c in demographics),
        *base.SOURCE,
    )
    base.reject_empty_ids(frame, s.USER)
    base.reject_repeats(frame, s.USER, advice="one row per user")
    return base.unify_case(frame, demographics)


def _reject_names(demographics: list[str], path: Path, root: Path) -> None:
    """Raise on a demographic that has no name, or one that the quarantine's columns have."""
    for column in demographics:
        if not column or column.startswith("_") or column in QUARANTINED_AS:
            fault = f"the column name {column!r} is reserved" if column else "a column has no name"
            raise PamelaError(f"{shown(path, root)}: {fault}; rename the column, or leave it out")
