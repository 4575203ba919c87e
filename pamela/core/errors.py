"""The one exception that a person is meant to read: one line, what, where, what to do."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 600  # characters of a message; what a file holds may be of any length
TAIL: Final = 200  # of which at the end, where the advice stands


class PamelaError(Exception):
    """A fault the user can mend.

    The message is one line naming what is wrong, where (file, row, key) and what to do. The CLI
    and the flows print it without a traceback and exit with status 1.
    """

    def __init__(self, message: str) -> None:
        # What is quoted from a file may hold line breaks, control characters, half a character.
        line = " ".join(message.splitlines())
        line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
        if len(line) > LONGEST:
            line = f"{line[: LONGEST - TAIL]} ... {line[-TAIL:]}"
        super().__init__(line)
