"""Places: landscapes, cities, buildings, travel, scenes and special effects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from pamela.synthetic import parts
from pamela.synthetic.palette import mixed, scaled
from pamela.synthetic.settings import Stage

Draw = Callable[[Stage], None]


# --- landscapes: the view itself is the subject ---------------------------------------------------
def _mountains(s: Stage) -> None:
    """Draw a main peak at the subject's place and lesser ones beside it."""
    c, p = s.canvas, s.palette
    peaks = [
        (-1.5, 0.62, 0.6),
        (1.35, 0.7, 0.6),
        (-0.75, 0.8, 0.62),
        (0.8, 0.66, 0.5),
        (0.0, 1.15, 0.85),
    ]
    with s.at(c.camera.x, c.camera.horizon + 0.02, c.camera.scale * 0.62, 0.25):
        for i, (x, h, w) in enumerate(peaks):
            x, h = x + 0.15 * (1 - s.order) * s.side, h * (0.9 + 0.2 * s.rng.random())
            rock = p("rock dark" if i % 2 else "rock", 0.9 + 0.1 * (i % 3))
            c.poly([(x - w, 0), (x + w, 0), (x, h)], rock, 0.2)
            c.poly([(x, 0), (x + w, 0), (x, h)], scaled(rock, 0.78), 0.0)
            cap = [
                (x - 0.3 * w, 0.7 * h),
                (x - 0.1 * w, 0.76 * h),
                (x + 0.08 * w, 0.66 * h),
                (x + 0.3 * w, 0.7 * h),
                (x, h),
            ]
            c.poly(cap, p("snow"), 0.0)


def _mountain_lake(s: Stage) -> None:
    c, p = s.canvas, s.palette
    _mountains(s)
    y = c.camera.horizon + 0.45 * (1 - c.camera.horizon)
    with s.at(c.camera.x, y, c.camera.scale, 0.8):
        c.ellipse(0, 0, 0.85, 0.13 + 0.55 * c.camera.flatness, p("water"), shade=0.1)
        for k in range(3):
            c.line(
                [(-0.4 + 0.2 * k, 0.04 - 0.05 * k), (0.1 + 0.15 * k, 0.04 - 0.05 * k)],
                0.02,
                p("water light"),
            )


def _way(s: Stage, role: str, width: float, bend: float) -> None:
    """Draw a path or river from the horizon at the subject's place to the lower edge."""
    c, p = s.canvas, s.palette
    t = np.linspace(0, 1, 14)
    y = c.camera.horizon + (1.02 - c.camera.horizon) * t**1.5
    middle = c.camera.x + bend * np.sin(t * 5.0) * t * 0.35 * s.side
    half = width * (0.03 + 0.6 * t**1.5) * c.camera.scale
    left, right = np.stack([middle - half, y], 1), np.stack([middle + half, y], 1)
    c.near = 0.8
    c.fill(np.concatenate([left, right[::-1]]), p(role), 0.0)


def _forest_path(s: Stage) -> None:
    c, p = s.canvas, s.palette
    _way(s, "sand", 0.7, 0.25)
    for depth in (0.0, 0.3, 0.65):
        y = c.camera.horizon + (1 - c.camera.horizon) * depth * 0.7
        for side in (-1, 1):
            for k in range(3):
                x = c.camera.x + side * c.camera.scale * (0.42 + 0.5 * depth + 0.42 * k)
                with s.at(x, y, c.camera.scale * (0.75 + 0.8 * depth), 0.3 + depth):
                    parts.tree(c, p, 0, 0, 1.15, 1 + 2 * (k % 2))


def _rolling_hills(s: Stage) -> None:
    c, p = s.canvas, s.palette
    x = np.linspace(-0.1, 1.1, 30)
    for k, role in enumerate(("grass dark", "grass", "leaf", "grass")):
        base = c.camera.horizon + (1 - c.camera.horizon) * (0.02 + 0.25 * k)
        swell = np.cos((x - c.camera.x) / (0.28 + 0.3 * c.camera.scale) * (2 + k) * 1.2 + k * np.pi)
        y = base - 0.13 * c.camera.scale * (1 + swell)
        c.near = 0.3 + 0.2 * k
        c.fill(
            np.concatenate([np.stack([x, y], 1), [[1.1, 1.1], [-0.1, 1.1]]]),
            p(role, 0.85 + 0.12 * k),
            0.12,
        )
    with s.at(
        c.camera.x, c.camera.horizon + 0.1 * (1 - c.camera.horizon), c.camera.scale * 0.6, 1.0
    ):
        parts.tree(c, p, 0, 0, 0.9, 0)


