"""The parts of an unfinished result, beside it: ``OUT.parquet.parts/``.

A note says what they are parts of. Parts of another table, model or option never go on.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from pamela.core.errors import PamelaError
from pamela.core.files import remove_abandoned, writing_to
from pamela.serving.bulk import places
from pamela.serving.bulk.part import ScorePart

NAME: Final = "job.json"
FORMAT: Final = 1
Note = Mapping[str, Any]


@dataclass(frozen=True)
class PartsFolder:
    """The folder of the parts of the result `out`."""

    out: str

    @property
    def address(self) -> str:
        """Where it is."""
        return f"{self.out}.parts"

    def file(self, kind: str, number: int) -> str:
        """Return the file of a part."""
        return f"{self.address}/{kind}-{number:06d}{places.SUFFIX}"

    def differences(self, note: Note) -> list[str] | None:
        """Return what is not as in the note that lies there; None where none does."""
        text = places.read_note(f"{self.address}/{NAME}")
        if text is None:
            return None
        try:
            there = json.loads(text)
        except ValueError:
            there = {}
        if not isinstance(there, dict):
            there = {}
        return [name for name in note if note[name] != there.get(name)]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and hold it; the system lets go of it with the process.

        Raises
        ------
        PamelaError
            If another command is at work there, or something else lies there.
        """
        if places.is_remote(self.out):  # object stores have no locks
            yield
            return
        import fcntl  # not everywhere

        folder = Path(self.address)
        foreign = folder.is_dir() and not (folder / NAME).is_file() and _visible(folder)
        if foreign or (os.path.lexists(folder) and not folder.is_dir()):
            raise PamelaError(f"{folder}: holds something else; move it away")
        with writing_to(folder.parent):
            folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder.parent, folder.name)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise PamelaError(f"{self.out}: another command is writing it; wait for it") from None
        finally:
            os.close(descriptor)

    def begin(self, note: Note) -> None:
        """Begin anew: remove what is there and leave a note."""
        places.empty(self.address)
        places.write_note(f"{self.address}/{NAME}", json.dumps(note))

    def remove(self) -> None:
        """Remove it: the result is there."""
        if places.is_remote(self.out):
            places.empty(self.address)
            return
        folder = Path(self.address)
        aside = folder.with_name(f".{folder.name}.{os.getpid()}.t{secrets.token_hex(4)}.tmp")
        folder.rename(aside)  # at once; a later run removes what a killed one leaves
        shutil.rmtree(aside)


def _visible(folder: Path) -> bool:
    return any(not one.name.startswith(".") for one in folder.iterdir())


def rejected_of(part: ScorePart) -> int | None:
    """Return how many rows of a part were set apart; None where it is not there, or not whole."""
    try:
        scored = places.count_rows(part.scored)
        rejected = places.count_rows(part.rejected) if scored < part.rows else 0
    except (OSError, pl.exceptions.PolarsError):
        return None
    return rejected if scored + rejected == part.rows else None
