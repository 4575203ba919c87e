"""Cities and buildings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from pamela.synthetic.rendering import objects
from pamela.synthetic.rendering.layout import Stage
from pamela.synthetic.rendering.palette import mixed, scaled
from pamela.synthetic.rendering.subjects.landscapes import way

Draw = Callable[[Stage], None]


def _skyline(s: Stage) -> None:
    c, p = s.canvas, s.palette
    heights = (0.5, 0.8, 0.62, 1.0, 0.72, 0.9, 0.45)
    for i, h in enumerate(heights):
        x = -0.72 + 0.24 * i
        wall = mixed(p("stone", 0.9), p.free(i, 0.8, 0.5), 0.6)
        c.rect(x - 0.115, 0, x + 0.115, h, wall)
        objects.windows(c, p, x - 0.1, 0.05, 0.2, h - 0.1, 3, round(h / 0.11))
    c.rect(-0.02, 1.0, 0.02, 1.25, p("metal dark"), 0.0)


def _old_street(s: Stage) -> None:
    c, p = s.canvas, s.palette
    way(s, "stone dark", 0.7, 0.0)
    for depth in (0.12, 0.4, 0.8):
        for side in (-1, 1):
            x = c.camera.x + side * c.camera.scale * (0.28 + 0.42 * depth)
            y = c.camera.horizon + (c.camera.ground - c.camera.horizon) * depth + 0.01
            with s.at(x, y, c.camera.scale * (0.45 + 0.65 * depth), 0.3 + 0.7 * depth):
                wall = mixed(p("wall"), p.free(round(depth * 10) + side + 1, 1.0, 0.5), 0.65)
                objects.house(c, p, 0, 0, 0.46, 0.85, wall)


def _canal(s: Stage) -> None:
    c, p = s.canvas, s.palette
    for i in range(5):
        wall = p.free(i, 1.0, 0.55)
        objects.house(c, p, -0.68 + 0.34 * i, 0.12, 0.32, 0.52 + 0.14 * ((i * 3) % 3), wall)
    c.near = 1.0
    c.band(c.camera.height_of(0.12), 1.0, p("water"), p("water light"))
    for i in range(5):
        c.rect(
            -0.8 + 0.34 * i,
            -0.3,
            -0.6 + 0.34 * i,
            0.08,
            mixed(p.free(i, 0.8, 0.55), p("water"), 0.5),
            0.0,
        )
    c.poly([(-0.3, 0.02), (0.3, 0.02), (0.2, -0.09), (-0.2, -0.09)], p("wood dark"))


def _city_square(s: Stage) -> None:
    c, p = s.canvas, s.palette
    objects.house(c, p, -0.62, 0.05, 0.5, 0.55, mixed(p("wall"), p.free(1), 0.5))
    objects.house(c, p, 0.62, 0.05, 0.5, 0.55, mixed(p("wall"), p.free(2), 0.5))
    c.rect(-0.2, 0.05, 0.2, 0.85, p("stone"))
    c.poly([(-0.24, 0.85), (0.24, 0.85), (0, 1.25)], p("roof"))
    c.ellipse(0, 0.7, 0.11, 0.11, p("white"), shade=0.0)
    c.line([(0, 0.78), (0, 0.7), (0.06, 0.7)], 0.02, p("black"))
    c.disc(0, -0.02, 0.34, p("stone dark"))
    c.disc(0, 0.0, 0.27, p("water light"))


def _temple(s: Stage) -> None:
    c, p = s.canvas, s.palette
    stone = p("stone", 1.1)
    for k in range(3):
        c.rect(
            -0.78 + 0.05 * k,
            0.05 * k,
            0.78 - 0.05 * k,
            0.05 * k + 0.05,
            scaled(stone, 0.8 + 0.06 * k),
            0.0,
        )
    c.rect(-0.62, 0.15, 0.62, 0.68, p("stone dark", 0.6), 0.0)
    for i in range(6):
        x = -0.56 + 0.224 * i
        c.rect(x - 0.055, 0.15, x + 0.055, 0.68, stone, 0.3)
    c.rect(-0.68, 0.68, 0.68, 0.77, scaled(stone, 0.9))
    c.poly([(-0.74, 0.77), (0.74, 0.77), (0, 1.08)], stone)
    c.poly([(-0.5, 0.8), (0.5, 0.8), (0, 1.0)], scaled(stone, 0.7), 0.0)


def _glass_tower(s: Stage) -> None:
    c, p = s.canvas, s.palette
    glass = mixed(p("glass"), p.free(0), 0.35)
    c.rect(-0.62, 0, -0.3, 0.55, scaled(glass, 0.8))
    c.poly([(-0.3, 0), (0.3, 0), (0.24, 1.22), (-0.12, 1.1)], glass, 0.35)
    for k in range(1, 10):
        c.line(
            [(-0.3 + 0.018 * k, 0.115 * k), (0.3 - 0.006 * k, 0.122 * k)], 0.014, scaled(glass, 0.6)
        )
    for x in (-0.15, 0.0, 0.15):
        c.line([(x, 0), (x * 0.75 + 0.05, 1.14)], 0.014, scaled(glass, 1.35))
    c.rect(0.34, 0, 0.7, 0.4, p("stone"))


def _bridge(s: Stage) -> None:
    c, p = s.canvas, s.palette
    stone = p("stone", 0.95)
    t = np.linspace(-1, 1, 21)
    deck = np.stack([t * 0.95, 0.42 + 0.2 * (1 - t**2)], 1)
    c.poly(np.concatenate([deck, [[0.95, 0], [-0.95, 0]]]), stone, 0.14)
    for x, r in ((0, 0.36), (-0.62, 0.2), (0.62, 0.2)):
        c.ellipse(
            x,
            0,
            r * 0.8,
            r * 1.1,
            mixed(p("water", 0.7), p("black"), 0.3),
            start=0,
            end=0.5,
            shade=0.0,
        )
    c.line(deck + np.array([0.0, 0.03]), 0.06, scaled(stone, 1.2))
    c.near = 1.0
    c.rect(-3.0, -0.6, 3.0, 0.03, p("water"), 0.1)


def _church(s: Stage) -> None:
    c, p = s.canvas, s.palette
    wall = p("stone", 1.15)
    c.rect(-0.6, 0, 0.6, 0.5, wall)
    for x in (-0.62, 0.62):
        c.rect(x - 0.1, 0, x + 0.1, 0.85, scaled(wall, 0.92))
        c.poly([(x - 0.13, 0.85), (x + 0.13, 0.85), (x, 1.12)], p("roof"))
    c.rect(-0.3, 0.5, 0.3, 0.64, scaled(wall, 0.85))
    c.ellipse(0, 0.64, 0.34, 0.4, p.free(0, 0.9), start=0, end=0.5, shade=0.35)
    c.rect(-0.02, 1.02, 0.02, 1.2, p("gold"), 0.0)
    c.ellipse(0, 0.2, 0.12, 0.16, p("wood dark"), start=0, end=0.5, shade=0.0)
    c.rect(-0.12, 0, 0.12, 0.2, p("wood dark"), 0.0)
    for x in (-0.4, -0.24, 0.24, 0.4):
        c.rect(x - 0.035, 0.2, x + 0.035, 0.38, p("glass", 0.5), 0.0)


def _modern_house(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.rect(-0.75, 0, 0.5, 0.36, p("stone dark"))
    c.rect(-0.65, 0.06, 0.2, 0.32, p("glass"), 0.3)
    c.rect(-0.35, 0.36, 0.8, 0.76, p("white"))
    c.rect(-0.25, 0.44, 0.45, 0.68, p("window", 0.9), 0.2)
    c.rect(-0.4, 0.76, 0.86, 0.82, p("wood"))
    c.rect(0.6, 0, 0.66, 0.36, p("metal dark"), 0.0)
    for x in (-0.22, 0.1):
        c.line([(x, 0.06), (x, 0.32)], 0.02, p("black"))


CITIES: Final[dict[str, tuple[str, Draw]]] = {
    "a city skyline": ("town", _skyline),
    "an old town street": ("town", _old_street),
    "a canal with houses": ("town", _canal),
    "a city square": ("town", _city_square),
    "a classical temple": ("plaza", _temple),
    "a glass tower": ("plaza", _glass_tower),
    "a stone bridge": ("plaza", _bridge),
    "a domed church": ("plaza", _church),
    "a modern house": ("plaza", _modern_house),
}
