"""Pictures from files, PIL or arrays as upright RGB; an error names the undecodable one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from pamela.encoders.base import Picture
from pamela.errors import PamelaError

T = TypeVar("T")
BATCHES_AHEAD = 3  # decoded batches that may wait for the encoder


def name_of(picture: Picture, position: int) -> str:
    """Return what to call a picture in a message: its path, or its place in the list."""
    return str(picture) if isinstance(picture, Path) else f"image {position}"


def open_rgb(picture: Picture, name: str) -> Image.Image:
    """Return `picture` as an RGB image: EXIF orientation applied, transparency on white.

    Raises
    ------
    PamelaError
        If it is missing, does not decode, or is an array of another shape or type.
    """
    try:
        if isinstance(picture, Path):
            with Image.open(picture) as opened:
                return to_rgb(opened)
        if isinstance(picture, Image.Image):
            return to_rgb(picture)
        return to_rgb(_from_array(picture, name))
    except FileNotFoundError:
        raise PamelaError(f"{name}: no such image file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PamelaError(f"{name}: does not decode as an image ({reason})") from None


def _from_array(array: np.ndarray, name: str) -> Image.Image:
    channels_ok = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not channels_ok or 0 in array.shape:
        raise PamelaError(
            f"{name}: an array of {array.dtype} {array.shape}; expected uint8 (height, width, 3)"
        )
    return Image.fromarray(np.ascontiguousarray(array))


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an opened image as RGB, decoded and upright."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _narrow(image).convert("RGB")
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


def to_square(image: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    """Return an RGB picture as uint8 (side, side, 3), squashed with a bicubic filter.

    What open_clip's preprocessing does with the embedded encoder's configuration, at less cost.
    """
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    return np.array(image)


def _narrow(image: Image.Image) -> Image.Image:
    """Map 16-bit grey to 8 bits (Pillow's own conversion clips instead of scaling)."""
    values = np.asarray(image, dtype=np.float64)
    top = 255.0 if values.max(initial=0.0) <= 255.0 else 65535.0
    return Image.fromarray((np.clip(values / top, 0.0, 1.0) * 255).round().astype(np.uint8))


def decode_batches(
    pictures: Sequence[Picture],
    prepare: Callable[[Image.Image], T],
    batch_size: int,
    workers: int,
) -> Iterator[list[T]]:
    """Yield lists of at most `batch_size` prepared pictures, in order.

    With ``workers > 0`` a thread pool decodes a few batches ahead of the consumer (Pillow
    releases the interpreter's lock while it decodes and resizes).
    """

    def one(position: int) -> T:
        return prepare(open_rgb(pictures[position], name_of(pictures[position], position)))

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
