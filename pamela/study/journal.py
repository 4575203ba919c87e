"""What a participant said and saw, as JSON lines: each is on the disk before the page goes on."""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
from pathlib import Path
from typing import Any, Final

from pamela.core.errors import PamelaError

Event = dict[str, Any]
KIND: Final = "event"
AT: Final = "at"  # UTC


def now() -> str:
    """Return the time in UTC, as journals hold it."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


class Journal:
    """A file that only grows, a line an event.

    Parameters
    ----------
    path : made with the first event.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Event]:
        """Return the events; half a line at the end was never acknowledged and is taken away.

        Raises
        ------
        PamelaError
            If another line is no event.
        """
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))
        events = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if not isinstance(event, dict) or KIND not in event:
                raise PamelaError(
                    f"{self.path} line {number}: no event; put the file back as it was, or move it "
                    "away to go on without this person"
                )
            events.append(event)
        return events

    def append(self, event: Event) -> None:
        """Add an event, and return once it is on the disk.

        Raises
        ------
        OSError
            If it cannot be kept; then nothing of it is.
        """
        line = json.dumps(event, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            try:
                written = os.write(descriptor, line)
                if written < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)
        if new:
            _sync_folder(self.path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder as lasting as the files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
