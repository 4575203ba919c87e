"""One BLAS thread where matrices are small and many.

The posteriors of hundreds of people are thousands of small factorisations; a pool of threads that
waits for each other at every one of them takes three times as long as one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
R = TypeVar("R")


def small_matrices(function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` with one BLAS thread."""

    @wraps(function)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with threadpool_limits(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return alone