def _dunes(s: Stage) -> None:
    c, p = s.canvas, s.palette
    for k, (x, h) in enumerate(((-0.75, 0.42), (0.85, 0.36), (0.0, 0.62))):
        with s.at(
            c.camera.x,
            c.camera.horizon + (0.25 + 0.2 * k) * (1 - c.camera.horizon),
            c.camera.scale,
            0.5 + 0.2 * k,
        ):
            c.poly(
                [(x - 1.0, 0), (x - 0.4, 0.55 * h), (x, h), (x + 0.25, 0.5 * h), (x + 0.9, 0)],
                p("sand", 1.05),
                0.1,
            )
            c.poly(
                [(x, h), (x + 0.25, 0.5 * h), (x + 0.9, 0), (x - 0.1, 0), (x + 0.1, 0.45 * h)],
                p("sand dark"),
                0.0,
            )


def _rocky_coast(s: Stage) -> None:
    c, p = s.canvas, s.palette
    y = c.camera.horizon + 0.35 * (1 - c.camera.horizon)
    with s.at(c.camera.x, y, c.camera.scale * 0.9, 0.9):
        c.ellipse(0, -0.02, 0.8, 0.1, p("cloud"), shade=0.0)
        c.poly(
            [
                (-0.7, 0),
                (-0.62, 0.4),
                (-0.4, 0.75),
                (-0.1, 0.82),
                (0.05, 0.5),
                (0.3, 0.42),
                (0.65, 0),
            ],
            p("rock"),
            0.25,
        )
        c.poly([(0.05, 0.5), (0.3, 0.42), (0.65, 0), (0.0, 0)], p("rock", 0.72), 0.0)
        c.poly([(-0.62, 0.4), (-0.4, 0.75), (-0.1, 0.82), (-0.3, 0.66)], p("grass"), 0.0)
        c.rect(-0.42, 0.74, -0.24, 1.2, p("white"))
        c.rect(-0.42, 0.95, -0.24, 1.05, p("red"), 0.0)
        c.poly([(-0.46, 1.2), (-0.2, 1.2), (-0.33, 1.34)], p("red"))


def _river_valley(s: Stage) -> None:
    _mountains(s)
    _way(s, "water", 0.9, 1.4)


# --- cities ---------------------------------------------------------------------------------------
def _skyline(s: Stage) -> None:
    c, p = s.canvas, s.palette
    heights = (0.5, 0.8, 0.62, 1.0, 0.72, 0.9, 0.45)
    for i, h in enumerate(heights):
        x = -0.72 + 0.24 * i
        wall = mixed(p("stone", 0.9), p.free(i, 0.8, 0.5), 0.6)
        c.rect(x - 0.115, 0, x + 0.115, h, wall)
        parts.windows(c, p, x - 0.1, 0.05, 0.2, h - 0.1, 3, round(h / 0.11))
    c.rect(-0.02, 1.0, 0.02, 1.25, p("metal dark"), 0.0)


def _old_street(s: Stage) -> None:
    c, p = s.canvas, s.palette
    _way(s, "stone dark", 0.7, 0.0)
    for depth in (0.12, 0.4, 0.8):
        for side in (-1, 1):
            x = c.camera.x + side * c.camera.scale * (0.28 + 0.42 * depth)
            y = c.camera.horizon + (c.camera.ground - c.camera.horizon) * depth + 0.01
            with s.at(x, y, c.camera.scale * (0.45 + 0.65 * depth), 0.3 + 0.7 * depth):
                wall = mixed(p("wall"), p.free(round(depth * 10) + side + 1, 1.0, 0.5), 0.65)
                parts.house(c, p, 0, 0, 0.46, 0.85, wall)


def _canal(s: Stage) -> None:
    c, p = s.canvas, s.palette
    for i in range(5):
        wall = p.free(i, 1.0, 0.55)
        parts.house(c, p, -0.68 + 0.34 * i, 0.12, 0.32, 0.52 + 0.14 * ((i * 3) % 3), wall)
    c.near = 1.0
    top = c.camera.frame(np.array([[0.0, 0.12]]))[0, 1]
    c.band(float(top), 1.0, p("water"), p("water light"))
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
    parts.house(c, p, -0.62, 0.05, 0.5, 0.55, mixed(p("wall"), p.free(1), 0.5))
    parts.house(c, p, 0.62, 0.05, 0.5, 0.55, mixed(p("wall"), p.free(2), 0.5))
    c.rect(-0.2, 0.05, 0.2, 0.85, p("stone"))
    c.poly([(-0.24, 0.85), (0.24, 0.85), (0, 1.25)], p("roof"))
    c.ellipse(0, 0.7, 0.11, 0.11, p("white"), shade=0.0)
    c.line([(0, 0.78), (0, 0.7), (0.06, 0.7)], 0.02, p("black"))
    c.disc(0, -0.02, 0.34, p("stone dark"))
    c.disc(0, 0.0, 0.27, p("water light"))


