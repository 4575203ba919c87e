"""What moves: sports, the street, animals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from pamela.synthetic.rendering import objects
from pamela.synthetic.rendering.layout import Stage
from pamela.synthetic.rendering.palette import scaled

Draw = Callable[[Stage], None]


def _ball(s: Stage, y: float, r: float) -> None:
    c, p = s.canvas, s.palette
    c.ellipse(0, y, r, r, p("white"), shade=0.3)
    for k in range(6):
        a = (0.25 + k / 5) * 2 * np.pi
        d = 0.0 if k == 5 else 0.78 * r
        x0, y0, size = d * np.cos(a), y + d * np.sin(a), 0.3 * r if k == 5 else 0.21 * r
        b = a + np.linspace(0, 2 * np.pi, 6)[:-1]
        c.poly(np.stack([x0 + size * np.cos(b), y0 + size * np.sin(b)], 1), p("black"), 0.0)


def _soccer(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.near = 0.4
    for x in (-0.85, 0.85):
        c.line([(x, 0.25), (x, 1.0)], 0.04, p("white"))
    c.line([(-0.85, 1.0), (0.85, 1.0)], 0.04, p("white"))
    for k in range(1, 8):
        c.line([(-0.85 + 0.2125 * k, 0.25), (-0.85 + 0.2125 * k, 1.0)], 0.008, p("cloud"))
    c.near = 1.0
    c.shadow(0, 0.36, p("grass dark", 0.6))
    _ball(s, 0.3, 0.32)


def _runner(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.near = 0.6
    for k in range(4):
        x = -1.4 + 0.93 * k
        c.poly(
            [
                (x * 1.6 - 0.03, -0.5),
                (x * 1.6 + 0.03, -0.5),
                (x * 0.7 + 0.01, 0.3),
                (x * 0.7 - 0.01, 0.3),
            ],
            p("white"),
            0.0,
        )
    c.near = 1.0
    cloth, skin = p.free(0, 1.1, 0.85), p.skin(int(s.rng.integers(4)))
    c.line([(-0.02, 0.48), (0.2, 0.34), (0.14, 0.08)], 0.095, skin)
    c.line([(0.0, 0.48), (-0.16, 0.3), (-0.4, 0.28)], 0.095, scaled(skin, 0.85))
    c.line([(0.06, 0.76), (-0.16, 0.66), (-0.1, 0.5)], 0.07, scaled(skin, 0.85))
    c.poly([(-0.06, 0.8), (0.16, 0.8), (0.1, 0.45), (-0.1, 0.45)], cloth, 0.25)
    c.line([(0.08, 0.76), (0.26, 0.64), (0.36, 0.76)], 0.07, skin)
    c.ellipse(0.09, 0.92, 0.08, 0.095, skin)
    c.ellipse(0.07, 0.96, 0.085, 0.07, p.hair(0), shade=0.0)


def _tennis(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.near = 0.5
    c.rect(-2.0, 0.12, 2.0, 0.34, p("metal dark"), 0.0)
    c.line([(-2.0, 0.36), (2.0, 0.36)], 0.035, p("white"))
    c.near = 1.0
    objects.person(c, p, 0, 0, 0.95, 1, outfit="sports", stride=0.2, colour=p("white"))
    c.line([(0.22, 0.5), (0.4, 0.8)], 0.03, p("wood dark"))
    c.ellipse(0.49, 0.95, 0.13, 0.17, p.free(0), shade=0.0, turn=-0.08)
    c.ellipse(0.49, 0.95, 0.095, 0.135, p("cloud"), shade=0.0, turn=-0.08)
    c.ellipse(-0.5, 0.9, 0.05, 0.05, p("cheese"), shade=0.2)


def _hoop(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.rect(-0.04, 0, 0.04, 0.6, p("metal dark"))
    c.rect(-0.5, 0.5, 0.5, 1.12, p("white"))
    for y in (0.62, 0.84):
        c.line([(-0.16, y), (0.16, y)], 0.03, p("red"))
    for x in (-0.16, 0.16):
        c.line([(x, 0.62), (x, 0.84)], 0.03, p("red"))
    for k in range(5):
        x = -0.18 + 0.09 * k
        c.line([(x, 0.58), (0.6 * x, 0.3)], 0.014, p("metal"))
    c.ellipse(0, 0.58, 0.22, 0.22 * (0.15 + 0.6 * c.camera.flatness), p("fire"), shade=0.0)
    c.ellipse(-0.34, 0.95, 0.16, 0.16, p("fire", 0.85), shade=0.35)
    c.line([(-0.5, 0.95), (-0.18, 0.95)], 0.015, p("black"))
    c.line([(-0.34, 1.11), (-0.34, 0.79)], 0.015, p("black"))


def _market(s: Stage) -> None:
    c, p = s.canvas, s.palette
    for x in (-0.62, 0.62):
        c.line([(x, 0), (x, 0.85)], 0.04, p("wood"))
    objects.person(c, p, 0.05, 0.1, 0.72, 3, outfit="suit")
    c.rect(-0.68, 0, 0.68, 0.36, p("wood", 0.9))
    for i in range(8):
        objects.fruit(c, p, -0.56 + 0.16 * i, 0.34, 0.075, i)
    for i in range(8):
        x, colour = -0.76 + 0.19 * i, p("white") if i % 2 else p.free(0, 1.1)
        c.poly(
            [(x, 0.78), (x + 0.19, 0.78), (0.85 * (x + 0.19), 1.06), (0.85 * x, 1.06)], colour, 0.0
        )


def _cyclist(s: Stage) -> None:
    c, p = s.canvas, s.palette
    for x in (-0.36, 0.36):
        c.ellipse(x, 0.22, 0.22, 0.22, p("black"), shade=0.0)
        c.ellipse(x, 0.22, 0.175, 0.175, p("pavement", 1.15), shade=0.0)
        c.line([(x - 0.17, 0.22), (x + 0.17, 0.22)], 0.01, p("metal"))
    frame = p.free(1, 1.1)
    c.line([(-0.36, 0.22), (-0.12, 0.52), (0.27, 0.52), (0.36, 0.22)], 0.04, frame)
    c.line([(-0.12, 0.52), (0.0, 0.22), (0.27, 0.52)], 0.04, frame)
    cloth, skin = p.free(0), p.skin(int(s.rng.integers(4)))
    c.line([(-0.13, 0.58), (0.08, 0.46), (0.0, 0.22)], 0.085, scaled(cloth, 0.6))
    c.poly([(-0.2, 0.56), (-0.04, 0.54), (0.16, 0.86), (0.02, 0.92)], cloth, 0.25)
    c.line([(0.1, 0.84), (0.2, 0.66), (0.3, 0.6)], 0.055, skin)
    c.ellipse(0.15, 1.0, 0.08, 0.09, skin)
    c.ellipse(0.14, 1.03, 0.1, 0.08, p.free(2), start=0, end=0.5, shade=0.0)


def _crossing(s: Stage) -> None:
    c, p = s.canvas, s.palette
    deep = 0.16 + 0.5 * c.camera.flatness
    c.near = 0.8
    for k in range(7):
        x = -1.05 + 0.3 * k
        c.poly(
            [(x, -0.12), (x + 0.17, -0.12), (0.8 * (x + 0.17), deep), (0.8 * x, deep)],
            p("white"),
            0.0,
        )
    c.near = 1.0
    objects.person(c, p, -0.3, 0.02, 0.85, 1, outfit="coat", stride=0.18)
    objects.person(c, p, 0.32, 0.06, 0.8, 2, outfit="suit", stride=0.18)
    c.line([(0.85, 0.05), (0.85, 0.95)], 0.04, p("black"))
    c.rect(0.76, 0.85, 0.94, 1.25, p("black"))
    for k, role in enumerate(("grass", "cheese", "red")):
        c.ellipse(0.85, 0.92 + 0.12 * k, 0.045, 0.045, p(role), shade=0.0)


def _cat(s: Stage) -> None:
    c, p = s.canvas, s.palette
    fur = p.natural(
        *((0.08, 0.6, 0.75), (0.6, 0.08, 0.35), (0.09, 0.25, 0.8))[int(s.rng.integers(3))], 42
    )
    t = np.linspace(0, 1, 9)
    c.line(np.stack([0.25 + 0.35 * np.sin(2.6 * t), 0.08 + 0.55 * t], 1), 0.09, scaled(fur, 0.8))
    c.ellipse(0, 0.27, 0.32, 0.34, fur, shade=0.35)
    for x in (-0.12, 0.12):
        c.ellipse(x, 0.06, 0.09, 0.08, scaled(fur, 1.1))
        ear = [(x * 2.0 - 0.04, 0.78), (x * 1.7 + np.sign(x) * 0.02, 1.04), (x * 0.4, 0.86)]
        c.poly(ear, scaled(fur, 0.9), 0.0)
    c.ellipse(0, 0.7, 0.26, 0.22, fur, shade=0.3)
    for x in (-0.1, 0.1):
        c.ellipse(x, 0.73, 0.052, 0.055, p("cheese"), shade=0.0)
        c.ellipse(x, 0.73, 0.017, 0.05, p("black"), shade=0.0)
        for dy in (-0.02, 0.03):
            c.line([(np.sign(x) * 0.07, 0.62), (np.sign(x) * 0.34, 0.62 + dy)], 0.009, p("white"))
    c.poly([(-0.03, 0.66), (0.03, 0.66), (0, 0.62)], p("red"), 0.0)


def _dog(s: Stage) -> None:
    c, p = s.canvas, s.palette
    fur = p.natural(
        *((0.09, 0.5, 0.7), (0.07, 0.55, 0.4), (0.1, 0.12, 0.9))[int(s.rng.integers(3))], 43
    )
    for x in (-0.36, -0.22, 0.18, 0.32):
        c.line([(x, 0.35), (x, 0.02)], 0.1, scaled(fur, 0.8))
    c.line([(-0.42, 0.5), (-0.62, 0.75)], 0.08, fur)
    c.ellipse(-0.04, 0.45, 0.45, 0.2, fur, shade=0.35)
    c.poly([(0.14, 0.5), (0.4, 0.45), (0.5, 0.8), (0.25, 0.8)], fur, 0.2)
    c.ellipse(0.4, 0.82, 0.2, 0.17, fur, shade=0.25)
    c.ellipse(0.58, 0.76, 0.14, 0.085, scaled(fur, 1.15))
    c.ellipse(0.69, 0.79, 0.045, 0.04, p("black"), shade=0.0)
    c.ellipse(0.28, 0.76, 0.08, 0.17, scaled(fur, 0.6), shade=0.0)
    c.ellipse(0.46, 0.87, 0.028, 0.03, p("black"), shade=0.0)
    c.line([(0.2, 0.58), (0.45, 0.55)], 0.05, p.free(0, 1.1, 0.85))


def _bird(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.line([(-1.4, 0.12), (-0.3, 0.2), (0.6, 0.14), (1.5, 0.28)], 0.09, p("trunk"))
    for x in (-0.8, 0.75, 1.1):
        c.ellipse(x, 0.27, 0.15, 0.07, p("leaf"), turn=0.08)
    body = p.free(0, 1.15, 0.8)
    c.poly([(-0.2, 0.4), (-0.75, 0.12), (-0.66, 0.02), (-0.1, 0.26)], scaled(body, 0.7), 0.0)
    c.ellipse(0.0, 0.48, 0.36, 0.25, body, shade=0.35, turn=0.06)
    c.ellipse(0.06, 0.4, 0.22, 0.16, p("cream"), shade=0.2, turn=0.06)
    c.ellipse(-0.08, 0.5, 0.26, 0.12, scaled(body, 0.65), shade=0.2, turn=-0.02)
    c.ellipse(0.28, 0.72, 0.18, 0.17, body, shade=0.3)
    c.poly([(0.44, 0.76), (0.66, 0.7), (0.44, 0.66)], p("fire"), 0.0)
    c.ellipse(0.33, 0.76, 0.035, 0.035, p("black"), shade=0.0)


def _horse(s: Stage) -> None:
    coats = ((0.06, 0.6, 0.45), (0.08, 0.3, 0.8), (0.05, 0.4, 0.25))
    s.canvas.shadow(0, 0.5, s.palette("grass dark", 0.7))
    objects.horse(
        s.canvas, s.palette, 0, 0, 0.95, s.palette.natural(*coats[int(s.rng.integers(3))], 44)
    )


ACTION: Final[dict[str, tuple[str, Draw]]] = {
    "a soccer ball": ("stadium", _soccer),
    "a runner": ("stadium", _runner),
    "a tennis player": ("stadium", _tennis),
    "a basketball hoop": ("stadium", _hoop),
    "a market stall": ("alley", _market),
    "a cyclist": ("alley", _cyclist),
    "a zebra crossing": ("alley", _crossing),
    "a cat": ("pasture", _cat),
    "a dog": ("pasture", _dog),
    "a bird on a branch": ("pasture", _bird),
    "a horse": ("pasture", _horse),
}
