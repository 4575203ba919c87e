"""A forked process inherits the locks of threads that it does not have: Polars hangs there.

What keeps the pool in use says so with `mark_used`; a child forked afterwards is told at once what
to do instead of waiting for ever. A child of a process that used Polars by itself is found out by a
trial, once in each process.
"""

from __future__ import annotations

import os
from threading import Thread

import polars as pl

from pamela.core.errors import PamelaError

PATIENCE_S = 20.0  # a trial takes milliseconds where it does not hang
_used = False
_forked_in_use = False
_sound_in: int | None = None  # the process in which Polars is known to work


def mark_used() -> None:
    """Note that this process works with Polars, so that a forked child of it cannot."""
    global _used, _sound_in
    _used, _sound_in = True, os.getpid()


def refuse_forked() -> None:
    """Raise in a process that was forked from one that had a model, or had used Polars.

    Raises
    ------
    PamelaError
        Saying how to start processes that can score.
    """
    global _sound_in
    if not _forked_in_use:
        if _sound_in == os.getpid():
            return
        trial = Thread(target=lambda: pl.Series([2, 1]).sort(), daemon=True)
        trial.start()
        trial.join(PATIENCE_S)
        if not trial.is_alive():
            _sound_in = os.getpid()
            return
    raise PamelaError(
        "this process was forked from one that had loaded a model or used Polars, and would hang: "
        'start processes with multiprocessing.get_context("spawn") and call pamela.load in each'
    )


def _after_fork() -> None:
    global _forked_in_use
    _forked_in_use = _used


if hasattr(os, "register_at_fork"):  # not where there is no fork
    os.register_at_fork(after_in_child=_after_fork)
