"""Landscapes: the view itself is the subject."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from pamela.synthetic.rendering import objects
from pamela.synthetic.rendering.layout import Stage
from pamela.synthetic.rendering.palette import scaled

Draw = Callable[[Stage], None]


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


def way(s: Stage, role: str, width: float, bend: float) -> None:
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
    way(s, "sand", 0.7, 0.25)
    for depth in (0.0, 0.3, 0.65):
        y = c.camera.horizon + (1 - c.camera.horizon) * depth * 0.7
        for side in (-1, 1):
            for k in range(3):
                x = c.camera.x + side * c.camera.scale * (0.42 + 0.5 * depth + 0.42 * k)
                with s.at(x, y, c.camera.scale * (0.75 + 0.8 * depth), 0.3 + depth):
                    objects.tree(c, p, 0, 0, 1.15, 1 + 2 * (k % 2))


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
        objects.tree(c, p, 0, 0, 0.9, 0)


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
    way(s, "water", 0.9, 1.4)


LANDSCAPES: Final[dict[str, tuple[str, Draw]]] = {
    "a mountain lake": ("meadow", _mountain_lake),
    "a forest path": ("meadow", _forest_path),
    "rolling hills": ("meadow", _rolling_hills),
    "a desert with dunes": ("desert", _dunes),
    "a rocky coast": ("shore", _rocky_coast),
    "a winding river valley": ("meadow", _river_valley),
}