# --- buildings --------------------------------------------------------------------------------
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


# --- travel, scenes, special effects --------------------------------------------------------------
def _balloon(s: Stage) -> None:
    c, p = s.canvas, s.palette
    for i, w in enumerate((0.44, 0.33, 0.2, 0.07)):
        c.ellipse(0, 0.76, w, 0.46, p.free(i if i % 2 else 0, 1.1), shade=0.3)
    c.poly([(-0.24, 0.4), (0.24, 0.4), (0.07, 0.2), (-0.07, 0.2)], p.free(1), 0.2)
    for x in (-0.07, 0.07):
        c.line([(x, 0.22), (x, 0.1)], 0.015, p("black"))
    c.rect(-0.09, 0.0, 0.09, 0.12, p("wood"))


def _palm_beach(s: Stage) -> None:
    c, p = s.canvas, s.palette
    y = c.camera.horizon + 0.4 * (1 - c.camera.horizon)
    c.near = 0.8
    x = np.linspace(-0.1, 1.1, 20)
    edge = y + 0.04 * np.sin(x * 5 + s.side)
    c.fill(np.concatenate([np.stack([x, edge], 1), [[1.1, 1.1], [-0.1, 1.1]]]), p("sand"), 0.0)
    c.near = 1.0
    parts.palm(c, p, -0.2, 0, 1.0, 0.22)
    parts.palm(c, p, 0.25, -0.03, 0.75, -0.15)
    c.poly([(0.3, 0.0), (0.75, 0.0), (0.7, 0.06), (0.35, 0.06)], p.free(1))


def _pagoda(s: Stage) -> None:
    c, p = s.canvas, s.palette
    for k in range(4):
        w, y = 0.4 - 0.07 * k, 0.27 * k
        c.rect(-w, y, w, y + 0.2, p("red", 0.9))
        for x in np.linspace(-w + 0.08, w - 0.08, 4):
            c.rect(x - 0.025, y + 0.02, x + 0.025, y + 0.15, p("window", 0.8), 0.0)
        roof = [
            (-w - 0.26, y + 0.24),
            (-w - 0.1, y + 0.19),
            (w + 0.1, y + 0.19),
            (w + 0.26, y + 0.24),
            (w - 0.06, y + 0.3),
            (-w + 0.06, y + 0.3),
        ]
        c.poly(roof, p("metal dark", 1.1), 0.15)
    c.line([(0, 1.1), (0, 1.34)], 0.03, p("gold"))


