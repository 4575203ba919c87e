"""What the styles are made of: outlines, strokes, dots, facets, warps, tints and frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats32
from pamela.synthetic.rendering.canvas import Picture
from pamela.synthetic.rendering.pixels import (
    blurred,
    clipped,
    grid,
    luminance,
    merged,
    quantised,
    reduced,
    split,
    unit,
)

Rng = np.random.Generator
Index = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]
Flow = Callable[[Places, Places], Floats32]  # angles at pixels of these columns and rows


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
    v = split(picture).astype(np.float32)
    laid = np.array(ink, np.float32)[:, None, None] - v
    laid *= cover
    laid += v
    laid += np.float32(0.5)
    return merged(laid.astype(np.uint8))


def strokes(
    picture: Picture,
    rng: Rng,
    *,
    step: float,
    length: float,
    width: float,
    flow: Flow | None = None,
    jitter: float = 0.0,
    keep: Floats32 | None = None,
) -> Picture:
    """Repaint in brush strokes; sizes in pixels of a picture 128 wide.

    Strokes follow the edges of the picture or, where it is flat, `flow`.
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
    angle = _directions(picture, flow, xi, yi) + rng.normal(0, 0.22, n * n)
    fine = np.ones(n * n) if keep is None else 1 - 0.5 * keep[yi, xi]
    dx, dy = np.cos(angle) * length * k / 2 * fine, np.sin(angle) * length * k / 2 * fine
    colours = picture[yi, xi].astype(np.int16)
    if jitter:
        colours = colours + rng.normal(0, jitter, colours.shape).astype(np.int16)
        colours = colours + rng.normal(0, jitter, (n * n, 1)).astype(np.int16)
    colours = np.clip(colours, 0, 255)
    out = blurred(picture, 0.9 * k).copy()
    order = rng.permutation(n * n)
    ends = np.rint(np.stack([xs - dx, ys - dy, xs + dx, ys + dy], 1) * 16).astype(int)[order]
    thick = np.maximum(1, np.rint(width * k * fine)).astype(int)[order]
    lines = zip(ends.tolist(), colours[order].tolist(), thick.tolist(), strict=True)
    for (a, b, c, d), colour, thickness in lines:
        cv2.line(out, (a, b), (c, d), colour, thickness, cv2.LINE_AA, 4)
    return out


