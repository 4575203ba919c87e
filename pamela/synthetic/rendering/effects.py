"""What the styles are made of: outlines, strokes, dots, facets, warps, tints and frames."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats32
from pamela.synthetic.rendering.canvas import Picture
from pamela.synthetic.rendering.lighting import blurred, grid, luminance, quantised, unit

Rng = np.random.Generator
Index = npt.NDArray[np.int32]


def outlines(shape_of: npt.NDArray[Any], size: int, width: float) -> Floats32:
    """Return the share (size, size) of each pixel that an outline of `width` pixels covers."""
    edge: npt.NDArray[Any] = np.zeros_like(shape_of)
    edge[:, 1:] |= (shape_of[:, 1:] != shape_of[:, :-1]).view(np.uint8)
    edge[1:] |= (shape_of[1:] != shape_of[:-1]).view(np.uint8)
    edge *= 255
    k = max(1, round(width * shape_of.shape[0] / 128))
    if k > 1:
        edge = cv2.dilate(edge, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k)))
    return unit(cv2.resize(edge, (size, size), interpolation=cv2.INTER_AREA))


def inked(picture: Picture, cover: Floats32, ink: tuple[int, int, int]) -> Picture:
    """Lay `ink` over the picture where `cover` is 1."""
    v = picture.astype(np.float32)
    colour = np.array(ink, np.float32)
    return (v + (colour - v) * cover[..., None] + np.float32(0.5)).astype(np.uint8)


def strokes(
    picture: Picture,
    rng: Rng,
    *,
    step: float,
    length: float,
    width: float,
    flow: Floats32 | None = None,
    jitter: float = 0.0,
    keep: Floats32 | None = None,
) -> Picture:
    """Repaint in brush strokes; sizes in pixels of a picture 128 wide.

    Strokes follow the edges of the picture or, where it is flat, `flow` (angles (size, size)).
    Where `keep` (size, size) is 1 they are half as long and wide.
    """
    size = picture.shape[0]
    k = size / 128
    n = max(4, round(128 / step))
    base = (np.arange(n) + 0.5) * size / n
    xs, ys = np.meshgrid(base, base)
    spread = rng.uniform(-0.5, 0.5, (2, n, n)) * size / n
    xs, ys = (xs + spread[0]).ravel(), (ys + spread[1]).ravel()
    xi, yi = np.clip(xs, 0, size - 1).astype(int), np.clip(ys, 0, size - 1).astype(int)
    angle = _directions(picture, flow)[yi, xi] + rng.normal(0, 0.22, n * n)
    fine = np.ones(n * n) if keep is None else 1 - 0.5 * keep[yi, xi]
    dx, dy = np.cos(angle) * length * k / 2 * fine, np.sin(angle) * length * k / 2 * fine
    colours = picture[yi, xi].astype(np.int16)
    if jitter:
        colours = colours + rng.normal(0, jitter, colours.shape).astype(np.int16)
        colours = colours + rng.normal(0, jitter, (n * n, 1)).astype(np.int16)
    colours = np.clip(colours, 0, 255)
    out = blurred(picture, 0.9 * k).copy()
    ends = np.rint(np.stack([xs - dx, ys - dy, xs + dx, ys + dy], 1) * 16).astype(int).tolist()
    thick = np.maximum(1, np.rint(width * k * fine)).astype(int).tolist()
    order = rng.permutation(n * n).tolist()
    rows = colours.tolist()
    for i in order:
        a, b, c, d = ends[i]
        cv2.line(out, (a, b), (c, d), rows[i], thick[i], cv2.LINE_AA, 4)
    return out


def _directions(picture: Picture, flow: Floats32 | None) -> Floats32:
    """Return the angle along the edges (size, size), or of the flow where there are none."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    grey = cv2.GaussianBlur(grey, (0, 0), 2.0 * picture.shape[0] / 128)
    gx = cv2.Sobel(grey, cv2.CV_16S, 1, 0).astype(np.float32)
    gy = cv2.Sobel(grey, cv2.CV_16S, 0, 1).astype(np.float32)
    along = np.arctan2(gx, -gy)
    if flow is None:
        flow = np.full(along.shape, 0.5, np.float32)
    strong = np.abs(gx) + np.abs(gy) > 14
    return np.where(strong, along, flow).astype(np.float32)


