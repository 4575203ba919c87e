"""Scores in an SQLite file, each with a check of its own."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

from pamela.core.errors import PamelaError
from pamela.core.files import writing_to

WAIT_S: Final = 60.0  # for another command that writes
DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
NO_WAIT: Final = "PRAGMA synchronous = OFF"  # what a power cut loses is scored again
CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS scores "
    "(key TEXT PRIMARY KEY, value REAL NOT NULL, checked TEXT NOT NULL) WITHOUT ROWID"
)
READ: Final = "SELECT key, value, checked FROM scores WHERE key IN (SELECT value FROM json_each(?))"
WRITE: Final = "INSERT OR REPLACE INTO scores VALUES (?, ?, ?)"
T = TypeVar("T")


class ScoreTable:
    """Scores by key; several commands may use one file at once.

    A score whose check is wrong is as good as none, and a file that is damaged is begun anew: what
    it held is scored again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, keys: Iterable[str]) -> dict[str, float]:
        """Return those of the scores that are kept.

        Raises
        ------
        PamelaError
            If the file may not be read.
        """
        if not self.path.is_file():
            return {}
        asked = json.dumps(list(keys))
        rows = self._do(lambda database: database.execute(READ, [asked]).fetchall()) or []
        return {key: value for key, value, checked in rows if checked == _check(key, value)}

    def add(self, scores: Mapping[str, float]) -> None:
        """Write scores, all or none.

        Raises
        ------
        PamelaError
            If there is no room, or the file may not be written.
        """
        rows = [(key, value, _check(key, value)) for key, value in scores.items()]
        if self._do(lambda database: database.executemany(WRITE, rows)) is None:
            self._do(lambda database: database.executemany(WRITE, rows))  # in a file begun anew

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do `work` in one transaction; None, and the file is gone, where it was damaged."""
        try:
            with writing_to(self.path.parent):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with closing(sqlite3.connect(self.path, timeout=WAIT_S)) as database, database:
                    database.execute(NO_WAIT)
                    database.execute(CREATE)
                    return work(database)
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF not in DAMAGED:
                raise PamelaError(f"{self.path}: {error}") from None
        for name in (self.path.name, f"{self.path.name}-journal"):
            self.path.with_name(name).unlink(missing_ok=True)
        return None


def _check(key: str, value: float) -> str:
    return hashlib.sha256(f"{key} {value!r}".encode()).hexdigest()[:16]
