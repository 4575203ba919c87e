"""What people's opinions are made of: a design matrix of scenes, and the taste that all share.

Everything here is in rating units (1..5). What is published fixes the mean of every type, group and
style (`release_facts`); the rest is our own choice, sized after what PARA, LAPIS and EVA report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.special import ndtr

from pamela.core.arrays import Floats
from pamela.core.schema import SCALE_HIGH, SCALE_LOW
from pamela.synthetic import vocabulary as v
from pamela.synthetic.prompts import Spec, styles_of
from pamela.synthetic.published_facts import GROUP_FACTS, OVERALL_MEAN, STYLE_FACTS

# --- the design matrix ------------------------------------------------------------------------
SQUARED: Final = ("warmth", "saturation", "key", "contrast")
# An attribute that matters more in some groups than elsewhere.
INTERACTIONS: Final[dict[str, tuple[str, ...]]] = {
    "distance": ("portrait", "fashion", "animal", "product"),
    "angle": ("architecture", "automotive", "cityscape", "sports"),
    "focus": ("portrait", "food", "product", "animal", "lifestyle"),
    "saturation": ("landscape", "travel", "food", "flower painting"),
    "key": ("cinematic", "special", "scene"),
}
_LIT: Final = tuple(name for name in v.LIGHTINGS if name != "daylight")
_CELLS: Final = tuple(GROUP_FACTS)
COLUMNS: Final = (
    *v.ATTRIBUTES,
    *(f"{name}^2" for name in SQUARED),
    *(f"lighting:{name}" for name in _LIT),
    *(f"{name} in some groups" for name in INTERACTIONS),
    *(f"group:{kind}/{group}" for kind, group in _CELLS),
    *(f"style:{name}" for name in v.STYLES),
)
_INDEX: Final = {name: i for i, name in enumerate(COLUMNS)}
# Means over pictures as `prompts.sample_spec` and `render.scene_of` draw them: centring with these
# leaves the mean of a group or style to its own column.
MEAN_SQUARE: Final = 0.31
LIGHTING_SHARES: Final = 0.13


def design(specs: Sequence[Spec]) -> Floats:
    """Return the design matrix (n, len(COLUMNS)) of complete scenes."""
    attributes = np.array(
        [[spec.attributes.get(name, 0.0) for name in v.ATTRIBUTES] for spec in specs], float
    ).reshape(len(specs), len(v.ATTRIBUTES))
    x = np.zeros((len(specs), len(COLUMNS)))
    x[:, : len(v.ATTRIBUTES)] = attributes
    for name in SQUARED:
        x[:, _INDEX[f"{name}^2"]] = attributes[:, v.ATTRIBUTES.index(name)] ** 2 - MEAN_SQUARE
    groups = np.array([spec.group for spec in specs], dtype=object)
    for name, where in INTERACTIONS.items():
        here = np.isin(groups, np.array(where, dtype=object))
        x[:, _INDEX[f"{name} in some groups"]] = here * attributes[:, v.ATTRIBUTES.index(name)]
    for i, spec in enumerate(specs):
        if spec.lighting is not None:
            for name in _LIT:
                x[i, _INDEX[f"lighting:{name}"]] = (spec.lighting == name) - LIGHTING_SHARES
        cell = _INDEX.get(f"group:{spec.type}/{spec.group}")
        if cell is not None:
            x[i, cell] = 1.0
        if spec.style is not None:
            x[i, _INDEX[f"style:{spec.style}"]] = 1.0
    return x


# --- shared taste -----------------------------------------------------------------------------
_SHARED: Final = {
    "warmth": 0.30,
    "saturation": 0.36,
    "key": 0.26,
    "contrast": 0.26,
    "palette": 0.06,
    "angle": -0.05,
    "distance": -0.06,
    "symmetry": 0.05,
    "clutter": -0.14,
    "focus": 0.06,
    "grain": -0.30,
    "warmth^2": -0.25,
    "saturation^2": -0.50,
    "key^2": -0.55,
    "contrast^2": -0.35,
    "lighting:soft": 0.05,
    "lighting:golden hour": 0.55,
    "lighting:backlit": -0.15,
    "lighting:spotlight": -0.20,
    "lighting:neon": 0.20,
    "distance in some groups": -0.22,
    "angle in some groups": -0.22,
    "focus in some groups": 0.10,
    "saturation in some groups": 0.22,
    "key in some groups": -0.30,
}
SHARED_SCALE: Final = 0.96
SHARED_WEIGHTS: Final = SHARED_SCALE * np.array([_SHARED.get(name, 0.0) for name in COLUMNS])


# --- published means --------------------------------------------------------------------------
def rating_of(mean: Floats, spread: float) -> Floats:
    """Return the mean rating where opinions are normal: rounded, and cut at the scale's ends."""
    edges = np.arange(SCALE_LOW + 0.5, SCALE_HIGH, 1.0)
    above = 1 - ndtr((edges - np.asarray(mean, float)[..., None]) / spread)
    return SCALE_LOW + above.sum(axis=-1)


def opinion_of(rating: Floats, spread: float) -> Floats:
    """Return the mean opinion whose ratings have mean `rating`: the inverse of `rating_of`."""
    low = np.full(np.shape(rating), SCALE_LOW - 3.0)
    high = np.full(np.shape(rating), SCALE_HIGH + 3.0)
    for _ in range(60):
        middle = (low + high) / 2
        above = rating_of(middle, spread) > rating
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2


def published_mean(kind: str, group: str, style: str | None) -> float:
    """Return the mean rating that the release's tables imply for a cell.

    Group and style add up; the abstract styles are a group of their own. Combinations that the
    release does not have get the group's mean in its other type, or the overall mean.
    """
    if kind == v.ART and group == v.ABSTRACT and style in v.ABSTRACT_STYLES:
        return STYLE_FACTS[style][1]
    other = v.PHOTO if kind == v.ART else v.ART
    fact = GROUP_FACTS.get((kind, group)) or GROUP_FACTS.get((other, group))
    mean = fact[1] if fact else OVERALL_MEAN
    if style is None:
        return mean
    names = styles_of("")
    weights = [STYLE_FACTS[name][0] for name in names]
    usual = float(np.average([STYLE_FACTS[name][1] for name in names], weights=weights))
    return mean + STYLE_FACTS[style][1] - usual


def cell_opinions(specs: Sequence[Spec], spread: float) -> Floats:
    """Return the mean opinion (n,) of each scene's cell, such that ratings have published means."""
    cells = [(spec.type, spec.group, spec.style) for spec in specs]
    known = sorted(set(cells), key=str)
    means = opinion_of(np.array([published_mean(*cell) for cell in known]), spread)
    table = dict(zip(known, means.tolist(), strict=True))
    return np.array([table[cell] for cell in cells])
