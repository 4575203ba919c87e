"""Things that many pictures share: trees, houses, people, heads, vessels, flowers, fruit."""

from __future__ import annotations

import numpy as np

from pamela.synthetic.rendering.canvas import Canvas
from pamela.synthetic.rendering.palette import Palette, Rgb, mixed, scaled

Rng = np.random.Generator


def tree(c: Canvas, p: Palette, x: float, y: float, h: float, kind: int = 0) -> None:
    """Draw a tree of height `h` whose foot is at (x, y); even kinds are round, odd ones firs."""
    leaf = p("leaf", 0.9 + 0.15 * (kind % 3))
    c.rect(x - 0.04 * h, y, x + 0.04 * h, y + 0.4 * h, p("trunk"))
    if kind % 2:
        for i in range(3):
            low, width = y + (0.18 + 0.24 * i) * h, (0.27 - 0.07 * i) * h
            c.poly([(x - width, low), (x + width, low), (x, low + 0.36 * h)], leaf)
        return
    for dx, dy, r in ((-0.15, 0.58, 0.2), (0.15, 0.6, 0.2), (0.0, 0.74, 0.25)):
        c.ellipse(x + dx * h, y + dy * h, r * h, r * h, leaf, shade=0.35)


def palm(c: Canvas, p: Palette, x: float, y: float, h: float, lean: float) -> None:
    """Draw a palm that leans sideways."""
    t = np.linspace(0, 1, 8)
    trunk = np.stack([x + lean * h * t**2, y + h * t], 1)
    c.line(trunk, 0.05 * h, p("trunk", 1.3))
    top = (x + lean * h, y + h)
    for angle in (-0.05, 0.08, 0.2, 0.32, 0.42, 0.55):
        a = 2 * np.pi * angle
        tip = (top[0] + 0.42 * h * np.cos(a), top[1] + 0.3 * h * np.sin(a) - 0.1 * h)
        middle = (top[0] + 0.22 * h * np.cos(a), top[1] + 0.26 * h * np.sin(a) + 0.06 * h)
        under = (middle[0], middle[1] - 0.09 * h)
        c.poly([top, middle, tip, under], p("leaf", 1.1))


def house(
    c: Canvas, p: Palette, x: float, y: float, w: float, h: float, wall: Rgb, *, gable: bool = True
) -> None:
    """Draw a house with rows of windows; `gable` gives it a pitched roof, else a flat one."""
    c.rect(x - w / 2, y, x + w / 2, y + h, wall)
    if gable:
        roof = [(x - 0.58 * w, y + h), (x + 0.58 * w, y + h), (x, y + h + 0.5 * w)]
        c.poly(roof, p("roof"))
    windows(
        c, p, x - w / 2, y + 0.06 * h, w, 0.9 * h, max(2, round(w / 0.13)), max(2, round(h / 0.2))
    )


def windows(
    c: Canvas, p: Palette, x: float, y: float, w: float, h: float, columns: int, rows: int
) -> None:
    """Draw a grid of windows on a wall, some of them lit."""
    dx, dy = w / columns, h / rows
    for i in range(columns):
        for j in range(rows):
            lit = (i * 7 + j * 5 + columns) % 4 == 0
            colour = p("window") if lit else p("glass", 0.45)
            left, low = x + (i + 0.25) * dx, y + (j + 0.25) * dy
            c.rect(left, low, left + 0.5 * dx, low + 0.55 * dy, colour, shade=0.0)


