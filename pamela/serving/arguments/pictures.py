"""Pictures and prompts that callers give, of any kind that is accepted."""

from __future__ import annotations

import os
import sys
from collections.abc import Sized
from io import UnsupportedOperation
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from pamela.core.errors import PamelaError
from pamela.serving.arguments.texts import checked_text, in_order, is_stream, read_text, shown
from pamela.serving.types import CatalogImage, ImageLike, Recorded, ResolvedImage, Suggestion

PICTURES: Final = (
    "a path, the bytes of a file, an open binary file, a PIL image or a uint8 array "
    "(height, width, 3)"
)
FOUND: Final = (CatalogImage, Recorded, ResolvedImage)  # pictures that are named, not given


def read_images(value: Any, name: str = "images") -> list[ImageLike]:
    """Return a list of pictures; one picture alone is a list of one."""
    if _is_one_picture(value):
        value = [value]
    listed = (1, 4)  # dimensions: of paths, or (n, h, w, 3)
    if isinstance(value, np.ndarray) and value.ndim not in listed:
        raise PamelaError(f"{name}: an array of {value.dtype} {value.shape}; give {PICTURES}")
    given = in_order(value, name, f"a list of pictures, each {PICTURES}")
    return [read_picture(one, f"image {number}") for number, one in enumerate(given, 1)]


def read_picture(value: Any, name: str) -> ImageLike:
    """Return a picture of any accepted kind; what it holds is seen when it is looked up."""
    if isinstance(value, Suggestion):
        value = value.image
    if isinstance(value, str):
        if not value:
            raise PamelaError(f"{name}: an empty path")
        return str(value)
    if isinstance(value, os.PathLike):
        return value if isinstance(value, Path) else Path(os.fsdecode(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, CatalogImage):
        return CatalogImage(
            read_text(value.dataset, f"{name}: dataset"),
            read_text(value.image_id, f"{name}: image_id"),
        )
    if isinstance(value, FOUND) or _is_pillow(value) or _is_pixels(value):
        return value
    if is_stream(value):
        return _content(value, name)
    if isinstance(value, np.ndarray):
        raise PamelaError(f"{name}: an array of {value.dtype} {value.shape}; give {PICTURES}")
    raise PamelaError(f"{name}: {shown(value)} is no picture; give {PICTURES}")


def read_prompts(value: Any, count: int) -> list[str | None]:
    """Return one prompt, or None, per picture."""
    if value is None or isinstance(value, str):
        value = [value] * count
    given = in_order(value, "prompt", "one text for all pictures, or a list with one per picture")
    texts = list(islice(given, count + 1))  # there are endless ones
    if len(texts) != count:
        there = len(value) if isinstance(value, Sized) else len(texts)
        raise PamelaError(f"{count} images but {there} prompts; give one prompt, or one per image")
    return [read_prompt(one, f"prompt {number}") for number, one in enumerate(texts, 1)]


def read_prompt(value: Any, name: str) -> str | None:
    """Return one prompt, or None."""
    if value is not None and not isinstance(value, str):
        raise PamelaError(f"{name} {shown(value)}; give text, or None for no prompt")
    return None if value is None else checked_text(value, name)


def _is_one_picture(value: Any) -> bool:
    alone = (str, bytes, bytearray, memoryview, os.PathLike, Suggestion, *FOUND)
    return isinstance(value, alone) or _is_pillow(value) or _is_pixels(value) or is_stream(value)


def _is_pillow(value: Any) -> bool:
    """Tell whether it is a PIL image, without importing Pillow: then somebody else has."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def _is_pixels(value: Any) -> bool:
    """Tell whether it is an array that is one picture (`pamela.core.images.open_rgb`)."""
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8:
        return False
    return value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (3, 4))


def _content(stream: Any, name: str) -> bytes:
    """Return what an open file holds, from its beginning, as Pillow reads it."""
    try:
        if stream.seekable():
            stream.seek(0)
        content = stream.read()
    except UnsupportedOperation:
        raise PamelaError(f"{name}: not opened for reading; open it with mode 'rb'") from None
    except (OSError, ValueError, AttributeError) as error:  # ValueError: a closed file
        raise PamelaError(f"{name}: cannot be read ({error})") from None
    if not isinstance(content, bytes):
        raise PamelaError(f"{name}: opened as text; open it in binary mode, 'rb'")
    return content
