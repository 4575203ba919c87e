"""What a style works on and what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pamela.core.arrays import Floats32
from pamela.synthetic.rendering import effects
from pamela.synthetic.rendering.canvas import Camera, Picture
from pamela.synthetic.rendering.palette import Palette
from pamela.synthetic.rendering.pixels import within
from pamela.synthetic.rendering.raster import Raster

Rng = np.random.Generator


@dataclass(frozen=True)
class Drawn:
    """A drawing before its style: the lit picture, and what the canvas knows.

    Attributes
    ----------
    image, depth : uint8 at the picture's size.
    raster : what it was made of, at the canvas's size.
    """

    image: Picture
    depth: Picture
    raster: Raster
    palette: Palette
    camera: Camera

    @property
    def shape_of(self) -> Picture:
        """Which shape is seen, at the canvas's size."""
        return self.raster.shape_of

    @property
    def size(self) -> int:
        """Pixels a side."""
        return self.image.shape[0]

    @property
    def near(self) -> Floats32:
        """Return 1 at the subject's depth, 0 far behind (size, size)."""
        return within((self.depth.astype(np.float32) - np.float32(150)) / np.float32(80), 0, 1)

    def lines(self, width: float) -> Floats32:
        """Return outlines of `width` (pixels of a picture 128 wide)."""
        return effects.outlines(self.shape_of, self.size, width)


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
