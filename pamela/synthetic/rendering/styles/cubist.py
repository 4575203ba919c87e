"""The looks of Cubism and of abstraction."""

from __future__ import annotations

import cv2
import numpy as np

from pamela.core.arrays import Floats32
from pamela.synthetic.rendering import effects
from pamela.synthetic.rendering.canvas import Picture
from pamela.synthetic.rendering.pixels import blurred
from pamela.synthetic.rendering.styles.base import Drawn, Rng


def cubism(d: Drawn, rng: Rng) -> Picture:
    """Paint through shifted facets."""
    number = effects.facets(d.size, rng, 14)
    bold = effects.inked(d.image, np.float32(0.8) * d.lines(1.2), (30, 24, 20))
    seen = effects.refracted(bold, number, rng, 0.045, 0.16)
    shaded = effects.darkened(seen, np.clip(effects.facet_shading(number, rng, 0.16), 0.5, 1.5))
    return effects.inked(shaded, np.float32(0.75) * _cuts(number, 1.4), (30, 24, 20))


def analytical_cubism(d: Drawn, rng: Rng) -> Picture:
    """Paint in ochre facets and dark lines."""
    number = effects.facets(d.size, rng, 36)
    ochre = effects.toned(d.image, [(26, 20, 14), (92, 76, 52), (158, 134, 94), (232, 216, 178)])
    bold = effects.inked(ochre, np.float32(0.9) * d.lines(1.3), (34, 26, 18))
    seen = effects.refracted(bold, number, rng, 0.018, 0.06)
    shaded = effects.darkened(seen, np.clip(effects.facet_shading(number, rng, 0.2), 0.5, 1.5))
    return effects.inked(shaded, np.float32(0.4) * _cuts(number, 1.0), (34, 26, 18))


def synthetic_cubism(d: Drawn, rng: Rng) -> Picture:
    """Glue paper: print, wood grain, chequers."""
    size = d.size
    number = effects.facets(size, rng, 8)
    seen = effects.posterised(effects.refracted(d.image, number, rng, 0.04, 0.12), 4)
    k = max(2, round(3 * size / 128))
    y, x = np.mgrid[0:size, 0:size]
    print_lines = ((y // k) % 2 == 0) & ((x * 7 + y * 3) % 11 > 3)
    grain = ((x + (6 * np.sin(y / (9 * size / 128))).astype(int)) // k) % 3 == 0
    papers = rng.permutation(8)[number % 8]
    papers[d.near > 0.5] = 8  # the subject is not papered over
    seen[papers == 0] = (232, 222, 196)
    seen[(papers == 0) & print_lines] = (60, 54, 50)
    seen[(papers == 1) & grain] = (112, 74, 40)
    seen[(papers == 2) & ((x // k + y // k) % 2 == 0)] = d.palette.free(2)
    ghost = effects.inked(seen, np.float32(0.85) * d.lines(1.5), (22, 20, 24))
    return effects.inked(ghost, _cuts(number, 2.2), (244, 240, 228))


def _cuts(number: effects.Index, width: float) -> Floats32:
    """Return the edges between facets."""
    size = number.shape[0]
    big = cv2.resize(number.astype(np.uint8), (size * 2, size * 2), interpolation=cv2.INTER_NEAREST)
    return effects.outlines(big, size, width)


def minimalism(d: Drawn, rng: Rng) -> Picture:
    """Leave it plain, on a white mount."""
    return effects.framed(d.image, 0.05, [(244, 243, 240)])


def color_field(d: Drawn, rng: Rng) -> Picture:
    """Stain soft fields into the canvas."""
    size = d.size
    soft = blurred(d.image, 4.5 * size / 128)
    stain = blurred(rng.integers(0, 256, (size, size), dtype=np.uint8), 3 * size / 128)
    uneven = np.float32(1) + (stain.astype(np.float32) - np.float32(127.5)) / np.float32(190)
    return effects.darkened(soft, uneven)


def abstract_expressionism(d: Drawn, rng: Rng) -> Picture:
    """Drag a broad brush over everything."""
    flow = effects.swirls(d.size, rng, 2)
    return effects.strokes(d.image, rng, step=5.5, length=20, width=4, flow=flow, jitter=18)


def action_painting(d: Drawn, rng: Rng) -> Picture:
    """Leave the drips as they fell."""
    return d.image
