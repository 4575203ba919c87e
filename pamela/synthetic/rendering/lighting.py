"""Light, lens and film: lighting, depth of field, exposure and colour grading, grain.

Means and deviations are taken over 8-bit values, and curves are tables, so that no summation order
or vectorised power function can change a byte.
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

_STEPS: Final = 2048  # entries of a tone curve
_LOW, _HIGH = -0.4, 1.4  # of its inputs


def unit(picture: npt.NDArray[Any]) -> Floats32:
    """Return 8-bit values as float32 in [0, 1]."""
    return picture.astype(np.float32) * np.float32(1 / 255)


def quantised(values: Floats32) -> Picture:
    """Return values of [0, 1] as 8 bits."""
    return np.clip(values * np.float32(255) + np.float32(0.5), 0, 255).astype(np.uint8)


def luminance(values: Floats32) -> Floats32:
    """Return the luma (h, w) of RGB values (h, w, 3)."""
    return (
        np.float32(0.299) * values[..., 0]
        + np.float32(0.587) * values[..., 1]
        + np.float32(0.114) * values[..., 2]
    )


def moments(plane: Floats32) -> tuple[float, float]:
    """Return mean and standard deviation of values in [0, 1], exact in 8 bits."""
    q = quantised(plane).astype(np.int64)
    mean = int(q.sum()) / q.size
    var = int((q * q).sum()) / q.size - mean * mean
    return mean / 255, max(var, 0.0) ** 0.5 / 255


def grid(size: int) -> tuple[Floats32, Floats32]:
    """Return x (1, size) and y (size, 1) of the pixel centres in the frame, 0..1."""
    t = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return t[None, :], t[:, None]


def pool(size: int, x: float, y: float, rx: float, ry: float) -> Floats32:
    """Return a smooth pool of light (size, size): 1 in the middle, 0 outside its radii."""
    gx, gy = grid(size)
    d = ((gx - np.float32(x)) / np.float32(rx)) ** 2 + ((gy - np.float32(y)) / np.float32(ry)) ** 2
    t = np.clip(1 - d, 0, 1).astype(np.float32)
    return t * t * (3 - 2 * t)


def blurred(picture: Picture, sigma: float) -> Picture:
    """Blur 8-bit values (OpenCV's fixed-point filter: the same bytes everywhere)."""
    if sigma < 0.25:
        return picture
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def sharpened(picture: Picture, sigma: float, amount: float) -> Picture:
    """Add `amount` of what a blur of `sigma` takes away (integers: OpenCV's sum is not exact)."""
    v = picture.astype(np.int32)
    detail = (v - blurred(picture, sigma)) * round(amount * 256)
    return np.clip(v + (detail >> 8), 0, 255).astype(np.uint8)


def depth_of_field(picture: Picture, depth: Picture, strength: float) -> Picture:
    """Blur what is behind the subject; `strength` 0 (all sharp) to 1."""
    size = picture.shape[0]
    sigma = strength**1.7 * 6.0 * size / 128
    if sigma < 0.3:
        return picture
    near = blurred(depth, 1.0 * size / 128).astype(np.float32)
    away = np.clip((np.float32(235) - near) / np.float32(110), 0, 1)[..., None]
    soft = blurred(picture, sigma).astype(np.float32)
    sharp = picture.astype(np.float32)
    return (sharp + (soft - sharp) * away + np.float32(0.5)).astype(np.uint8)


# --- lighting ---------------------------------------------------------------------------------
def _daylight(v: Floats32, near: Floats32, x: float, side: int) -> Floats32:
    return v


def _soft(v: Floats32, near: Floats32, x: float, side: int) -> Floats32:
    haze = np.array([0.84, 0.86, 0.89], np.float32)
    away = (np.float32(0.72) - np.float32(0.42) * near)[..., None]
    grey = luminance(v)[..., None]
    dull = grey + (v - grey) * np.float32(0.7)
    return dull + (haze - dull) * away


def _golden(v: Floats32, near: Floats32, x: float, side: int) -> Floats32:
    size = v.shape[0]
    gx, _ = grid(size)
    beside = 0.06 if side > 0 else 0.94
    sun = pool(size, beside, 0.34, 1.0, 0.85)
    across = np.abs(gx - np.float32(beside))
    shade = (np.float32(1.12) - np.float32(0.6) * across)[..., None]
    tint = np.array([1.14, 0.90, 0.58], np.float32)
    glow = np.array([1.0, 0.66, 0.2], np.float32)
    lit = v * tint * shade
    core = pool(size, beside, 0.34, 0.28, 0.28)
    return lit + glow * (np.float32(0.30) * sun + np.float32(0.45) * core)[..., None]


def _backlit(v: Floats32, near: Floats32, x: float, side: int) -> Floats32:
    size = v.shape[0]
    behind = pool(size, x, 0.38, 0.62, 0.62)[..., None]
    dark = v * (np.float32(0.95) - np.float32(0.70) * near[..., None])
    white = np.array([1.0, 0.98, 0.92], np.float32)
    share = behind * (np.float32(1.0) - np.float32(0.88) * near[..., None])
    return dark + (white - dark) * share


def _spotlight(v: Floats32, near: Floats32, x: float, side: int) -> Floats32:
    size = v.shape[0]
    gx, gy = grid(size)
    cone = np.clip(
        1 - np.abs(gx - np.float32(x) - (np.float32(0.75) - gy) * np.float32(0.25 * side))
        / (np.float32(0.10) + np.float32(0.34) * gy), 0, 1,
    )  # fmt: skip
    lit = np.maximum(pool(size, x, 0.62, 0.5, 0.48), np.float32(0.75) * cone)[..., None]
    return v * (np.float32(0.13) + np.float32(1.2) * lit) + np.float32(0.05) * lit


def _neon(v: Floats32, near: Floats32, x: float, side: int) -> Floats32:
    size = v.shape[0]
    a = pool(size, 0.02, 0.45, 0.72, 0.8)[..., None]
    b = pool(size, 0.98, 0.45, 0.72, 0.8)[..., None]
    pink, cyan = np.array([1.0, 0.1, 0.72], np.float32), np.array([0.05, 0.62, 1.0], np.float32)
    left, right = (pink, cyan) if side > 0 else (cyan, pink)
    base = v * np.array([0.30, 0.26, 0.46], np.float32)
    grey = np.float32(0.35) + np.float32(0.75) * luminance(v)[..., None]
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
    return quantised(_LIGHTINGS[lighting](unit(picture), unit(depth), x, side))


def one_hue(picture: Picture, hue: Rgb, share: float) -> Picture:
    """Turn every colour `share` of the way to the hue of `hue`; brightness and chroma stay."""
    if share <= 0:
        return picture
    v = unit(picture)
    grey = luminance(v)[..., None]
    chroma = v - grey
    goal = np.array(hue, np.float32) / np.float32(255)
    goal = goal - luminance(goal)
    goal /= np.float32(np.sqrt(float((goal.astype(np.float64) ** 2).sum())) or 1.0)
    size = np.sqrt(
        chroma[..., 0] * chroma[..., 0]
        + chroma[..., 1] * chroma[..., 1]
        + chroma[..., 2] * chroma[..., 2]
    )[..., None]
    turned = chroma + (size * goal - chroma) * np.float32(share)
    return quantised(grey + turned)


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
    v = unit(picture)
    v = _saturate(v, saturation)
    v = _warm(v, warmth)
    return _expose(v, key, contrast, base_key, base_contrast)


def _saturate(v: Floats32, saturation: float) -> Floats32:
    grey = luminance(v)[..., None]
    chroma = v - grey
    mean = moments(np.abs(chroma).mean(axis=2, dtype=np.float32))[0]
    usual = (0.085 / max(mean, 0.012)) ** 0.45
    wish = 0.05 + 0.95 * (1 + saturation) ** 1.15 if saturation < 0 else 1 + 1.25 * saturation
    return grey + chroma * np.float32(min(usual, 2.2) * wish)


def _warm(v: Floats32, warmth: float) -> Floats32:
    red, _, blue, _ = cv2.mean(quantised(v))  # of 8-bit values: exact
    cast = (red - blue) / 255
    shift = 0.30 * warmth + 0.45 * (0.02 - cast) * max(0.5, abs(warmth))
    gain = np.array([1 + 0.62 * shift, 1 + 0.06 * shift, 1 - 0.78 * shift], np.float32)
    add = np.array([0.16, 0.015, -0.15], np.float32) * np.float32(shift)
    return v * gain + add


def _expose(
    v: Floats32, key: float, contrast: float, base_key: float, base_contrast: float
) -> Picture:
    plane = np.clip(luminance(v), 0, 1)
    mean, std = moments(plane)
    # Joint extremes are limited: a very dark or bright picture has less room for contrast.
    room = 1 - 0.25 * abs(key)
    wish = 0.205 * base_contrast * 2 ** (1.05 * contrast * room)
    gain = float(np.clip((wish / max(std, 0.02)) ** 0.85, 0.25, 4.5))
    plane = _soft_clipped((plane - np.float32(mean)) * np.float32(gain) + np.float32(mean))
    new_mean = min(max(moments(np.clip(plane, 0, 1))[0], 0.05), 0.95)
    target = float(np.clip(0.475 + base_key + 0.235 * key, 0.13, 0.84))
    target = new_mean + 0.85 * (target - new_mean)
    gamma = float(np.clip(np.log(target) / np.log(new_mean), 0.28, 3.2))
    # Contrast, roll-off and exposure of every possible value, in one table.
    inputs = np.arange(_STEPS) / (_STEPS - 1) * (_HIGH - _LOW) + _LOW
    curve = _soft_clipped((inputs - mean) * gain + mean)
    table = np.floor(np.clip(curve, 0, 1) ** gamma * 255 + 0.5).astype(np.uint8)
    per_step = np.float32((_STEPS - 1) / (_HIGH - _LOW))
    index = np.clip((v - np.float32(_LOW)) * per_step + np.float32(0.5), 0, _STEPS - 1)
    return table[index.astype(np.int32)]


def _soft_clipped(v: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Roll off what lies beyond the middle three quarters instead of cutting it."""
    d = v - v.dtype.type(0.5)
    size = np.abs(d)
    over = np.maximum(size - v.dtype.type(0.38), 0)
    kept = np.minimum(size, v.dtype.type(0.38)) + over / (1 + over * v.dtype.type(4.0))
    return v.dtype.type(0.5) + np.sign(d) * kept


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
    amount = np.float32(0.28 * strength**1.9)
    return np.clip(picture.astype(np.float32) + layer[..., None] * amount, 0, 255).astype(np.uint8)


def noise(size: int, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Return grain (size, size) of about two pixels' size, standard deviation about 75."""
    coarse = max(2, size * 3 // 5)
    fine = rng.integers(0, 256, (coarse, coarse), dtype=np.uint8)
    grown = cv2.resize(fine, (size, size), interpolation=cv2.INTER_LINEAR)
    return grown.astype(np.int16) - np.int16(128)
