"""The looks of the moderns, from Impressionism to Pop Art."""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from pamela.core.arrays import Floats
from pamela.synthetic.rendering import effects
from pamela.synthetic.rendering.canvas import Picture
from pamela.synthetic.rendering.pixels import blurred, grid, pool
from pamela.synthetic.rendering.styles.base import Drawn, Rng

# The pure colour of each of OpenCV's 180 hues.
_PURE: Final = np.array(
    [[round(255 * c) for c in colorsys.hsv_to_rgb(h / 180, 1.0, 1.0)] for h in range(180)], np.int32
)


def _recoloured(d: Drawn, rng: Rng, hue: float, saturation: float) -> Picture:
    """Turn the hue of every shape at random, by up to `hue` turns, and make it vivid."""
    labels = cv2.resize(d.shape_of, (d.size, d.size), interpolation=cv2.INTER_NEAREST)
    hsv = cv2.cvtColor(d.image, cv2.COLOR_RGB2HSV).astype(np.int16)
    turn = rng.uniform(-hue, hue, 256) * (1 + d.palette.variety) / 2
    hsv[..., 0] = (hsv[..., 0] + (turn[labels] * 180).astype(np.int16)) % 180
    hsv[..., 1] = hsv[..., 1] + ((255 * saturation - hsv[..., 1]) * 0.6).astype(np.int16)
    # Back to RGB in integers: OpenCV's own way differs between processors.
    s, value = hsv[..., 1:2].astype(np.int32), hsv[..., 2:3].astype(np.int32)
    return (value * ((255 - s) * 255 + s * _PURE[hsv[..., 0]]) // 65025).astype(np.uint8)


def impressionism(d: Drawn, rng: Rng) -> Picture:
    """Paint in short bright strokes."""
    light = effects.over(d.image, (255, 250, 240), np.full((d.size, d.size), 0.14, np.float32))
    painted = effects.strokes(light, rng, step=4.0, length=8, width=3.2, jitter=10, keep=d.near)
    return effects.kept(painted, light, np.float32(0.45) * d.near)


def post_impressionism(d: Drawn, rng: Rng) -> Picture:
    """Paint in long swirling strokes with dark contours."""
    flow = effects.swirls(d.size, rng)
    thick = effects.strokes(
        d.image, rng, step=4.4, length=15, width=3, flow=flow, jitter=14, keep=d.near
    )
    thick = effects.kept(thick, d.image, np.float32(0.45) * d.near)
    return effects.inked(thick, np.float32(0.4) * d.lines(1.2), (24, 30, 70))


def pointillism(d: Drawn, rng: Rng) -> Picture:
    """Paint in dots of pure colour."""
    clear = effects.inked(d.image, np.float32(0.45) * d.lines(1.0), (40, 36, 70))
    return effects.dots(clear, rng, step=2.7, radius=1.75, jitter=14)


def fauvism(d: Drawn, rng: Rng) -> Picture:
    """Paint in wild flat patches with blue contours."""
    wild = _recoloured(d, rng, hue=0.30, saturation=0.9)
    patches = effects.strokes(wild, rng, step=6, length=9, width=6.5, jitter=9, keep=d.near)
    return effects.inked(patches, np.float32(0.75) * d.lines(1.6), (26, 40, 132))


def expressionism(d: Drawn, rng: Rng) -> Picture:
    """Paint bent and bold in clashing tones."""
    bold = effects.inked(d.image, d.lines(1.6), (18, 12, 26))
    split = effects.toned(bold, [(16, 10, 40), (30, 74, 104), (206, 74, 36), (244, 196, 66)])
    rough = effects.blend(bold, split, 0.45)
    bent = effects.waved(rough, rng, 0.03, 0.02, 2.0)
    brushed = effects.strokes(
        bent,
        rng,
        step=5,
        length=14,
        width=3.4,
        flow=effects.swirls(d.size, rng, 2),
        jitter=10,
        keep=d.near,
    )
    return effects.blend(bent, brushed, 0.45)


def art_nouveau(d: Drawn, rng: Rng) -> Picture:
    """Paint as a poster: discs, thick contours, a whiplash frame."""
    size = d.size
    x = round(d.camera.x * size)
    y = round((d.camera.ground - 0.6 * d.camera.scale) * size)
    cream = effects.over(d.image, (240, 222, 180), np.full((size, size), 0.3, np.float32))
    back = np.clip((np.float32(150) - d.depth.astype(np.float32)) / np.float32(40), 0, 1)
    k = size / 128
    for r, colour in ((0.36, (232, 196, 120)), (0.29, (246, 226, 176))):
        disc = np.zeros((size, size), np.uint8)
        cv2.circle(disc, (x, y), round(r * size), 255, -1, cv2.LINE_AA)
        cream = effects.over(cream, colour, np.float32(0.8) * effects.unit(disc) * back)
    drawn = effects.inked(cream, d.lines(1.8), (84, 46, 26))
    out = effects.framed(drawn, 0.07, [(64, 92, 72), (226, 206, 150), (84, 46, 26)])
    for cx in (0.0, 1.0):
        for cy in (0.0, 1.0):
            for r in (0.1, 0.16, 0.22):
                cv2.circle(
                    out,
                    (round(cx * size), round(cy * size)),
                    round(r * size),
                    (84, 46, 26),
                    max(1, round(1.6 * k)),
                    cv2.LINE_AA,
                )
    return out


def pop_art(d: Drawn, rng: Rng) -> Picture:
    """Print in flat colours and halftone dots."""
    size = d.size
    bold = _recoloured(d, rng, hue=0.06, saturation=1.0)
    flat = effects.posterised(effects.tinted(bold, (1.25, 1.25, 1.25)), 4)
    grey = cv2.resize(cv2.cvtColor(d.image, cv2.COLOR_RGB2GRAY), (size * 2, size * 2))
    radius = np.float32(0.5) - grey.astype(np.float32) / np.float32(640)
    dot = (_halftone(size) < radius * radius).astype(np.uint8) * 255
    cover = effects.unit(cv2.resize(dot, (size, size), interpolation=cv2.INTER_AREA))
    raster = effects.over(flat, (250, 250, 245), np.float32(0.75) * (1 - cover))
    return effects.inked(raster, d.lines(2.0), (10, 8, 12))


@lru_cache(maxsize=2)
def _halftone(size: int) -> Floats:
    """Return the square of the distance to the nearest dot, at twice the size."""
    y, x = np.mgrid[0 : size * 2, 0 : size * 2]
    pitch = 9 * size / 128
    u, w = (x + y) / (1.414 * pitch), (x - y) / (1.414 * pitch)
    distance: Floats = (u - np.rint(u)) ** 2 + (w - np.rint(w)) ** 2
    distance.flags.writeable = False
    return distance


def symbolism(d: Drawn, rng: Rng) -> Picture:
    """Paint a dream: rays, stars, blue and gold."""
    size = d.size
    dream = effects.toned(
        d.image, [(18, 12, 48), (48, 44, 112), (70, 120, 140), (206, 186, 150), (252, 240, 206)]
    )
    mixed = effects.blend(blurred(d.image, 1.2 * size / 128), blurred(dream, 1.2 * size / 128), 0.7)
    x, y = d.camera.x, float(np.clip(d.camera.ground - 0.7 * d.camera.scale, 0.2, 0.7))
    gx, gy = grid(size)
    angle = np.arctan2(gy - np.float32(y), gx - np.float32(x))
    rays = (np.sin(angle * np.float32(18)) > 0.2).astype(np.float32)
    near = np.float32(1) - effects.unit(d.depth)
    halo = pool(size, x, y, 0.7, 0.7)
    out = effects.over(
        mixed, (255, 226, 150), halo * near * (np.float32(0.25) + np.float32(0.5) * rays)
    )
    for sx, sy, r in rng.random((16, 3)):
        centre = (round(sx * size), round(sy * size * 0.8))
        cv2.circle(
            out, centre, max(1, round((0.5 + r) * size / 128)), (255, 248, 214), -1, cv2.LINE_AA
        )
    return out


def naive_art(d: Drawn, rng: Rng) -> Picture:
    """Paint flat and flowery, every leaf outlined."""
    size = d.size
    flat = d.image.copy()
    k = size / 128
    free = d.depth < 235
    for i, (x, y) in enumerate(_lattice(8)):
        centre = (round(x * size), round(y * size))
        if not free[min(centre[1], size - 1), min(centre[0], size - 1)]:
            continue
        colour = d.palette.free(i % 7, 1.25, 0.7)
        for dx, dy in ((-2, 0), (2, 0), (0, -2), (0, 2)):
            cv2.circle(
                flat,
                (centre[0] + round(dx * k), centre[1] + round(dy * k)),
                round(1.6 * k),
                colour,
                -1,
            )
        cv2.circle(flat, centre, max(1, round(1.0 * k)), (255, 246, 190), -1)
    return effects.inked(flat, np.float32(0.9) * d.lines(1.1), (50, 34, 28))


def _lattice(n: int) -> list[tuple[float, float]]:
    """Return the places of an n x n lattice whose odd rows are shifted."""
    return [
        ((i + 0.5 + 0.5 * (j % 2)) / n % 1.0, (j + 0.5) / n) for j in range(n) for i in range(n)
    ]
