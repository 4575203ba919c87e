"""Backdrops indoors: tables, walls, the photographer's studio, the catwalk."""

from __future__ import annotations

import numpy as np

from pamela.synthetic.rendering.layout import Stage
from pamela.synthetic.rendering.palette import mixed, scaled


def _edge(s: Stage, lift: float, low: float = 0.0, high: float = 0.92) -> float:
    """Return where the wall ends: higher in the frame the higher the viewer stands."""
    return float(np.clip(s.canvas.camera.horizon + lift, low, high))


def _rows(ys: np.ndarray) -> np.ndarray:
    return np.stack([np.stack([0 * ys, ys], 1), np.stack([0 * ys + 1, ys], 1)], 1)


def _columns(xs: np.ndarray, top: float, low: float) -> np.ndarray:
    return np.stack(
        [np.stack([xs, np.full(len(xs), top)], 1), np.stack([xs, np.full(len(xs), low)], 1)], 1
    )


def table(s: Stage) -> None:
    """A dark panelled wall and a wooden table with a white cloth hanging over its front."""
    c, p = s.canvas, s.palette
    edge = _edge(s, 0.02)
    c.near = 0.0
    c.band(0.0, edge, p("wood dark", 0.8), p("wood dark", 1.15))
    c.texture(_columns(np.linspace(0.06, 0.94, 9), 0.0, edge), 0.012, p("wood dark", 0.55))
    c.near = 0.4
    c.band(edge, 1.0, p("wood", 0.9), p("wood", 1.2))
    c.texture(_rows(edge + (1 - edge) * np.linspace(0.15, 0.9, 5) ** 1.5), 0.006, p("wood dark"))
    front = edge + 0.55 * (1 - edge)
    x = np.linspace(-0.02, 1.02, 14)
    hem = front + 0.03 * np.where(np.arange(14) % 2, 1.0, -0.2)
    cloth = np.concatenate([np.stack([x, hem], 1), [[1.02, 1.05], [-0.02, 1.05]]])
    c.fill(cloth, p("cloth"), 0.0)
    c.texture(_columns(x[1::2], front + 0.03, 1.02), 0.012, p("cloth", 0.72))


def bower(s: Stage) -> None:
    """A wall of leaves behind a stone ledge: where bouquets are painted."""
    c, p = s.canvas, s.palette
    edge = _edge(s, 0.12, 0.12)
    c.near = 0.0
    c.band(0.0, edge, p("leaf", 0.6), p("leaf", 0.9))
    k = np.arange(84)
    x, y = (k * 0.6180339887) % 1.0, edge * ((k * 0.7548776662) % 1.0)
    turn = k * 2.4
    axis = np.stack([np.cos(turn), np.sin(turn)], 1) * 0.05
    across = np.stack([-np.sin(turn), np.cos(turn)], 1) * 0.02
    middle = np.stack([x, y], 1)
    blades = np.stack([middle - axis, middle + across, middle + axis, middle - across], 1)
    for i, light in enumerate((1.25, 0.85, 1.55)):
        c.tiles(blades[i::3], p("leaf", light))
    c.near = 0.4
    c.band(edge, 1.0, p("stone", 1.1), p("stone", 0.8))
    c.texture(_rows(np.array([edge + 0.25 * (1 - edge)])), 0.012, p("stone dark"))


