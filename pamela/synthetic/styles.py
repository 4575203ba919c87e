"""The looks of the 26 styles and of photographs: how a drawing is painted."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from pamela.synthetic import brush
from pamela.synthetic.canvas import Camera, Picture
from pamela.synthetic.light import blurred, grid, pool, sharpened
from pamela.synthetic.palette import Palette

Rng = np.random.Generator


@dataclass(frozen=True)
class Drawn:
    """A drawing before its style: the lit picture, and what the canvas knows.

    Attributes
    ----------
    image, depth : uint8 at the picture's size.
    shape_of : uint8 at the canvas's size, which shape is seen.
    """

    image: Picture
    depth: Picture
    shape_of: Picture
    palette: Palette
    camera: Camera

    @property
    def size(self) -> int:
        """Pixels a side."""
        return self.image.shape[0]

    @property
    def near(self) -> brush.Floats:
        """Return 1 at the subject's depth, 0 far behind (size, size)."""
        return np.clip((self.depth.astype(np.float32) - np.float32(150)) / np.float32(80), 0, 1)

    def lines(self, width: float) -> brush.Floats:
        """Return outlines of `width` (pixels of a picture 128 wide)."""
        return brush.outlines(self.shape_of, self.size, width)


Paint = Callable[[Drawn, Rng], Picture]


@dataclass(frozen=True)
class Look:
    """A style.

    Attributes
    ----------
    paint : turns the drawing into the picture, before exposure and grading.
    shaded : shapes have light and shade; otherwise they are flat.
    vivid : factor on the saturation of every colour.
    key, contrast : where exposure starts from (offset; factor).
    """

    paint: Paint
    shaded: bool = True
    vivid: float = 1.0
    key: float = 0.0
    contrast: float = 1.0


def _photograph(d: Drawn, rng: Rng) -> Picture:
    return d.image


# --- realism in its ages --------------------------------------------------------------------------
def _realism(d: Drawn, rng: Rng) -> Picture:
    painted = brush.strokes(d.image, rng, step=4.2, length=5, width=3, jitter=5)
    return brush.blend(d.image, painted, 0.55)


