"""``--pairs FILE``: pictures that were made elsewhere, by generators that need hours.

A table (CSV, Parquet) of ``prompt_id``, ``arm``, ``file`` and perhaps ``prompt`` and ``user_id``: a
row with a user's id is for that participant alone, one without for everybody. Whoever takes part
compares every two arms of a prompt. Without rows, everybody's pictures are still to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import file_sha256
from pamela.data.formats import files
from pamela.study.pictures import PictureStore
from pamela.study.plan import Shown

ARM: Final = "arm"
REQUIRED: Final = (s.PROMPT_ID, ARM, s.FILE)
OPTIONAL: Final = (s.PROMPT, s.USER)


@dataclass(frozen=True)
class MadePictures:
    """The pictures of a table.

    Attributes
    ----------
    digest : hash of the table.
    rows : DataFrame (prompt_id, arm, prompt, user_id, sha256).
    """

    digest: str
    rows: pl.DataFrame

    @classmethod
    def read(cls, path: Path, store: PictureStore) -> MadePictures:
        """Read a table and keep its pictures in `store`, without what else is in their files.

        Raises
        ------
        PamelaError
            If a column is missing, an arm stands twice for a prompt, a picture is none, or no
            prompt has two arms.
        """
        if not path.is_file():
            raise PamelaError(f"--pairs {path}: no such file")
        table = files.read_table(path, path.parent)
        files.require_columns(table, REQUIRED, path, path.parent)
        missing = [pl.lit(None, pl.String).alias(c) for c in OPTIONAL if c not in table.columns]
        table = table.with_columns(missing).with_columns(
            *map(s.identifier, (s.PROMPT_ID, ARM, s.USER)), pl.col(s.FILE).cast(pl.String)
        )
        empty = table.filter(pl.any_horizontal(pl.col(*REQUIRED).is_null()))
        if empty.height:
            row = empty[s.SOURCE_ROW][0]
            raise PamelaError(f"--pairs {path} row {row}: fill in {', '.join(REQUIRED)}")
        keys = [s.PROMPT_ID, ARM, s.USER]
        twice = table.filter(~pl.struct(keys).is_first_distinct())
        if twice.height:
            one = twice.row(0, named=True)
            raise PamelaError(
                f"--pairs {path} row {one[s.SOURCE_ROW]}: arm {one[ARM]} of prompt "
                f"{one[s.PROMPT_ID]} stands there twice"
            )
        hashes = [
            store.add(path.parent / row[s.FILE], f"--pairs {path} row {row[s.SOURCE_ROW]}")
            for row in table.iter_rows(named=True)
        ]
        rows = table.select(
            s.PROMPT_ID, ARM, pl.col(s.PROMPT).cast(pl.String), s.USER,
            pl.Series(s.SHA256, hashes, dtype=pl.String),
        )  # fmt: skip
        found = cls(file_sha256(path), rows)
        people = rows[s.USER].unique().to_list()
        if rows.height and not any(found._compared(person) for person in people):
            raise PamelaError(f"--pairs {path}: no prompt has two arms, so nothing can be compared")
        return found

    def of(self, user: str) -> list[Shown]:
        """Return the pictures that a participant compares; none if there are none yet."""
        return self._compared(user)

    def _compared(self, user: str | None) -> list[Shown]:
        everybody = pl.col(s.USER).is_null()
        mine = self.rows.filter(everybody if user is None else everybody | (pl.col(s.USER) == user))
        own = self.rows.filter(pl.col(s.USER).is_not_null())
        if own.height and user is not None and not (mine[s.USER] == user).any():
            return []  # others have theirs already, this person's are still to come
        mine = mine.filter(pl.col(ARM).n_unique().over(s.PROMPT_ID) > 1)
        return _shown(mine.sort(s.PROMPT_ID, ARM, s.USER, nulls_last=False).rows(named=True))


def _shown(rows: Sequence[dict[str, str]]) -> list[Shown]:
    """Return pictures, a person's own in place of everybody's."""
    found = {
        (row[s.PROMPT_ID], row[ARM]): Shown(
            row[s.PROMPT_ID], row[ARM], row[s.SHA256], row[s.PROMPT] or None
        )
        for row in rows
    }
    return list(found.values())
