"""The embedded world's renderer as a generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from pamela import __version__
from pamela.steer.generators.base import Image

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

_CHUNK = 16  # pictures handed to a process at once


class EmbeddedGenerator:
    """The embedded world's renderer.

    A context manager: its processes start once, with the first large batch, and end with it.

    Parameters
    ----------
    size : pixels a side.
    workers : processes; 1 draws in this one.
    """

    at_once = 512  # two or three seconds of work
    beside = True  # in its own processes

    def __init__(self, size: int, workers: int) -> None:
        self.size = size
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    @property
    def fingerprint(self) -> str:
        """What identifies its pictures: their size and the renderer's version."""
        return f"embedded:{self.size}:{__version__}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Image]:
        """Draw one picture per prompt and seed, each (size, size, 3)."""
        from pamela.synthetic.rendering.render import render

        sizes = [self.size] * len(prompts)
        if self.workers <= 1 or len(prompts) <= _CHUNK:
            return list(map(render, prompts, seeds, sizes))
        if self._pool is None:
            from pamela.compute.processes import process_pool

            self._pool = process_pool(self.workers)
        return list(self._pool.map(render, prompts, seeds, sizes, chunksize=_CHUNK))
