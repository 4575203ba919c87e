"""Where the subject stands: backdrops, and the clutter around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pamela.synthetic import parts
from pamela.synthetic.canvas import Camera, Canvas
from pamela.synthetic.palette import Palette, mixed, scaled

MAX_CLUTTER: Final = 16


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
        self.canvas.camera = replace(camera, x=x, ground=ground, scale=scale)
        self.canvas.near = near
        try:
            yield
        finally:
            self.canvas.camera, self.canvas.near = camera, depth

    def places(self, low: float, high: float) -> list[tuple[float, float, int]]:
        """Return (t, x, kind) of the clutter: t in [low, high] from far to near, x in the frame.

        Most of the subject stays free. In an ordered layout each second thing is the mirror image
        of the one before it.
        """
        draws = self.rng.random((MAX_CLUTTER, 2))
        middle, free = self.canvas.camera.x, 0.10 + 0.26 * self.canvas.camera.scale
        left, right = max(middle - free, 0.10), min(middle + free, 0.90)
        along = draws[:, 0] * (left + 1.0 - right)
        xs = np.where(along < left, along, along - left + right)
        ts = low + (high - low) * draws[:, 1]
        kinds = np.arange(MAX_CLUTTER)
        count = round(self.clutter**1.2 * MAX_CLUTTER)
        if self.order > 0.6:
            weight = min(1.0, (self.order - 0.6) / 0.25)
            pairs = len(xs[1::2])
            xs[1::2] += weight * (1.0 - xs[0::2][:pairs] - xs[1::2])
            ts[1::2] += weight * (ts[0::2][:pairs] - ts[1::2])
            kinds[1::2] = kinds[0::2][:pairs]
            count += count % 2
        chosen = zip(ts[:count].tolist(), xs[:count].tolist(), kinds[:count].tolist(), strict=True)
        return sorted(chosen)


def scale_at(camera: Camera, y: float) -> float:
    """Return the scale of a thing that stands on the ground at frame height `y`."""
    reach = max(camera.ground - camera.horizon, 0.12)
    return camera.scale * float(np.clip((y - camera.horizon) / reach, 0.4, 1.15))


def sky(s: Stage, *, sun: bool = True) -> None:
    """Draw sky down to the horizon."""
    c, p = s.canvas, s.palette
    horizon = c.camera.horizon
    c.near = 0.0
    c.band(0.0, max(horizon, 0.0) + 0.02, p("sky"), p("sky low"))
    if sun and horizon > 0.2:
        x = 0.5 - s.side * 0.3 * (1 - s.order)
        with s.at(x, 0.35 * horizon, 0.1, 0.0):
            c.ellipse(0, 0, 0.7, 0.7, p("sun"), shade=0.0)
    if horizon > 0.3:
        for i in range(1 + round(3 * s.clutter)):
            x = (0.15 + 0.62 * i + 0.2 * s.side) % 1.0
            with s.at(x, horizon * (0.25 + 0.15 * (i % 3)), 0.09, 0.0):
                parts.cloud(c, p, 0, 0, 1.0)


def hills(s: Stage, role: str, height: float, steps: int = 9) -> None:
    """Draw a range of hills along the horizon."""
    c = s.canvas
    x = np.linspace(-0.1, 1.1, steps)
    y = s.rng.uniform(0.3, 1.0, steps)
    y = y + s.order * ((y + y[::-1]) / 2 - y)
    size = height * (0.5 + c.camera.scale)
    top = c.camera.horizon - size * y
    base = c.camera.horizon + 0.03
    outline = np.concatenate([np.stack([x, top], 1), [[1.1, base], [-0.1, base]]])
    c.near = 0.1
    c.fill(outline, s.palette(role), 0.12)


def ground(s: Stage, far: str, near: str) -> None:
    """Draw the ground from the horizon to the lower edge."""
    c = s.canvas
    c.near = 0.35
    c.band(c.camera.horizon, 1.0, s.palette(far), s.palette(near))


def outdoors(s: Stage) -> None:
    """Meadow and hills."""
    sky(s)
    hills(s, "grass dark", 0.14)
    ground(s, "grass", "grass dark")


def _plant(s: Stage, i: int) -> None:
    """Draw a tree, a flowering bush or a fence."""
    c, p = s.canvas, s.palette
    if i % 4 == 2:
        c.ellipse(0, 0.12, 0.22, 0.17, p("leaf", 0.9), shade=0.3)
        for k in range(5):
            c.ellipse(
                -0.15 + 0.075 * k, 0.12 + 0.05 * (k % 3), 0.04, 0.04, p.free(i, 1.2), shade=0.0
            )
    elif i % 4 == 3:
        for k in range(4):
            c.rect(-0.3 + 0.19 * k, 0, -0.25 + 0.19 * k, 0.3, p("white"), 0.0)
        c.rect(-0.33, 0.17, 0.36, 0.22, p("white"), 0.0)
    else:
        parts.tree(c, p, 0, 0, 0.72 + 0.2 * (i % 3), i // 2)


def street(s: Stage) -> None:
    """A road between houses."""
    c, p = s.canvas, s.palette
    sky(s)
    horizon = c.camera.horizon
    c.near = 0.15
    heights = s.rng.uniform(0.2, 0.55, 8)
    heights = heights + s.order * ((heights + heights[::-1]) / 2 - heights)
    for i, h in enumerate(heights):
        n = min(i, 7 - i) if s.order > 0.6 else i
        with s.at((i + 0.5) / 8, horizon + 0.02, 0.35 + 0.6 * c.camera.scale, 0.15):
            wall = mixed(p("wall", 0.9), p.free(n, 0.8, 0.4), 0.5)
            parts.house(c, p, 0, 0, 0.24, h, wall, gable=n % 3 == 0)
    ground(s, "pavement", "asphalt")


def _street_thing(s: Stage, i: int) -> None:
    """Draw a passer-by, a lamp post or a crate."""
    c, p = s.canvas, s.palette
    if i % 3 == 0:
        parts.person(c, p, 0, 0, 0.62, i)
    elif i % 3 == 1:
        c.line([(0, 0), (0, 0.9)], 0.04, p("metal dark"))
        c.ellipse(0, 0.92, 0.09, 0.09, p("window"), shade=0.0)
    else:
        c.rect(-0.16, 0.0, 0.16, 0.26, p.free(i))
        c.rect(-0.16, 0.2, 0.16, 0.26, p.free(i, 0.7))


def shore(s: Stage) -> None:
    """Water to the horizon, with boats and rocks."""
    c, p = s.canvas, s.palette
    sky(s)
    c.near = 0.3
    c.band(c.camera.horizon, 1.0, p("water light"), p("water"))
    for k in range(5):
        y = c.camera.horizon + (1 - c.camera.horizon) * (0.12 + 0.19 * k)
        x = 0.15 + 0.7 * ((k * 0.37 + 0.5 * s.side) % 1.0)
        c.stroke(np.array([[x - 0.12, y], [x + 0.12, y]]), 0.006 + 0.002 * k, p("water light", 1.1))


def _water_thing(s: Stage, i: int) -> None:
    """Draw a rock or a small boat."""
    c, p = s.canvas, s.palette
    if i % 2:
        c.ellipse(0, 0.02, 0.22, 0.13, p("rock", 0.8))
    else:
        c.poly([(-0.2, 0.1), (0.2, 0.1), (0.12, 0), (-0.12, 0)], p.free(i))
        c.poly([(0, 0.12), (0, 0.5), (0.17, 0.14)], p("white"))


def desert(s: Stage) -> None:
    """Sand under an empty sky."""
    sky(s)
    hills(s, "sand dark", 0.07, 5)
    ground(s, "sand", "sand dark")


def _desert_thing(s: Stage, i: int) -> None:
    """Draw a rock or a cactus."""
    c, p = s.canvas, s.palette
    if i % 3 == 1:
        c.ellipse(0, 0.05, 0.2, 0.13, p("rock"))
    else:
        c.rect(-0.05, 0, 0.05, 0.5, p("leaf"))
        c.line([(0, 0.22), (0.17, 0.22), (0.17, 0.4)], 0.07, p("leaf"))
        c.line([(0, 0.16), (-0.15, 0.16), (-0.15, 0.3)], 0.07, p("leaf"))


def table(s: Stage) -> None:
    """A table before a wall, with vessels and fruit."""
    c, p = s.canvas, s.palette
    c.near = 0.0
    edge = float(np.clip(c.camera.horizon, -0.1, 0.86))
    c.band(0.0, edge, p("wall", 0.95), p("wall", 0.75))
    if s.clutter > 0.35 and edge > 0.2:
        for k in range(round(3 * s.clutter)):
            x = (0.2, 0.8, 0.5)[k] if s.order > 0.6 else (0.16, 0.62, 0.9)[k]
            with s.at(x, edge * 0.72, 0.3, 0.05):
                c.rect(-0.3, 0, 0.3, 0.8, p("wood dark"), 0.0)
                c.rect(-0.24, 0.06, 0.24, 0.74, p.free(k + 3, 0.8))
    c.near = 0.4
    c.band(edge, 1.0, p("wood", 0.85), p("wood", 1.15))


def _table_thing(s: Stage, i: int) -> None:
    """Draw a vessel, a box or a fruit."""
    c, p = s.canvas, s.palette
    c.shadow(0, 0.18, p("wood dark"))
    if i % 3 == 2:
        parts.vessel(c, 0, 0, 0.24, 0.5, p.free(i), i % 2)
    elif i % 3 == 1:
        c.rect(-0.17, 0, 0.17, 0.13, p.free(i + 1))
    else:
        parts.fruit(c, p, 0, 0, 0.12, i)


def room(s: Stage) -> None:
    """A room: wall, floor, pictures and furniture."""
    c, p = s.canvas, s.palette
    c.near = 0.0
    edge = float(np.clip(c.camera.horizon + 0.12, 0.02, 0.96))
    wall = mixed(p("wall"), p.free(5, 0.8, 0.3), 0.6)
    c.band(0.0, edge, wall, scaled(wall, 0.82))
    c.near = 0.3
    c.band(edge, 1.0, p("wood", 0.7), p("wood"))
    if edge > 0.25:
        for t, x, i in s.places(0.2, 0.85):
            if i % 3:
                with s.at(x, edge * t, 0.26 + 0.2 * c.camera.scale, 0.05):
                    c.rect(-0.3, 0, 0.3, 0.44, p("wood dark"), 0.0)
                    c.rect(-0.24, 0.06, 0.24, 0.38, p.free(i))


def _room_thing(s: Stage, i: int) -> None:
    """Draw a vase, a lamp or a stool."""
    c, p = s.canvas, s.palette
    if i % 3 == 0:
        parts.vessel(c, 0, 0, 0.22, 0.4, p.free(i))
    elif i % 3 == 1:
        c.line([(0, 0), (0, 0.6)], 0.03, p("wood dark"))
        c.poly([(-0.16, 0.55), (0.16, 0.55), (0.09, 0.8), (-0.09, 0.8)], p.free(i, 1.2))
    else:
        c.rect(-0.2, 0.2, 0.2, 0.28, p.free(i, 0.85))
        for x in (-0.15, 0.15):
            c.rect(x - 0.02, 0, x + 0.02, 0.2, p("wood dark"), 0.0)


def studio(s: Stage) -> None:
    """A seamless backdrop with coloured blocks."""
    c, p = s.canvas, s.palette
    c.near = 0.0
    edge = float(np.clip(c.camera.horizon + 0.1, 0.02, 0.95))
    tone = p.free(4, 0.95, 0.24)
    c.band(0.0, edge, scaled(tone, 0.86), tone)
    c.near = 0.3
    c.band(edge, 1.0, scaled(tone, 0.95), scaled(tone, 0.8))


def _studio_thing(s: Stage, i: int) -> None:
    """Draw a ball, a block or a cone."""
    c, p = s.canvas, s.palette
    if i % 3 == 0:
        c.ellipse(0, 0.14, 0.14, 0.14, p.free(i))
    elif i % 3 == 1:
        c.rect(-0.13, 0, 0.13, 0.34, p.free(i))
    else:
        c.poly([(-0.18, 0), (0.18, 0), (0, 0.34)], p.free(i))


def night(s: Stage) -> None:
    """A dark sky with stars over a dark ground."""
    c, p = s.canvas, s.palette
    c.near = 0.0
    c.band(0.0, 1.0, p("night"), p("night", 1.7))
    for x, y in s.rng.random((14 + round(60 * s.clutter), 2)):
        with s.at(x, y, 1.0, 0.0):
            c.ellipse(0, 0, 0.006, 0.006, p("white"), shade=0.0)
    edge = c.camera.horizon + 0.25
    if edge < 1.0:
        c.near = 0.3
        c.band(edge, 1.0, p("night", 0.6), p("night", 0.4))


def _night_thing(s: Stage, i: int) -> None:
    """Draw a dark tree, a tent or a lantern."""
    c, p = s.canvas, s.palette
    if i % 3 == 1:
        c.poly([(-0.3, 0), (0.3, 0), (0, 0.4)], p.free(i, 0.8))
    elif i % 3 == 2:
        c.line([(0, 0), (0, 0.3)], 0.03, p("black"))
        c.ellipse(0, 0.34, 0.08, 0.1, p("window"), shade=0.0)
    else:
        parts.tree(c, p, 0, 0, 0.8, i)


@dataclass(frozen=True)
class Setting:
    """A backdrop and what stands about in it."""

    backdrop: Callable[[Stage], None]
    thing: Callable[[Stage, int], None]


SETTINGS: Final = {
    "outdoors": Setting(outdoors, _plant),
    "street": Setting(street, _street_thing),
    "shore": Setting(shore, _water_thing),
    "desert": Setting(desert, _desert_thing),
    "table": Setting(table, _table_thing),
    "room": Setting(room, _room_thing),
    "studio": Setting(studio, _studio_thing),
    "night": Setting(night, _night_thing),
}


def surround(s: Stage, setting: Setting, subject: Callable[[Stage], None]) -> None:
    """Draw the backdrop, what stands behind the subject, the subject, and what stands before it."""
    setting.backdrop(s)
    camera = s.canvas.camera
    top = float(np.clip(camera.horizon, 0.0, 0.85))
    drawn = False
    for t, x, i in s.places(0.06, 0.92):
        y = top + (1.04 - top) * t
        if y > camera.ground + 0.02 and not drawn:
            drawn = _draw_subject(s, subject)
        near = 1.0 if drawn else 0.2 + 0.5 * (y - top)
        with s.at(x, y, scale_at(camera, y), near):
            setting.thing(s, i)
    if not drawn:
        _draw_subject(s, subject)


def _draw_subject(s: Stage, subject: Callable[[Stage], None]) -> bool:
    s.canvas.near = 1.0
    subject(s)
    return True