def swirls(size: int, rng: Rng, count: int = 3) -> Floats32:
    """Return a field of angles that turns about a few points."""
    gx, gy = grid(size)
    angle = np.zeros((size, size), np.float32)
    for x, y in rng.random((count, 2)):
        dx, dy = gx - np.float32(x), gy - np.float32(y * 0.7)
        pull = 1 / (np.float32(0.03) + dx * dx + dy * dy)
        angle += np.arctan2(dy, dx).astype(np.float32) * pull
    return (angle / count * np.float32(0.25) + np.float32(0.6)).astype(np.float32)


@lru_cache(maxsize=8)
def _dot_map(size: int, step: float, radius: float, variant: int) -> tuple[Index, Index]:
    """Return, for every pixel, the place of its dot's middle (-1: paper) and the dot's number."""
    rng = np.random.Generator(np.random.PCG64(variant))
    n = round(128 / step)
    base = (np.arange(n) + 0.5) * size / n
    xs, ys = np.meshgrid(base, base)
    spread = rng.uniform(-0.45, 0.45, (2, n, n)) * size / n
    xs, ys = (xs + spread[0]).ravel(), (ys + spread[1]).ravel()
    number = np.full((size, size), -1, np.int32)
    for i in rng.permutation(n * n).tolist():
        centre = (round(xs[i] * 16), round(ys[i] * 16))
        cv2.circle(number, centre, round(radius * size / 128 * 16), int(i), -1, cv2.LINE_8, 4)
    middle = np.clip(ys, 0, size - 1).astype(np.int32) * size + np.clip(xs, 0, size - 1).astype(
        np.int32
    )
    return np.where(number >= 0, middle[number], -1).astype(np.int32), number


