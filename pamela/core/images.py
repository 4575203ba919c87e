"""The one definition of what a picture is: a file, a PIL image or an array as upright RGB.

`validate` accepts exactly what this module decodes, and every encoder, the API included, decodes
with it: what entered can be encoded. Files are PNG, JPEG or WebP by content, whatever their
suffix; sizes are checked before a pixel is decoded, so that memory stays bounded.
"""

from __future__ import annotations

import hashlib
import io
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL
from PIL import ExifTags, Image

from pamela.core.errors import PamelaError

Picture: TypeAlias = Path | bytes | Image.Image | npt.NDArray[np.uint8]

FORMATS: Final = ("PNG", "JPEG", "WEBP")
MAX_PIXELS: Final = 89_478_485  # a decompression bomb starts here (Pillow's own bound)
MAX_ELONGATION: Final = 100  # longer side / shorter; encoders scale by the shorter one
LARGE: Final = 2**24  # pixels above which pictures are decoded one at a time
STRIP: Final = 2**22  # pixels that are laid on white at a time
# What decodes holds for these bounds and this Pillow; `pamela.data.image_files` keys by it.
DECODER: Final = f"1/{MAX_PIXELS}/{MAX_ELONGATION}/Pillow {PIL.__version__}"

TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Modes of numbers, which do not say what is white.
NO_COLOURS: Final = {"I": "whole numbers of 32 bits", "F": "floats"}
TO_8_BITS: Final = np.round(np.arange(65536) / 257).astype(np.uint8)
_one_large = threading.Lock()


def open_rgb(picture: Picture, name: str) -> Image.Image:
    """Return `picture` as an RGB image: first frame, upright, transparency on white.

    Parameters
    ----------
    picture : path or content of a PNG, JPEG or WebP file; a PIL image; or a uint8 array
        (h, w[, 3 or 4]).
    name : what to call it in a message.

    Raises
    ------
    PamelaError
        If it is missing, does not decode, is larger than `MAX_PIXELS` or more elongated than
        `MAX_ELONGATION`, or is an array of another shape or type.
    """
    try:
        if isinstance(picture, Path | bytes):
            file = io.BytesIO(picture) if isinstance(picture, bytes) else picture
            with Image.open(file, formats=FORMATS) as opened:
                return to_rgb(opened)
        if isinstance(picture, Image.Image):
            return to_rgb(picture)
        return to_rgb(_from_array(picture, name))
    except FileNotFoundError:
        raise PamelaError(f"{name}: no such image file") from None
    except PIL.UnidentifiedImageError:
        raise PamelaError(f"{name}: does not decode as an image (no PNG, JPEG or WebP)") from None
    except PamelaError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds on broken bytes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(picture, Image.Image) and isinstance(error, AssertionError):
            reason = "its file was closed before it was loaded"
        raise PamelaError(f"{name}: does not decode as an image ({reason})") from None


def hash_pixels(picture: Picture, name: str) -> str:
    """Return a hash of a picture's pixels: the same however the picture is given."""
    image = open_rgb(picture, name)
    return hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an opened image as RGB, decoded and upright.

    Raises
    ------
    ValueError
        If its size or its mode is none of a picture.
    """
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels; at most {MAX_PIXELS:,} in all")
    if not width * height:
        raise ValueError(f"{width} x {height} pixels: there is none")
    if max(width, height) > MAX_ELONGATION * min(width, height):
        raise ValueError(f"{width} x {height} pixels; at most {MAX_ELONGATION} times longer")
    with _one_large if width * height > LARGE else nullcontext():
        return _flatten(_upright(image))


def _from_array(array: npt.NDArray[np.uint8], name: str) -> Image.Image:
    channels_ok = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not channels_ok or 0 in array.shape:
        raise PamelaError(
            f"{name}: an array of {array.dtype} {array.shape}; expected uint8 (height, width, 3)"
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _upright(image: Image.Image) -> Image.Image:
    """Return the decoded image turned as its EXIF says; EXIF that cannot be read says nothing."""
    image.load()
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # each kind of broken EXIF raises its own; the pixels are sound
        orientation = None
    turn = TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _flatten(image: Image.Image) -> Image.Image:
    """Return a decoded image as RGB, its transparent parts white."""
    if image.mode.startswith("I;16"):
        return _from_16_bits(image)
    if image.has_transparency_data:
        return _on_white(image)
    if image.mode in NO_COLOURS:
        raise ValueError(f"a picture of {NO_COLOURS[image.mode]}; give one of 8 bits")
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits (Pillow's own conversion clips instead)."""
    values = np.asarray(image)
    grey = TO_8_BITS[values]
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[values == clear] = 255
    return Image.fromarray(grey).convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """Lay an image with transparency on white, a strip at a time: two copies are never whole."""
    width, height = image.size
    rows = max(1, STRIP // width)
    result = Image.new("RGB", image.size)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height))).convert("RGBA")
        white = Image.new("RGBA", strip.size, (255, 255, 255, 255))
        result.paste(Image.alpha_composite(white, strip).convert("RGB"), (0, top))
    return result
