"""Backdrops in town: squares, roads, sports grounds, shopping streets."""

from __future__ import annotations

import numpy as np

from pamela.synthetic.rendering import objects
from pamela.synthetic.rendering.backdrops.terrain import ground, hills, perspective, sky
from pamela.synthetic.rendering.layout import Stage
from pamela.synthetic.rendering.palette import mixed


def town(s: Stage) -> None:
    """A paved square before a row of houses."""
    p = s.palette
    sky(s)
    _houses(s, 8, plain=s.clutter < 0.2)
    ground(s, "pavement", "asphalt")
    perspective(s, p("asphalt", 0.8))


def _houses(s: Stage, count: int, *, plain: bool) -> None:
    c, p = s.canvas, s.palette
    heights = s.lopsided(s.rng.uniform(0.25, 0.55, count))
    for i, h in enumerate(heights.tolist()):
        n = min(i, count - 1 - i) if s.order > 0.6 else i
        x = (i + 0.5) / count
        with s.at(x, c.camera.horizon + 0.02, 0.35 + 0.6 * c.camera.scale, 0.15):
            wall = mixed(p("wall", 0.9), p.free(n, 0.8, 0.4), 0.5)
            if plain:
                c.rect(-0.12, 0, 0.12, h, wall)
                c.poly([(-0.14, h), (0.14, h), (0, h + 0.12)], p("roof"))
            else:
                objects.house(c, p, 0, 0, 0.24, h, wall, gable=n % 3 == 0)


def road(s: Stage) -> None:
    """A country road: asphalt with a dashed line, guard rail, far mountains."""
    c, p = s.canvas, s.palette
    sky(s, sun=False)
    hills(s, "rock dark", 0.22, 7)
    ground(s, "asphalt", "asphalt")
    horizon = c.camera.horizon
    y = horizon + 0.05
    c.near = 0.2
    for k in (0.0, 0.035):
        c.stroke(np.array([[0.0, y - k], [1.0, y - k]]), 0.016, p("metal", 1.2))
    posts = np.linspace(0.02, 0.98, 13)
    lines = np.stack([np.stack([posts, np.full(13, y - 0.045)], 1),
                      np.stack([posts, np.full(13, y + 0.04)], 1)], 1)  # fmt: skip
    c.texture(lines, 0.012, p("metal dark"))
    c.near = 0.35
    lane = horizon + 0.62 * (1 - horizon)
    thick = 0.012 + 0.03 * (1 - horizon)
    dashes = np.arange(-0.05, 1.0, 0.2)
    quads = np.stack([
        np.stack([dashes, np.full(6, lane)], 1), np.stack([dashes + 0.12, np.full(6, lane)], 1),
        np.stack([dashes + 0.11, np.full(6, lane + thick)], 1),
        np.stack([dashes - 0.01, np.full(6, lane + thick)], 1)], 1)  # fmt: skip
    c.tiles(quads, p("white"))
    edge = min(0.985, lane + 0.3 * (1 - horizon))
    c.stroke(np.array([[0.0, edge], [1.0, edge]]), 0.5 * thick, p("cheese"))


def plaza(s: Stage) -> None:
    """A wide square of pale slabs before a clipped hedge, under a high sky."""
    c, p = s.canvas, s.palette
    sky(s, sun=False)
    horizon = c.camera.horizon
    tall = 0.07 + 0.06 * c.camera.scale
    c.near = 0.15
    c.band(horizon - tall, horizon + 0.03, p("leaf", 1.1), p("leaf", 0.75))
    c.near = 0.35
    c.band(horizon + 0.02, 1.0, p("stone", 1.15), p("stone", 0.95))
    perspective(s, p("stone dark"), rows=8)


