"""Pictures on their way to an encoder: decoded in threads, ahead of it (`pamela.core.images`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from pamela.core.images import Picture, open_rgb

T = TypeVar("T")
BATCHES_AHEAD = 3  # decoded batches that may wait for the encoder


def name_of(picture: Picture, position: int) -> str:
    """Return what to call a picture in a message: its path, or its place in the list."""
    return str(picture) if isinstance(picture, Path) else f"image {position}"


def to_square(image: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    """Return an RGB picture as uint8 (side, side, 3), squashed with a bicubic filter.

    What open_clip's preprocessing does with the embedded encoder's configuration, at less cost.
    """
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    return np.array(image)


def decode_batches(
    pictures: Sequence[Picture],
    prepare: Callable[[Image.Image], T],
    batch_size: int,
    workers: int,
    names: Sequence[str] | None = None,
) -> Iterator[list[T]]:
    """Yield lists of at most `batch_size` prepared pictures, in order.

    `names` is what a message calls each of them (by default `name_of`). With ``workers > 0`` a
    thread pool decodes a few batches ahead of the consumer (Pillow releases the interpreter's lock
    while it decodes and resizes).
    """

    def one(position: int) -> T:
        name = names[position] if names else name_of(pictures[position], position)
        return prepare(open_rgb(pictures[position], name))

    starts = range(0, len(pictures), batch_size)
    batches = (range(at, min(at + batch_size, len(pictures))) for at in starts)
    if workers == 0:
        for batch in batches:
            yield [one(position) for position in batch]
        return
    waiting: deque[list[Future[T]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for batch in batches:
                waiting.append([pool.submit(one, position) for position in batch])
                if len(waiting) > BATCHES_AHEAD:
                    yield [future.result() for future in waiting.popleft()]
            while waiting:
                yield [future.result() for future in waiting.popleft()]
        finally:
            for futures in waiting:
                for future in futures:
                    future.cancel()
