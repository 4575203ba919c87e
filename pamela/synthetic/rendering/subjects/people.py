"""People: portraits, fashion, cinema, everyday life."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from pamela.synthetic.rendering import objects
from pamela.synthetic.rendering.layout import Stage
from pamela.synthetic.rendering.palette import scaled

Draw = Callable[[Stage], None]


def _portrait(
    s: Stage,
    *,
    long_hair: bool = False,
    beard: bool = False,
    old: bool = False,
    hat: bool = False,
    young: bool = False,
) -> None:
    number = int(s.rng.integers(8))
    objects.head(
        s.canvas, s.palette, number, long_hair=long_hair, beard=beard, old=old, hat=hat, young=young
    )


def _model(s: Stage, outfit: str) -> None:
    number = int(s.rng.integers(8))
    s.canvas.shadow(0, 0.3, scaled(s.palette.free(4, 0.8, 0.24), 0.6))
    objects.person(s.canvas, s.palette, 0, 0, 1.05, number, outfit=outfit, stride=0.08)


def _corridor(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.near = 0.6
    for k in range(4):
        w, top = 1.0 - 0.2 * k, 1.55 - 0.17 * k
        c.rect(-w, 0.02 * k, w, top, p("metal dark", 0.55 + 0.22 * k), 0.0)
    c.poly([(-1.1, -0.35), (1.1, -0.35), (0.4, 0.06), (-0.4, 0.06)], p("metal dark", 1.3), 0.1)
    c.rect(-0.3, 0.06, 0.3, 0.98, p("window"), 0.2)
    c.near = 1.0
    objects.person(c, p, 0, -0.02, 0.8, 0, outfit="coat", colour=p("black"))


def _detective(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.near = 0.8
    c.poly([(0.42, 1.18), (0.5, 1.18), (0.85, 0.0), (-0.35, 0.0)], p("window", 0.75), 0.0)
    c.line([(0.46, 0), (0.46, 1.25)], 0.05, p("black"))
    c.ellipse(0.46, 1.2, 0.13, 0.09, p("window"), shade=0.0)
    c.near = 1.0
    objects.person(c, p, -0.05, 0, 0.92, 1, outfit="coat", colour=p("trunk"))
    c.ellipse(-0.05, 0.9, 0.15, 0.028, p("black"), shade=0.0)
    c.rect(-0.13, 0.9, 0.03, 1.0, p("black"))


def _umbrella(s: Stage) -> None:
    c, p = s.canvas, s.palette
    objects.person(c, p, -0.15, 0, 0.82, 1, outfit="coat")
    objects.person(c, p, 0.15, 0, 0.76, 2, outfit="gown")
    c.line([(0, 0.4), (0, 1.0)], 0.025, p("black"))
    c.ellipse(0, 0.82, 0.56, 0.38, p.free(0, 1.1, 0.8), start=0, end=0.5, shade=0.3)
    for x in np.linspace(-1.0, 1.0, 9):
        c.line([(x, 1.1), (x - 0.06, 0.86)], 0.012, p("cloud"))


def _dune_rider(s: Stage) -> None:
    c, p = s.canvas, s.palette
    c.poly([(-1.8, -0.3), (-0.6, 0.08), (0.1, 0.2), (0.8, 0.02), (1.8, -0.3)], p("sand", 0.9), 0.15)
    objects.horse(s.canvas, s.palette, 0, 0.14, 0.6, p("wood dark"))
    objects.person(c, p, 0, 0.45, 0.45, 2, outfit="coat", stride=0.2)


def _coffee(s: Stage) -> None:
    c, p = s.canvas, s.palette
    with s.at(c.camera.x, c.camera.ground - 0.42 * c.camera.scale, c.camera.scale, 0.2):
        c.rect(-0.75, 0, 0.75, 1.1, p("white"), 0.0)
        c.rect(-0.68, 0.06, -0.03, 1.04, p("sky"), 0.1)
        c.rect(0.03, 0.06, 0.68, 1.04, p("sky"), 0.1)
    flat = c.camera.flatness
    c.disc(0, 0.03, 0.46, p("white", 0.9))
    t = np.linspace(-0.25, 0.25, 9) * 2 * np.pi
    cup = p.free(0, 1.1)
    c.line(np.stack([0.26 + 0.15 * np.cos(t), 0.26 + 0.13 * np.sin(t)], 1), 0.055, cup)
    c.poly([(-0.28, 0.45), (0.28, 0.45), (0.18, 0.05), (-0.18, 0.05)], cup, 0.32)
    c.ellipse(0, 0.45, 0.28, 0.28 * (0.12 + 0.7 * flat), scaled(cup, 1.15), shade=0.0)
    c.ellipse(0, 0.445, 0.24, 0.24 * (0.1 + 0.7 * flat), p("earth", 0.7), shade=0.0)
    for x in (-0.08, 0.08):
        c.line([(x, 0.55), (x + 0.04, 0.68), (x - 0.03, 0.8), (x + 0.02, 0.94)], 0.024, p("cloud"))


def _reader(s: Stage) -> None:
    c, p = s.canvas, s.palette
    chair, cloth, skin = p.free(3, 0.85), p.free(0), p.skin(int(s.rng.integers(4)))
    c.poly([(-0.5, 0), (0.5, 0), (0.52, 0.5), (0.36, 1.0), (-0.36, 1.0), (-0.52, 0.5)], chair, 0.25)
    c.ellipse(0, 0.86, 0.13, 0.15, p.hair(1))
    c.ellipse(0, 0.82, 0.105, 0.13, skin)
    c.poly([(-0.24, 0.68), (0.24, 0.68), (0.27, 0.25), (-0.27, 0.25)], cloth, 0.25)
    for side in (-1, 1):
        c.line([(side * 0.13, 0.28), (side * 0.2, 0.0)], 0.14, scaled(cloth, 0.6))
        c.line(
            [(side * 0.22, 0.6), (side * 0.28, 0.42), (side * 0.1, 0.42)], 0.08, scaled(cloth, 0.85)
        )
        c.rect(side * 0.52 - 0.08, 0, side * 0.52 + 0.08, 0.46, scaled(chair, 0.85))
    c.poly(
        [(-0.2, 0.56), (0, 0.5), (0.2, 0.56), (0.2, 0.36), (0, 0.3), (-0.2, 0.36)], p("white"), 0.0
    )
    c.line([(0, 0.5), (0, 0.3)], 0.015, p("metal dark"))


def _picnic(s: Stage) -> None:
    c, p = s.canvas, s.palette
    flat = c.camera.flatness
    deep = 0.25 + 0.5 * flat
    for i in range(4):
        for j in range(4):
            colour = p("white") if (i + j) % 2 else p("red")
            x, y = -0.6 + 0.3 * i, -0.1 + deep * j / 4
            c.rect(x, y, x + 0.3, y + deep / 4, colour, 0.0)
    c.rect(-0.2, 0.1, 0.2, 0.32, p("wood"))
    t = np.linspace(0, 0.5, 9) * 2 * np.pi
    c.line(np.stack([0.17 * np.cos(t), 0.32 + 0.16 * np.sin(t)], 1), 0.03, p("wood dark"))
    objects.fruit(c, p, 0.35, 0.06, 0.07, 0)
    objects.fruit(c, p, -0.38, 0.04, 0.07, 1)
    for x in (-0.72, 0.72):
        objects.person(c, p, x, 0.05, 0.85, int(x > 0) + 1, outfit="gown")


PEOPLE: Final[dict[str, tuple[str, Draw]]] = {
    "a young woman": ("drapery", partial(_portrait, long_hair=True)),
    "an old man": ("drapery", partial(_portrait, old=True)),
    "a bearded man": ("drapery", partial(_portrait, beard=True)),
    "a girl in a hat": ("drapery", partial(_portrait, long_hair=True, hat=True, young=True)),
    "a boy": ("drapery", partial(_portrait, young=True)),
    "a model in a long gown": ("runway", partial(_model, outfit="gown")),
    "a model in a coat": ("runway", partial(_model, outfit="coat")),
    "a model in a suit": ("runway", partial(_model, outfit="suit")),
    "a lone figure in a corridor": ("corridor", _corridor),
    "a detective under a street lamp": ("lamplit", _detective),
    "a couple under an umbrella": ("lamplit", _umbrella),
    "a rider on a dune": ("desert", _dune_rider),
    "a cup of coffee by a window": ("living room", _coffee),
    "a person reading in an armchair": ("living room", _reader),
    "a picnic in a park": ("terrace", _picnic),
}
