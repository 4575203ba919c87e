"""The drawing surface: filled shapes in world coordinates, seen by a simple camera.

Shapes are polygons in OpenCV's fixed-point coordinates on a canvas of twice the picture's side, so
the same scene gives the same bytes on every machine. Beside the colours the canvas keeps, for every
pixel, which shape is seen (outlines) and how near it is (depth of field, lighting).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats
from pamela.synthetic.rendering.palette import Rgb

Points = Floats
Picture = npt.NDArray[np.uint8]

SHIFT: Final = 4  # fractional bits of a coordinate
SUPERSAMPLING: Final = 2
MIN_SHADED: Final = 14  # canvas pixels: smaller shapes are filled flat

_GAINS: Final = np.arange(256, dtype=np.float64)[None, :, None] / 128.0

cv2.setNumThreads(1)


@lru_cache(maxsize=64)
def _circle(start: float, end: float) -> Points:
    """Return points of the unit circle between two fractions of a turn."""
    part = end - start < 1.0
    angle = np.linspace(start, end, 25 if part else 29, endpoint=part) * 2 * np.pi
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@lru_cache(maxsize=1024)
def _ramp(count: int) -> Points:
    """Return `count` steps from -1 to 1."""
    return np.linspace(-1.0, 1.0, count)


@dataclass(frozen=True)
class Camera:
    """Where the viewer stands.

    World coordinates: x to the right, y upwards; the subject stands on (0, 0) and is about one unit
    tall. Frame coordinates: 0..1 to the right and downwards.

    Attributes
    ----------
    x, ground : where the subject's foot is in the frame.
    scale : frame heights per world unit.
    horizon : the horizon's height in the frame.
    tilt : -1 seen from far below .. 1 from straight above: objects converge and are foreshortened.
    """

    x: float
    ground: float
    scale: float
    horizon: float
    tilt: float

    def frame(self, points: Points) -> Points:
        """Project world points (n, 2) to frame coordinates (n, 2)."""
        up = points[:, 1]
        height = np.minimum(np.maximum(up, -1.0), 1.6)
        out = np.empty((len(points), 2))
        out[:, 0] = self.x + points[:, 0] * (
            self.scale * (1.0 - 0.136 * self.tilt) + (0.34 * self.tilt * self.scale) * height
        )
        out[:, 1] = self.ground - up * ((1.0 - 0.26 * self.tilt) * self.scale)
        return out

    @property
    def flatness(self) -> float:
        """Height over width of a circle that lies on the ground."""
        return float(np.clip(0.30 + 0.42 * self.tilt, 0.05, 0.8))


class Canvas:
    """A picture in the making.

    Parameters
    ----------
    size : side of the picture in pixels.
    camera : projects world coordinates; frame coordinates bypass it.
    shaded : large shapes get a gradient after the light; otherwise all are flat.
    light : direction that the light comes from, (x, y) in the frame, downwards.
    """

    def __init__(
        self, size: int, camera: Camera, *, shaded: bool, light: tuple[float, float]
    ) -> None:
        self.side = size * SUPERSAMPLING
        self.camera = camera
        self.shaded = shaded
        self.light = light
        self.image = np.zeros((self.side, self.side, 3), np.uint8)
        self.shape_of = np.zeros((self.side, self.side), np.uint8)
        self.depth = np.zeros((self.side, self.side), np.uint8)  # 0 far .. 255 the subject's
        self.near = 1.0
        self._shapes = 0

    # --- shapes in world coordinates ------------------------------------------------------------
    def poly(
        self, points: Sequence[tuple[float, float]] | Points, colour: Rgb, shade: float = 0.22
    ) -> None:
        """Fill a polygon."""
        self.fill(self.camera.frame(np.asarray(points, float)), colour, shade)

    def rect(
        self, x0: float, y0: float, x1: float, y1: float, colour: Rgb, shade: float = 0.16
    ) -> None:
        """Fill an upright rectangle."""
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, shade)

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        colour: Rgb,
        *,
        shade: float = 0.3,
        turn: float = 0.0,
        start: float = 0.0,
        end: float = 1.0,
    ) -> None:
        """Fill an ellipse, or its part between two fractions of a turn (0 right, .25 up)."""
        circle = _circle(start, end)
        if turn:
            c, s = math.cos(turn * 2 * math.pi), math.sin(turn * 2 * math.pi)
            points = circle @ np.array([[rx * c, rx * s], [-ry * s, ry * c]]) + (x, y)
        else:
            points = circle * (rx, ry) + (x, y)
        self.fill(self.camera.frame(points), colour, shade, round_=True)

    def disc(self, x: float, y: float, r: float, colour: Rgb, shade: float = 0.08) -> None:
        """Fill a circle that lies on the ground: its height follows the camera."""
        self.ellipse(x, y, r, r * self.camera.flatness, colour, shade=shade)

    def line(
        self, points: Sequence[tuple[float, float]] | Points, width: float, colour: Rgb
    ) -> None:
        """Draw a line of `width` world units."""
        self.stroke(self.camera.frame(np.asarray(points, float)), width * self.camera.scale, colour)

    def shadow(self, x: float, r: float, colour: Rgb) -> None:
        """Draw the soft-edged ground under a thing that stands at (x, 0)."""
        self.ellipse(x, 0.0, r, r * 0.28 * (0.3 + self.camera.flatness * 2.0), colour, shade=0.0)

    # --- shapes in frame coordinates ------------------------------------------------------------
    def fill(self, frame: Points, colour: Rgb, shade: float = 0.0, *, round_: bool = False) -> None:
        """Fill a polygon (n, 2) in frame coordinates; `shade` is the gradient's strength."""
        pixels = np.rint(frame * (self.side << SHIFT)).astype(np.int32)
        self._shapes = self._shapes % 254 + 1
        cv2.fillPoly(self.shape_of, [pixels], self._shapes, cv2.LINE_8, SHIFT)
        cv2.fillPoly(self.depth, [pixels], round(255 * self.near), cv2.LINE_8, SHIFT)
        if not (self.shaded and shade):
            cv2.fillPoly(self.image, [pixels], colour, cv2.LINE_8, SHIFT)
            return
        x, y, width, height = cv2.boundingRect(pixels)
        low = max(x >> SHIFT, 0), max(y >> SHIFT, 0)
        high = (
            min(((x + width - 1) >> SHIFT) + 1, self.side),
            min(((y + height - 1) >> SHIFT) + 1, self.side),
        )
        reach = min(high[0] - low[0], high[1] - low[1])
        if reach < MIN_SHADED:
            if reach > 0:
                cv2.fillPoly(self.image, [pixels], colour, cv2.LINE_8, SHIFT)
            return
        self._fill_shaded(pixels, low, high, colour, shade, round_)

    def _fill_shaded(
        self,
        pixels: npt.NDArray[np.int32],
        low: tuple[int, int],
        high: tuple[int, int],
        colour: Rgb,
        shade: float,
        round_: bool,
    ) -> None:
        (x0, y0), (x1, y1) = low, high
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [pixels - (x0 << SHIFT, y0 << SHIFT)], 255, cv2.LINE_8, SHIFT)
        u, v = _ramp(x1 - x0), _ramp(y1 - y0)
        lx, ly = self.light
        if round_:  # a ball: brightest where it faces the light
            across = 0.55 - 0.9 * (u - 0.5 * lx) ** 2
            down = 0.55 - 0.9 * (v - 0.5 * ly) ** 2
        else:
            across, down = lx * u, ly * v
        # 8-bit steps of brightness, then a table per channel.
        columns = np.rint(across * (shade * 128.0)).astype(np.int16)
        rows = np.rint(128.0 + down * (shade * 128.0)).astype(np.int16)
        level = np.minimum(columns[None, :] + rows[:, None], 255).astype(np.uint8)
        table = np.minimum(_GAINS * np.array(colour, np.float64), 255.0).astype(np.uint8)
        cv2.copyTo(cv2.LUT(cv2.merge((level, level, level)), table), mask, self.image[y0:y1, x0:x1])

    def stroke(self, frame: Points, width: float, colour: Rgb) -> None:
        """Draw a line (n, 2) of `width` frame heights."""
        pixels = np.rint(frame * (self.side << SHIFT)).astype(np.int32)
        thickness = max(1, round(width * self.side))
        self._shapes = self._shapes % 254 + 1
        for target, value in (
            (self.image, colour),
            (self.shape_of, (self._shapes,)),
            (self.depth, (round(255 * self.near),)),
        ):
            cv2.polylines(target, [pixels], False, value, thickness, cv2.LINE_8, SHIFT)

    def texture(self, lines: Points, width: float, colour: Rgb) -> None:
        """Draw many lines (k, n, 2), in frame coordinates, at once: detail without outlines."""
        pixels = np.rint(lines * (self.side << SHIFT)).astype(np.int32)
        thickness = max(1, round(width * self.side))
        cv2.polylines(self.image, list(pixels), False, colour, thickness, cv2.LINE_8, SHIFT)

    def tiles(self, polygons: Points, colour: Rgb) -> None:
        """Fill many polygons (k, n, 2), in frame coordinates, at once: detail without outlines."""
        pixels = np.rint(polygons * (self.side << SHIFT)).astype(np.int32)
        cv2.fillPoly(self.image, list(pixels), colour, cv2.LINE_8, SHIFT)

    def band(self, top: float, bottom: float, upper: Rgb, lower: Rgb) -> None:
        """Fill the rows between two frame heights with a vertical gradient (flat: the mean)."""
        y0, y1 = (int(np.clip(round(y * self.side), 0, self.side)) for y in (top, bottom))
        if y1 <= y0:
            return
        self._shapes = self._shapes % 254 + 1
        self.shape_of[y0:y1] = self._shapes
        self.depth[y0:y1] = round(255 * self.near)
        a, b = np.asarray(upper, float), np.asarray(lower, float)
        if not self.shaded:
            self.image[y0:y1] = ((a + b) / 2).astype(np.uint8)
            return
        t = np.linspace(0, 1, y1 - y0)[:, None]
        rows = (a + (b - a) * t).astype(np.uint8)[:, None, :]
        size = (self.side, y1 - y0)
        self.image[y0:y1] = cv2.resize(rows, size, interpolation=cv2.INTER_NEAREST)
