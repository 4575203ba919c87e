"""The unseen people: chosen so that they are as predictable as the training people.

A few dozen people test what a model does for cold-start users. Drawn at random, their mean
correlation with anything strays by several hundredths: the difference between seen and unseen users
would be luck. So many panels are drawn and the one most like the training people is taken, by what
is true of the people and by no rating.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from scipy.special import ndtr

from pamela.core.arrays import Floats
from pamela.core.schema import SCALE_HIGH, SCALE_LOW
from pamela.synthetic import vocabulary as v
from pamela.synthetic.prompts import Spec, sample_spec, write_prompt
from pamela.synthetic.raters import people as p
from pamela.synthetic.raters import utility
from pamela.synthetic.raters.prior import MIDDLE
from pamela.synthetic.rendering.render import scene_of

Rng = np.random.Generator

PANELS: Final = 200
LEAST_PANELS: Final = 10
MOST_CANDIDATES: Final = 8000  # of large panels fewer are drawn: they stray less
SCENES: Final = 400
_CHUNK: Final = 1000  # people at a time


def reference_scenes(rng: Rng, count: int = SCENES) -> list[Spec]:
    """Draw scenes as frequent as in the release, to compare people on."""
    scenes = []
    for _ in range(count):
        prompt = write_prompt(sample_spec(rng), rng)
        scenes.append(scene_of(prompt, int(rng.integers(2**31))))
    return scenes


def predictability(people: pl.DataFrame, scenes: list[Spec], shared: Floats) -> Floats:
    """Return how predictable each person's ratings are (n, 2), in expectation over their noise.

    Parameters
    ----------
    scenes : complete scenes; a person is asked about each type as much as they rate it.
    shared : (scenes,), the opinion that everybody shares.

    Returns
    -------
    Correlations of the ratings with the shared opinion, and with the person's own.
    """
    chunks = [
        _predictability(people[start : start + _CHUNK], scenes, shared)
        for start in range(0, people.height, _CHUNK)
    ]
    return np.concatenate(chunks)


def _predictability(people: pl.DataFrame, scenes: list[Spec], shared: Floats) -> Floats:
    opinion = shared + p.weights_of(people) @ utility.design(scenes).T
    bias, stretch, noise = (
        people.get_column(name).to_numpy()[:, None] for name in ("bias", "stretch", "noise_std")
    )
    said = MIDDLE + stretch * (opinion - MIDDLE) + bias
    mean, square = np.full(said.shape, SCALE_LOW), np.full(said.shape, SCALE_LOW**2)
    for step in np.arange(SCALE_LOW, SCALE_HIGH):
        above = ndtr((said - step - 0.5) / noise)
        mean += above
        square += (2 * step + 1) * above
    asked = _asked(people, scenes)
    total = _moment(square, asked) - _moment(mean, asked) ** 2
    out = []
    for known in (np.broadcast_to(shared, said.shape), opinion):
        centre = _moment(known, asked)
        both = _moment(known * mean, asked) - centre * _moment(mean, asked)
        out.append(both / np.sqrt((_moment(known**2, asked) - centre**2) * total))
    return np.stack(out, axis=1)


def _asked(people: pl.DataFrame, scenes: list[Spec]) -> Floats:
    """Return how much each person rates of the scenes (people, scenes), summing to one."""
    art = np.array([scene.type == v.ART for scene in scenes])
    rates = people.select(p.RATES_PHOTO, p.RATES_ART).to_numpy()
    asked = rates[:, art.astype(int)]
    return asked / asked.sum(axis=1, keepdims=True)


def _moment(values: Floats, weight: Floats) -> Floats:
    return (values * weight).sum(axis=1)


def panels_of(size: int) -> int:
    """Return how many panels of `size` people are drawn to choose from."""
    return max(LEAST_PANELS, min(PANELS, MOST_CANDIDATES // size))


def choose_panel(trained: Floats, candidates: Floats, size: int) -> slice:
    """Return the rows of the panel of `size` candidates that is most like the training people.

    Parameters
    ----------
    trained, candidates : (n, k), what people are compared by; panels are consecutive rows.

    Panels are compared by the mean and the spread of each column.
    """
    spread = np.maximum(trained.std(axis=0), 1e-9)
    panels = candidates[: len(candidates) // size * size].reshape(-1, size, candidates.shape[1])
    mean = (panels.mean(axis=1) - trained.mean(axis=0)) / spread
    width = np.log(np.maximum(panels.std(axis=1), 1e-9) / spread) if size > 2 else 0.0 * mean
    best = int(np.argmin((mean**2 + 0.25 * width**2).sum(axis=1)))
    return slice(best * size, (best + 1) * size)