def person(
    c: Canvas,
    p: Palette,
    x: float,
    y: float,
    h: float,
    number: int = 0,
    *,
    outfit: str = "suit",
    stride: float = 0.12,
    colour: Rgb | None = None,
) -> None:
    """Draw a standing or walking person of height `h`: a suit, a coat, a gown or sports clothes."""
    cloth = colour or p.free(number)
    skin = p.skin(number)
    for side in (-1, 1):
        foot = (x + side * stride * h, y)
        leg = scaled(cloth, 0.62) if outfit in ("suit", "coat") else skin
        c.line([(x + side * 0.03 * h, y + 0.48 * h), foot], 0.075 * h, leg)
        hand = (x + side * (0.17 + 0.4 * stride) * h, y + 0.48 * h)
        sleeve = skin if outfit in ("gown", "sports") else scaled(cloth, 0.85)
        c.line([(x + side * 0.1 * h, y + 0.78 * h), hand], 0.06 * h, sleeve)
    hem = {"gown": (0.30, 0.02), "coat": (0.17, 0.25)}.get(outfit, (0.11, 0.44))
    body = [
        (-0.12, 0.82),
        (0.12, 0.82),
        (0.075, 0.6),
        (hem[0], hem[1]),
        (-hem[0], hem[1]),
        (-0.075, 0.6),
    ]
    c.poly([(x + dx * h, y + dy * h) for dx, dy in body], cloth, 0.3)
    c.rect(x - 0.028 * h, y + 0.8 * h, x + 0.028 * h, y + 0.88 * h, skin)
    c.ellipse(x, y + 0.935 * h, 0.073 * h, 0.075 * h, p.hair(number), shade=0.1)
    c.ellipse(x, y + 0.915 * h, 0.058 * h, 0.068 * h, skin)


def head(
    c: Canvas,
    p: Palette,
    number: int,
    *,
    long_hair: bool,
    beard: bool,
    old: bool,
    hat: bool,
    young: bool,
) -> None:
    """Draw head and shoulders, one unit tall; the features move with the camera's tilt."""
    skin = p.skin(number)
    hair = (205, 203, 200) if old else p.hair(number)
    shift = -0.05 * c.camera.tilt  # from below the features sit high on the head
    if long_hair:
        c.poly([(-0.3, 0.22), (0.3, 0.22), (0.29, 0.8), (0.0, 1.0), (-0.29, 0.8)], hair)
    cloth = p.free(number)
    shoulders = [(-0.56, -0.1), (0.56, -0.1), (0.5, 0.12), (0.3, 0.24), (-0.3, 0.24), (-0.5, 0.12)]
    c.poly(shoulders, cloth, 0.25)
    c.poly([(-0.1, 0.16), (0.1, 0.16), (0.11, 0.42), (-0.11, 0.42)], scaled(skin, 0.82))
    c.poly([(-0.14, 0.24), (0.14, 0.24), (0.0, 0.1)], scaled(skin, 0.92), 0.0)
    wide = 0.225 if young else 0.235
    c.ellipse(0, 0.63, 0.265, 0.3, hair, shade=0.12)
    for side in (-1, 1):
        c.ellipse(side * wide, 0.59, 0.04, 0.065, scaled(skin, 0.85))
    c.ellipse(0, 0.585, wide, 0.275, skin, shade=0.3)
    if beard:
        c.ellipse(0, 0.46, wide * 0.96, 0.2, hair, start=0.5, end=1.0, shade=0.1)
    fringe = 0.1 if not (hat or old) else 0.04
    c.ellipse(0, 0.74, wide * 0.98, 0.13, hair, start=0.0, end=0.5, shade=0.1)
    if fringe > 0.05:
        c.poly([(-0.21, 0.76), (0.22, 0.78), (0.17, 0.72 - 0.2 * fringe), (-0.05, 0.75)], hair, 0.0)
    _face(c, p, skin, shift, old=old, beard=beard)
    if hat:
        c.ellipse(0, 0.79, 0.47, 0.085, p.free(number + 1))
        c.poly([(-0.25, 0.8), (0.25, 0.8), (0.2, 1.04), (-0.2, 1.04)], p.free(number + 1))
        c.rect(-0.25, 0.8, 0.25, 0.85, p.free(number + 2), 0.0)