def kitchen(s: Stage) -> None:
    """A tiled kitchen wall and a chequered tablecloth."""
    c, p = s.canvas, s.palette
    edge = _edge(s, 0.0)
    c.near = 0.0
    tile = p("tile")
    c.band(0.0, edge, scaled(tile, 1.05), scaled(tile, 0.92))
    grout = scaled(tile, 0.72)
    if edge > 0.05:
        c.texture(_rows(np.arange(edge - 0.1, -0.05, -0.1)), 0.01, grout)
        c.texture(_columns(np.arange(0.05, 1.0, 0.1), 0.0, edge), 0.01, grout)
    c.near = 0.4
    cloth = p("red", 1.05)
    c.band(edge, 1.0, p("white"), p("white"))
    rows = edge + (1 - edge) * np.linspace(0, 1, 7) ** 1.5
    foot = np.linspace(-1.0, 2.0, 21)
    quads = []
    for j in range(6):
        for i in range(j % 2, 20, 2):
            corner = [
                (foot[i + di], rows[j + dj], dj) for di, dj in ((0, 0), (1, 0), (1, 1), (0, 1))
            ]
            quads.append([
                [0.5 + (f - 0.5) * (0.45 + 0.55 * (y - edge) / max(1 - edge, 0.05)), y]
                for f, y, _ in corner])  # fmt: skip
    c.tiles(np.array(quads), cloth)


def drapery(s: Stage) -> None:
    """A portrait painter's wall: a curtain in folds to one side and a mottled ground."""
    c, p = s.canvas, s.palette
    wall = mixed(p("wall", 0.75), p.free(5, 0.7, 0.4), 0.6)
    c.near = 0.0
    c.band(0.0, 1.0, scaled(wall, 1.15), scaled(wall, 0.75))
    x = np.linspace(0.04, 0.96, 12)
    c.texture(_columns(x, 0.0, 0.72 + 0.2 * c.camera.tilt), 0.007, scaled(wall, 0.72))
    c.near = 0.15
    cloth = p.free(3, 0.75, 0.7)
    sides = (-1, 1) if s.order > 0.6 else (-s.side,)
    for side in sides:
        for k in range(5):
            a, b = 0.055 * k, 0.055 * (k + 1)
            low = 0.3 * (4 - k) / 4
            fold = np.array([[a, 0.0], [b + 0.03, 0.0], [b * 0.55, 0.62 + low], [a * 0.55, 1.0]])
            if side > 0:
                fold[:, 0] = 1 - fold[:, 0]
            c.fill(fold, scaled(cloth, 1.15 if k % 2 else 0.7), 0.0)
    edge = _edge(s, 0.34, 0.5, 1.0)
    if edge < 0.98:  # a floor or table's edge comes into sight from above
        c.near = 0.3
        c.band(edge, 1.0, p("wood", 0.8), p("wood", 1.1))


def studio(s: Stage) -> None:
    """A seamless pale sweep with a round plinth under the subject."""
    c, p = s.canvas, s.palette
    edge = _edge(s, 0.1)
    tone = mixed(p("white"), p.free(4, 1.1, 0.3), 0.55)
    c.near = 0.0
    c.band(0.0, edge, scaled(tone, 0.8), tone)
    x = np.linspace(0.08, 0.92, 8)
    c.texture(_columns(x, 0.0, edge), 0.006, scaled(tone, 0.68))
    c.near = 0.3
    c.band(edge, 1.0, scaled(tone, 1.0), scaled(tone, 0.86))
    c.near = 0.9
    flat = c.camera.flatness
    body = scaled(p.free(4, 0.9, 0.3), 0.9)
    c.rect(-0.72, -1.2, 0.72, 0.0, body, 0.3)
    c.ellipse(0, 0.0, 0.72, 0.72 * (0.08 + 0.6 * flat), scaled(body, 1.3), shade=0.06)