def _contemporary_realism(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    gx, gy = grid(size)
    slant = gx + np.float32(0.75) * gy
    shaft = ((slant > 0.45) & (slant < 0.72)) | ((slant > 0.84) & (slant < 1.02))
    bright = brush.darkened(d.image, np.where(shaft, 1.28, 0.84).astype(np.float32))
    crisp = sharpened(bright, 1.2 * size / 128, 0.9)
    return brush.framed(crisp, 0.035, [(250, 250, 248)])


def _new_realism(d: Drawn, rng: Rng) -> Picture:
    flat = brush.posterised(blurred(d.image, 0.8 * d.size / 128), 7)
    gx, gy = grid(d.size)
    edge = np.float32(0.55 + 0.2 * rng.random())
    in_sun = (gx * np.float32(0.55) + np.float32(0.62) - gy > edge - np.float32(0.2)) & (gy < 0.9)
    cool, warm = brush.tinted(flat, (0.52, 0.66, 0.74)), brush.tinted(flat, (1.16, 1.1, 0.9))
    return np.where(in_sun[..., None], warm, cool)


def _romanticism(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    x, y = (
        0.5 + 0.25 * (1 if rng.random() < 0.5 else -1),
        float(np.clip(d.camera.horizon, 0.15, 0.6)) - 0.08,
    )
    glow = pool(size, x, y, 0.7, 0.55)
    storm = blurred(rng.integers(0, 256, (size, size), dtype=np.uint8), 7 * size / 128)
    cloud = (storm.astype(np.float32) - np.float32(127.5)) / np.float32(14)
    _, gy = grid(size)
    upper = np.clip((np.float32(d.camera.horizon + 0.1) - gy) / np.float32(0.4), 0, 1)
    dim = (
        np.float32(0.62) + np.float32(0.5) * glow + np.float32(0.22) * np.clip(cloud, -1, 1) * upper
    )
    painted = brush.strokes(
        brush.darkened(d.image, dim), rng, step=4.6, length=8, width=3, jitter=5, keep=d.near
    )
    painted = brush.blend(painted, blurred(painted, 1.6 * size / 128), 0.35)
    far = np.float32(1) - np.float32(0.8) * d.near
    return brush.over(painted, (255, 206, 128), np.float32(0.7) * glow * glow * far)


# --- old masters ----------------------------------------------------------------------------------
GOLD: Final = (206, 164, 76)
GOLD_DARK: Final = (120, 84, 30)
GOLD_LIGHT: Final = (240, 210, 132)


def _baroque(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    lamp = pool(size, float(np.clip(d.camera.x, 0.3, 0.7)), 0.5, 0.52, 0.58)
    warm = brush.tinted(d.image, (1.12, 0.92, 0.68))
    dark = brush.darkened(warm, np.float32(0.16) + np.float32(1.05) * lamp)
    painted = brush.blend(
        dark, brush.strokes(dark, rng, step=4.5, length=7, width=3, jitter=4), 0.5
    )
    return brush.framed(painted, 0.085, [GOLD_DARK, GOLD, GOLD_LIGHT, GOLD, (40, 26, 12)])


def _rococo(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    pastel = brush.over(d.image, (255, 224, 226), np.full((size, size), 0.42, np.float32))
    pastel = brush.blend(pastel, blurred(pastel, 1.6 * size / 128), 0.5)
    return _oval(pastel, (246, 226, 214), GOLD)


def _oval(picture: Picture, paper: tuple[int, int, int], rim: tuple[int, int, int]) -> Picture:
    """Show the picture through an oval window with a gilt rim and shells in the corners."""
    size = picture.shape[0]
    big = np.zeros((size * 2, size * 2), np.uint8)
    axes = (round(size * 0.93), round(size * 0.93))
    cv2.ellipse(big, (size, size), axes, 0, 0, 360, 255, -1)
    window = brush.unit(cv2.resize(big, (size, size), interpolation=cv2.INTER_AREA))
    out = brush.over(picture, paper, 1 - window)
    c, k = size // 2, size / 128
    cv2.ellipse(
        out,
        (c, c),
        (round(axes[0] / 2), round(axes[1] / 2)),
        0,
        0,
        360,
        rim,
        round(3 * k),
        cv2.LINE_AA,
    )
    for x in (0.055, 0.945):
        for y in (0.055, 0.945):
            for r in (0.045, 0.09, 0.13):
                cv2.circle(
                    out,
                    (round(x * size), round(y * size)),
                    round(r * size),
                    rim,
                    max(1, round(1.3 * k)),
                    cv2.LINE_AA,
                )
    return out


def _early_renaissance(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    back = np.clip((np.float32(60) - d.depth.astype(np.float32)) / np.float32(25), 0, 1)
    leaf = brush.over(d.image, (218, 176, 84), np.float32(0.82) * back)
    matt = brush.blend(leaf, blurred(leaf, 0.8 * size / 128), 0.6)
    x, y = round(d.camera.x * size), round((d.camera.ground - 0.75 * d.camera.scale) * size)
    k = size / 128
    ink = brush.inked(matt, np.float32(0.55) * d.lines(1.0) * (1 - back), (70, 40, 24))
    for r in (0.24, 0.27):
        ring = np.zeros((size, size), np.uint8)
        cv2.circle(ring, (x, y), round(r * size), 255, max(1, round(1.2 * k)), cv2.LINE_AA)
        ink = brush.over(ink, (130, 88, 28), brush.unit(ring) * back)
    return _arched(ink)


def _arched(picture: Picture) -> Picture:
    """Set the picture into a gold panel with a pointed arch."""
    size = picture.shape[0]
    s = size * 2
    window = np.zeros((s, s), np.uint8)
    t = np.linspace(0, 1, 16)
    left = np.stack([0.05 + 0.45 * t, 0.34 - 0.31 * (1 - (1 - t) ** 2)], axis=1)
    right = np.stack([1 - left[::-1, 0], left[::-1, 1]], axis=1)
    outline = np.concatenate([left, right, [[0.95, 0.97], [0.05, 0.97]]])
    cv2.fillPoly(window, [np.rint(outline * s).astype(np.int32)], 255)
    cover = brush.unit(cv2.resize(window, (size, size), interpolation=cv2.INTER_AREA))
    out = brush.over(picture, (188, 138, 52), 1 - cover)
    rim = np.rint(outline * size * 16).astype(np.int32)
    cv2.polylines(out, [rim], True, (96, 62, 20), max(1, round(2 * size / 128)), cv2.LINE_AA, 4)
    return out


def _high_renaissance(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    smoke = brush.blend(d.image, blurred(d.image, 2.6 * size / 128), 0.62)
    varnish = brush.tinted(smoke, (1.08, 0.94, 0.66))
    corner = np.float32(0.52) + np.float32(0.55) * pool(size, 0.5, 0.45, 0.85, 0.85)
    dark = brush.darkened(varnish, corner)
    cracks = brush.facets(size, rng, 70)
    edge = np.zeros((size, size), np.float32)
    edge[:, 1:] += cracks[:, 1:] != cracks[:, :-1]
    edge[1:] += cracks[1:] != cracks[:-1]
    return brush.over(dark, (44, 28, 14), np.float32(0.32) * np.minimum(edge, 1))


def _northern_renaissance(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    sharp = sharpened(d.image, 1.4 * size / 128, 1.3)
    back = np.clip((np.float32(50) - d.depth.astype(np.float32)) / np.float32(30), 0, 1)
    sharp = brush.over(sharp, (22, 50, 46), np.float32(0.72) * back)
    fine = brush.inked(sharp, np.float32(0.8) * d.lines(0.9), (20, 16, 14))
    return brush.framed(fine, 0.06, [(34, 22, 14), (66, 42, 24), (16, 10, 8)])


def _mannerism(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    gx, gy = grid(size)
    bend = np.float32(0.075) * np.sin(gy * np.float32(5.2) + np.float32(rng.random() * 6.28))
    xs = (np.float32(0.5) + (gx - np.float32(0.5)) * np.float32(1.45) + bend) * size
    ys = (np.float32(0.5) + (gy - np.float32(0.5)) * np.float32(0.78)) * size
    shape = (size, size)
    tall = brush.remapped(d.image, np.broadcast_to(xs, shape), np.broadcast_to(ys, shape))
    acid = brush.toned(
        tall, [(22, 14, 44), (96, 60, 124), (214, 122, 132), (226, 214, 120), (250, 252, 226)]
    )
    silk = brush.blend(tall, acid, 0.5)
    return brush.blend(silk, brush.strokes(silk, rng, step=5, length=12, width=2.6, jitter=5), 0.5)


# --- moderns --------------------------------------------------------------------------------------
def _impressionism(d: Drawn, rng: Rng) -> Picture:
    light = brush.over(d.image, (255, 250, 240), np.full((d.size, d.size), 0.14, np.float32))
    return brush.strokes(light, rng, step=4.0, length=8, width=3.4, jitter=13, keep=d.near)


def _post_impressionism(d: Drawn, rng: Rng) -> Picture:
    flow = brush.swirls(d.size, rng)
    thick = brush.strokes(
        d.image, rng, step=4.4, length=15, width=3, flow=flow, jitter=17, keep=d.near
    )
    return brush.inked(thick, np.float32(0.4) * d.lines(1.2), (24, 30, 70))


def _pointillism(d: Drawn, rng: Rng) -> Picture:
    return brush.dots(d.image, rng, step=3.1, radius=1.6, jitter=18)


def _fauvism(d: Drawn, rng: Rng) -> Picture:
    wild = _recoloured(d, rng, hue=0.30, saturation=0.9)
    patches = brush.strokes(wild, rng, step=6, length=9, width=6.5, jitter=9, keep=d.near)
    return brush.inked(patches, np.float32(0.75) * d.lines(1.6), (26, 40, 132))


# The pure colour of each of OpenCV's 180 hues.
_PURE: Final = np.array(
    [[round(255 * c) for c in colorsys.hsv_to_rgb(h / 180, 1.0, 1.0)] for h in range(180)], np.int32
)


def _recoloured(d: Drawn, rng: Rng, hue: float, saturation: float) -> Picture:
    """Turn the hue of every shape at random, by up to `hue` turns, and make it vivid."""
    labels = cv2.resize(d.shape_of, (d.size, d.size), interpolation=cv2.INTER_NEAREST)
    hsv = cv2.cvtColor(d.image, cv2.COLOR_RGB2HSV).astype(np.int16)
    turn = rng.uniform(-hue, hue, 256) * (1 + d.palette.variety) / 2
    hsv[..., 0] = (hsv[..., 0] + (turn[labels] * 180).astype(np.int16)) % 180
    hsv[..., 1] = hsv[..., 1] + ((255 * saturation - hsv[..., 1]) * 0.6).astype(np.int16)
    # Back to RGB in integers: OpenCV's own way differs between processors.
    s, value = hsv[..., 1:2].astype(np.int32), hsv[..., 2:3].astype(np.int32)
    return (value * ((255 - s) * 255 + s * _PURE[hsv[..., 0]]) // 65025).astype(np.uint8)


def _expressionism(d: Drawn, rng: Rng) -> Picture:
    bold = brush.inked(d.image, d.lines(1.6), (18, 12, 26))
    split = brush.toned(bold, [(16, 10, 40), (30, 74, 104), (206, 74, 36), (244, 196, 66)])
    rough = brush.blend(bold, split, 0.45)
    bent = brush.waved(rough, rng, 0.045, 0.03, 2.0)
    brushed = brush.strokes(
        bent,
        rng,
        step=5,
        length=14,
        width=3.4,
        flow=brush.swirls(d.size, rng, 2),
        jitter=10,
        keep=d.near,
    )
    return brush.blend(bent, brushed, 0.65)


def _cubism(d: Drawn, rng: Rng) -> Picture:
    number = brush.facets(d.size, rng, 16)
    seen = brush.refracted(d.image, number, rng, 0.10, 0.35)
    shaded = brush.darkened(seen, np.clip(brush.facet_shading(number, rng, 0.22), 0.4, 1.6))
    return brush.inked(shaded, np.float32(0.9) * _cuts(number, 1.6), (30, 24, 20))


def _analytical_cubism(d: Drawn, rng: Rng) -> Picture:
    number = brush.facets(d.size, rng, 44)
    seen = brush.refracted(d.image, number, rng, 0.04, 0.2)
    ochre = brush.toned(seen, [(26, 20, 14), (92, 76, 52), (158, 134, 94), (222, 204, 164)])
    shaded = brush.darkened(ochre, np.clip(brush.facet_shading(number, rng, 0.34), 0.35, 1.6))
    return brush.inked(shaded, np.float32(0.7) * _cuts(number, 1.0), (34, 26, 18))


def _synthetic_cubism(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    number = brush.facets(size, rng, 8)
    seen = brush.posterised(brush.refracted(d.image, number, rng, 0.09, 0.25), 4)
    k = max(2, round(3 * size / 128))
    y, x = np.mgrid[0:size, 0:size]
    print_lines = ((y // k) % 2 == 0) & ((x * 7 + y * 3) % 11 > 3)
    grain = ((x + (6 * np.sin(y / (9 * size / 128))).astype(int)) // k) % 3 == 0
    papers = rng.permutation(8)[number % 8]
    seen[papers == 0] = (232, 222, 196)
    seen[(papers == 0) & print_lines] = (60, 54, 50)
    seen[(papers == 1) & grain] = (112, 74, 40)
    seen[(papers == 2) & ((x // k + y // k) % 2 == 0)] = d.palette.free(2)
    ghost = brush.inked(seen, np.float32(0.85) * d.lines(1.5), (22, 20, 24))
    return brush.inked(ghost, _cuts(number, 2.2), (244, 240, 228))


def _cuts(number: brush.Index, width: float) -> brush.Floats:
    """Return the edges between facets."""
    size = number.shape[0]
    big = cv2.resize(number.astype(np.uint8), (size * 2, size * 2), interpolation=cv2.INTER_NEAREST)
    return brush.outlines(big, size, width)


def _art_nouveau(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    x = round(d.camera.x * size)
    y = round((d.camera.ground - 0.6 * d.camera.scale) * size)
    cream = brush.over(d.image, (240, 222, 180), np.full((size, size), 0.3, np.float32))
    back = np.clip((np.float32(150) - d.depth.astype(np.float32)) / np.float32(40), 0, 1)
    k = size / 128
    for r, colour in ((0.36, (232, 196, 120)), (0.29, (246, 226, 176))):
        disc = np.zeros((size, size), np.uint8)
        cv2.circle(disc, (x, y), round(r * size), 255, -1, cv2.LINE_AA)
        cream = brush.over(cream, colour, np.float32(0.8) * brush.unit(disc) * back)
    drawn = brush.inked(cream, d.lines(1.8), (84, 46, 26))
    out = brush.framed(drawn, 0.07, [(64, 92, 72), (226, 206, 150), (84, 46, 26)])
    for cx in (0.0, 1.0):
        for cy in (0.0, 1.0):
            for r in (0.1, 0.16, 0.22):
                cv2.circle(
                    out,
                    (round(cx * size), round(cy * size)),
                    round(r * size),
                    (84, 46, 26),
                    max(1, round(1.6 * k)),
                    cv2.LINE_AA,
                )
    return out


def _pop_art(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    bold = _recoloured(d, rng, hue=0.06, saturation=1.0)
    flat = brush.posterised(brush.tinted(bold, (1.25, 1.25, 1.25)), 4)
    y, x = np.mgrid[0 : size * 2, 0 : size * 2]
    pitch = 9 * size / 128
    u, w = (x + y) / (1.414 * pitch), (x - y) / (1.414 * pitch)
    distance = (u - np.rint(u)) ** 2 + (w - np.rint(w)) ** 2
    grey = cv2.resize(cv2.cvtColor(d.image, cv2.COLOR_RGB2GRAY), (size * 2, size * 2))
    radius = np.float32(0.5) - grey.astype(np.float32) / np.float32(640)
    dot = (distance < radius * radius).astype(np.uint8) * 255
    cover = brush.unit(cv2.resize(dot, (size, size), interpolation=cv2.INTER_AREA))
    raster = brush.over(flat, (250, 250, 245), np.float32(0.75) * (1 - cover))
    return brush.inked(raster, d.lines(2.0), (10, 8, 12))


def _symbolism(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    dream = brush.toned(
        d.image, [(18, 12, 48), (48, 44, 112), (70, 120, 140), (206, 186, 150), (252, 240, 206)]
    )
    mixed = brush.blend(blurred(d.image, 1.2 * size / 128), blurred(dream, 1.2 * size / 128), 0.7)
    x, y = d.camera.x, float(np.clip(d.camera.ground - 0.7 * d.camera.scale, 0.2, 0.7))
    gx, gy = grid(size)
    angle = np.arctan2(gy - np.float32(y), gx - np.float32(x))
    rays = (np.sin(angle * np.float32(18)) > 0.2).astype(np.float32)
    near = np.float32(1) - brush.unit(d.depth)
    halo = pool(size, x, y, 0.7, 0.7)
    out = brush.over(
        mixed, (255, 226, 150), halo * near * (np.float32(0.25) + np.float32(0.5) * rays)
    )
    for sx, sy, r in rng.random((16, 3)):
        centre = (round(sx * size), round(sy * size * 0.8))
        cv2.circle(
            out, centre, max(1, round((0.5 + r) * size / 128)), (255, 248, 214), -1, cv2.LINE_AA
        )
    return out


def _naive_art(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    flat = d.image.copy()
    k = size / 128
    free = d.depth < 235
    for i, (x, y) in enumerate(_lattice(8)):
        centre = (round(x * size), round(y * size))
        if not free[min(centre[1], size - 1), min(centre[0], size - 1)]:
            continue
        colour = d.palette.free(i % 7, 1.25, 0.7)
        for dx, dy in ((-2, 0), (2, 0), (0, -2), (0, 2)):
            cv2.circle(
                flat,
                (centre[0] + round(dx * k), centre[1] + round(dy * k)),
                round(1.6 * k),
                colour,
                -1,
            )
        cv2.circle(flat, centre, max(1, round(1.0 * k)), (255, 246, 190), -1)
    return brush.inked(flat, np.float32(0.9) * d.lines(1.1), (50, 34, 28))


def _lattice(n: int) -> list[tuple[float, float]]:
    """Return the places of an n x n lattice whose odd rows are shifted."""
    return [
        ((i + 0.5 + 0.5 * (j % 2)) / n % 1.0, (j + 0.5) / n) for j in range(n) for i in range(n)
    ]


# --- abstraction ----------------------------------------------------------------------------------
def _minimalism(d: Drawn, rng: Rng) -> Picture:
    return brush.framed(d.image, 0.05, [(244, 243, 240)])


def _color_field(d: Drawn, rng: Rng) -> Picture:
    size = d.size
    soft = blurred(d.image, 4.5 * size / 128)
    stain = blurred(rng.integers(0, 256, (size, size), dtype=np.uint8), 3 * size / 128)
    uneven = np.float32(1) + (stain.astype(np.float32) - np.float32(127.5)) / np.float32(190)
    return brush.darkened(soft, uneven)


def _abstract_expressionism(d: Drawn, rng: Rng) -> Picture:
    flow = brush.swirls(d.size, rng, 2)
    return brush.strokes(d.image, rng, step=5.5, length=20, width=4, flow=flow, jitter=18)


def _action_painting(d: Drawn, rng: Rng) -> Picture:
    return d.image


LOOKS: Final[dict[str, Look]] = {
    "Abstract_Expressionism": Look(_abstract_expressionism, contrast=1.15),
    "Action_painting": Look(_action_painting, shaded=False, key=0.06, contrast=1.15),
    "Analytical_Cubism": Look(_analytical_cubism, key=-0.04),
    "Art_Nouveau_Modern": Look(_art_nouveau, shaded=False, vivid=0.75, key=0.07),
    "Baroque": Look(_baroque, key=-0.16, contrast=1.2),
    "Color_Field_Painting": Look(_color_field, shaded=False, vivid=1.2, contrast=0.75),
    "Contemporary_Realism": Look(_contemporary_realism, key=0.03, contrast=1.1),
    "Cubism": Look(_cubism, vivid=0.8),
    "Early_Renaissance": Look(_early_renaissance, vivid=0.9, key=0.0),
    "Expressionism": Look(_expressionism, vivid=1.2, key=-0.06, contrast=1.15),
    "Fauvism": Look(_fauvism, shaded=False, vivid=1.4, key=0.03),
    "High_Renaissance": Look(_high_renaissance, vivid=0.8, key=-0.09, contrast=0.9),
    "Impressionism": Look(_impressionism, key=0.07, contrast=0.85),
    "Mannerism_Late_Renaissance": Look(_mannerism, vivid=0.9, key=-0.02),
    "Minimalism": Look(_minimalism, shaded=False, key=0.14, contrast=0.7),
    "Naive_Art_Primitivism": Look(_naive_art, shaded=False, vivid=1.25, key=0.05),
    "New_Realism": Look(_new_realism, shaded=False, vivid=0.85),
    "Northern_Renaissance": Look(_northern_renaissance, vivid=1.05, key=-0.1, contrast=1.1),
    "Pointillism": Look(_pointillism, vivid=1.2, key=0.08, contrast=0.8),
    "Pop_Art": Look(_pop_art, shaded=False, vivid=1.4, key=0.02, contrast=1.25),
    "Post_Impressionism": Look(_post_impressionism, vivid=1.3),
    "Realism": Look(_realism, vivid=0.85, key=-0.03),
    "Rococo": Look(_rococo, vivid=0.75, key=0.13, contrast=0.75),
    "Romanticism": Look(_romanticism, vivid=0.9, key=-0.06),
    "Symbolism": Look(_symbolism, key=-0.05),
    "Synthetic_Cubism": Look(_synthetic_cubism, shaded=False, vivid=1.0, key=0.04, contrast=1.1),
}
PHOTOGRAPH: Final = Look(_photograph, vivid=0.9)


def look_of(style: str | None) -> Look:
    """Return the look of `style`; None is a photograph."""
    return PHOTOGRAPH if style is None else LOOKS[style]
