"""Interrupting a piece of work at each of its steps in turn; the steps are found by running it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any


class Killed(BaseException):
    """What stands for SIGKILL: no `except Exception` catches it."""


class KillPoints:
    """Counts steps, and raises `Killed` in place of one of them.

    Parameters
    ----------
    at : which step, from 0; None: none of them.
    """

    def __init__(self, at: int | None) -> None:
        self.at, self.steps = at, 0

    def step(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` as a step."""

        @wraps(function)
        def call(*args: Any, **settings: Any) -> Any:
            self.steps += 1
            if self.steps - 1 == self.at:
                raise Killed
            return function(*args, **settings)

        return call

    def client(self, made: Any) -> Any:
        """Return an MLflow client each of whose calls that writes is a step."""
        return _Client(made, self)


class _Client:
    def __init__(self, client: Any, points: KillPoints) -> None:
        self._client, self._points = client, points

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        reads = name.startswith(("get_", "search_", "list_"))
        return found if reads else self._points.step(found)