def _directions(picture: Picture, flow: Flow | None, x: Places, y: Places) -> Floats32:
    """Return the angles along the edges at some pixels, or of the flow where there are none."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    grey = cv2.GaussianBlur(grey, (0, 0), 2.0 * picture.shape[0] / 128)
    gx = cv2.Sobel(grey, cv2.CV_16S, 1, 0)[y, x].astype(np.float32)
    gy = cv2.Sobel(grey, cv2.CV_16S, 0, 1)[y, x].astype(np.float32)
    strong = np.abs(gx) + np.abs(gy) > 14
    return np.where(strong, np.arctan2(gx, -gy), flow(x, y) if flow else np.float32(0.5))


def swirls(size: int, rng: Rng, count: int = 3) -> Flow:
    """Return a flow that turns about a few points."""
    middles = rng.random((count, 2)).tolist()

    def flow(x: Places, y: Places) -> Floats32:
        across, down = grid(size)
        angle = np.zeros(len(x), np.float32)
        for mx, my in middles:
            dx = across[0].take(x) - np.float32(mx)
            dy = down[:, 0].take(y) - np.float32(my * 0.7)
            angle += np.arctan2(dy, dx) * (1 / (np.float32(0.03) + dx * dx + dy * dy))
        return angle / np.float32(count) * np.float32(0.25) + np.float32(0.6)

    return flow


@lru_cache(maxsize=8)
def _dot_map(size: int, step: float, radius: float, variant: int) -> tuple[Places, Places]:
    """Return the number of every pixel's dot (-1: paper), and the places of all dots' middles."""
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
    column, row = (np.clip(c, 0, size - 1).astype(np.int64) for c in (xs, ys))
    return number.astype(np.int64), row * size + column


def dots(picture: Picture, rng: Rng, step: float, radius: float, jitter: float) -> Picture:
    """Repaint in round dots of pure colour on light paper."""
    size = picture.shape[0]
    # Dots are laid at twice the size, so that they stay round.
    number, middles = _dot_map(size * 2, step, radius, int(rng.integers(4)))
    big = cv2.resize(picture, (size * 2, size * 2), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        number, big = number[:, ::-1], big[:, ::-1]
    count = int(number.max()) + 1
    colours = big.reshape(-1, 3)[middles[:count]].astype(np.int16)
    colours += rng.normal(0, jitter, (count, 3)).astype(np.int16)
    inks = np.zeros((count + 1, 4), np.uint8)
    inks[:count, :3] = clipped(colours)
    inks[-1, :3] = (240, 234, 220)
    drawn = inks.view(np.uint32).take(number, mode="wrap").view(np.uint8)
    return reduced(drawn.reshape(size * 2, size * 2, 4), size)


def facets(size: int, rng: Rng, count: int) -> Index:
    """Return the numbers (size, size) of about `count` straight-edged facets."""
    points = rng.random((count, 2)).astype(np.float32) * size
    along = np.arange(size, dtype=np.float32)
    best = np.full((size, size), np.inf, np.float32)
    number = np.zeros((size, size), np.int32)
    for i, (px, py) in enumerate(points):
        d = np.add.outer((along - py) ** 2, (along - px) ** 2)
        np.copyto(number, i, where=d < best)
        np.minimum(best, d, out=best)
    return number


def refracted(picture: Picture, number: Index, rng: Rng, shift: float, zoom: float) -> Picture:
    """See each facet from another place: moved by `shift` (of the frame) and enlarged."""
    size = picture.shape[0]
    count = int(number.max()) + 1
    move = rng.uniform(-shift, shift, (count, 2)).astype(np.float32) * size
    grow = (1 + rng.uniform(-zoom, zoom, count)).astype(np.float32)
    half = np.float32(size / 2)
    from_middle = np.arange(size, dtype=np.float32) - half
    place = number.astype(np.int64)
    larger = grow.take(place)
    xs = from_middle * larger + half + move[:, 0].take(place)
    ys = from_middle[:, None] * larger + half + move[:, 1].take(place)
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
    place = number.astype(np.int64)
    own = offset.take(place)
    ramp = np.sin((gx * ax.take(place) + gy * ay.take(place)) * np.float32(9) + own)
    return np.float32(1) + np.float32(strength) * (ramp + own)


def posterised(picture: Picture, levels: int) -> Picture:
    """Reduce every channel to `levels` steps."""
    steps = np.arange(256) * levels // 256
    table = (steps * 255 // (levels - 1)).astype(np.uint8)
    return cv2.LUT(picture, table)  # type: ignore[return-value]


def toned(picture: Picture, stops: list[tuple[int, int, int]]) -> Picture:
    """Replace brightness by a scale of colours from dark to light."""
    grey = quantised(luminance(unit(split(picture))))
    at = np.linspace(0, 255, len(stops))
    values = np.arange(256)
    table = np.stack([np.interp(values, at, [s[i] for s in stops]) for i in range(3)], axis=1)
    scale = np.floor(table + 0.5).astype(np.uint8)
    return merged(np.array([cv2.LUT(grey, scale[:, i]) for i in range(3)]))


def blend(a: Picture, b: Picture, share: float) -> Picture:
    """Return the picture `share` of the way from `a` to `b`."""
    part = round(share * 256)
    total = a.astype(np.uint16)
    total *= np.uint16(256 - part)
    total += b.astype(np.uint16) * np.uint16(part)
    total += np.uint16(128)
    total >>= np.uint16(8)
    return total.astype(np.uint8)


def kept(a: Picture, b: Picture, cover: Floats32) -> Picture:
    """Return `a`, and `b` where `cover` (size, size) is 1."""
    here = split(a).astype(np.int32)
    change = split(b) - here
    change *= np.rint(cover * np.float32(256)).astype(np.int32)
    change >>= 8
    change += here
    return merged(change.astype(np.uint8))


def tinted(picture: Picture, gain: tuple[float, float, float]) -> Picture:
    """Multiply the channels."""
    table = np.clip(np.arange(256)[:, None] * np.array(gain)[None, :] + 0.5, 0, 255).astype(
        np.uint8
    )
    return cv2.LUT(picture, table[None])  # type: ignore[return-value]


def darkened(picture: Picture, factor: Floats32) -> Picture:
    """Multiply the brightness by `factor` (size, size)."""
    return merged(clipped(split(picture).astype(np.float32) * factor))


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