def dots(picture: Picture, rng: Rng, step: float, radius: float, jitter: float) -> Picture:
    """Repaint in round dots of pure colour on light paper."""
    size = picture.shape[0]
    # Dots are laid at twice the size, so that they stay round.
    place, number = _dot_map(size * 2, step, radius, int(rng.integers(4)))
    big = cv2.resize(picture, (size * 2, size * 2), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        place, number, flip = place[:, ::-1], number[:, ::-1], True
    else:
        flip = False
    flat = (big[:, ::-1] if flip else big).reshape(-1, 3)
    shift = rng.normal(0, jitter, (int(number.max()) + 1, 3)).astype(np.int16)
    colours = np.clip(flat[place].astype(np.int16) + shift[number], 0, 255).astype(np.uint8)
    colours[place < 0] = (240, 234, 220)
    return cv2.resize(colours, (size, size), interpolation=cv2.INTER_AREA)


def facets(size: int, rng: Rng, count: int) -> Index:
    """Return the numbers (size, size) of about `count` straight-edged facets."""
    points = rng.random((count, 2)).astype(np.float32) * size
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    best = np.full((size, size), np.inf, np.float32)
    number = np.zeros((size, size), np.int32)
    for i, (px, py) in enumerate(points):
        d = (x - px) ** 2 + (y - py) ** 2
        nearer = d < best
        best[nearer], number[nearer] = d[nearer], i
    return number


def refracted(picture: Picture, number: Index, rng: Rng, shift: float, zoom: float) -> Picture:
    """See each facet from another place: moved by `shift` (of the frame) and enlarged."""
    size = picture.shape[0]
    count = int(number.max()) + 1
    move = rng.uniform(-shift, shift, (count, 2)).astype(np.float32) * size
    grow = (1 + rng.uniform(-zoom, zoom, count)).astype(np.float32)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    half = np.float32(size / 2)
    xs = (x - half) * grow[number] + half + move[number, 0]
    ys = (y - half) * grow[number] + half + move[number, 1]
    return remapped(picture, xs, ys)


def remapped(picture: Picture, xs: Floats32, ys: Floats32) -> Picture:
    """Take every pixel from (xs, ys)."""
    return cv2.remap(  # type: ignore[return-value]
        picture, xs.astype(np.float32), ys.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip


def waved(picture: Picture, rng: Rng, across: float, down: float, waves: float) -> Picture:
    """Bend the picture in waves; amplitudes as shares of the frame."""
    size = picture.shape[0]
    gx, gy = grid(size)
    phase = rng.random(2) * 2 * np.pi
    xs = gx + np.float32(across) * np.sin(gy * np.float32(2 * np.pi * waves) + np.float32(phase[0]))
    ys = gy + np.float32(down) * np.sin(gx * np.float32(2 * np.pi * waves) + np.float32(phase[1]))
    shape = (size, size)
    return remapped(
        picture,
        np.broadcast_to(xs * size - np.float32(0.5), shape),
        np.broadcast_to(ys * size - np.float32(0.5), shape),
    )


def facet_shading(number: Index, rng: Rng, strength: float) -> Floats32:
    """Return a brightness (size, size) that runs from one side of each facet to the other."""
    size = number.shape[0]
    count = int(number.max()) + 1
    gx, gy = grid(size)
    ax, ay = rng.normal(0, 1, (2, count)).astype(np.float32)
    offset = rng.normal(0, 0.4, count).astype(np.float32)
    ramp = np.sin((gx * ax[number] + gy * ay[number]) * np.float32(9) + offset[number])
    return np.float32(1) + np.float32(strength) * (ramp + offset[number])


def posterised(picture: Picture, levels: int) -> Picture:
    """Reduce every channel to `levels` steps."""
    steps = np.arange(256) * levels // 256
    table = (steps * 255 // (levels - 1)).astype(np.uint8)
    return table[picture]


def toned(picture: Picture, stops: list[tuple[int, int, int]]) -> Picture:
    """Replace brightness by a scale of colours from dark to light."""
    grey = quantised(luminance(unit(picture)))
    at = np.linspace(0, 255, len(stops))
    values = np.arange(256)
    table = np.stack([np.interp(values, at, [s[i] for s in stops]) for i in range(3)], axis=1)
    return np.floor(table + 0.5).astype(np.uint8)[grey]


def blend(a: Picture, b: Picture, share: float) -> Picture:
    """Return the picture `share` of the way from `a` to `b`."""
    part = round(share * 256)
    total = a.astype(np.uint16) * (256 - part) + b.astype(np.uint16) * part + 128
    return (total >> 8).astype(np.uint8)


def kept(a: Picture, b: Picture, cover: Floats32) -> Picture:
    """Return `a`, and `b` where `cover` (size, size) is 1."""
    share = np.rint(cover * np.float32(256)).astype(np.int32)[..., None]
    return (a + (((b.astype(np.int32) - a) * share) >> 8)).astype(np.uint8)


def tinted(picture: Picture, gain: tuple[float, float, float]) -> Picture:
    """Multiply the channels."""
    table = np.clip(np.arange(256)[:, None] * np.array(gain)[None, :] + 0.5, 0, 255).astype(
        np.uint8
    )
    return np.stack([table[picture[..., i], i] for i in range(3)], axis=2)


def darkened(picture: Picture, factor: Floats32) -> Picture:
    """Multiply the brightness by `factor` (size, size)."""
    return np.clip(picture.astype(np.float32) * factor[..., None], 0, 255).astype(np.uint8)


def over(picture: Picture, colour: tuple[int, int, int], cover: Floats32) -> Picture:
    """Paint `colour` where `cover` is 1; the same as ink."""
    return inked(picture, np.clip(cover, 0, 1).astype(np.float32), colour)


def framed(picture: Picture, width: float, colours: list[tuple[int, int, int]]) -> Picture:
    """Frame the picture in bands from outside to inside; `width` is a share of its side."""
    size = picture.shape[0]
    out = picture.copy()
    total = width * size
    for i, colour in enumerate(colours):
        a, b = round(total * i / len(colours)), round(total * (i + 1) / len(colours))
        cv2.rectangle(out, (a, a), (size - 1 - a, size - 1 - a), colour, max(1, 2 * (b - a) - 1))
        if i:
            continue
    inner = round(total)
    out[inner : size - inner, inner : size - inner] = picture[
        inner : size - inner, inner : size - inner
    ]
    return out
