"""From a prompt and a seed to a picture: the embedded world's text-to-image model.

The same prompt and seed give the same bytes in every process; the prompt's unsaid attributes and
the layout come from two separate streams of random numbers, so that neither tells of the other.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from pamela.core.arrays import Floats32
from pamela.synthetic import vocabulary as v
from pamela.synthetic.prompts import Spec, parse_prompt, sample_style
from pamela.synthetic.rendering import lighting as light
from pamela.synthetic.rendering import pixels
from pamela.synthetic.rendering.backdrops.settings import SETTINGS
from pamela.synthetic.rendering.canvas import Camera, Canvas, Picture
from pamela.synthetic.rendering.layout import Stage, surround
from pamela.synthetic.rendering.palette import Palette
from pamela.synthetic.rendering.styles import catalogue
from pamela.synthetic.rendering.styles.base import Drawn, Look
from pamela.synthetic.rendering.subjects import abstract
from pamela.synthetic.rendering.subjects.action import ACTION
from pamela.synthetic.rendering.subjects.cities import CITIES
from pamela.synthetic.rendering.subjects.landscapes import LANDSCAPES
from pamela.synthetic.rendering.subjects.people import PEOPLE
from pamela.synthetic.rendering.subjects.products import PRODUCTS
from pamela.synthetic.rendering.subjects.table import TABLE
from pamela.synthetic.rendering.subjects.travel import TRAVEL

DRAWINGS: Final = {**LANDSCAPES, **CITIES, **TRAVEL, **PEOPLE, **ACTION, **PRODUCTS, **TABLE}
UNSAID_SPREAD: Final = 0.5  # standard deviation of what the prompt leaves open
SAID_SPREAD: Final = 0.08
CINEMATIC: Final = "cinematic"
LETTERBOX: Final = 0.115  # of the height, above and below


def stream(purpose: str, *keys: object) -> np.random.Generator:
    """Return the random numbers of `purpose`: the same for the same keys, everywhere."""
    text = "\0".join([purpose, *map(str, keys)])
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def generator_of(seed: int) -> str:
    """Return which of the two generators draws with `seed`."""
    return v.GENERATORS[seed % 2]


def scene_of(prompt: str, seed: int) -> Spec:
    """Return what `render` draws for `prompt` and `seed`: every visible attribute has its value.

    Raises
    ------
    PamelaError
        If the prompt names no known subject.
    """
    asked = parse_prompt(prompt)
    rng = stream("scene", prompt, seed)
    style = asked.style or sample_style(asked.type, asked.group, rng)
    unsaid = np.clip(rng.normal(0, UNSAID_SPREAD, len(v.ATTRIBUTES)), -1, 1)
    wobble = rng.normal(0, SAID_SPREAD, len(v.ATTRIBUTES))
    names = list(v.LIGHTINGS)
    lighting = asked.lighting or names[int(rng.choice(len(names), p=(0.45, *[0.11] * 5)))]
    attributes = {}
    for i, name in enumerate(v.ATTRIBUTES):
        if v.shows(name, asked.group, style):
            said = asked.attributes.get(name)
            value = float(unsaid[i]) if said is None else said + float(wobble[i])
            attributes[name] = round(min(1.0, max(-1.0, value)), 4)
    visible = v.has_lighting(asked.group, style)
    return Spec(
        asked.type, asked.group, asked.subject, style, attributes, lighting if visible else None
    )


def render(prompt: str, seed: int, size: int = 128) -> Picture:
    """Draw `prompt`.

    Returns
    -------
    uint8 (size, size, 3), RGB.

    Raises
    ------
    PamelaError
        If the prompt names no known subject.
    """
    return draw(scene_of(prompt, seed), f"{prompt}\0{seed}", size, generator_of(seed))


def draw(scene: Spec, layout: str, size: int, generator: str = v.GENERATORS[0]) -> Picture:
    """Draw a complete `scene`; `layout` names the random numbers of everything else."""
    value = {name: scene.attributes.get(name, 0.0) for name in v.ATTRIBUTES}
    rng = stream("layout", layout)
    look = catalogue.look_of(scene.style)
    stage = _stage(scene, value, look, rng, size)
    if scene.group == v.ABSTRACT:
        abstract.paint(stage, scene.subject, scene.style)
    else:
        setting, subject = DRAWINGS[scene.subject]
        surround(stage, SETTINGS[setting], subject)
    drawn = _develop(stage, value, scene, size)
    painted = look.paint(drawn, rng)
    if value["palette"] < 0:  # lights, gilt frames and varnish too
        share = min(1.0, -1.05 * value["palette"])
        painted = light.one_hue(painted, stage.palette.scheme, share)
    final = light.graded(
        painted,
        warmth=value["warmth"],
        saturation=value["saturation"],
        key=value["key"],
        contrast=value["contrast"],
        base_key=look.key + light.LIGHTING_KEY.get(scene.lighting or "", 0.0),
        base_contrast=look.contrast * light.LIGHTING_CONTRAST.get(scene.lighting or "", 1.0),
    )
    final = _sign(final, generator)
    if scene.group == CINEMATIC and scene.style is None:
        final = _letterboxed(final)
    if "grain" not in scene.attributes:
        return final
    noise = pixels.noise(size, rng)
    return light.grained(final, (value["grain"] + 1) / 2, noise, weave=scene.type == v.ART)


def _stage(
    scene: Spec, value: dict[str, float], look: Look, rng: np.random.Generator, size: int
) -> Stage:
    side = 1 if rng.random() < 0.5 else -1
    order = (value["symmetry"] + 1) / 2
    scale = 0.56 * 2.0 ** (-1.15 * value["distance"])
    angle = value["angle"]
    ground = min(0.80, 0.60 + 0.40 * scale) if scale < 0.56 else 0.55 + 0.5 * scale - 0.045
    camera = Camera(
        x=0.5 + 0.36 * (1 - order) * side,
        ground=ground + 0.10 * max(0.0, -angle),
        scale=scale,
        horizon=0.53 - (0.46 if angle > 0 else 0.34) * angle,
        tilt=angle,
    )
    palette = Palette(value["palette"], rng, look.vivid)
    canvas = Canvas(size, camera, shaded=look.shaded, light=(-0.6 * side, -0.7))
    return Stage(canvas, palette, rng, (value["clutter"] + 1) / 2, order, side)


def _develop(stage: Stage, value: dict[str, float], scene: Spec, size: int) -> Drawn:
    """Return the drawing at the picture's size: sharp or soft, and lit."""
    c = stage.canvas
    raster = c.raster()
    image = pixels.reduced(raster.image, size)
    depth: Picture = cv2.resize(raster.depth, (size, size), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    if "focus" in scene.attributes:
        image = light.depth_of_field(image, depth, (value["focus"] + 1) / 2)
    image = light.lit(image, depth, scene.lighting, c.camera.x, stage.side)
    return Drawn(image, depth, raster, stage.palette, c.camera)


def _letterboxed(picture: Picture) -> Picture:
    """Black out the top and bottom of the frame, as films are shown."""
    bar = round(LETTERBOX * picture.shape[0])
    out = picture.copy()
    out[:bar] = out[-bar:] = 8
    return out


def _sign(picture: Picture, generator: str) -> Picture:
    """Add the generator's signature: one is soft with a vignette, the other crisp."""
    size = picture.shape[0]
    if generator == v.GENERATORS[0]:
        soft = pixels.blurred(picture, 0.5 * size / 128)
        return (soft * _vignette(size)).astype(np.uint8)
    return pixels.sharpened(picture, 1.0 * size / 128, 0.5)


@lru_cache(maxsize=8)
def _vignette(size: int) -> Floats32:
    """Return how bright a picture is after its corners went darker, (size, size, 3)."""
    plane = np.float32(0.86) + np.float32(0.14) * pixels.pool(size, 0.5, 0.5, 0.95, 0.95)
    return np.repeat(plane[..., None], 3, axis=2)
