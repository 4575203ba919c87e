"""Vehicles and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from pamela.synthetic.rendering import objects
from pamela.synthetic.rendering.layout import Stage
from pamela.synthetic.rendering.palette import scaled

Draw = Callable[[Stage], None]


def _sports_car(s: Stage) -> None:
    roof = [(-0.5, 0.4), (0.42, 0.38), (0.16, 0.62), (-0.24, 0.62)]
    objects.car(s.canvas, s.palette, s.palette.free(0, 1.1, 0.85), roof, 0.42)


def _vintage_car(s: Stage) -> None:
    c, p = s.canvas, s.palette
    objects.car(
        c, p, p.free(0, 0.95, 0.5), [(-0.62, 0.5), (0.22, 0.5), (0.18, 0.95), (-0.56, 0.95)], 0.52
    )
    for x in (-0.48, 0.48):
        c.ellipse(x, 0.16, 0.24, 0.24, p("black"), start=0.0, end=0.5, shade=0.0)


def _pickup(s: Stage) -> None:
    c, p = s.canvas, s.palette
    objects.car(
        c, p, p.free(0, 1.0, 0.7), [(-0.1, 0.5), (0.5, 0.5), (0.38, 0.88), (-0.08, 0.88)], 0.52
    )
    c.rect(-0.74, 0.52, -0.16, 0.6, p("wood"))


def _motorcycle(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.shadow(0, 0.65, p("black"))
    for x in (-0.46, 0.46):
        c.ellipse(x, 0.24, 0.24, 0.24, p("black"), shade=0.0)
        c.ellipse(x, 0.24, 0.15, 0.15, p("metal", 0.8), shade=0.2)
    body = p.free(0, 1.1, 0.85)
    c.poly([(-0.3, 0.25), (0.2, 0.22), (0.26, 0.42), (-0.2, 0.46)], p("metal dark"), 0.2)
    c.poly([(-0.6, 0.56), (0.0, 0.5), (-0.05, 0.6), (-0.55, 0.66)], p("black"), 0.0)
    c.ellipse(0.1, 0.6, 0.22, 0.12, body, shade=0.35)
    c.line([(0.46, 0.24), (0.26, 0.72), (0.12, 0.82)], 0.05, p("metal"))
    c.ellipse(0.36, 0.66, 0.09, 0.09, p("window"), shade=0.0)


def _watch(s: Stage) -> None:
    c, p = s.canvas, s.palette
    strap = p.free(0, 0.7)
    c.poly([(-0.17, 0.6), (0.17, 0.6), (0.12, 1.08), (-0.12, 1.08)], strap, 0.2)
    c.poly([(-0.17, 0.45), (0.17, 0.45), (0.12, -0.05), (-0.12, -0.05)], strap, 0.2)
    c.rect(0.3, 0.49, 0.38, 0.55, p("metal"))
    c.ellipse(0, 0.52, 0.33, 0.33, p("metal"), shade=0.4)
    c.ellipse(0, 0.52, 0.265, 0.265, p("white") if s.side > 0 else p("night"), shade=0.0)
    hand = p("black") if s.side > 0 else p("white")
    for k in range(12):
        a = k / 12 * 2 * np.pi
        c.line(
            [
                (0.2 * np.cos(a), 0.52 + 0.2 * np.sin(a)),
                (0.24 * np.cos(a), 0.52 + 0.24 * np.sin(a)),
            ],
            0.02,
            hand,
        )
    c.line([(-0.1, 0.62), (0, 0.52), (0.13, 0.66)], 0.03, hand)


def _perfume(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.shadow(0, 0.4, scaled(p.free(4, 0.8, 0.24), 0.6))
    glass = p.free(0, 1.15, 0.45)
    c.rect(-0.32, 0, 0.32, 0.64, glass, 0.3)
    c.rect(-0.26, 0.05, 0.26, 0.42, scaled(glass, 0.72), 0.2)
    c.rect(-0.15, 0.22, 0.15, 0.36, p("white"), 0.0)
    c.rect(-0.09, 0.64, 0.09, 0.72, p("gold"))
    c.rect(-0.14, 0.72, 0.14, 0.95, p("gold", 0.9), 0.35)


def _lamp(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.disc(0, 0.05, 0.28, p("metal dark"))
    c.line([(0, 0.06), (-0.22, 0.5), (0.12, 0.84)], 0.05, p("metal"))
    shade = p.free(0, 1.05, 0.8)
    c.poly([(0.12, 0.32), (0.68, 0.32), (0.62, 0.02), (0.2, 0.02)], p("window"), 0.0)
    c.poly([(0.02, 0.94), (0.18, 0.98), (0.56, 0.56), (0.12, 0.52)], shade, 0.3)
    c.ellipse(0.34, 0.55, 0.23, 0.07, p("window"), shade=0.0)


def _sneaker(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.shadow(0, 0.7, scaled(p.free(4, 0.8, 0.24), 0.6))
    shoe = p.free(0, 1.05, 0.75)
    c.poly(
        [
            (-0.6, 0.1),
            (0.66, 0.1),
            (0.68, 0.26),
            (0.45, 0.38),
            (0.14, 0.5),
            (-0.04, 0.76),
            (-0.24, 0.7),
            (-0.42, 0.78),
            (-0.62, 0.5),
        ],
        shoe,
        0.25,
    )
    c.poly([(-0.64, 0.02), (0.72, 0.02), (0.72, 0.14), (-0.64, 0.14)], p("white"), 0.1)
    c.poly([(-0.42, 0.2), (-0.3, 0.2), (0.1, 0.4), (0.02, 0.45)], p("white"), 0.0)
    for k in range(4):
        x, y = 0.02 + 0.09 * k, 0.66 - 0.08 * k
        c.line([(x - 0.08, y - 0.08), (x + 0.05, y + 0.0)], 0.03, p("white"))


def _camera(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.shadow(0, 0.66, scaled(p.free(4, 0.8, 0.24), 0.6))
    c.rect(-0.62, 0.02, 0.62, 0.64, p("black", 1.8), 0.2)
    c.rect(-0.62, 0.44, 0.62, 0.64, p("metal"), 0.2)
    c.rect(-0.2, 0.64, 0.2, 0.78, p("metal", 0.9), 0.2)
    c.rect(0.36, 0.64, 0.5, 0.7, p.free(0))
    for k, r in enumerate((0.3, 0.24, 0.16)):
        c.ellipse(0, 0.32, r, r, (p("metal dark"), p("black"), p.free(0, 0.7))[k], shade=0.35)
    c.ellipse(-0.06, 0.4, 0.05, 0.04, p("white"), shade=0.0)


PRODUCTS: Final[dict[str, tuple[str, Draw]]] = {
    "a sports car": ("road", _sports_car),
    "a vintage car": ("road", _vintage_car),
    "a pickup truck": ("road", _pickup),
    "a motorcycle": ("road", _motorcycle),
    "a wristwatch": ("studio", _watch),
    "a perfume bottle": ("studio", _perfume),
    "a desk lamp": ("studio", _lamp),
    "a sneaker": ("studio", _sneaker),
    "a camera": ("studio", _camera),
}