def runway(s: Stage) -> None:
    """A catwalk in a dark hall: panels of light left and right, a glossy strip to the viewer."""
    c, p = s.canvas, s.palette
    edge = _edge(s, 0.05, 0.03)
    c.near = 0.0
    c.band(0.0, 1.0, p("violet", 1.1), p("black"))
    glow = p.free(2, 1.35, 0.5)
    for k, x in enumerate((0.03, 0.16, 0.29, 0.63, 0.76, 0.89)):
        c.near = 0.05
        panel = np.array([[x, 0.0], [x + 0.07, 0.0], [x + 0.07, edge], [x, edge]])
        c.fill(panel, glow if k % 2 else p("white", 0.9), 0.0)
    c.near = 0.3
    c.band(edge, 1.0, p("black", 1.2), p("black", 1.6))
    c.near = 0.6
    middle = c.camera.x
    wide = 0.34 + 0.3 * c.camera.scale
    strip = np.array([
        [middle - 0.12, edge], [middle + 0.12, edge], [middle + wide, 1.02], [middle - wide, 1.02]
    ])  # fmt: skip
    c.fill(strip, p("metal", 1.15), 0.0)
    sheen = np.array([
        [middle - 0.03, edge], [middle + 0.03, edge], [middle + 0.2 * wide, 1.02],
        [middle - 0.2 * wide, 1.02]])  # fmt: skip
    c.fill(sheen, p("white"), 0.0)


def corridor(s: Stage) -> None:
    """A bare grey hall of concrete."""
    c, p = s.canvas, s.palette
    edge = _edge(s, 0.12, 0.02, 0.96)
    c.near = 0.0
    c.band(0.0, edge, p("metal dark", 0.9), p("metal dark", 1.3))
    c.texture(_rows(np.arange(edge - 0.12, 0.0, -0.12)), 0.006, p("metal dark", 0.6))
    c.near = 0.3
    c.band(edge, 1.0, p("metal dark", 0.7), p("metal dark", 1.1))


def living_room(s: Stage) -> None:
    """A bright room at home: a big window with curtains, wallpaper, a rug."""
    c, p = s.canvas, s.palette
    edge = _edge(s, 0.14, 0.02, 0.96)
    wall = mixed(p("wall", 1.1), p.free(5, 1.05, 0.35), 0.5)
    c.near = 0.0
    c.band(0.0, edge, wall, scaled(wall, 0.9))
    c.texture(_columns(np.linspace(0.03, 0.97, 16), 0.0, edge), 0.009, scaled(wall, 0.86))
    for side in (0, 1) if s.order > 0.6 else ((0,) if s.side > 0 else (1,)):
        x = 0.07 if side == 0 else 0.60
        top, low = edge - 0.62, edge - 0.14
        c.near = 0.05
        box = np.array([[x, top], [x + 0.33, top], [x + 0.33, low], [x, low]])
        c.fill(box, p("white"), 0.0)
        c.fill(box * 0.86 + 0.14 * box.mean(axis=0), p("sky low"), 0.0)
        bars = np.array([[[x + 0.165, top], [x + 0.165, low]],
                         [[x, (top + low) / 2], [x + 0.33, (top + low) / 2]]])  # fmt: skip
        c.texture(bars, 0.016, p("white"))
        for a in (x - 0.05, x + 0.30):
            cloth = np.array([[a, top - 0.03], [a + 0.09, top - 0.03], [a + 0.07, low + 0.06],
                              [a + 0.01, low + 0.06]])  # fmt: skip
            c.fill(cloth, p.free(2, 1.1, 0.6), 0.0)
    c.near = 0.3
    c.band(edge, 1.0, p("wood", 0.95), p("wood", 1.3))
    c.texture(_rows(edge + (1 - edge) * np.array([0.2, 0.5, 0.85])), 0.007, p("wood dark"))


def terrace(s: Stage) -> None:
    """A garden terrace: a hedge with lamps, wooden boards."""
    c, p = s.canvas, s.palette
    edge = _edge(s, 0.05, 0.02, 0.96)
    c.near = 0.0
    c.band(0.0, 0.5 * edge, p("sky low"), p("cream"))
    c.near = 0.1
    x = np.linspace(-0.05, 1.05, 12)
    top = 0.45 * edge + 0.04 * np.cos(np.arange(12) * 2.1)
    hedge = np.concatenate([np.stack([x, top], 1), [[1.05, edge], [-0.05, edge]]])
    c.fill(hedge, p("leaf", 1.2), 0.1)
    c.near = 0.3
    c.band(edge, 1.0, p("grass", 1.2), p("grass"))
