"""What stands on tables: food, flowers, still lifes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from pamela.synthetic.rendering import objects
from pamela.synthetic.rendering.layout import Stage
from pamela.synthetic.rendering.palette import scaled

Draw = Callable[[Stage], None]


def _soup(s: Stage) -> None:
    c, p = s.canvas, s.palette
    flat = 0.12 + 0.85 * c.camera.flatness
    bowl = p.free(1, 1.15, 0.4)
    c.disc(0, 0.04, 0.66, p("white"))
    c.ellipse(0, 0.42, 0.56, 0.42, bowl, start=0.5, end=1.0, shade=0.3)
    c.ellipse(0, 0.42, 0.56, 0.56 * flat, scaled(bowl, 1.1), shade=0.0)
    c.ellipse(0, 0.41, 0.49, 0.49 * flat, p("tomato"), shade=0.1)
    for k in range(6):
        a = k * 2.4
        x, y = 0.28 * np.cos(a), 0.41 + 0.28 * flat * np.sin(a)
        c.ellipse(
            x, y, 0.07, 0.07 * (0.4 + flat), p("leaf", 1.2) if k % 2 else p("cream"), shade=0.0
        )
    c.line([(0.35, 0.5), (0.75, 0.85)], 0.04, p("metal"))


def _cake(s: Stage) -> None:
    c, p = s.canvas, s.palette
    lift = 0.18 * (0.3 + 1.6 * c.camera.flatness)
    c.disc(0, 0.02, 0.62, p("white"))
    for k, role in enumerate(("bread", "cream", "bread", "cream")):
        y = 0.06 + 0.13 * k
        c.poly([(-0.42, y), (0.42, y), (0.42, y + 0.14), (-0.42, y + 0.14)], p(role), 0.16)
    c.poly([(-0.42, 0.59), (0.42, 0.59), (0.0, 0.59 + 2.2 * lift)], p.free(0, 1.1, 0.5), 0.0)
    c.poly([(-0.42, 0.53), (0.42, 0.53), (0.42, 0.6), (-0.42, 0.6)], p.free(0, 0.95, 0.5), 0.0)
    c.ellipse(0, 0.66 + lift, 0.09, 0.09, p("tomato"), shade=0.4)


def _burger(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.disc(0, 0.03, 0.66, p("wood", 1.2))
    c.rect(-0.48, 0.04, 0.48, 0.2, p("bread"), 0.25)
    c.ellipse(0, 0.27, 0.52, 0.085, p("leaf", 1.4), shade=0.1)
    c.rect(-0.48, 0.27, 0.48, 0.4, p("earth", 0.75), 0.25)
    c.poly([(-0.5, 0.4), (0.5, 0.4), (0.3, 0.3), (0.15, 0.4), (-0.2, 0.28)], p("cheese"), 0.0)
    c.ellipse(0, 0.44, 0.5, 0.05, p("tomato"), shade=0.0)
    c.ellipse(0, 0.47, 0.5, 0.4, p("bread", 1.05), start=0.0, end=0.5, shade=0.35)
    for x, y in ((-0.25, 0.68), (0.0, 0.78), (0.22, 0.7), (-0.08, 0.62), (0.32, 0.58)):
        c.ellipse(x, y, 0.03, 0.018, p("cream"), shade=0.0)


def _pizza(s: Stage) -> None:
    c, p = s.canvas, s.palette
    flat = 0.2 + 0.8 * c.camera.flatness
    c.ellipse(0, 0.42, 0.82, 0.82 * flat, p("wood", 0.8), shade=0.0)
    c.ellipse(0, 0.44, 0.74, 0.74 * flat, p("bread"), shade=0.2)
    c.ellipse(0, 0.44, 0.64, 0.64 * flat, p("cheese"), shade=0.1)
    for k in range(9):
        a, d = k * 2.4, 0.16 + 0.052 * k
        x, y = d * np.cos(a), 0.44 + d * flat * np.sin(a)
        c.ellipse(x, y, 0.1, 0.1 * flat, p("tomato") if k % 3 else p("leaf", 1.1), shade=0.0)
    for a in (0.1, 1.15, 2.2):
        dx, dy = 0.72 * np.cos(a), 0.72 * flat * np.sin(a)
        c.line([(-dx, 0.44 - dy), (dx, 0.44 + dy)], 0.012, p("bread", 0.8))


def _ice_cream(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.poly([(-0.22, 0.48), (0.22, 0.48), (0.0, -0.05)], p("bread"), 0.25)
    for k in (-0.1, 0.0, 0.1):
        c.line([(k - 0.1, 0.46), (k * 0.3 + 0.05, 0.1)], 0.012, p("wood"))
    for x, y, k in ((-0.14, 0.58, 0), (0.14, 0.58, 1), (0.0, 0.8, 2)):
        c.ellipse(x, y, 0.2, 0.19, p.free(k, 1.15, 0.42), shade=0.3)
    c.ellipse(0.02, 1.0, 0.06, 0.06, p("tomato"), shade=0.3)


def bouquet(s: Stage, *, kind: int, vessel: int | None) -> None:
    """Draw flowers of `kind` (`parts.bloom`; 4 mixes them), in a vessel or growing."""
    c, p = s.canvas, s.palette
    spots = [
        (0.0, 0.98),
        (-0.26, 0.86),
        (0.26, 0.88),
        (-0.42, 0.66),
        (0.42, 0.68),
        (-0.1, 0.74),
        (0.14, 0.7),
    ]
    foot = 0.42 if vessel is not None else 0.0
    for x, y in spots:
        c.line([(x * 0.25, foot), (x, y)], 0.025, p("leaf"))
    if vessel is None:
        for side in (-1, 1):
            c.poly(
                [(0, 0), (side * 0.3, 0.42), (side * 0.42, 0.7), (side * 0.16, 0.4)],
                p("leaf", 1.15),
                0.0,
            )
    else:
        for x, y in ((-0.32, 0.56), (0.3, 0.56), (0.0, 0.55)):
            c.ellipse(x, y, 0.17, 0.08, p("leaf", 1.1), turn=0.1 * np.sign(x))
    for k, (x, y) in enumerate(spots):
        which = k % 4 if kind == 4 else kind
        colour = p("cheese", 1.05) if which == 1 else p.free(k % 4, 1.15, 0.75)
        objects.bloom(c, p, x, y, (0.16, 0.2, 0.15, 0.15)[which], colour, which)
    if vessel is not None:
        c.shadow(0, 0.3, p("wood dark"))
        objects.vessel(c, 0, 0, 0.42, 0.46, p.free(5, 1.0, 0.5), vessel)


def _fruit_bowl(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.shadow(0, 0.55, p("wood dark"))
    for k, (x, y) in enumerate(
        (
            (-0.36, 0.36),
            (0.36, 0.36),
            (-0.12, 0.38),
            (0.14, 0.38),
            (-0.02, 0.62),
            (-0.26, 0.6),
            (0.24, 0.58),
        )
    ):
        objects.fruit(c, p, x, y, 0.15, k)
    bowl = p.free(5, 1.0, 0.4)
    c.ellipse(0, 0.46, 0.6, 0.42, bowl, start=0.5, end=1.0, shade=0.3)
    c.rect(-0.16, 0, 0.16, 0.08, scaled(bowl, 0.8))


def _bottles(s: Stage) -> None:
    c, p = s.canvas, s.palette
    objects.vessel(c, -0.42, 0.06, 0.26, 1.0, p.free(0, 0.75), 1)
    objects.vessel(c, 0.4, 0.06, 0.24, 0.85, p.free(1, 0.85), 1)
    objects.vessel(c, 0.0, 0.0, 0.5, 0.62, p.free(2), 2)
    objects.fruit(c, p, -0.2, -0.08, 0.1, 1)


def _candle(s: Stage) -> None:
    c, p = s.canvas, s.palette
    for k, w in enumerate((0.62, 0.54, 0.5)):
        c.rect(-0.66, 0.12 * k, -0.66 + 2 * w * 0.9, 0.12 * k + 0.115, p.free(k, 0.8), 0.12)
        c.rect(-0.66 + 1.7 * w, 0.12 * k + 0.02, -0.66 + 1.8 * w, 0.12 * k + 0.095, p("cream"), 0.0)
    c.disc(-0.1, 0.4, 0.2, p("gold"))
    c.rect(-0.18, 0.4, -0.02, 0.86, p("cream"), 0.25)
    c.ellipse(-0.1, 1.0, 0.07, 0.14, p("fire"), shade=0.0)
    c.ellipse(-0.1, 0.96, 0.035, 0.07, p("white"), shade=0.0)


def _violin(s: Stage) -> None:
    c, p = s.canvas, s.palette
    wood = p("wood", 1.15)
    c.ellipse(0, 0.2, 0.31, 0.24, wood, shade=0.3)
    c.ellipse(0, 0.54, 0.24, 0.2, wood, shade=0.3)
    c.rect(-0.19, 0.26, 0.19, 0.5, wood, 0.2)
    c.rect(-0.04, 0.42, 0.04, 1.1, p("black"), 0.0)
    c.ellipse(0, 1.13, 0.06, 0.07, p("wood dark"))
    for x in (-0.15, 0.15):
        c.line([(x, 0.26), (x * 0.8, 0.34), (x, 0.42)], 0.025, p("black"))
    c.rect(-0.09, 0.24, 0.09, 0.27, p("bread"), 0.0)
    c.line([(-0.012, 0.12), (-0.012, 1.05)], 0.01, p("cream"))
    c.line([(0.5, -0.02), (0.34, 1.05)], 0.03, p("wood dark"))


def _bread_and_wine(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.ellipse(-0.28, 0.2, 0.5, 0.2, p("bread"), shade=0.4)
    for x in (-0.52, -0.3, -0.08):
        c.line([(x - 0.05, 0.3), (x + 0.07, 0.22)], 0.03, p("bread", 0.7))
    wine = p("red", 0.65)
    c.disc(0.4, 0.03, 0.18, p("glass", 1.1))
    c.line([(0.4, 0.04), (0.4, 0.4)], 0.035, p("glass", 1.1))
    c.ellipse(0.4, 0.68, 0.19, 0.32, p("glass", 1.15), start=0.5, end=1.0, shade=0.2)
    c.ellipse(0.4, 0.6, 0.165, 0.23, wine, start=0.5, end=1.0, shade=0.2)
    c.ellipse(0.4, 0.6, 0.165, 0.05, scaled(wine, 1.3), shade=0.0)


TABLE: Final[dict[str, tuple[str, Draw]]] = {
    "a bowl of soup": ("kitchen", _soup),
    "a slice of cake": ("kitchen", _cake),
    "a burger": ("kitchen", _burger),
    "a pizza": ("kitchen", _pizza),
    "an ice cream": ("kitchen", _ice_cream),
    "roses in a vase": ("bower", partial(bouquet, kind=0, vessel=0)),
    "sunflowers in a jug": ("bower", partial(bouquet, kind=1, vessel=2)),
    "tulips": ("bower", partial(bouquet, kind=2, vessel=None)),
    "a wild bouquet": ("bower", partial(bouquet, kind=4, vessel=0)),
    "a bowl of fruit": ("table", _fruit_bowl),
    "bottles and a jug": ("table", _bottles),
    "a candle and books": ("table", _candle),
    "a violin": ("table", _violin),
    "a loaf of bread and a glass of wine": ("table", _bread_and_wine),
}