def stadium(s: Stage) -> None:
    """A sports ground: a stand full of people, floodlights, a mown and lined pitch."""
    c, p = s.canvas, s.palette
    sky(s, sun=False)
    horizon = c.camera.horizon
    tall = 0.16 + 0.18 * c.camera.scale
    c.near = 0.1
    for x in (0.12, 0.88):
        c.stroke(np.array([[x, horizon], [x, horizon - tall - 0.18]]), 0.018, p("metal"))
        with s.at(x, horizon - tall - 0.2, 0.2, 0.1):
            c.rect(-0.4, -0.12, 0.4, 0.25, p("window"), 0.0)
    c.band(horizon - tall, horizon + 0.02, p("metal dark"), p("metal dark", 0.7))
    rows, columns = 5, 22
    seat = np.arange(rows * columns)
    across = (seat % columns + 0.5 + 0.5 * (seat // columns % 2)) / columns
    up = horizon - tall * (0.16 + 0.17 * (seat // columns))
    r = 0.011
    for k in range(3):
        heads = np.stack([across, up], 1)[k::3]
        box = np.array([[-r, -r], [r, -r], [r, r], [-r, r]])
        c.tiles(heads[:, None, :] + box[None], p.free(k + 1, 1.25, 0.6))
    c.near = 0.35
    c.band(horizon, 1.0, p("grass", 1.1), p("grass"))
    foot = np.arange(-1.75, 2.75, 0.5)
    n = len(foot)
    middle = np.full(n, 0.5)
    narrow = 0.3 * (foot - 0.5)
    mown = np.stack([
        np.stack([middle + narrow, np.full(n, horizon)], 1),
        np.stack([middle + narrow + 0.075, np.full(n, horizon)], 1),
        np.stack([foot + 0.25, np.full(n, 1.02)], 1),
        np.stack([foot, np.full(n, 1.02)], 1)], 1)  # fmt: skip
    c.tiles(mown, p("grass dark", 1.15))
    y = horizon + 0.16 * (1 - horizon)
    c.stroke(np.array([[0.0, y], [1.0, y]]), 0.014, p("white"))


def alley(s: Stage) -> None:
    """A narrow shopping street: tall fronts with awnings run to a vanishing point."""
    c, p = s.canvas, s.palette
    sky(s, sun=False)
    horizon = float(np.clip(c.camera.horizon, -0.2, 0.95))
    ground(s, "asphalt", "asphalt")
    perspective(s, p("asphalt", 0.7), rows=5)
    c.near = 0.15
    for side in (0, 1):
        for k in range(4):
            a, b = (0.40 * (1 - 0.62**k), 0.40 * (1 - 0.62 ** (k + 1)))
            ta, tb = a / 0.42, b / 0.42
            x0, x1 = (a, b) if side == 0 else (1 - a, 1 - b)
            up0, up1 = -0.1 + (horizon + 0.0) * ta * 0.8, -0.1 + horizon * tb * 0.8
            lo0, lo1 = 1.0 - (1.0 - horizon - 0.03) * ta, 1.0 - (1.0 - horizon - 0.03) * tb
            wall = mixed(p("brick"), p.free(k + 4 * side, 0.95, 0.5), 0.6)
            c.fill(np.array([[x0, up0], [x1, up1], [x1, lo1], [x0, lo0]]), wall, 0.15)
            m0, m1 = lo0 - 0.3 * (lo0 - up0), lo1 - 0.3 * (lo1 - up1)
            out = 0.05 * (1 - ta) * (1 if side == 0 else -1)
            awning = np.array([[x0, m0], [x1, m1], [x1 + out, m1 + 0.05], [x0 + out, m0 + 0.07]])
            c.fill(awning, p.free(k + 2 * side + 1, 1.2, 0.85), 0.0)
            if s.clutter > 0.15:
                _shop_windows(s, (x0, x1), (up0, up1), (m0, m1))


def _shop_windows(
    s: Stage, x: tuple[float, float], top: tuple[float, float], low: tuple[float, float]
) -> None:
    """Draw two rows of windows on a front in perspective."""
    quads = []
    for u in (0.2, 0.6):
        for v in (0.3, 0.62):
            corners = []
            for du, dv in ((0, 0), (0.22, 0), (0.22, 0.18), (0, 0.18)):
                a, b = u + du, v + dv
                y = (top[0] + (top[1] - top[0]) * a) * (1 - b) + (
                    low[0] + (low[1] - low[0]) * a
                ) * b
                corners.append([x[0] + (x[1] - x[0]) * a, y])
            quads.append(corners)
    s.canvas.tiles(np.array(quads), s.palette("window", 0.9))
