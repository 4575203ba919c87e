"""What stands, hangs and flies about: the clutter of every setting, in world coordinates."""

from __future__ import annotations

from pamela.synthetic.rendering import objects
from pamela.synthetic.rendering.layout import Stage
from pamela.synthetic.rendering.palette import scaled


# --- in the open --------------------------------------------------------------------------------
def plant(s: Stage, i: int) -> None:
    """Draw a tree, a flowering bush or a boulder."""
    c, p = s.canvas, s.palette
    if i % 3 == 1:
        c.ellipse(0, 0.12, 0.24, 0.18, p("leaf", 0.9), shade=0.3)
        for k in range(4):
            c.ellipse(-0.14 + 0.09 * k, 0.1 + 0.07 * (k % 2), 0.05, 0.05, p.free(i, 1.2), shade=0.0)
    elif i % 3 == 2:
        c.ellipse(0, 0.08, 0.2, 0.14, p("rock", 1.15))
    else:
        objects.tree(c, p, 0, 0, 0.62 + 0.1 * (i % 4), i // 3)


def bird(s: Stage, i: int) -> None:
    """Draw a bird on the wing or a small cloud."""
    c, p = s.canvas, s.palette
    if i % 3 == 2:
        objects.cloud(c, p, 0, 0, 0.2)
        return
    wing = [(-0.22, 0.08), (-0.1, 0.12), (0.0, 0.0), (0.1, 0.12), (0.22, 0.08)]
    c.line(wing, 0.05, p("metal dark") if i % 2 else p("white"))


def flowers(s: Stage, i: int) -> None:
    """Draw a tuft of flowers, a post or a hen-house bush."""
    c, p = s.canvas, s.palette
    if i % 3 == 2:
        c.ellipse(0, 0.12, 0.24, 0.18, p("leaf", 0.85), shade=0.3)
        return
    for k in (-1, 0, 1):
        c.line([(0.03 * k, 0), (0.12 * k, 0.26)], 0.03, p("leaf"))
        c.ellipse(0.12 * k, 0.3, 0.075, 0.075, p.free(i + k, 1.2), shade=0.0)


def cactus(s: Stage, i: int) -> None:
    """Draw a rock or a cactus."""
    c, p = s.canvas, s.palette
    if i % 3 == 1:
        c.ellipse(0, 0.08, 0.22, 0.15, p("rock"))
        return
    c.rect(-0.05, 0, 0.05, 0.5, p("leaf"))
    c.line([(0, 0.22), (0.17, 0.22), (0.17, 0.4)], 0.07, p("leaf"))
    c.line([(0, 0.16), (-0.15, 0.16), (-0.15, 0.3)], 0.07, p("leaf"))


def floating(s: Stage, i: int) -> None:
    """Draw a rock in the water, a small boat or a buoy."""
    c, p = s.canvas, s.palette
    if i % 3 == 1:
        c.ellipse(0, 0.04, 0.22, 0.14, p("rock", 0.8))
    elif i % 3 == 2:
        c.poly([(-0.1, 0), (0.1, 0), (0.04, 0.26), (-0.04, 0.26)], p("red"))
        c.rect(-0.08, 0.08, 0.08, 0.14, p("white"), 0.0)
    else:
        c.poly([(-0.2, 0.1), (0.2, 0.1), (0.12, 0), (-0.12, 0)], p.free(i))
        c.poly([(0, 0.12), (0, 0.5), (0.17, 0.14)], p("white"))


def night_thing(s: Stage, i: int) -> None:
    """Draw a dark fir, a tent or a lantern."""
    c, p = s.canvas, s.palette
    if i % 3 == 1:
        c.poly([(-0.26, 0), (0.26, 0), (0, 0.36)], p.free(i, 0.8))
        c.poly([(-0.07, 0), (0.07, 0), (0, 0.24)], p("night", 0.6), 0.0)
    elif i % 3 == 2:
        c.line([(0, 0), (0, 0.3)], 0.04, p("black"))
        c.ellipse(0, 0.36, 0.1, 0.12, p("window"), shade=0.0)
    else:
        objects.tree(c, p, 0, 0, 0.7, 1)


def star(s: Stage, i: int) -> None:
    """Draw a shooting star or a bright star."""
    c, p = s.canvas, s.palette
    if i % 3 == 0:
        c.line([(-0.16, 0.12), (0.1, 0)], 0.03, p("cloud"))
    for turn in (0.0, 0.25):
        c.ellipse(0.1, 0, 0.1, 0.028, p("window"), shade=0.0, turn=turn)


# --- in town ------------------------------------------------------------------------------------
def townsfolk(s: Stage, i: int) -> None:
    """Draw a passer-by, a lamp post or a crate."""
    c, p = s.canvas, s.palette
    if i % 3 == 0:
        objects.person(c, p, 0, 0, 0.62, i)
    elif i % 3 == 1:
        c.line([(0, 0), (0, 0.8)], 0.05, p("metal dark"))
        c.ellipse(0, 0.82, 0.1, 0.1, p("window"), shade=0.0)
    else:
        c.rect(-0.17, 0.0, 0.17, 0.26, p.free(i))
        c.rect(-0.17, 0.2, 0.17, 0.26, p.free(i, 0.7))


def bunting(s: Stage, i: int) -> None:
    """Draw a row of small flags on a line."""
    c, p = s.canvas, s.palette
    c.line([(-0.3, 0.06), (0, 0.0), (0.3, 0.06)], 0.02, p("black"))
    for k in (-0.2, 0.0, 0.2):
        c.poly([(k - 0.07, 0.03), (k + 0.07, 0.03), (k, -0.14)], p.free(i + round(5 * k)), 0.0)


def roadside(s: Stage, i: int) -> None:
    """Draw a traffic cone, a round sign or a marker post."""
    c, p = s.canvas, s.palette
    if i % 3 == 0:
        c.poly([(-0.13, 0), (0.13, 0), (0.03, 0.34), (-0.03, 0.34)], p("fire"))
        c.rect(-0.08, 0.13, 0.08, 0.2, p("white"), 0.0)
    elif i % 3 == 1:
        c.line([(0, 0), (0, 0.6)], 0.04, p("metal"))
        c.ellipse(0, 0.66, 0.15, 0.15, p("red"), shade=0.0)
        c.rect(-0.09, 0.63, 0.09, 0.69, p("white"), 0.0)
    else:
        c.rect(-0.06, 0, 0.06, 0.34, p("white"))
        c.rect(-0.06, 0.2, 0.06, 0.28, p("black"), 0.0)


def plaza_thing(s: Stage, i: int) -> None:
    """Draw a clipped tree in a tub, a visitor or a bollard."""
    c, p = s.canvas, s.palette
    if i % 3 == 0:
        c.rect(-0.1, 0, 0.1, 0.14, p("brick"))
        c.ellipse(0, 0.34, 0.18, 0.2, p("leaf"), shade=0.3)
    elif i % 3 == 1:
        objects.person(c, p, 0, 0, 0.45, i)
    else:
        c.rect(-0.07, 0, 0.07, 0.24, p("stone dark", 0.8))
        c.ellipse(0, 0.26, 0.09, 0.09, p("stone"))


def sports_thing(s: Stage, i: int) -> None:
    """Draw a ball, a corner flag or a player."""
    c, p = s.canvas, s.palette
    if i % 3 == 0:
        c.ellipse(0, 0.1, 0.11, 0.11, p("white") if i % 2 else p("fire"), shade=0.25)
    elif i % 3 == 1:
        c.line([(0, 0), (0, 0.5)], 0.03, p("white"))
        c.poly([(0, 0.5), (0.24, 0.42), (0, 0.33)], p.free(i, 1.2, 0.9), 0.0)
    else:
        objects.person(c, p, 0, 0, 0.55, i, outfit="sports", stride=0.2)


def audience(s: Stage, i: int) -> None:
    """Draw a spectator's back or a photographer's flash."""
    c, p = s.canvas, s.palette
    c.poly([(-0.2, 0), (0.2, 0), (0.12, 0.2), (-0.12, 0.2)], p.free(i, 0.8))
    c.ellipse(0, 0.28, 0.1, 0.12, p.hair(i))
    if i % 3 == 0:
        c.ellipse(0.14, 0.34, 0.07, 0.07, p("window"), shade=0.0)


def spotlamp(s: Stage, i: int) -> None:
    """Draw a stage lamp."""
    c, p = s.canvas, s.palette
    c.line([(0, 0.3), (0, 0.08)], 0.03, p("metal"))
    c.poly([(-0.07, 0.1), (0.07, 0.1), (0.13, -0.08), (-0.13, -0.08)], p("metal"))
    c.ellipse(0, -0.09, 0.12, 0.045, p("window"), shade=0.0)


# --- indoors ------------------------------------------------------------------------------------
def vessel_or_fruit(s: Stage, i: int) -> None:
    """Draw a vessel, a box or a fruit."""
    c, p = s.canvas, s.palette
    if i % 3 == 2:
        objects.vessel(c, 0, 0, 0.26, 0.5, p.free(i), i % 2)
    elif i % 3 == 1:
        c.rect(-0.17, 0, 0.17, 0.14, p.free(i + 1))
    else:
        objects.fruit(c, p, 0, 0, 0.12, i)


def frame(s: Stage, i: int) -> None:
    """Draw a picture on the wall."""
    c, p = s.canvas, s.palette
    wide = 0.2 + 0.05 * (i % 3)
    c.rect(-wide, -0.2, wide, 0.2, p("wood dark"), 0.0)
    c.rect(-wide + 0.05, -0.15, wide - 0.05, 0.15, p.free(i))


def petals(s: Stage, i: int) -> None:
    """Draw a fallen blossom, a small pot or a snail of leaves."""
    c, p = s.canvas, s.palette
    if i % 3 == 1:
        c.poly([(-0.12, 0), (0.12, 0), (0.16, 0.2), (-0.16, 0.2)], p("brick"))
        objects.bloom(c, p, 0, 0.32, 0.12, p.free(i, 1.2), 3)
    else:
        objects.bloom(c, p, 0, 0.1, 0.12, p.free(i, 1.2), 0 if i % 2 else 3)


def butterfly(s: Stage, i: int) -> None:
    """Draw a butterfly."""
    c, p = s.canvas, s.palette
    for side in (-1, 1):
        c.ellipse(side * 0.09, 0.06, 0.1, 0.08, p.free(i, 1.25), shade=0.0, turn=0.1 * side)
        c.ellipse(side * 0.06, -0.06, 0.06, 0.05, p.free(i + 1, 1.1), shade=0.0)
    c.line([(0, 0.1), (0, -0.1)], 0.03, p("black"))


def tableware(s: Stage, i: int) -> None:
    """Draw a glass, a pepper mill, a tomato or a bowl."""
    c, p = s.canvas, s.palette
    if i % 4 == 0:
        c.poly([(-0.09, 0), (0.09, 0), (0.13, 0.34), (-0.13, 0.34)], p("glass", 1.1))
        c.poly([(-0.09, 0), (0.09, 0), (0.11, 0.2), (-0.11, 0.2)], p.free(i, 1.1), 0.0)
    elif i % 4 == 1:
        c.rect(-0.07, 0, 0.07, 0.24, p("wood"))
        c.ellipse(0, 0.3, 0.075, 0.08, p("wood dark"))
    elif i % 4 == 2:
        c.ellipse(0, 0.1, 0.13, 0.11, p("tomato"), shade=0.35)
        c.ellipse(0, 0.2, 0.06, 0.025, p("leaf"), shade=0.0)
    else:
        c.ellipse(0, 0.16, 0.2, 0.16, p.free(i), start=0.5, end=1.0)
        c.ellipse(0, 0.16, 0.17, 0.05, p("cream"), shade=0.0)


def pan(s: Stage, i: int) -> None:
    """Draw a pan, a ladle or a hanging lamp."""
    c, p = s.canvas, s.palette
    c.line([(0, 0.3), (0, 0.02)], 0.035, p("metal dark"))
    if i % 3 == 0:
        c.ellipse(0, -0.06, 0.14, 0.13, p("metal dark"), shade=0.3)
    elif i % 3 == 1:
        c.ellipse(0, -0.02, 0.075, 0.075, p("metal"))
    else:
        c.poly([(-0.17, -0.08), (0.17, -0.08), (0.06, 0.08), (-0.06, 0.08)], p.free(i, 1.1))


def block(s: Stage, i: int) -> None:
    """Draw a ball, a block or a cone."""
    c, p = s.canvas, s.palette
    if i % 3 == 0:
        c.ellipse(0, 0.14, 0.14, 0.14, p.free(i))
    elif i % 3 == 1:
        c.rect(-0.12, 0, 0.12, 0.3, p.free(i))
    else:
        c.poly([(-0.17, 0), (0.17, 0), (0, 0.32)], p.free(i))


def mobile(s: Stage, i: int) -> None:
    """Draw a paper disc or ring on a thread."""
    c, p = s.canvas, s.palette
    c.line([(0, 0.5), (0, 0.1)], 0.015, p("metal dark"))
    c.ellipse(0, 0, 0.12, 0.12, p.free(i, 1.1), shade=0.0)
    if i % 2:
        c.ellipse(0, 0, 0.06, 0.06, p("white"), shade=0.0)


def furniture(s: Stage, i: int) -> None:
    """Draw a pot plant, a floor lamp or a pile of books."""
    c, p = s.canvas, s.palette
    if i % 3 == 0:
        c.poly([(-0.1, 0), (0.1, 0), (0.14, 0.18), (-0.14, 0.18)], p("brick"))
        for a in (-0.22, -0.08, 0.08, 0.22):
            c.line([(0, 0.16), (a, 0.5 - abs(a))], 0.07, p("leaf"))
    elif i % 3 == 1:
        c.line([(0, 0), (0, 0.5)], 0.035, p("wood dark"))
        c.poly([(-0.17, 0.46), (0.17, 0.46), (0.09, 0.7), (-0.09, 0.7)], p.free(i, 1.2))
    else:
        for k in range(3):
            c.rect(-0.17 + 0.03 * k, 0.09 * k, 0.15 + 0.02 * k, 0.09 * k + 0.08, p.free(i + k))


def bulbs(s: Stage, i: int) -> None:
    """Draw a few bulbs on a wire."""
    c, p = s.canvas, s.palette
    c.line([(-0.32, 0.1), (0, 0.03), (0.32, 0.1)], 0.018, p("black"))
    for k in (-0.22, 0.0, 0.22):
        glow = p("window") if i % 2 else p.free(i + round(5 * k), 1.3)
        c.ellipse(k, 0.01 + 0.2 * k * k, 0.06, 0.07, glow, shade=0.0)


def rain_lamp(s: Stage, i: int) -> None:
    """Draw a paper lantern."""
    c, p = s.canvas, s.palette
    c.line([(0, 0.4), (0, 0.1)], 0.015, p("black"))
    c.ellipse(0, 0, 0.11, 0.13, p.free(i, 1.15, 0.8), shade=0.2)
    c.rect(-0.05, 0.1, 0.05, 0.14, scaled(p("gold"), 0.9), 0.0)
