"""Arithmetic on pictures: a colour channel is a plane, so that loops run over whole planes.

Means and deviations are taken over 8-bit values, so that no summation order can change a byte.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats32
from pamela.synthetic.rendering.canvas import Picture

Values = TypeVar("Values", bound=npt.NDArray[Any])

_UNIT: Final = np.float32(1 / 255)


def split(picture: Picture) -> Picture:
    """Return the channels of a picture (h, w, 3) as planes (3, h, w)."""
    return np.array(cv2.split(picture))


def merged(planes: Picture) -> Picture:
    """Return planes (3, h, w) as a picture (h, w, 3)."""
    return cv2.merge(tuple(planes))


def reduced(rgba: Picture, size: int) -> Picture:
    """Return red, green, blue and nothing (side, side, 4) as a picture (size, size, 3)."""
    small = cv2.resize(rgba, (size, size), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGBA2RGB)  # type: ignore[return-value]


def unit(values: npt.NDArray[Any]) -> Floats32:
    """Return 8-bit values as float32 in [0, 1]."""
    out = values.astype(np.float32)
    out *= _UNIT
    return out


def quantised(values: Floats32) -> Picture:
    """Return values of [0, 1] as 8 bits."""
    out = values * np.float32(255)
    out += np.float32(0.5)
    return clipped(out)


def clipped(values: npt.NDArray[Any]) -> Picture:
    """Return numbers as 8 bits, cut to their range and rounded down."""
    return within(values, 0, 255).astype(np.uint8)


def within(values: Values, low: float, high: float) -> Values:
    """Return numbers cut to a range: `numpy.clip` in half its time."""
    out = np.maximum(values, low)
    return np.minimum(out, high, out=out)


def luminance(planes: Floats32) -> Floats32:
    """Return the luma (h, w) of red, green and blue planes (3, h, w)."""
    luma: Floats32 = np.float32(0.299) * planes[0]
    luma += np.float32(0.587) * planes[1]
    luma += np.float32(0.114) * planes[2]
    return luma


def moments(plane: Floats32) -> tuple[float, float]:
    """Return mean and standard deviation of values in [0, 1], exact in 8 bits."""
    q = quantised(plane)
    mean = cv2.sumElems(q)[0] / q.size  # sums of integers
    var = cv2.norm(q, cv2.NORM_L2SQR) / q.size - mean * mean
    return mean / 255, max(var, 0.0) ** 0.5 / 255


@lru_cache(maxsize=8)
def grid(size: int) -> tuple[Floats32, Floats32]:
    """Return x (1, size) and y (size, 1) of the pixel centres in the frame, 0..1."""
    t = ((np.arange(size) + 0.5) / size).astype(np.float32)
    t.flags.writeable = False
    return t[None, :], t[:, None]


def pool(size: int, x: float, y: float, rx: float, ry: float) -> Floats32:
    """Return a smooth pool of light (size, size): 1 in the middle, 0 outside its radii."""
    gx, gy = grid(size)
    d = ((gx - np.float32(x)) / np.float32(rx)) ** 2 + ((gy - np.float32(y)) / np.float32(ry)) ** 2
    t = within(1 - d, 0, 1)
    return t * t * (3 - 2 * t)


@lru_cache(maxsize=16)
def fixed_pool(size: int, x: float, y: float, rx: float, ry: float) -> Floats32:
    """Return a `pool` that many pictures have at the same place; not to be changed."""
    out = pool(size, x, y, rx, ry)
    out.flags.writeable = False
    return out


def blurred(picture: Picture, sigma: float) -> Picture:
    """Blur 8-bit values (OpenCV's fixed-point filter: the same bytes everywhere)."""
    if sigma < 0.25:
        return picture
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def sharpened(picture: Picture, sigma: float, amount: float) -> Picture:
    """Add `amount` of what a blur of `sigma` takes away (integers: OpenCV's sum is not exact)."""
    v = picture.astype(np.int32)
    detail = v - blurred(picture, sigma)
    detail *= round(amount * 256)
    detail >>= 8
    detail += v
    return clipped(detail)


def noise(size: int, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Return grain (size, size) of about two pixels' size, standard deviation about 75."""
    coarse = max(2, size * 3 // 5)
    fine = rng.integers(0, 256, (coarse, coarse), dtype=np.uint8)
    grown = cv2.resize(fine, (size, size), interpolation=cv2.INTER_LINEAR)
    return grown.astype(np.int16) - np.int16(128)
