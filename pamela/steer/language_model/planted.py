"""Planted utilities over the words of the embedded world, and what to try next under them.

A utility is linear in what a prompt says: every option of an aspect (a level of an attribute, a
lighting) adds its weight. Weights are drawn from a Gaussian prior in which neighbouring levels are
alike. So what the trials of a search tell about the weights is known exactly (Bayesian linear
regression), and the best next prompts are those of Thompson sampling: each is the best one under
weights of its own, drawn from the posterior. No rater of the embedded world has a part in this.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from pamela.core.arrays import Bools, Floats, Ints
from pamela.synthetic import vocabulary as v
from pamela.synthetic.prompts import LEVELS, Spec

Rng = np.random.Generator

UNSAID: Final = -1
ASPECTS: Final = (*v.ATTRIBUTES, "lighting")
LIGHTINGS: Final = tuple(v.LIGHTINGS)
# Every option's aspect: columns of weights and of looks.
ASPECT_OF: Final = np.array(
    [i for i in range(len(v.ATTRIBUTES)) for _ in LEVELS] + [len(v.ATTRIBUTES)] * len(LIGHTINGS)
)
FIRST_OPTION: Final = np.searchsorted(ASPECT_OF, np.arange(len(ASPECTS)))
N_OPTIONS: Final = len(ASPECT_OF)

SLOPE, BEND, LIGHT = 1.0, 0.7, 0.6  # prior deviations: of level, of level squared, of a lighting
OWN = 0.1  # of an option by itself
BASELINE = 3.0  # of the original prompt's own value
CLEAR_GAIN = 0.05  # a smaller one is not worth the words


@cache
def prior_covariance() -> Floats:
    """Return the covariance of the weights of all options, and last of the baseline."""
    level = np.array(LEVELS)
    attribute = SLOPE**2 * np.outer(level, level) + BEND**2 * np.outer(level**2, level**2)
    full = np.zeros((N_OPTIONS + 1, N_OPTIONS + 1))
    for i in range(len(v.ATTRIBUTES)):
        part = slice(i * len(LEVELS), (i + 1) * len(LEVELS))
        full[part, part] = attribute
    lights = np.arange(N_OPTIONS - len(LIGHTINGS), N_OPTIONS)
    full[lights, lights] = LIGHT**2
    full[np.diag_indices(N_OPTIONS)] += OWN**2
    full[-1, -1] = BASELINE**2
    return full


def open_aspects(spec: Spec) -> Bools:
    """Return which of `ASPECTS` a picture like `spec` shows."""
    shown = set(v.attributes_of(spec.group, spec.style))
    lit = v.has_lighting(spec.group, spec.style)
    return np.array([*(name in shown for name in v.ATTRIBUTES), lit])


def look_of(spec: Spec) -> Ints:
    """Return the option that `spec` says of every aspect, or `UNSAID`."""
    said = [
        FIRST_OPTION[i] + LEVELS.index(spec.attributes[name]) if name in spec.attributes else UNSAID
        for i, name in enumerate(v.ATTRIBUTES)
    ]
    lit = UNSAID if spec.lighting is None else FIRST_OPTION[-1] + LIGHTINGS.index(spec.lighting)
    return np.array([*said, lit])


def dress(spec: Spec, look: Ints) -> Spec:
    """Return `spec` with `look` in place of what it says."""
    attributes = {
        name: LEVELS[option - FIRST_OPTION[i]]
        for i, (name, option) in enumerate(zip(v.ATTRIBUTES, look.tolist(), strict=False))
        if option != UNSAID
    }
    lit = int(look[-1])
    lighting = None if lit == UNSAID else LIGHTINGS[lit - FIRST_OPTION[-1]]
    return Spec(spec.type, spec.group, spec.subject, spec.style, attributes, lighting)


def options_of(aspect: int) -> Ints:
    """Return the options of the aspect at this place."""
    return np.flatnonzero(np.equal(ASPECT_OF, aspect))


def design_matrix(looks: Ints) -> Floats:
    """Return the options that looks (n, aspects) say as 0 and 1, and a column of ones."""
    said = np.zeros((len(looks), N_OPTIONS + 1))
    rows, columns = np.nonzero(looks != UNSAID)
    said[rows, looks[rows, columns]] = 1
    said[:, -1] = 1
    return said


@dataclass(frozen=True)
class Posterior:
    """What is known of the weights: a Gaussian."""

    mean: Floats
    factor: Floats  # covariance = factor @ factor.T

    @classmethod
    def of(cls, looks: Ints, rewards: Floats, noise: float) -> Posterior:
        """Return the posterior after trials whose rewards have a deviation of `noise`."""
        said, prior = design_matrix(looks), prior_covariance()
        gain = np.linalg.solve(said @ prior @ said.T + noise**2 * np.eye(len(said)), said @ prior)
        covariance = prior - (said @ prior).T @ gain
        covariance[np.diag_indices(len(covariance))] += 1e-8
        factor = np.linalg.cholesky((covariance + covariance.T) / 2).astype(np.float64)
        return cls(gain.T @ rewards, factor)

    def draw(self, n: int, rng: Rng) -> Floats:
        """Return n draws of the weights of all options, (n, `N_OPTIONS`)."""
        normal = rng.normal(size=(n, len(self.mean)))
        return (self.mean + normal @ self.factor.T)[:, :-1]


def best_looks(weights: Floats, aspects: Bools, most: Ints) -> Ints:
    """Return the best look under each row of weights (n, options), saying `most` aspects at most.

    An aspect is said where its best option gains more than `CLEAR_GAIN`; where none does, the one
    that gains most is.
    """
    n = len(weights)
    gains = np.full((n, len(ASPECTS)), -np.inf)
    options = np.zeros((n, len(ASPECTS)), np.int64)
    for i in np.flatnonzero(aspects).tolist():
        columns = options_of(i)
        found = weights[:, columns]
        options[:, i] = columns[found.argmax(1)]
        gains[:, i] = found.max(1)
    rank = (-gains).argsort(1).argsort(1)
    said = ((gains > CLEAR_GAIN) & (rank < most[:, None])) | (rank == 0)
    return np.where(said, options, UNSAID)


def propose(
    known: Posterior, aspects: Bools, tried: set[bytes], n: int, most: tuple[int, int], rng: Rng
) -> Ints:
    """Return n looks of Thompson sampling, unlike each other and those `tried`.

    Parameters
    ----------
    tried : `look.tobytes()` of each; the new ones are added.
    most : bounds of how many aspects a look says at most, drawn for each.
    """
    found: list[Ints] = []
    weights = known.draw(n, rng)
    for look in best_looks(weights, aspects, rng.integers(most[0], most[1] + 1, n)):
        while look.tobytes() in tried:
            look = _changed(look, aspects, rng)
        tried.add(look.tobytes())
        found.append(look)
    return np.array(found)


def _changed(look: Ints, aspects: Bools, rng: Rng) -> Ints:
    """Return `look` with another option of one aspect."""
    aspect = int(rng.choice(np.flatnonzero(aspects)))
    options = options_of(aspect)
    changed = look.copy()
    changed[aspect] = rng.choice(options[options != look[aspect]])
    return changed
