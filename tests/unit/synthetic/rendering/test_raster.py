"""The raster: what was drawn last is seen, with its own colour, shape and depth."""

from __future__ import annotations

import numpy as np
import pytest

from pamela.synthetic.rendering.canvas import Camera, Canvas

SIZE = 32
SIDE = 2 * SIZE
CAMERA = Camera(x=0.5, ground=1.0, scale=1.0, horizon=0.5, tilt=0.0)


def canvas(*, shaded: bool = False) -> Canvas:
    return Canvas(SIZE, CAMERA, shaded=shaded, light=(-0.6, -0.7))


@pytest.mark.parametrize("count", [1, 253, 254, 300, 600])
def test_the_last_of_many_shapes_is_seen(count: int) -> None:
    """Shapes are counted to 254 and from 1 again; colours and depths are not mixed up."""
    c = canvas()
    c.near = 0.2
    c.band(0.0, 1.0, (0, 0, 0), (100, 100, 100))
    for i in range(count):
        c.near = 1.0 if i == count - 1 else 0.5
        c.rect(-0.25, 0.25, 0.25, 0.75, (i % 256, i // 256, 7))
    seen = c.raster()
    middle, corner = (SIDE // 2, SIDE // 2), (0, 0)
    last = count - 1
    assert seen.image[middle][:3].tolist() == [last % 256, last // 256, 7]
    assert seen.image[corner][:3].tolist() == [50, 50, 50]
    assert (seen.depth[middle], seen.depth[corner]) == (255, 51)
    assert (seen.shape_of[middle], seen.shape_of[corner]) == (count % 254 + 1, 1)


def test_details_have_a_colour_and_no_shape() -> None:
    c = canvas()
    c.band(0.0, 1.0, (0, 0, 0), (0, 0, 0))
    c.tiles(np.array([[[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]]), (9, 8, 7))
    c.texture(np.array([[[0.0, 0.5], [1.0, 0.5]]]), 0.1, (1, 2, 3))
    seen = c.raster()
    assert seen.image[SIDE // 4, SIDE // 4, :3].tolist() == [9, 8, 7]
    assert seen.image[SIDE // 2, SIDE // 2, :3].tolist() == [1, 2, 3]
    assert np.unique(seen.shape_of).tolist() == [1]


def test_a_ball_is_brightest_towards_the_light_unless_small() -> None:
    c = canvas(shaded=True)
    c.ellipse(0.0, 0.5, 0.45, 0.45, (100, 100, 100))
    c.ellipse(0.0, 0.5, 0.05, 0.05, (30, 30, 30))
    red = c.raster().image[..., 0].astype(int)
    assert red[SIDE // 4, SIDE // 4] > 110 > 90 > red[-SIDE // 4, -SIDE // 4]
    assert red[SIDE // 2, SIDE // 2] == 30
