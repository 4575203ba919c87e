"""Travel, scenes and special effects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from pamela.synthetic.rendering import objects
from pamela.synthetic.rendering.layout import Stage
from pamela.synthetic.rendering.palette import mixed

Draw = Callable[[Stage], None]


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
    objects.palm(c, p, -0.2, 0, 1.0, 0.22)
    objects.palm(c, p, 0.25, -0.03, 0.75, -0.15)
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
        objects.person(c, p, x, -0.05, 0.8, int(x > 0), outfit="coat")


def _harbour(s: Stage) -> None:
    c, p = s.canvas, s.palette
    for i in range(6):
        wall = p.free(i, 1.05, 0.5)
        objects.house(c, p, -1.0 + 0.4 * i, 0.34, 0.36, 0.34 + 0.08 * (i % 3), wall)
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


TRAVEL: Final[dict[str, tuple[str, Draw]]] = {
    "a hot air balloon": ("bay", _balloon),
    "a palm beach": ("bay", _palm_beach),
    "a pagoda": ("bay", _pagoda),
    "a sailing boat": ("bay", _sailing_boat),
    "a campfire": ("night", _campfire),
    "a harbour with boats": ("shore", _harbour),
    "fireworks": ("cosmos", _fireworks),
    "soap bubbles": ("cosmos", _bubbles),
    "a ringed planet": ("cosmos", _planet),
}
