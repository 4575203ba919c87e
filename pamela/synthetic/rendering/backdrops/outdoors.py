"""Backdrops in the country, by the water and after dark."""

from __future__ import annotations

import numpy as np

from pamela.synthetic.rendering.backdrops.terrain import (
    GOLDEN,
    ground,
    hills,
    perspective,
    sky,
    tufts,
)
from pamela.synthetic.rendering.layout import Stage
from pamela.synthetic.rendering.palette import scaled


def meadow(s: Stage) -> None:
    """Meadow and hills."""
    sky(s)
    hills(s, "grass dark", 0.16)
    ground(s, "grass", "grass dark")
    tufts(s, s.palette("leaf", 1.35))


def pasture(s: Stage) -> None:
    """A paddock: a long wooden fence before trees, high grass."""
    c, p = s.canvas, s.palette
    sky(s, sun=False)
    hills(s, "leaf", 0.2, 17)
    ground(s, "grass", "grass dark")
    tufts(s, p("cheese"))
    y, size = c.camera.horizon + 0.10, 0.10 + 0.08 * c.camera.scale
    c.near = 0.15
    for k in (0.2, 0.55, 0.9):
        c.stroke(np.array([[0.0, y - k * size], [1.0, y - k * size]]), 0.016, p("wood", 1.5))
    for x in np.linspace(0.06, 0.94, 7):
        c.stroke(np.array([[x, y + 0.02], [x, y - 1.1 * size]]), 0.026, p("wood", 1.3))


def desert(s: Stage) -> None:
    """Sand under an empty sky."""
    sky(s)
    hills(s, "sand dark", 0.08, 5)
    ground(s, "sand", "sand dark")
    tufts(s, s.palette("sand dark", 0.85), flat=True)


def _water(s: Stage, light: str = "water light", deep: str = "water") -> None:
    c, p = s.canvas, s.palette
    c.near = 0.3
    c.band(c.camera.horizon, 1.0, p(light), p(deep))
    tufts(s, p("water light", 1.15), flat=True)


def shore(s: Stage) -> None:
    """Water to the horizon."""
    sky(s)
    _water(s)


def bay(s: Stage) -> None:
    """A wide bay of the south: turquoise water, islands like sugar loaves, a huge sun."""
    c, p = s.canvas, s.palette
    sky(s, sun=False, top="lagoon", low="cream")
    horizon = c.camera.horizon
    x = 0.5 + 0.3 * (1 - s.order) * s.side
    c.near = 0.05
    with s.at(x, horizon, 0.24, 0.05):
        c.ellipse(0, 0.1, 0.9, 0.9, p("sunset"), shade=0.0)
    for k, at in enumerate((0.08, 0.3, 0.78, 0.93)):
        tall = (0.22, 0.12, 0.15, 0.25)[k] * (0.6 + 0.8 * c.camera.scale)
        c.near = 0.1
        t = np.linspace(0, np.pi, 9)
        loaf = np.stack([at + 0.09 * np.cos(t), horizon + 0.01 - tall * np.sin(t) ** 0.6], 1)
        c.fill(loaf, p("jungle", 0.85 + 0.1 * k), 0.2)
    _water(s, "lagoon", "water")


def _stars(s: Stage, count: int) -> None:
    k = np.arange(count)
    x, y = (k * GOLDEN + 0.07 * s.side) % 1.0, (k * 0.7548776662466927) % 1.0
    r = 0.004 + 0.005 * (k % 3) / 2
    box = np.array([[-1, 0], [0, -1], [1, 0], [0, 1]], float)
    places = np.stack([x, y], 1)[:, None, :] + r[:, None, None] * box[None]
    s.canvas.tiles(places, s.palette("white"))


def night(s: Stage) -> None:
    """A dark sky with stars over a dark ground and a wood."""
    c, p = s.canvas, s.palette
    c.near = 0.0
    c.band(0.0, 1.0, p("night"), p("night", 1.9))
    _stars(s, 40)
    edge = c.camera.horizon + 0.12
    x = np.linspace(-0.02, 1.02, 35)
    jag = np.where(np.arange(35) % 2, 0.15, 0.03) * (0.6 + c.camera.scale)
    c.near = 0.15
    wood = np.concatenate(
        [np.stack([x, edge - jag], 1), [[1.02, edge + 0.03], [-0.02, edge + 0.03]]]
    )
    c.fill(wood, p("night", 0.55), 0.0)
    if edge < 1.0:
        c.near = 0.3
        c.band(edge, 1.0, p("earth", 0.55), p("earth", 0.4))
        tufts(s, p("earth", 0.8))


def cosmos(s: Stage) -> None:
    """Deep violet space with a glowing cloud and many stars."""
    c, p = s.canvas, s.palette
    c.near = 0.0
    c.band(0.0, 1.0, p("violet"), p("violet", 1.5))
    for k in range(5):
        with s.at(0.1 + 0.2 * k, 0.78 - 0.13 * k + 0.06 * (k % 2), 0.3, 0.0):
            c.ellipse(0, 0, 0.62 - 0.05 * k, 0.4, p("nebula", 0.8 + 0.15 * (k % 2)), shade=0.3)
    _stars(s, 90)


def lamplit(s: Stage) -> None:
    """A wet street at night: dark fronts, lit windows, light on the pavement."""
    c, p = s.canvas, s.palette
    c.near = 0.0
    c.band(0.0, 1.0, p("night"), p("night", 1.6))
    horizon = float(np.clip(c.camera.horizon + 0.1, 0.1, 0.9))
    c.near = 0.15
    heights = s.lopsided(s.rng.uniform(0.25, 0.5, 7))
    for i, h in enumerate(heights.tolist()):
        x = i / 7
        c.fill(
            np.array(
                [[x, horizon], [x + 0.15, horizon], [x + 0.15, horizon - h], [x, horizon - h]]
            ),
            p("metal dark", 0.5 + 0.15 * (i % 2)),
            0.0,
        )
    k = np.arange(26)
    places = np.stack([(k * GOLDEN) % 1.0, horizon - 0.05 - 0.25 * ((k * 0.7549) % 1.0)], 1)
    box = np.array([[-1, -1.4], [1, -1.4], [1, 1.4], [-1, 1.4]]) * 0.012
    c.tiles(places[:, None, :] + box[None], p("window", 0.85))
    c.near = 0.35
    c.band(horizon, 1.0, p("asphalt", 0.8), p("asphalt", 1.1))
    perspective(s, scaled(p("window"), 0.55), rows=5)
