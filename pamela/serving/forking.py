"""A forked process inherits the locks of threads that it does not have: Polars hangs there.

What keeps the pool in use says so with `mark_used`; a child forked afterwards is told at once what
to do instead of waiting for ever.
"""

from __future__ import annotations

import os

from pamela.core.errors import PamelaError

_used = False
_forked_in_use = False


def mark_used() -> None:
    """Note that this process works with Polars, so that a forked child of it cannot."""
    global _used
    _used = True


def refuse_forked() -> None:
    """Raise in a process that was forked from one that had a model.

    Raises
    ------
    PamelaError
        Saying how to start processes that can score.
    """
    if _forked_in_use:
        raise PamelaError(
            "this process was forked from one that had loaded a model, and would hang: start "
            'processes with multiprocessing.get_context("spawn") and call pamela.load in each'
        )


def _after_fork() -> None:
    global _forked_in_use
    _forked_in_use = _used


if hasattr(os, "register_at_fork"):  # not where there is no fork
    os.register_at_fork(after_in_child=_after_fork)
