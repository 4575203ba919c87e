"""Light, lens and film: lighting, depth of field, exposure and colour grading, grain.

Pictures come and go as 8 bits (h, w, 3); in between channels are planes (3, h, w). Curves are
tables, so that no vectorised power function can change a byte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats32
from pamela.synthetic.rendering.canvas import Picture
from pamela.synthetic.rendering.palette import Rgb
from pamela.synthetic.rendering.pixels import (
    blurred,
    clipped,
    fixed_pool,
    grid,
    luminance,
    merged,
    moments,
    pool,
    quantised,
    split,
    unit,
    within,
)

_STEPS: Final = 2048  # entries of a tone curve
_LOW, _HIGH = -0.4, 1.4  # of its inputs


def colour(red: float, green: float, blue: float) -> Floats32:
    """Return a colour that is added to planes, or multiplies them."""
    return np.array([red, green, blue], np.float32)[:, None, None]


def depth_of_field(picture: Picture, depth: Picture, strength: float) -> Picture:
    """Blur what is behind the subject; `strength` 0 (all sharp) to 1."""
    size = picture.shape[0]
    sigma = strength**1.7 * 6.0 * size / 128
    if sigma < 0.3:
        return picture
    near = blurred(depth, 1.0 * size / 128).astype(np.float32)
    away = within((np.float32(235) - near) / np.float32(110), 0, 1)
    sharp = split(picture).astype(np.float32)
    soft = split(blurred(picture, sigma)).astype(np.float32)
    soft -= sharp
    soft *= away
    soft += sharp
    soft += np.float32(0.5)
    return merged(soft.astype(np.uint8))


# --- lighting ---------------------------------------------------------------------------------
def _daylight(v: Floats32, near: Floats32, x: float, side: int) -> Floats32:
    return v


def _soft(v: Floats32, near: Floats32, x: float, side: int) -> Floats32:
    haze = colour(0.84, 0.86, 0.89)
    away = np.float32(0.72) - np.float32(0.42) * near
    grey = luminance(v)
    dull = grey + (v - grey) * np.float32(0.7)
    return dull + (haze - dull) * away


def _golden(v: Floats32, near: Floats32, x: float, side: int) -> Floats32:
    size = v.shape[1]
    gx, _ = grid(size)
    beside = 0.06 if side > 0 else 0.94
    sun = fixed_pool(size, beside, 0.34, 1.0, 0.85)
    across = np.abs(gx - np.float32(beside))
    shade = np.float32(1.12) - np.float32(0.6) * across
    lit = v * colour(1.14, 0.90, 0.58) * shade
    core = fixed_pool(size, beside, 0.34, 0.28, 0.28)
    return lit + colour(1.0, 0.66, 0.2) * (np.float32(0.30) * sun + np.float32(0.45) * core)


def _backlit(v: Floats32, near: Floats32, x: float, side: int) -> Floats32:
    size = v.shape[1]
    behind = pool(size, x, 0.38, 0.62, 0.62)
    dark = v * (np.float32(0.95) - np.float32(0.70) * near)
    share = behind * (np.float32(1.0) - np.float32(0.88) * near)
    return dark + (colour(1.0, 0.98, 0.92) - dark) * share


def _spotlight(v: Floats32, near: Floats32, x: float, side: int) -> Floats32:
    size = v.shape[1]
    gx, gy = grid(size)
    cone = np.clip(
        1 - np.abs(gx - np.float32(x) - (np.float32(0.75) - gy) * np.float32(0.25 * side))
        / (np.float32(0.10) + np.float32(0.34) * gy), 0, 1,
    )  # fmt: skip
    lit = np.maximum(pool(size, x, 0.62, 0.5, 0.48), np.float32(0.75) * cone)
    return v * (np.float32(0.13) + np.float32(1.2) * lit) + np.float32(0.05) * lit


def _neon(v: Floats32, near: Floats32, x: float, side: int) -> Floats32:
    size = v.shape[1]
    a = fixed_pool(size, 0.02, 0.45, 0.72, 0.8)
    b = fixed_pool(size, 0.98, 0.45, 0.72, 0.8)
    pink, cyan = colour(1.0, 0.1, 0.72), colour(0.05, 0.62, 1.0)
    left, right = (pink, cyan) if side > 0 else (cyan, pink)
    base = v * colour(0.30, 0.26, 0.46)
    grey = np.float32(0.35) + np.float32(0.75) * luminance(v)
    return base + (a * left + b * right) * grey * np.float32(0.85)


_LIGHTINGS: Final[dict[str, Callable[[Floats32, Floats32, float, int], Floats32]]] = {
    "daylight": _daylight,
    "soft": _soft,
    "golden hour": _golden,
    "backlit": _backlit,
    "spotlight": _spotlight,
    "neon": _neon,
}
# Where the exposure of a lighting lies before the key attribute moves it.
LIGHTING_CONTRAST: Final = {"soft": 0.66, "spotlight": 1.15}
LIGHTING_KEY: Final = {"soft": 0.08, "spotlight": -0.15, "neon": -0.13, "backlit": -0.01}


def lit(picture: Picture, depth: Picture, lighting: str | None, x: float, side: int) -> Picture:
    """Light a picture: `x` is the subject's place in the frame, `side` the light's (-1 or 1)."""
    if lighting is None:
        return picture
    lights = _LIGHTINGS[lighting]
    return merged(quantised(lights(unit(split(picture)), unit(depth), x, side)))


def one_hue(picture: Picture, hue: Rgb, share: float) -> Picture:
    """Turn every colour `share` of the way to the hue of `hue`; brightness and chroma stay."""
    if share <= 0:
        return picture
    v = unit(split(picture))
    grey = luminance(v)
    v -= grey  # colour without brightness
    goal = np.array(hue, np.float32) / np.float32(255)
    goal = goal - luminance(goal)
    goal /= np.float32(np.sqrt(float((goal.astype(np.float64) ** 2).sum())) or 1.0)
    size = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    turned = size * goal[:, None, None]
    turned -= v
    turned *= np.float32(share)
    turned += v
    turned += grey
    return merged(quantised(turned))


# --- grading ----------------------------------------------------------------------------------
def graded(
    picture: Picture,
    *,
    warmth: float,
    saturation: float,
    key: float,
    contrast: float,
    base_key: float,
    base_contrast: float,
) -> Picture:
    """Expose and grade: the four attributes are on [-1, 1].

    The picture is pulled part of the way to a common exposure first, so that an attribute says the
    same of every subject while the subject's own light and colour stay to be seen.
    """
    v = unit(split(picture))
    v = _saturate(v, saturation)
    v = _warm(v, warmth)
    return _expose(v, key, contrast, base_key, base_contrast)


def _saturate(v: Floats32, saturation: float) -> Floats32:
    grey = luminance(v)
    v -= grey
    mean = moments(np.abs(v).mean(axis=0, dtype=np.float32))[0]
    usual = (0.085 / max(mean, 0.012)) ** 0.45
    wish = 0.05 + 0.95 * (1 + saturation) ** 1.15 if saturation < 0 else 1 + 1.25 * saturation
    v *= np.float32(min(usual, 2.2) * wish)
    v += grey
    return v


def _warm(v: Floats32, warmth: float) -> Floats32:
    red, blue = (cv2.mean(quantised(v[channel]))[0] for channel in (0, 2))  # of 8 bits: exact
    cast = (red - blue) / 255
    shift = 0.30 * warmth + 0.45 * (0.02 - cast) * max(0.5, abs(warmth))
    v *= colour(1 + 0.62 * shift, 1 + 0.06 * shift, 1 - 0.78 * shift)
    v += colour(0.16, 0.015, -0.15) * np.float32(shift)
    return v


def _expose(
    v: Floats32, key: float, contrast: float, base_key: float, base_contrast: float
) -> Picture:
    plane = within(luminance(v), 0, 1)
    mean, std = moments(plane)
    # Joint extremes are limited: a very dark or bright picture has less room for contrast.
    room = 1 - 0.25 * abs(key)
    wish = 0.205 * base_contrast * 2 ** (1.05 * contrast * room)
    gain = float(np.clip((wish / max(std, 0.02)) ** 0.85, 0.25, 4.5))
    plane -= np.float32(mean)
    plane *= np.float32(gain)
    plane += np.float32(mean)
    new_mean = min(max(moments(within(_soft_clipped(plane), 0, 1))[0], 0.05), 0.95)
    target = float(np.clip(0.475 + base_key + 0.235 * key, 0.13, 0.84))
    target = new_mean + 0.85 * (target - new_mean)
    gamma = float(np.clip(np.log(target) / np.log(new_mean), 0.28, 3.2))
    # Contrast, roll-off and exposure of every possible value, in one table.
    inputs = np.arange(_STEPS) / (_STEPS - 1) * (_HIGH - _LOW) + _LOW
    curve = _soft_clipped((inputs - mean) * gain + mean)
    table = np.floor(np.clip(curve, 0, 1) ** gamma * 255 + 0.5).astype(np.uint8)
    per_step = np.float32((_STEPS - 1) / (_HIGH - _LOW))
    v -= np.float32(_LOW)
    v *= per_step
    v += np.float32(0.5)
    return merged(table.take(within(v, 0, _STEPS - 1).astype(np.int64)))


def _soft_clipped(v: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Roll off what lies beyond the middle three quarters instead of cutting it."""
    d = v - v.dtype.type(0.5)
    size = np.abs(d)
    over = np.maximum(size - v.dtype.type(0.38), 0)
    over /= 1 + over * v.dtype.type(4.0)
    over += np.minimum(size, v.dtype.type(0.38))
    return v.dtype.type(0.5) + np.copysign(over, d)


def grained(
    picture: Picture, strength: float, noise: npt.NDArray[np.int16], weave: bool
) -> Picture:
    """Add film grain, or the weave of a canvas; `strength` 0 to 1."""
    size = picture.shape[0]
    if strength <= 0.02:
        return picture
    layer = noise.astype(np.float32)
    if weave:
        k = np.arange(size)
        period = max(3, round(4 * size / 128))
        thread = ((k % period) < period / 2).astype(np.float32) * 2 - 1
        layer = np.float32(0.6) * layer + np.float32(34) * (thread[None, :] * thread[:, None])
    layer *= np.float32(0.28 * strength**1.9)
    return merged(clipped(split(picture).astype(np.float32) + layer))
