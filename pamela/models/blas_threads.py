"""One BLAS thread where matrices are small and many.

The posteriors of hundreds of people are thousands of small factorisations; a pool of threads that
waits for each other at every one of them takes three times as long as one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from typing import ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
R = TypeVar("R")


@cache
def _pools(*libraries: str) -> ThreadpoolController:
    """Return the thread pools of `libraries`: finding them takes a millisecond, so once.

    Each brings a BLAS of its own, which is found only once it is loaded.
    """
    for name in libraries:
        import_module(name)
    return ThreadpoolController()


def _one_thread(*libraries: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def alone(*args: P.args, **kwargs: P.kwargs) -> R:
            with _pools(*libraries).limit(limits=1, user_api="blas"):
                return function(*args, **kwargs)

        return alone

    return decorate


# Decorators: they run a function with one BLAS thread. To score needs no scipy, which takes a
# fifth of a second to import.
small_matrices = _one_thread("numpy", "scipy.linalg")
small_numpy_matrices = _one_thread("numpy")
