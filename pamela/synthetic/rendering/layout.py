"""The stage on which a picture is set up, and where the clutter around the subject stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from pamela.synthetic.rendering.canvas import Camera, Canvas
from pamela.synthetic.rendering.palette import Palette

STANDING: Final = 18  # things on the ground when crowded
HANGING: Final = 9  # things above when crowded
FRONT_ROW: Final = 3  # every third of them stands at the lower edge, before the subject too


@dataclass
class Stage:
    """Everything that a subject's drawing function needs.

    Attributes
    ----------
    canvas, palette : where and in which colours to draw.
    rng : the layout's own random numbers.
    clutter : 0 nothing else .. 1 crowded.
    order : 0 free layout .. 1 mirror-symmetrical.
    side : -1 or 1, the side that the subject leans to when it is off-centre.
    """

    canvas: Canvas
    palette: Palette
    rng: np.random.Generator
    clutter: float
    order: float
    side: int

    @contextmanager
    def at(self, x: float, ground: float, scale: float, near: float) -> Iterator[None]:
        """Draw elsewhere in the frame, at another size and depth."""
        camera, depth = self.canvas.camera, self.canvas.near
        self.canvas.camera = Camera(x, ground, scale, camera.horizon, camera.tilt)
        self.canvas.near = near
        try:
            yield
        finally:
            self.canvas.camera, self.canvas.near = camera, depth

    def lopsided(self, heights: np.ndarray) -> np.ndarray:
        """Return heights along the frame: mirrored when ordered, else falling to one side."""
        mirrored = np.minimum(1.0, 2.0 * self.order)
        out = heights + mirrored * ((heights + heights[::-1]) / 2 - heights)
        slope = np.linspace(-1, 1, len(heights)) * self.side * max(0.0, 1 - 2 * self.order)
        return out * (1 + 0.7 * slope)

    def spread(self, most: int, *, front: bool = False) -> list[tuple[float, float, int]]:
        """Return (depth, x, kind) of at most `most` things, as many as there is clutter.

        Depth runs from 0 to 1, x over the frame; the subject's middle stays free, but for the
        `front` row. In an ordered layout each second thing is the mirror image of the one before.
        """
        draws = self.rng.random((most, 2))
        first = int(self.rng.integers(6))
        middle = self.canvas.camera.x
        free = min(0.07 + 0.27 * self.canvas.camera.scale, 0.30)
        left, right = max(middle - free, 0.03), min(middle + free, 0.97)
        # Evenly along the free parts of the frame, each a little astray.
        slots = (np.arange(most) * 0.618 + draws[:, 0] / most + first * 0.13) % 1.0
        along = slots * (left + 1.0 - right)
        xs = np.where(along < left, along, along - left + right)
        depths = draws[:, 1] ** 0.6  # more in front: what stands behind may be hidden
        if front:
            row = np.arange(most) // 2 % FRONT_ROW == FRONT_ROW - 1
            xs, depths = np.where(row, slots, xs), np.where(row, 1.1, depths)
        kinds = np.arange(most) + first
        count = round(self.clutter * most)
        if self.order > 0.5:
            weight = min(1.0, (self.order - 0.5) / 0.3)
            pairs = most // 2
            xs[1::2] += weight * (1.0 - xs[0::2][:pairs] - xs[1::2])
            depths[1::2] += weight * (depths[0::2][:pairs] - depths[1::2])
            kinds[1::2] = kinds[0::2][:pairs]
            count += count % 2 * (weight > 0.5)
        rows = zip(depths.tolist(), xs.tolist(), kinds.tolist(), strict=True)
        return sorted(list(rows)[:count])


@dataclass(frozen=True)
class Setting:
    """A backdrop, what stands about in it, and what hangs or flies above."""

    backdrop: Callable[[Stage], None]
    standing: Callable[[Stage, int], None]
    hanging: Callable[[Stage, int], None]


def surround(s: Stage, setting: Setting, subject: Callable[[Stage], None]) -> None:
    """Draw the backdrop, what stands behind the subject, the subject, and what stands before it."""
    setting.backdrop(s)
    camera = s.canvas.camera
    size = float(np.clip(camera.scale, 0.36, 0.62))
    for depth, x, i in s.spread(HANGING):
        with s.at(x, 0.05 + 0.26 * depth, 0.7 * size, 0.3):
            setting.hanging(s, i)
    top = float(np.clip(camera.horizon, 0.3, 0.85))
    drawn = False
    for depth, x, i in s.spread(STANDING, front=True):
        y = top + 0.06 + (0.96 - top) * depth
        if y > max(camera.ground - 0.02, 0.72) and not drawn:
            drawn = _draw_subject(s, subject)
        near = 1.0 if drawn else 0.3 + 0.4 * depth
        with s.at(x, y, size * (0.62 + 0.45 * min(depth, 0.8)), near):
            setting.standing(s, i)
    if not drawn:
        _draw_subject(s, subject)


def _draw_subject(s: Stage, subject: Callable[[Stage], None]) -> bool:
    s.canvas.near = 1.0
    subject(s)
    return True
