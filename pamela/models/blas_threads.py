"""One BLAS thread where matrices are small and many.

The posteriors of hundreds of people are thousands of small factorisations; a pool of threads that
waits for each other at every one of them takes three times as long as one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import numpy as np
import scipy.linalg
from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
R = TypeVar("R")
USING_BLAS = (np, scipy.linalg)  # imported, so that their libraries are loaded and found


@cache
def _pools() -> ThreadpoolController:
    """Return the thread pools of this process: finding them takes a millisecond, so once."""
    return ThreadpoolController()


def small_matrices(function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` with one BLAS thread."""

    @wraps(function)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with _pools().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return alone
