"""The one exception that a person is meant to read: one line, what, where, what to do."""

from __future__ import annotations


class PamelaError(Exception):
    """A fault the user can mend.

    The message is one line naming what is wrong, where (file, row, key) and what to do. The CLI
    and the flows print it without a traceback and exit with status 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # a name from a file may hold line breaks