def _face(c: Canvas, p: Palette, skin: Rgb, shift: float, *, old: bool, beard: bool) -> None:
    dark = scaled(skin, 0.4)
    y = 0.61 + shift
    for side in (-1, 1):
        c.ellipse(side * 0.093, y, 0.05, 0.027, (246, 243, 238), shade=0.0)
        c.ellipse(side * 0.09, y, 0.023, 0.027, p("black"), shade=0.0)
        c.line([(side * 0.045, y + 0.055), (side * 0.14, y + 0.05)], 0.018, dark)
        if old:
            c.line([(side * 0.06, y - 0.06), (side * 0.13, y - 0.05)], 0.01, scaled(skin, 0.7))
    nose = [(-0.01, y - 0.01), (0.035, y - 0.115), (-0.03, y - 0.115)]
    c.poly(nose, scaled(skin, 0.8), 0.0)
    mouth = y - 0.18
    lips = mixed((190, 60, 70), skin, 0.25)
    c.ellipse(0, mouth, 0.07, 0.024, lips, shade=0.0)
    if beard:
        c.poly([(-0.1, mouth + 0.03), (0.1, mouth + 0.03), (0.0, mouth + 0.065)], dark, 0.0)


def vessel(c: Canvas, x: float, y: float, w: float, h: float, colour: Rgb, kind: int = 0) -> None:
    """Draw a vase (0), a bottle (1) or a jug (2) that stands at (x, y)."""
    flat = c.camera.flatness
    if kind == 1:
        c.poly(
            [(x - w / 2, y), (x + w / 2, y), (x + w / 2, y + 0.58 * h),
             (x + 0.16 * w, y + 0.72 * h), (x + 0.16 * w, y + h), (x - 0.16 * w, y + h),
             (x - 0.16 * w, y + 0.72 * h), (x - w / 2, y + 0.58 * h)],
            colour, 0.3,
        )  # fmt: skip
        c.rect(x - 0.35 * w, y + 0.18 * h, x + 0.35 * w, y + 0.42 * h, (235, 226, 205), 0.0)
        return
    if kind == 2:
        t = np.linspace(-0.25, 0.25, 9) * 2 * np.pi
        handle = np.stack(
            [x + 0.42 * w + 0.26 * w * np.cos(t), y + 0.55 * h + 0.28 * h * np.sin(t)], 1
        )
        c.line(handle, 0.09 * w, scaled(colour, 0.8))
    t = np.linspace(0, 1, 12)
    profile = 0.34 + 0.16 * np.sin(np.pi * (0.15 + 1.25 * t)) + 0.06 * (t > 0.9)
    xs = np.concatenate([x - w * profile, (x + w * profile)[::-1]])
    ys = np.concatenate([y + h * t, (y + h * t)[::-1]])
    c.poly(np.stack([xs, ys], 1), colour, 0.32)
    rim = w * profile[-1]
    c.ellipse(x, y + h, rim, rim * (0.15 + 0.6 * flat), scaled(colour, 0.45), shade=0.0)


def bloom(c: Canvas, p: Palette, x: float, y: float, r: float, colour: Rgb, kind: int) -> None:
    """Draw a rose (0), a sunflower (1), a tulip (2) or a daisy (3)."""
    if kind == 0:
        for k, size in enumerate((1.0, 0.72, 0.42)):
            c.ellipse(
                x + 0.1 * r * k, y + 0.06 * r * k, r * size, r * size, scaled(colour, 1 - 0.2 * k)
            )
        return
    if kind == 2:
        cup = [
            (-0.7, 0.9),
            (-0.35, 0.35),
            (0, 1.0),
            (0.35, 0.35),
            (0.7, 0.9),
            (0.6, -0.5),
            (0, -0.9),
            (-0.6, -0.5),
        ]
        c.poly([(x + dx * r, y + dy * r) for dx, dy in cup], colour, 0.25)
        return
    petals = 12 if kind == 1 else 8
    angle = np.linspace(0, 2 * np.pi, petals * 2 + 1)[:-1]
    reach = np.where(np.arange(petals * 2) % 2, 0.6, 1.15) * r
    c.poly(np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle)], 1), colour, 0.12)
    core = p("wood dark") if kind == 1 else p("sun")
    c.ellipse(x, y, 0.48 * r, 0.48 * r, core, shade=0.2)


