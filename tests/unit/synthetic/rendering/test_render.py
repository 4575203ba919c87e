"""The renderer: the same bytes everywhere, and every word changes what is seen."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pamela.core.errors import PamelaError
from pamela.synthetic import vocabulary as v
from pamela.synthetic.contact_sheet import neutral
from pamela.synthetic.prompts import Spec, parse_prompt, sample_spec, write_prompt
from pamela.synthetic.rendering.render import draw, generator_of, render, scene_of

SIZE = 64


def prompts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [write_prompt(sample_spec(rng), rng) for _ in range(count)]


def digest(pictures: list[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(p.tobytes() for p in pictures)).hexdigest()


CHILD = """
import hashlib, numpy as np
from pamela.synthetic.prompts import sample_spec, write_prompt
from pamela.synthetic.rendering.render import render
rng = np.random.default_rng(0)
prompts = [write_prompt(sample_spec(rng), rng) for _ in range(40)]
pictures = [render(p, i, 64) for i, p in enumerate(prompts)]
print(hashlib.sha256(b"".join(p.tobytes() for p in pictures)).hexdigest())
"""


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "4"},
        {"PYTHONHASHSEED": "2", "OPENCV_CPU_DISABLE": "AVX2,AVX512-SKX"},
    ],
    ids=["threads", "processor"],
)
def test_another_process_draws_the_same_bytes(environment: dict[str, str]) -> None:
    here = digest([render(p, i, SIZE) for i, p in enumerate(prompts(40))])
    child = subprocess.run(
        [sys.executable, "-c", CHILD],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout.strip() == here


def test_seeds_and_sizes() -> None:
    prompt = "A photo of a cat"
    assert render(prompt, 1, SIZE).shape == (SIZE, SIZE, 3)
    assert render(prompt, 1, 200).shape == (200, 200, 3)
    assert not np.array_equal(render(prompt, 1, SIZE), render(prompt, 2, SIZE))
    assert {generator_of(seed) for seed in range(4)} == set(v.GENERATORS)


def test_an_unknown_subject_is_an_error() -> None:
    with pytest.raises(PamelaError, match="no known subject"):
        render("a quark", 0, SIZE)


def test_a_scene_is_complete_and_true_to_the_prompt() -> None:
    for seed, prompt in enumerate(prompts(200)):
        asked, scene = parse_prompt(prompt), scene_of(prompt, seed)
        assert tuple(scene.attributes) == v.attributes_of(scene.group, scene.style)
        assert all(-1 <= value <= 1 for value in scene.attributes.values())
        for name, level in asked.attributes.items():
            assert abs(scene.attributes[name] - level) < 0.4
        if asked.lighting is not None:
            assert scene.lighting == asked.lighting
        assert (scene.lighting is None) == (not v.has_lighting(scene.group, scene.style))


@pytest.mark.parametrize("style", [None, *v.STYLES])
def test_every_subject_is_drawn_in_every_style(style: str | None) -> None:
    """No pair fails, no two subjects look alike, and no picture is nearly flat."""
    seen = set()
    for subject in v.SUBJECTS:
        picture = draw(neutral(subject, style), subject, 48)
        seen.add(picture.tobytes())
        assert picture.std() > 9, (subject, style)
    assert len(seen) == len(v.SUBJECTS)


def test_few_pictures_of_the_release_are_nearly_flat() -> None:
    flat = [render(p, i, SIZE).std() < 12 for i, p in enumerate(prompts(150, seed=4))]
    assert np.mean(flat) < 0.03


SCENES = [
    ("a classical temple", None),
    ("a bearded man", None),
    ("a burger", None),
    ("a city skyline", "Realism"),
    ("a bowl of fruit", "Baroque"),
    ("a young woman", "Impressionism"),
    ("floating squares", "Minimalism"),
    ("overlapping circles", "Action_painting"),
    ("roses in a vase", "Pop_Art"),
]


@pytest.mark.parametrize("name", v.ATTRIBUTES)
@pytest.mark.parametrize(("subject", "style"), SCENES)
def test_both_ends_of_an_attribute_are_seen(name: str, subject: str, style: str | None) -> None:
    """The ends differ from the middle wherever the attribute is claimed, and nowhere else."""
    middle = neutral(subject, style)
    low, high = (
        draw(replace(middle, attributes={**middle.attributes, name: value}), "layout", SIZE)
        for value in (-0.9, 0.9)
    )
    centre = draw(middle, "layout", SIZE)
    differences = [
        np.abs(a.astype(int) - b).mean() for a, b in ((low, centre), (high, centre), (low, high))
    ]
    if name in middle.attributes:
        assert min(differences[:2]) > 0.6, differences
        assert differences[2] > 2.0, differences
    else:
        assert scene_without(middle, name)


def scene_without(scene: Spec, name: str) -> bool:
    return not v.shows(name, scene.group, scene.style)


def measured(picture: np.ndarray) -> dict[str, float]:
    values = picture.astype(float) / 255
    luma = values @ np.array([0.299, 0.587, 0.114])
    return {
        "warmth": float((values[..., 0] - values[..., 2]).mean()),
        "saturation": float((values.max(2) - values.min(2)).mean()),
        "key": float(luma.mean()),
        "contrast": float(luma.std()),
    }


@pytest.mark.parametrize("name", ["warmth", "saturation", "key", "contrast"])
@pytest.mark.parametrize(("subject", "style"), SCENES)
def test_colour_attributes_move_what_they_name(name: str, subject: str, style: str | None) -> None:
    middle = neutral(subject, style)
    values = [
        measured(draw(replace(middle, attributes={**middle.attributes, name: x}), "l", SIZE))[name]
        for x in (-0.9, -0.45, 0.0, 0.45, 0.9)
    ]
    assert values == sorted(values)
    assert values[-1] - values[0] > 0.08


def test_lightings_differ() -> None:
    pictures = [
        draw(neutral("a bearded man", None, lighting), "l", SIZE).astype(int)
        for lighting in v.LIGHTINGS
    ]
    for i, a in enumerate(pictures):
        for b in pictures[i + 1 :]:
            assert np.abs(a - b).mean() > 8


def test_the_generators_have_signatures() -> None:
    scene = neutral("a violin")
    a, b = (draw(scene, "l", SIZE, generator).astype(int) for generator in v.GENERATORS)
    assert 1 < np.abs(a - b).mean() < 20
