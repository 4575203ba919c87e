"""Sky, hills, ground and what lies on it: the parts of every backdrop in the open."""

from __future__ import annotations

from typing import Final

import numpy as np

from pamela.synthetic.rendering import objects
from pamela.synthetic.rendering.layout import Stage
from pamela.synthetic.rendering.palette import Rgb

GOLDEN: Final = 0.6180339887498949  # its multiples spread evenly over the frame


def sky(s: Stage, *, sun: bool = True, top: str = "sky", low: str = "sky low") -> None:
    """Draw sky down to the horizon, with clouds where there is clutter."""
    c, p = s.canvas, s.palette
    horizon = c.camera.horizon
    c.near = 0.0
    c.band(0.0, max(horizon, 0.0) + 0.02, p(top), p(low))
    if sun and horizon > 0.2:
        x = 0.5 - s.side * 0.36 * (1 - s.order)
        with s.at(x, 0.3 * horizon, 0.1, 0.0):
            c.ellipse(0, 0, 0.7, 0.7, p("sun"), shade=0.0)
    if horizon > 0.25:
        for i in range(round(4 * s.clutter)):
            x = (0.15 + GOLDEN * i + 0.2 * s.side) % 1.0
            with s.at(x, horizon * (0.25 + 0.2 * (i % 3)), 0.1, 0.0):
                objects.cloud(c, p, 0, 0, 1.0)


def hills(s: Stage, role: str, height: float, steps: int = 9, near: float = 0.1) -> None:
    """Draw a range of hills along the horizon."""
    c = s.canvas
    x = np.linspace(-0.1, 1.1, steps)
    y = s.lopsided(s.rng.uniform(0.3, 1.0, steps))
    size = height * (0.5 + c.camera.scale)
    top = c.camera.horizon - size * y
    base = c.camera.horizon + 0.03
    outline = np.concatenate([np.stack([x, top], 1), [[1.1, base], [-0.1, base]]])
    c.near = near
    c.fill(outline, s.palette(role), 0.12)


def ground(s: Stage, far: str, near: str) -> None:
    """Draw the ground from the horizon to the lower edge."""
    c = s.canvas
    c.near = 0.35
    c.band(c.camera.horizon, 1.0, s.palette(far), s.palette(near))


def tufts(s: Stage, colour: Rgb, *, flat: bool = False) -> None:
    """Draw short blades, or ripples, all over the ground: smaller towards the horizon."""
    c = s.canvas
    depth = 0.06 + 0.92 * (np.arange(90) + 0.5) / 90
    x = (np.arange(90) * GOLDEN + 0.1 * s.side) % 1.0
    y = c.camera.horizon + (1 - c.camera.horizon) * depth**1.4
    size = 0.012 + 0.03 * depth
    dx, dy = (1.3 * size, 0 * size) if flat else (0.3 * size, -size)
    lines = np.stack([np.stack([x - dx, y], 1), np.stack([x + dx, y + dy], 1)], 1)
    c.texture(lines, 0.008, colour)


def perspective(s: Stage, colour: Rgb, *, rows: int = 6, width: float = 0.006) -> None:
    """Draw a grid on the ground whose lines run to the horizon: how high the viewer stands."""
    c = s.canvas
    horizon = c.camera.horizon
    if horizon > 0.97:
        return
    foot = np.linspace(-1.6, 2.6, 22)
    start = np.full((22, 2), [0.5, horizon])
    c.texture(np.stack([start, np.stack([foot, np.full(22, 1.02)], 1)], 1), width, colour)
    y = horizon + (1 - horizon) * np.linspace(0.12, 1.0, rows) ** 1.8
    level = np.stack([np.stack([np.zeros(rows), y], 1), np.stack([np.ones(rows), y], 1)], 1)
    c.texture(level, width, colour)