def fruit(c: Canvas, p: Palette, x: float, y: float, r: float, number: int) -> None:
    """Draw an apple, an orange, a lemon or a pear resting at (x, y)."""
    colour = p.free(number, saturation=0.75)
    tall = 1.3 if number % 4 == 3 else 1.0
    c.ellipse(x, y + r * tall * 0.9, r, r * tall, colour, shade=0.42)
    c.line([(x, y + 1.75 * r * tall), (x + 0.2 * r, y + 2.1 * r * tall)], 0.18 * r, p("trunk"))


def cloud(c: Canvas, p: Palette, x: float, y: float, r: float) -> None:
    """Draw a cloud, in world coordinates."""
    for dx, dy, k in ((-0.9, 0.0, 0.5), (-0.3, 0.14, 0.7), (0.45, 0.08, 0.6), (1.0, -0.05, 0.4)):
        c.ellipse(x + dx * r, y + dy * r, k * r, 0.6 * k * r, p("cloud"), shade=0.06)


def car(c: Canvas, p: Palette, colour: Rgb, roof: list[tuple[float, float]], low: float) -> None:
    """Draw a car seen from the side: a body of height `low` and a cabin with the outline `roof`."""
    c.shadow(0, 0.75, p("black"))
    c.poly(
        [(-0.78, 0.12), (0.78, 0.12), (0.8, low * 0.75), (0.7, low), (-0.68, low),
         (-0.8, low * 0.7)],
        colour, 0.3,
    )  # fmt: skip
    c.poly(roof, colour, 0.25)
    middle = np.mean(roof, axis=0)
    c.poly(middle + (np.asarray(roof) - middle) * 0.74, p("glass", 0.6), 0.2)
    for x in (-0.48, 0.48):
        c.ellipse(x, 0.14, 0.16, 0.16, p("black"), shade=0.1)
        c.ellipse(x, 0.14, 0.08, 0.08, p("metal"), shade=0.2)
    c.ellipse(0.75, low * 0.78, 0.05, 0.045, p("window"), shade=0.0)
    c.ellipse(-0.77, low * 0.78, 0.03, 0.04, p("red"), shade=0.0)
    c.line([(-0.72, low * 0.62), (0.74, low * 0.62)], 0.018, scaled(colour, 0.6))


def horse(c: Canvas, p: Palette, x: float, y: float, h: float, coat: Rgb) -> None:
    """Draw a horse of height `h` that stands at (x, y), looking to the right."""
    for dx in (-0.42, -0.3, 0.2, 0.34):
        c.line([(x + dx * h, y + 0.45 * h), (x + dx * 1.05 * h, y)], 0.085 * h, scaled(coat, 0.8))
    c.line([(x - 0.46 * h, y + 0.62 * h), (x - 0.62 * h, y + 0.2 * h)], 0.08 * h, p("black"))
    c.ellipse(x - 0.04 * h, y + 0.56 * h, 0.47 * h, 0.19 * h, coat, shade=0.35)
    neck = [(0.2, 0.5), (0.42, 0.52), (0.58, 1.0), (0.36, 1.05)]
    c.poly([(x + a * h, y + b * h) for a, b in neck], coat, 0.2)
    muzzle = [(0.36, 1.06), (0.55, 1.06), (0.8, 0.8), (0.7, 0.72), (0.45, 0.86)]
    c.poly([(x + a * h, y + b * h) for a, b in muzzle], coat, 0.2)
    c.poly(
        [(x + a * h, y + b * h) for a, b in ((0.14, 0.68), (0.34, 1.1), (0.42, 1.08), (0.26, 0.6))],
        p("black"),
        0.0,
    )
    c.ellipse(x + 0.55 * h, y + 0.97 * h, 0.025 * h, 0.025 * h, p("black"), shade=0.0)
