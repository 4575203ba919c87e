"""Abstract pictures: five kinds of composition, each painted in the manner of its style."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import numpy as np

from pamela.synthetic.rendering.canvas import Points
from pamela.synthetic.rendering.layout import Stage
from pamela.synthetic.rendering.palette import mixed, scaled

Shape = tuple[Points, bool]  # outline in the frame, and whether it is closed


def _centres(s: Stage, count: int) -> Points:
    """Return (count, 3) of x, y, size: about the centre when ordered, else to one side."""
    draws = s.rng.random((16, 3))[:count]
    lean = 0.32 * (1 - s.order) * s.side
    xs = 0.5 + lean + (draws[:, 0] - 0.5) * (0.45 + 0.3 * s.order)
    ys = 0.2 + 0.6 * draws[:, 1]
    sizes = (0.08 + 0.14 * draws[:, 2]) * (1.35 - 0.6 * s.clutter)
    if s.order > 0.6 and count > 1:
        xs[1::2] = 1 - xs[0::2][: len(xs[1::2])]
        ys[1::2] = ys[0::2][: len(ys[1::2])]
        sizes[1::2] = sizes[0::2][: len(sizes[1::2])]
        if count % 2:
            xs[-1] = 0.5
    return np.stack([xs, ys, sizes], axis=1)


def _circle(x: float, y: float, r: float) -> Points:
    a = np.linspace(0, 2 * np.pi, 33)[:-1]
    return np.stack([x + r * np.cos(a), y + r * np.sin(a)], axis=1)


def _circles(s: Stage, count: int) -> list[Shape]:
    return [(_circle(x, y, 1.15 * r), True) for x, y, r in _centres(s, count)]


def _squares(s: Stage, count: int) -> list[Shape]:
    corner = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    return [(np.array([x, y]) + r * corner, True) for x, y, r in _centres(s, count)]


def _bands(s: Stage, count: int) -> list[Shape]:
    edges = np.linspace(0.06, 0.94, count + 1)
    jitter = (s.rng.random(17)[: count + 1] - 0.5) * (1 - s.order) * 0.5 / count
    left = 0.06 + 0.2 * (1 - s.order) * (s.side > 0)
    right = 0.94 - 0.2 * (1 - s.order) * (s.side < 0)
    y = edges + jitter
    gap = 0.12 / count
    return [
        (np.array([[left, a + gap], [right, a + gap], [right, b - gap], [left, b - gap]]), True)
        for a, b in pairwise(y)
    ]


def _arcs(s: Stage, count: int) -> list[Shape]:
    shapes = []
    for i, (x, y, r) in enumerate(_centres(s, count)):
        start = 0.5 * i * (1 - s.order)
        a = np.linspace(start, start + 0.55, 20) * 2 * np.pi
        shapes.append((np.stack([x + 1.9 * r * np.cos(a), y + 1.9 * r * np.sin(a)], 1), False))
    return shapes


def _diagonals(s: Stage, count: int) -> list[Shape]:
    shapes = []
    for i, (x, y, r) in enumerate(_centres(s, count)):
        lean = (0.8 if (i % 2 and s.order > 0.4) else -0.8) * s.side * (0.6 + 2 * r)
        shapes.append((np.array([[x - 0.5 * lean, y + 0.45], [x + 0.5 * lean, y - 0.45]]), False))
    return shapes


COMPOSITIONS: Final[dict[str, Callable[[Stage, int], list[Shape]]]] = {
    "overlapping circles": _circles,
    "horizontal bands": _bands,
    "floating squares": _squares,
    "sweeping arcs": _arcs,
    "crossing diagonals": _diagonals,
}


def paint(s: Stage, subject: str, style: str | None) -> None:
    """Paint composition `subject` in the manner of `style`."""
    painter = _PAINTERS.get(style or "", _geometric)
    painter(s, COMPOSITIONS[subject])


def _geometric(s: Stage, compose: Callable[[Stage, int], list[Shape]]) -> None:
    _ground(s, 0.9, 0.25)
    for i, shape in enumerate(compose(s, 3 + round(9 * s.clutter))):
        _put(s, shape, i, 0.07)


def _minimal(s: Stage, compose: Callable[[Stage, int], list[Shape]]) -> None:
    _ground(s, 1.0, 0.1)
    for i, shape in enumerate(compose(s, 1 + round(3.4 * s.clutter))):
        _put(s, shape, i, 0.035)


def _fields(s: Stage, compose: Callable[[Stage, int], list[Shape]]) -> None:
    _ground(s, 0.75, 0.6)
    for i, (points, closed) in enumerate(compose(s, 2 + round(3.4 * s.clutter))):
        if closed:  # broad soft areas: the style's filter blurs their edges
            middle = points.mean(axis=0)
            points = middle + (points - middle) * np.array([1.5, 1.2])
        _put(s, (points, closed), i, 0.2)


def _gestures(s: Stage, compose: Callable[[Stage, int], list[Shape]]) -> None:
    c, p, r = s.canvas, s.palette, s.rng
    _ground(s, 0.85, 0.35)
    for i, (points, closed) in enumerate(compose(s, 3 + round(6 * s.clutter))):
        path = np.concatenate([points, points[:1]]) if closed else points
        for k in range(3):  # a broad brush runs dry: three rough passes
            rough = path + r.normal(0, 0.025, path.shape)
            c.stroke(rough, 0.085 - 0.025 * k, scaled(p.free(i + k // 2), 1 - 0.16 * k))
    for points, _ in compose(s, 2):
        c.stroke(points + r.normal(0, 0.05, points.shape), 0.03, p("black"))


def _drips(s: Stage, compose: Callable[[Stage, int], list[Shape]]) -> None:
    c, p, r = s.canvas, s.palette, s.rng
    c.near = 0.5
    c.band(0.0, 1.0, p("cream"), p("cream", 0.95))
    guides = compose(s, 4 + round(5 * s.clutter))
    for i in range(10 + round(34 * s.clutter)):
        points, closed = guides[i % len(guides)]
        path = np.concatenate([points, points[:1]]) if closed else points
        t = np.linspace(0, 1, 12)
        base = np.linspace(0, 1, len(path))
        x, y = np.interp(t, base, path[:, 0]), np.interp(t, base, path[:, 1])
        wild = np.cumsum(r.normal(0, 0.035, (12, 2)), axis=0)
        thrown = np.stack([x, y], axis=1) + wild
        c.stroke(thrown, (0.007, 0.011, 0.02)[i % 3], p("black") if i % 4 == 0 else p.free(i))
    for x, y, size in r.random((12 + round(50 * s.clutter), 3)):
        c.fill(_circle(x, y, 0.004 + 0.016 * size**3), p.free(int(size * 7)))


def _ground(s: Stage, light: float, saturation: float) -> None:
    tone = s.palette.free(6, light, saturation)
    s.canvas.near = 0.5
    s.canvas.band(0.0, 1.0, mixed(tone, s.palette("cream"), 0.5), tone)


def _put(s: Stage, shape: Shape, number: int, width: float) -> None:
    points, closed = shape
    if closed:
        s.canvas.fill(points, s.palette.free(number))
    else:
        s.canvas.stroke(points, width, s.palette.free(number))


_PAINTERS: Final = {
    "Minimalism": _minimal,
    "Color_Field_Painting": _fields,
    "Abstract_Expressionism": _gestures,
    "Action_painting": _drips,
}
