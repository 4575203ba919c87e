"""Processes that draw; they end with the one that started them, also where it is killed."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from pamela.compute.parent import follow_parent


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool of processes that start afresh, because fork and threads do not mix."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=follow_parent)
