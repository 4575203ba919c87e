"""The looks of realism in its ages and of the old masters."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from pamela.synthetic.rendering import effects
from pamela.synthetic.rendering.canvas import Picture
from pamela.synthetic.rendering.pixels import blurred, grid, pool, sharpened
from pamela.synthetic.rendering.styles.base import Drawn, Rng

GOLD: Final = (206, 164, 76)
GOLD_DARK: Final = (120, 84, 30)
GOLD_LIGHT: Final = (240, 210, 132)


def realism(d: Drawn, rng: Rng) -> Picture:
    """Paint after nature, in visible strokes."""
    painted = effects.strokes(d.image, rng, step=4.2, length=5, width=3, jitter=5)
    return effects.blend(d.image, painted, 0.55)


def contemporary_realism(d: Drawn, rng: Rng) -> Picture:
    """Paint crisply, with shafts of light through blinds, on a white mount."""
    size = d.size
    gx, gy = grid(size)
    slant = gx + np.float32(0.75) * gy
    shaft = ((slant > 0.45) & (slant < 0.72)) | ((slant > 0.84) & (slant < 1.02))
    bright = effects.darkened(d.image, np.where(shaft, 1.28, 0.84).astype(np.float32))
    crisp = sharpened(bright, 1.2 * size / 128, 0.9)
    return effects.framed(crisp, 0.035, [(250, 250, 248)])


def new_realism(d: Drawn, rng: Rng) -> Picture:
    """Paint in few flat tones, one part in the sun."""
    flat = effects.posterised(blurred(d.image, 0.8 * d.size / 128), 7)
    gx, gy = grid(d.size)
    edge = np.float32(0.55 + 0.2 * rng.random())
    in_sun = (gx * np.float32(0.55) + np.float32(0.62) - gy > edge - np.float32(0.2)) & (gy < 0.9)
    cool, warm = effects.tinted(flat, (0.52, 0.66, 0.74)), effects.tinted(flat, (1.16, 1.1, 0.9))
    return np.where(in_sun[..., None], warm, cool)


def romanticism(d: Drawn, rng: Rng) -> Picture:
    """Paint a glow before a storm."""
    size = d.size
    x, y = (
        0.5 + 0.25 * (1 if rng.random() < 0.5 else -1),
        float(np.clip(d.camera.horizon, 0.15, 0.6)) - 0.08,
    )
    glow = pool(size, x, y, 0.7, 0.55)
    storm = blurred(rng.integers(0, 256, (size, size), dtype=np.uint8), 7 * size / 128)
    cloud = (storm.astype(np.float32) - np.float32(127.5)) / np.float32(14)
    _, gy = grid(size)
    upper = np.clip((np.float32(d.camera.horizon + 0.1) - gy) / np.float32(0.4), 0, 1)
    dim = (
        np.float32(0.62) + np.float32(0.5) * glow + np.float32(0.22) * np.clip(cloud, -1, 1) * upper
    )
    painted = effects.strokes(
        effects.darkened(d.image, dim), rng, step=4.6, length=8, width=3, jitter=5, keep=d.near
    )
    painted = effects.blend(painted, blurred(painted, 1.6 * size / 128), 0.35)
    far = np.float32(1) - np.float32(0.8) * d.near
    return effects.over(painted, (255, 206, 128), np.float32(0.7) * glow * glow * far)


def baroque(d: Drawn, rng: Rng) -> Picture:
    """Paint lamplight in the dark, in a heavy gilt frame."""
    size = d.size
    lamp = pool(size, float(np.clip(d.camera.x, 0.3, 0.7)), 0.5, 0.52, 0.58)
    warm = effects.tinted(d.image, (1.12, 0.92, 0.68))
    dark = effects.darkened(warm, np.float32(0.16) + np.float32(1.05) * lamp)
    painted = effects.blend(
        dark, effects.strokes(dark, rng, step=4.5, length=7, width=3, jitter=4), 0.5
    )
    return effects.framed(painted, 0.085, [GOLD_DARK, GOLD, GOLD_LIGHT, GOLD, (40, 26, 12)])


def rococo(d: Drawn, rng: Rng) -> Picture:
    """Paint in pastel, in an oval window."""
    size = d.size
    pastel = effects.over(d.image, (255, 224, 226), np.full((size, size), 0.42, np.float32))
    pastel = effects.blend(pastel, blurred(pastel, 1.6 * size / 128), 0.5)
    return _oval(pastel, (246, 226, 214), GOLD)


def _oval(picture: Picture, paper: tuple[int, int, int], rim: tuple[int, int, int]) -> Picture:
    """Show the picture through an oval window with a gilt rim and shells in the corners."""
    size = picture.shape[0]
    big = np.zeros((size * 2, size * 2), np.uint8)
    axes = (round(size * 0.93), round(size * 0.93))
    cv2.ellipse(big, (size, size), axes, 0, 0, 360, 255, -1)
    window = effects.unit(cv2.resize(big, (size, size), interpolation=cv2.INTER_AREA))
    out = effects.over(picture, paper, 1 - window)
    c, k = size // 2, size / 128
    cv2.ellipse(
        out,
        (c, c),
        (round(axes[0] / 2), round(axes[1] / 2)),
        0,
        0,
        360,
        rim,
        round(3 * k),
        cv2.LINE_AA,
    )
    for x in (0.055, 0.945):
        for y in (0.055, 0.945):
            for r in (0.045, 0.09, 0.13):
                cv2.circle(
                    out,
                    (round(x * size), round(y * size)),
                    round(r * size),
                    rim,
                    max(1, round(1.3 * k)),
                    cv2.LINE_AA,
                )
    return out


def early_renaissance(d: Drawn, rng: Rng) -> Picture:
    """Paint on a gold ground with a halo, in a pointed arch."""
    size = d.size
    back = np.clip((np.float32(60) - d.depth.astype(np.float32)) / np.float32(25), 0, 1)
    leaf = effects.over(d.image, (218, 176, 84), np.float32(0.82) * back)
    matt = effects.blend(leaf, blurred(leaf, 0.8 * size / 128), 0.6)
    x, y = round(d.camera.x * size), round((d.camera.ground - 0.75 * d.camera.scale) * size)
    k = size / 128
    ink = effects.inked(matt, np.float32(0.55) * d.lines(1.0) * (1 - back), (70, 40, 24))
    for r in (0.24, 0.27):
        ring = np.zeros((size, size), np.uint8)
        cv2.circle(ring, (x, y), round(r * size), 255, max(1, round(1.2 * k)), cv2.LINE_AA)
        ink = effects.over(ink, (130, 88, 28), effects.unit(ring) * back)
    return _arched(ink)


def _arched(picture: Picture) -> Picture:
    """Set the picture into a gold panel with a pointed arch."""
    size = picture.shape[0]
    s = size * 2
    window = np.zeros((s, s), np.uint8)
    t = np.linspace(0, 1, 16)
    left = np.stack([0.05 + 0.45 * t, 0.34 - 0.31 * (1 - (1 - t) ** 2)], axis=1)
    right = np.stack([1 - left[::-1, 0], left[::-1, 1]], axis=1)
    outline = np.concatenate([left, right, [[0.95, 0.97], [0.05, 0.97]]])
    cv2.fillPoly(window, [np.rint(outline * s).astype(np.int32)], 255)
    cover = effects.unit(cv2.resize(window, (size, size), interpolation=cv2.INTER_AREA))
    out = effects.over(picture, (188, 138, 52), 1 - cover)
    rim = np.rint(outline * size * 16).astype(np.int32)
    cv2.polylines(out, [rim], True, (96, 62, 20), max(1, round(2 * size / 128)), cv2.LINE_AA, 4)
    return out


def high_renaissance(d: Drawn, rng: Rng) -> Picture:
    """Paint in smoke and varnish, cracked by age."""
    size = d.size
    smoke = effects.blend(d.image, blurred(d.image, 2.6 * size / 128), 0.62)
    varnish = effects.tinted(smoke, (1.08, 0.94, 0.66))
    corner = np.float32(0.52) + np.float32(0.55) * pool(size, 0.5, 0.45, 0.85, 0.85)
    dark = effects.darkened(varnish, corner)
    cracks = effects.facets(size, rng, 70)
    edge = np.zeros((size, size), np.float32)
    edge[:, 1:] += cracks[:, 1:] != cracks[:, :-1]
    edge[1:] += cracks[1:] != cracks[:-1]
    return effects.over(dark, (44, 28, 14), np.float32(0.32) * np.minimum(edge, 1))


def northern_renaissance(d: Drawn, rng: Rng) -> Picture:
    """Paint every edge finely before dark green."""
    size = d.size
    sharp = sharpened(d.image, 1.4 * size / 128, 1.3)
    back = np.clip((np.float32(50) - d.depth.astype(np.float32)) / np.float32(30), 0, 1)
    sharp = effects.over(sharp, (22, 50, 46), np.float32(0.72) * back)
    fine = effects.inked(sharp, np.float32(0.8) * d.lines(0.9), (20, 16, 14))
    return effects.framed(fine, 0.06, [(34, 22, 14), (66, 42, 24), (16, 10, 8)])


def mannerism(d: Drawn, rng: Rng) -> Picture:
    """Paint elongated, swaying, in acid silk."""
    size = d.size
    gx, gy = grid(size)
    bend = np.float32(0.055) * np.sin(gy * np.float32(5.2) + np.float32(rng.random() * 6.28))
    xs = (np.float32(0.5) + (gx - np.float32(0.5)) * np.float32(1.25) + bend) * size
    ys = (np.float32(0.5) + (gy - np.float32(0.5)) * np.float32(0.88)) * size
    shape = (size, size)
    drawn = effects.inked(d.image, np.float32(0.5) * d.lines(1.0), (40, 24, 50))
    tall = effects.remapped(drawn, np.broadcast_to(xs, shape), np.broadcast_to(ys, shape))
    acid = effects.toned(
        tall, [(22, 14, 44), (96, 60, 124), (214, 122, 132), (226, 214, 120), (250, 252, 226)]
    )
    silk = effects.blend(tall, acid, 0.55)
    return effects.blend(
        silk, effects.strokes(silk, rng, step=5, length=9, width=2.2, jitter=5), 0.3
    )
