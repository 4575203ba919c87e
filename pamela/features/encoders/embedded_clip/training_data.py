"""Rendered pictures in memory for training and probing the embedded encoder.

Every picture keeps several descriptions: the prompt that it was drawn from and others written from
what was drawn. Labels are the renderer's own; NaN where a picture has no honest one.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from pamela.compute.processes import process_pool
from pamela.core.arrays import Floats32, Ints
from pamela.core.files import atomic_path
from pamela.core.progress import progress
from pamela.features.encoders.embedded_clip.labels import NO_LIGHTING, looks
from pamela.features.encoders.preprocessing import to_square
from pamela.synthetic.prompts import Spec, level_of, sample_spec, write_prompt
from pamela.synthetic.rendering.render import render, scene_of
from pamela.synthetic.vocabulary import ATTRIBUTES, LIGHTINGS, WORDS

CAPTIONS = 5  # descriptions per picture: its prompt, three others, one without its subject
PICTURE_SIDE = 128  # pixels as drawn, the size of the embedded dataset's files
JPEG_QUALITY = (82, 96)
MENTION_CHANCE = 0.4  # of an attribute that is strong enough for a word
CHUNK = 64


@dataclass(frozen=True)
class Pool:
    """n pictures with descriptions and labels.

    Attributes
    ----------
    pictures : uint8 (n, side, side, 3).
    captions : str (n, CAPTIONS); the first is the prompt that the picture was drawn from.
    attributes : float32 (n, len(ATTRIBUTES)) in [-1, 1]; NaN where the scene has none.
    type_group, style, subject, lighting : str (n,); the style of a photograph is its type, the
        lighting of an abstract picture `NO_LIGHTING`.
    """

    pictures: npt.NDArray[np.uint8]
    captions: npt.NDArray[np.str_]
    attributes: Floats32
    type_group: npt.NDArray[np.str_]
    style: npt.NDArray[np.str_]
    subject: npt.NDArray[np.str_]
    lighting: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.pictures)

    def take(self, index: Ints) -> Pool:
        """Return the pictures of `index`."""
        return Pool(*(getattr(self, field.name)[index] for field in fields(self)))

    def save(self, path: Path) -> None:
        """Keep the pool as an uncompressed ``.npz``."""
        with atomic_path(path) as aside:
            np.savez(aside, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Pool:
        """Read a pool that `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def render_pool(size: int, side: int, seed: int, workers: int = 2) -> Pool:
    """Draw `size` pictures of fresh prompts, as the encoder will meet them (JPEG, resized).

    Pictures depend on `seed` and their number only, not on `workers`.
    """
    starts = range(0, size, CHUNK)
    jobs = [(seed, start, min(CHUNK, size - start), side) for start in starts]
    parts: list[Pool] = []
    with (
        process_pool(workers, _lower_priority) as pool,
        progress("draw pictures", size) as advance,
    ):
        for part in pool.map(_draw_chunk, jobs):
            parts.append(part)
            advance(len(part))
    return Pool(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Pool)))


def _lower_priority() -> None:
    os.nice(5)


def _draw_chunk(job: tuple[int, int, int, int]) -> Pool:
    seed, start, count, side = job
    rng = np.random.default_rng([seed, start])
    pictures = np.empty((count, side, side, 3), np.uint8)
    scenes: list[Spec] = []
    captions: list[list[str]] = []
    for i in range(count):
        prompt = write_prompt(sample_spec(rng), rng)
        scene_seed = int(rng.integers(2**31))
        scene = scene_of(prompt, scene_seed)
        pictures[i] = as_file(render(prompt, scene_seed, PICTURE_SIDE), side, rng)
        scenes.append(scene)
        others = [write_caption(scene, rng) for _ in range(CAPTIONS - 2)]
        captions.append([prompt, *others, describe_looks(scene, rng)])
    attributes = [[scene.attributes.get(name, np.nan) for name in ATTRIBUTES] for scene in scenes]
    return Pool(
        pictures,
        np.array(captions),
        np.array(attributes, np.float32),
        np.array([f"{scene.type}/{scene.group}" for scene in scenes]),
        np.array([scene.style or scene.type for scene in scenes]),
        np.array([scene.subject for scene in scenes]),
        np.array([scene.lighting or NO_LIGHTING for scene in scenes]),
    )


def as_file(
    picture: npt.NDArray[np.uint8], side: int, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Return `picture` after a JPEG file of random quality and the encoder's resizing."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=int(rng.integers(*JPEG_QUALITY)))
    return to_square(Image.open(stream).convert("RGB"), side)


def write_caption(scene: Spec, rng: np.random.Generator) -> str:
    """Write a prompt for what was drawn, with some of the attributes that can be seen in it."""
    mentioned = {
        name: value for name, value in scene.attributes.items() if rng.random() < MENTION_CHANCE
    }
    lighting = scene.lighting if rng.random() < MENTION_CHANCE else None
    return write_prompt(replace(scene, attributes=mentioned, lighting=lighting), rng)


def describe_looks(scene: Spec, rng: np.random.Generator) -> str:
    """Write what a picture looks like without saying what it shows: "a very dark picture"."""
    phrases = [
        str(rng.choice(WORDS[name][level]))
        for name, value in scene.attributes.items()
        if (level := level_of(value)) is not None and rng.random() < MENTION_CHANCE
    ]
    if scene.lighting is not None and rng.random() < MENTION_CHANCE:
        phrases.append(str(rng.choice(LIGHTINGS[scene.lighting])))
    return looks(phrases)
