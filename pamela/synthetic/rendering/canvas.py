"""The drawing surface: filled shapes in world coordinates, seen by a simple camera.

What is drawn is kept in order, and made pixels at once in the end (`rasterise`), on a raster of
twice the picture's side. Beside the colours that tells, for every pixel, which shape is seen
(outlines) and how near it is (depth of field, lighting).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats
from pamela.synthetic.rendering.palette import Rgb
from pamela.synthetic.rendering.raster import (
    AS_IT_IS,
    FRAME,
    SHIFT,
    Band,
    Detail,
    Drawing,
    Outline,
    Projection,
    Raster,
    rasterise,
)

Points = Floats
Picture = npt.NDArray[np.uint8]

SUPERSAMPLING: Final = 2


@lru_cache(maxsize=64)
def _circle(start: float, end: float) -> Points:
    """Return points of the unit circle between two fractions of a turn."""
    part = end - start < 1.0
    angle = np.linspace(start, end, 25 if part else 29, endpoint=part) * 2 * np.pi
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


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

    @cached_property
    def projection(self) -> Projection:
        """From world points to the frame: objects lean outwards as they rise, seen from above."""
        return Projection(
            self.x,
            self.ground,
            self.scale * (1.0 - 0.136 * self.tilt),
            0.34 * self.tilt * self.scale,
            (1.0 - 0.26 * self.tilt) * self.scale,
        )

    def height_of(self, up: float) -> float:
        """Return where in the frame a point is that is `up` in the world."""
        return self.ground - up * self.projection.up

    @cached_property
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
        self.near = 1.0  # 0 far .. 1 the subject's depth, of what is drawn next
        self._drawings: list[Drawing] = []

    def raster(self) -> Raster:
        """Return what was drawn."""
        return rasterise(self._drawings, self.side, self.light)

    # --- shapes in world coordinates ------------------------------------------------------------
    def poly(
        self, points: Sequence[tuple[float, float]] | Points, colour: Rgb, shade: float = 0.22
    ) -> None:
        """Fill a polygon."""
        self._fill(points, AS_IT_IS, self.camera.projection, colour, shade)

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
        points, place = _circle(start, end), (rx, ry, x, y)
        if turn:
            c, s = math.cos(turn * 2 * math.pi), math.sin(turn * 2 * math.pi)
            points = points @ np.array([[rx * c, rx * s], [-ry * s, ry * c]])
            place = (1.0, 1.0, x, y)
        self._fill(points, place, self.camera.projection, colour, shade, round_=True)

    def disc(self, x: float, y: float, r: float, colour: Rgb, shade: float = 0.08) -> None:
        """Fill a circle that lies on the ground: its height follows the camera."""
        self.ellipse(x, y, r, r * self.camera.flatness, colour, shade=shade)

    def line(
        self, points: Sequence[tuple[float, float]] | Points, width: float, colour: Rgb
    ) -> None:
        """Draw a line of `width` world units."""
        self._stroke(points, self.camera.projection, width * self.camera.scale, colour)

    def shadow(self, x: float, r: float, colour: Rgb) -> None:
        """Draw the soft-edged ground under a thing that stands at (x, 0)."""
        self.ellipse(x, 0.0, r, r * 0.28 * (0.3 + self.camera.flatness * 2.0), colour, shade=0.0)

    # --- shapes in frame coordinates ------------------------------------------------------------
    def fill(self, frame: Points, colour: Rgb, shade: float = 0.0, *, round_: bool = False) -> None:
        """Fill a polygon (n, 2) in frame coordinates; `shade` is the gradient's strength."""
        self._fill(frame, AS_IT_IS, FRAME, colour, shade, round_=round_)

    def stroke(self, frame: Points, width: float, colour: Rgb) -> None:
        """Draw a line (n, 2) of `width` frame heights."""
        self._stroke(frame, FRAME, width, colour)

    def texture(self, lines: Points, width: float, colour: Rgb) -> None:
        """Draw many lines (k, n, 2), in frame coordinates, at once: detail without outlines."""
        pixels = np.rint(lines * (self.side << SHIFT)).astype(np.int32)
        thickness = max(1, round(width * self.side))
        self._drawings.append(Detail(list(pixels), colour, thickness))

    def tiles(self, polygons: Points, colour: Rgb) -> None:
        """Fill many polygons (k, n, 2), in frame coordinates, at once: detail without outlines."""
        pixels = np.rint(polygons * (self.side << SHIFT)).astype(np.int32)
        self._drawings.append(Detail(list(pixels), colour))

    def band(self, top: float, bottom: float, upper: Rgb, lower: Rgb) -> None:
        """Fill the rows between two frame heights with a vertical gradient (flat: the mean)."""
        y0, y1 = (int(np.clip(round(y * self.side), 0, self.side)) for y in (top, bottom))
        if y1 <= y0:
            return
        a, b = np.asarray(upper, float), np.asarray(lower, float)
        t = np.linspace(0, 1, y1 - y0)[:, None] if self.shaded else np.full((y1 - y0, 1), 0.5)
        self._drawings.append(Band(y0, (a + (b - a) * t).astype(np.uint8), self._depth()))

    # --- what is kept of them -------------------------------------------------------------------
    def _fill(
        self,
        points: Sequence[tuple[float, float]] | Points,
        place: tuple[float, float, float, float],
        projection: Projection,
        colour: Rgb,
        shade: float,
        *,
        round_: bool = False,
    ) -> None:
        shade = shade if self.shaded else 0.0
        self._drawings.append(
            Outline(points, place, projection, colour, self._depth(), shade, round_)
        )

    def _stroke(
        self,
        points: Sequence[tuple[float, float]] | Points,
        projection: Projection,
        width: float,
        colour: Rgb,
    ) -> None:
        thickness = max(1, round(width * self.side))
        self._drawings.append(
            Outline(points, AS_IT_IS, projection, colour, self._depth(), width=thickness)
        )

    def _depth(self) -> int:
        return round(255 * self.near)
