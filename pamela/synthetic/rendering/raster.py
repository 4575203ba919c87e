"""From drawings to pixels: first which of them is seen at every pixel, then all colours at once.

Polygons are filled in OpenCV's fixed-point coordinates, so the same drawings give the same bytes on
every machine. Points are projected, and gradients looked up, for all drawings in one go: a picture
has some seventy, most of them a few pixels large.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats
from pamela.synthetic.rendering.palette import Rgb

Plane = npt.NDArray[np.uint8]
Numbers = npt.NDArray[Any]  # of drawings: 8 bits, or 16 where there are many

SHIFT: Final = 4  # fractional bits of a coordinate
MIN_SHADED: Final = 14  # pixels: smaller shapes are filled flat
LEVELS: Final = 256  # steps of brightness
PLAIN: Final = 128  # ... the one that leaves a colour as it is

_GAINS: Final = np.arange(LEVELS, dtype=np.float64) / 128.0

cv2.setNumThreads(1)


class Projection(NamedTuple):
    """From the world to the frame: ``x + across * wide``, where things lean as they rise."""

    x: float
    ground: float
    across: float
    lean: float
    up: float


FRAME: Final = Projection(0.0, 0.0, 1.0, 0.0, -1.0)  # of points that are in the frame already
AS_IT_IS: Final = (1.0, 1.0, 0.0, 0.0)


class Outline(NamedTuple):
    """A shape: a filled polygon, or a line of `width` pixels.

    Attributes
    ----------
    points : (n, 2).
    place : what x and y are multiplied by, and what is then added to them.
    shade : strength of its gradient, at most 0.5: brightness is 8 bits.
    round_ : whether its gradient is that of a ball.
    near : 0 far .. 255 the subject's.
    """

    points: Sequence[tuple[float, float]] | Floats
    place: tuple[float, float, float, float]
    projection: Projection
    colour: Rgb
    near: int
    shade: float = 0.0
    round_: bool = False
    width: int = 0


class Band(NamedTuple):
    """A shape: whole rows from `top` on, a colour (rows, 3) each."""

    top: int
    colours: Plane
    near: int


class Detail(NamedTuple):
    """Filled polygons, or lines of `width` pixels, without outlines and depth of their own."""

    pixels: list[Any]
    colour: Rgb
    width: int = 0


Drawing = Outline | Band | Detail


@dataclass(frozen=True)
class Raster:
    """What is seen at every pixel.

    Attributes
    ----------
    image : (side, side, 4): red, green, blue, nothing.
    depth : (side, side), 0 far .. 255 the subject's.
    seen : (side, side), the number of the drawing whose outline is seen; 0: none.
    shapes : the drawings' numbers among shapes, which begin again after 254.
    """

    image: Plane
    depth: Plane
    seen: Numbers
    shapes: Plane

    @cached_property
    def shape_of(self) -> Plane:
        """Which shape is seen at every pixel, (side, side)."""
        return self.shapes.take(self.seen.astype(np.int64))


def rasterise(drawings: Sequence[Drawing], side: int, light: tuple[float, float]) -> Raster:
    """Draw one over the other.

    Parameters
    ----------
    side : of the raster, in pixels.
    light : direction that the light comes from, (x, y) in the frame, downwards.
    """
    outlines = {i: one for i, one in enumerate(drawings, 1) if isinstance(one, Outline)}
    placed = dict(zip(outlines, _place(list(outlines.values()), side), strict=True))
    paint, seen = _numbered(drawings, placed, side)
    graded = [(i, outlines[i], one) for i, one in placed.items() if one.graded]
    counted = accumulate(not isinstance(one, Detail) for one in drawings)
    near = [0, *(0 if isinstance(one, Detail) else one.near for one in drawings)]
    return Raster(
        _coloured(paint, drawings, graded, light),
        np.array(near, np.uint8).take(seen.astype(np.int64)),
        seen,
        np.array([0, *((i - 1) % 254 + 1 for i in counted)], np.uint8),
    )


class _Placed(NamedTuple):
    """An outline in pixels.

    Attributes
    ----------
    points : (n, 2) in fixed-point coordinates.
    x0, y0, x1, y1 : where the canvas's part of the box about it begins, and where it has ended.
    graded : whether it has a gradient: the smallest ones have none.
    """

    points: npt.NDArray[np.int32]
    x0: int
    y0: int
    x1: int
    y1: int
    graded: bool


def _place(outlines: Sequence[Outline], side: int) -> list[_Placed]:
    """Project outlines onto a canvas."""
    if not outlines:
        return []
    world = [np.asarray(one.points, np.float64) for one in outlines]
    ends = np.cumsum([len(points) for points in world])
    starts = np.concatenate([[0], ends[:-1]])
    table = np.array([(*one.place, *one.projection) for one in outlines])
    grow, shift, (x, ground, across, lean, up) = np.split(
        np.repeat(table, ends - starts, axis=0).T, [2, 4]
    )
    along, height = np.concatenate(world).T * grow + shift
    held = np.minimum(np.maximum(height, -1.0), 1.6)
    frame = np.stack([x + along * (across + lean * held), ground - height * up])
    pixels = np.rint(frame * (side << SHIFT)).astype(np.int32)
    low = np.maximum(np.minimum.reduceat(pixels, starts, axis=1) >> SHIFT, 0)
    high = np.minimum((np.maximum.reduceat(pixels, starts, axis=1) >> SHIFT) + 1, side)
    asked = np.array([one.shade > 0 for one in outlines], bool)
    graded = asked & ((high - low).min(axis=0) >= MIN_SHADED)
    points = np.split(np.ascontiguousarray(pixels.T), ends[:-1])
    boxes = (*low.tolist(), *high.tolist(), graded.tolist())
    return list(map(_Placed, points, *boxes))


def _numbered(
    drawings: Sequence[Drawing], placed: Mapping[int, _Placed], side: int
) -> tuple[Numbers, Numbers]:
    """Return whose colour, and whose shape, is seen at every pixel (side, side); 0: none.

    Shapes are drawn to the nearest pixel and gradients within their box: the two differ at edges.
    """
    small = np.uint8 if len(drawings) < 256 else np.uint16
    paint, seen = np.zeros((2, side, side), small)
    for number, one in enumerate(drawings, 1):
        if isinstance(one, Outline):
            points, x0, y0, x1, y1, graded = placed[number]
            if one.width:
                for plane in (paint, seen):
                    cv2.polylines(plane, [points], False, number, one.width, cv2.LINE_8, SHIFT)
                continue
            cv2.fillPoly(seen, [points], number, cv2.LINE_8, SHIFT)
            if graded:
                part, offset = paint[y0:y1, x0:x1], (-x0 << SHIFT, -y0 << SHIFT)
                cv2.fillPoly(part, [points], number, cv2.LINE_8, SHIFT, offset)
            elif not one.shade or (x1 > x0 and y1 > y0):
                cv2.fillPoly(paint, [points], number, cv2.LINE_8, SHIFT)
        elif isinstance(one, Band):
            rows = slice(one.top, one.top + len(one.colours))
            paint[rows] = seen[rows] = number
        elif one.width:
            cv2.polylines(paint, one.pixels, False, number, one.width, cv2.LINE_8, SHIFT)
        else:
            cv2.fillPoly(paint, one.pixels, number, cv2.LINE_8, SHIFT)
    return paint, seen


def _coloured(
    paint: Numbers,
    drawings: Sequence[Drawing],
    graded: Sequence[tuple[int, Outline, _Placed]],
    light: tuple[float, float],
) -> Plane:
    """Return the colours (side, side, 4) of what `paint` says is seen.

    Every drawing has a table of its colour at every level of brightness, every pixel its level.
    """
    table = np.zeros((len(drawings) + 1, LEVELS, 4), np.uint8)
    flat = [(0, 0, 0) if isinstance(one, Band) else one.colour for one in drawings]
    table[1:, PLAIN, :3] = np.array(flat, np.uint8).reshape(-1, 3)
    numbers = [number for number, _, _ in graded]
    full = np.array([one.colour for _, one, _ in graded], np.float64).reshape(-1, 3, 1)
    scales = np.minimum(full * _GAINS, 255.0).astype(np.uint8)
    table[numbers, :, :3] = scales.transpose(0, 2, 1)
    level = np.full(paint.shape, PLAIN, np.uint8)
    for number, shape, (_, x0, y0, x1, y1, _) in graded:
        here = paint[y0:y1, x0:x1] == number
        across = _steps(x1 - x0, light[0], shape.shade, 0.0, ball=shape.round_)
        down = _steps(y1 - y0, light[1], shape.shade, 128.0, ball=shape.round_)
        cv2.copyTo(np.add.outer(down, across), here.view(np.uint8), level[y0:y1, x0:x1])
    place = paint.astype(np.int64)
    place *= LEVELS
    place += level
    image = table.view(np.uint32).ravel().take(place)
    for number, one in enumerate(drawings, 1):
        if isinstance(one, Band):
            rows = slice(one.top, one.top + len(one.colours))
            colours = np.zeros((len(one.colours), 4), np.uint8)
            colours[:, :3] = one.colours
            np.copyto(image[rows], colours.view(np.uint32), where=paint[rows] == number)
    return image.view(np.uint8).reshape(*paint.shape, 4)


@lru_cache(maxsize=4096)
def _steps(count: int, light: float, shade: float, level: float, *, ball: bool) -> Plane:
    """Return what the columns, or the rows, of a gradient add to its level, modulo 256."""
    ramp = np.linspace(-1.0, 1.0, count)
    # a ball is brightest where it faces the light
    change = 0.55 - 0.9 * (ramp - 0.5 * light) ** 2 if ball else light * ramp
    return np.rint(level + change * (shade * 128.0)).astype(np.int64).astype(np.uint8)
