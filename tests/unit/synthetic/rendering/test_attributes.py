"""Attributes in pictures: each moves what it names, and nothing unrelated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
import pytest

from pamela.synthetic import vocabulary as v
from pamela.synthetic.contact_sheet import neutral
from pamela.synthetic.prompts import Spec, sample_spec, write_prompt
from pamela.synthetic.rendering.backdrops.settings import SETTINGS
from pamela.synthetic.rendering.canvas import Camera, Canvas, Picture
from pamela.synthetic.rendering.layout import STANDING, Stage
from pamela.synthetic.rendering.palette import Palette
from pamela.synthetic.rendering.render import draw, scene_of

SIZE = 64
ENDS = (-0.9, 0.9)


@lru_cache(maxsize=1)
def scenes() -> list[Spec]:
    rng = np.random.default_rng(3)
    return [scene_of(write_prompt(sample_spec(rng), rng), i) for i in range(70)]


def at(scene: Spec, name: str, value: float, layout: str) -> Picture:
    return draw(replace(scene, attributes={**scene.attributes, name: value}), layout, SIZE)


# --- nothing unrelated ----------------------------------------------------------------------------
def luma(picture: Picture) -> np.ndarray:
    return picture.astype(float) @ np.array([0.299, 0.587, 0.114]) / 255


MEASURES: dict[str, Callable[[Picture], float]] = {
    "warmth": lambda p: float((p[..., 0].astype(float) - p[..., 2]).mean() / 255),
    "saturation": lambda p: float((p.max(2).astype(float) - p.min(2)).mean() / 255),
    "key": lambda p: float(luma(p).mean()),
    "contrast": lambda p: float(luma(p).std()),
}
# What light does to colour: stretched tones are more vivid, and near white or black there is less
# room for either.
PHYSICAL = {("contrast", "saturation"), ("key", "saturation"), ("key", "contrast")}


@lru_cache(maxsize=1)
def usual_spread() -> dict[str, float]:
    pictures = [draw(scene, f"l{i}", SIZE) for i, scene in enumerate(scenes())]
    return {
        name: float(np.std([measure(p) for p in pictures])) for name, measure in MEASURES.items()
    }


@pytest.mark.parametrize("name", v.ATTRIBUTES)
def test_an_attribute_moves_no_unrelated_measure(name: str) -> None:
    """From the lowest word to the highest, over many kinds of pictures, less than 0.2 sd."""
    moved: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    for i, scene in enumerate(scenes()):
        if name not in scene.attributes:
            continue
        low, high = (at(scene, name, value, f"l{i}") for value in ENDS)
        for measure, of in MEASURES.items():
            moved[measure].append(of(high) - of(low))
    for measure, values in moved.items():
        shift = float(np.mean(values)) / usual_spread()[measure]
        if measure == name:
            assert shift > 1.0, (measure, shift)
        elif (name, measure) not in PHYSICAL:
            # 0.2, and the luck of few pictures
            error = float(np.std(values)) / len(values) ** 0.5 / usual_spread()[measure]
            assert abs(shift) < 0.2 + 2 * error, (name, measure, shift)


# --- what it names --------------------------------------------------------------------------------
def hue_spread(picture: Picture) -> float:
    """Return 0 where all colour has one hue, 1 where hues cancel out."""
    v_ = picture.astype(float)
    a, b = v_[..., 0] - v_[..., 1], (v_[..., 0] + v_[..., 1]) / 2 - v_[..., 2]
    return 1 - float(np.hypot(a.sum(), b.sum()) / max(np.hypot(a, b).sum(), 1.0))


def unlikeness_of_halves(picture: Picture) -> float:
    grey = cv2.GaussianBlur(luma(picture).astype(np.float32), (0, 0), 2)
    return float(np.abs(grey - grey[:, ::-1]).mean() / max(grey.std(), 0.02))


def sharpness_of_corners(picture: Picture) -> float:
    """Return how much detail stands beside the middle, as a share of the picture's contrast."""
    grey = luma(picture)
    detail = np.abs(np.diff(grey, axis=1))
    beside = np.concatenate([detail[: SIZE // 2, : SIZE // 4], detail[: SIZE // 2, -SIZE // 4 :]])
    return float(beside.mean() / max(grey.std(), 0.02))


def roughness(picture: Picture) -> float:
    grey = luma(picture).astype(np.float32)
    return float(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1)).mean())


@pytest.mark.parametrize(
    ("name", "measure", "rises"),
    [
        ("palette", hue_spread, True),
        ("symmetry", unlikeness_of_halves, False),
        ("focus", sharpness_of_corners, False),
        ("grain", roughness, True),
    ],
)
def test_an_attribute_moves_what_it_names(
    name: str, measure: Callable[[Picture], float], rises: bool
) -> None:
    ends = [
        [measure(at(scene, name, value, f"l{i}")) for value in ENDS]
        for i, scene in enumerate(scenes())
        if name in scene.attributes
    ]
    low, high = np.array(ends).T
    agree = (high > low) if rises else (high < low)
    assert agree.mean() > 0.8
    assert abs((high - low).mean()) > 0.6 * np.concatenate([low, high]).std()


def stage(clutter: float, order: float) -> Stage:
    camera = Camera(x=0.5, ground=0.8, scale=0.5, horizon=0.5, tilt=0.0)
    rng = np.random.default_rng(1)
    canvas = Canvas(SIZE, camera, shaded=True, light=(0.0, -0.7))
    return Stage(canvas, Palette(0.0, rng), rng, clutter, order, 1)


def test_clutter_is_the_number_of_things() -> None:
    counts = [len(stage(c, 0.2).spread(STANDING, front=True)) for c in (0, 0.25, 0.5, 0.75, 1)]
    assert counts[0] == 0
    assert counts[-1] == STANDING
    assert counts == sorted(set(counts))


def test_an_ordered_layout_is_its_own_mirror_image() -> None:
    things = stage(1.0, 1.0).spread(STANDING)
    places = sorted((round(x, 6), kind) for _, x, kind in things)
    assert places == sorted((round(1 - x, 6), kind) for _, x, kind in things)


def test_the_subject_grows_as_it_comes_near() -> None:
    """The further a big subject moves sideways, the more of the picture changes."""
    shares = []
    for value in (0.9, 0.4, 0.0, -0.4, -0.9):
        scene = neutral("a soccer ball", attributes={"distance": value, "clutter": -1.0})
        size = [
            np.abs(
                draw(replace(scene, attributes={**scene.attributes, "symmetry": x}), "l", SIZE)
                .astype(int)
                .sum(2)
            )
            for x in (-0.6, 1.0)
        ]
        shares.append(float((np.abs(size[0] - size[1]) > 90).mean()))
    assert shares[0] < shares[2] < shares[-2]


def test_the_horizon_falls_with_the_viewer() -> None:
    above, below = (
        draw(neutral("a sports car", attributes={"angle": x, "clutter": -0.9}), "l", SIZE)
        for x in ENDS[::-1]
    )
    assert below[: SIZE // 3].mean() > above[: SIZE // 3].mean() + 20  # sky; asphalt


# --- groups ---------------------------------------------------------------------------------------
def test_every_setting_is_used_and_no_two_groups_share_one() -> None:
    """Where a picture was taken tells its group; the cinema's desert has the cinema's bars."""
    from pamela.synthetic.rendering.render import DRAWINGS

    users: dict[str, set[str]] = {name: set() for name in SETTINGS}
    for subject, (setting, _) in DRAWINGS.items():
        users[setting] |= set(v.groups_of(subject).values())
    users["desert"] -= {"cinematic"}
    users["shore"] -= {"scene"}
    assert all(len(groups) == 1 for groups in users.values()), users


def test_the_cinema_has_black_bars_and_nothing_else_has() -> None:
    film = draw(neutral("a rider on a dune"), "l", SIZE)
    view = draw(neutral("a desert with dunes"), "l", SIZE)
    assert film[:5].max() < 60
    assert film[-5:].max() < 60
    assert view[:5].mean() > 60
