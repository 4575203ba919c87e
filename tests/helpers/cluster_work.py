"""What tests let the workers of a cluster do: functions of a module, as workers import them."""

from __future__ import annotations

import os
import time

from pamela.core.errors import PamelaError


def slow_square(item: int) -> tuple[int, int]:
    """Return the square, and the process that worked it out."""
    time.sleep(0.3)
    return item * item, os.getpid()


def fail(how: str) -> None:
    """Raise an error that a person is meant to read, or another one."""
    if how == "user":
        raise PamelaError("3.png: does not decode")
    raise ZeroDivisionError(how)