def _sailing_boat(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.line([(0, 0.15), (0, 1.15)], 0.03, p("wood dark"))
    c.poly([(0.03, 0.24), (0.03, 1.1), (0.5, 0.26)], p("white"), 0.12)
    c.poly([(-0.03, 0.26), (-0.03, 1.02), (-0.4, 0.28)], p.free(0), 0.12)
    c.poly([(-0.52, 0.18), (0.6, 0.18), (0.42, 0.0), (-0.38, 0.0)], p("wood"), 0.25)
    c.ellipse(0, -0.03, 0.6, 0.05, p("water light", 1.1), shade=0.0)


def _campfire(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.disc(0, 0.0, 0.6, mixed(p("night", 2.0), p("fire"), 0.35))
    for k, (w, h) in enumerate(((0.3, 0.85), (0.2, 0.6), (0.11, 0.36))):
        colour = (p("red"), p("fire"), p("window"))[k]
        c.poly(
            [
                (-w, 0.16),
                (-0.8 * w, 0.4 * h),
                (-0.3 * w, 0.5 * h),
                (0, h),
                (0.5 * w, 0.45 * h),
                (w, 0.32 * h),
                (0.9 * w, 0.12),
            ],
            colour,
            0.0,
        )
    c.line([(-0.4, 0.02), (0.32, 0.2)], 0.09, p("wood"))
    c.line([(0.4, 0.02), (-0.32, 0.2)], 0.09, p("wood", 0.8))
    for x in (-0.9, 0.9):
        parts.person(c, p, x, -0.05, 0.8, int(x > 0), outfit="coat")


def _harbour(s: Stage) -> None:
    c, p = s.canvas, s.palette
    for i in range(6):
        wall = p.free(i, 1.05, 0.5)
        parts.house(c, p, -1.0 + 0.4 * i, 0.34, 0.36, 0.34 + 0.08 * (i % 3), wall)
    c.rect(-2.5, 0.26, 2.5, 0.36, p("stone dark"), 0.0)
    for i, x in enumerate((-0.55, 0.05, 0.6)):
        c.line([(x, 0.08), (x, 0.66)], 0.025, p("wood dark"))
        c.poly(
            [(x - 0.24, 0.12), (x + 0.24, 0.12), (x + 0.17, -0.03), (x - 0.17, -0.03)],
            p.free(i + 2),
            0.2,
        )


def _fireworks(s: Stage) -> None:
    c, p = s.canvas, s.palette
    for k, (x, y, r) in enumerate(((0.0, 0.68, 0.48), (-0.62, 0.85, 0.28), (0.6, 0.4, 0.3))):
        for j in range(18):
            a = j / 18 * 2 * np.pi
            tip = (x + r * np.cos(a), y + r * np.sin(a))
            c.line(
                [(x + 0.25 * r * np.cos(a), y + 0.25 * r * np.sin(a)), tip],
                0.018,
                p.free(k + j % 2, 1.2),
            )
            c.ellipse(*tip, 0.028, 0.028, p("white"), shade=0.0)
    c.line([(0, -0.1), (0, 0.5)], 0.014, p("fire", 0.7))


def _bubbles(s: Stage) -> None:
    c, p = s.canvas, s.palette
    for k, (x, y, r) in enumerate(
        (
            (0, 0.5, 0.4),
            (0.52, 0.85, 0.2),
            (-0.55, 0.8, 0.15),
            (-0.5, 0.2, 0.12),
            (0.55, 0.25, 0.13),
        )
    ):
        c.ellipse(x, y, r, r, p.free(k, 1.1, 0.45), shade=0.0)
        c.ellipse(
            x + 0.04 * r, y - 0.04 * r, 0.9 * r, 0.9 * r, p.free(k + 1, 1.1, 0.25), shade=0.35
        )
        c.ellipse(x - 0.4 * r, y + 0.42 * r, 0.2 * r, 0.13 * r, p("white"), shade=0.0, turn=0.12)


def _planet(s: Stage) -> None:
    c, p = s.canvas, s.palette
    t = np.linspace(0.5, 1.0, 20) * 2 * np.pi
    flat = 0.1 + 0.25 * c.camera.flatness
    ring = np.stack([0.85 * np.cos(t), 0.55 + flat * np.sin(t) + 0.2 * np.cos(t)], 1)
    back = np.stack([0.85 * np.cos(t), 0.55 - flat * np.sin(t) + 0.2 * np.cos(t)], 1)
    c.line(back, 0.07, p.free(1, 0.8))
    c.ellipse(0, 0.55, 0.45, 0.45, p.free(0, 1.1), shade=0.45)
    for dy in (-0.2, 0.0, 0.17):
        c.ellipse(0, 0.55 + dy, 0.45 * (1 - abs(dy) * 1.6), 0.04, p.free(2, 0.9), shade=0.3)
    c.line(ring, 0.08, p.free(1, 1.15))


PLACES: Final[dict[str, tuple[str, Draw]]] = {
    "a mountain lake": ("outdoors", _mountain_lake),
    "a forest path": ("outdoors", _forest_path),
    "rolling hills": ("outdoors", _rolling_hills),
    "a desert with dunes": ("desert", _dunes),
    "a rocky coast": ("shore", _rocky_coast),
    "a winding river valley": ("outdoors", _river_valley),
    "a city skyline": ("street", _skyline),
    "an old town street": ("street", _old_street),
    "a canal with houses": ("street", _canal),
    "a city square": ("street", _city_square),
    "a classical temple": ("outdoors", _temple),
    "a glass tower": ("street", _glass_tower),
    "a stone bridge": ("outdoors", _bridge),
    "a domed church": ("street", _church),
    "a modern house": ("outdoors", _modern_house),
    "a hot air balloon": ("outdoors", _balloon),
    "a palm beach": ("shore", _palm_beach),
    "a pagoda": ("outdoors", _pagoda),
    "a sailing boat": ("shore", _sailing_boat),
    "a campfire": ("night", _campfire),
    "a harbour with boats": ("shore", _harbour),
    "fireworks": ("night", _fireworks),
    "soap bubbles": ("outdoors", _bubbles),
    "a ringed planet": ("night", _planet),
}
