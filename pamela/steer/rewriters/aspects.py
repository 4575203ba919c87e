"""What each aspect that a prompt says seems to be worth, learned from the rewards of one search.

A Bayesian linear regression: rewards are a sum over aspects, of a line and a parabola in the level
of an attribute, of a constant for each lighting. Drawing from its posterior and saying what is best
under the draw (Thompson sampling) tries what may be best, and less so the more is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pamela.core.arrays import Floats

Look = dict[str, float | str]  # what is said of each aspect: an attribute's level, or a lighting
Choices = Mapping[str, Sequence[float | str]]  # what can be said of each aspect

PRIOR_STD: Final = 0.5  # of a weight, where the rewards tried have standard deviation 1
NOISE_STD: Final = 0.6  # of a reward, of what the prompt leaves open and of the reward's errors
UNSAID_SQUARE: Final = 0.25  # mean square of an attribute that is not mentioned


@dataclass(frozen=True)
class AspectWorth:
    """The posterior of the weights: mean (k,) and a square root of the covariance (k, k)."""

    choices: Choices
    mean: Floats
    root: Floats

    @classmethod
    def fit(cls, looks: Sequence[Look], rewards: Floats, choices: Choices) -> AspectWorth:
        """Learn from what was said (n,) and the rewards (n,) of its pictures."""
        x = np.array([_columns(look, choices) for look in looks])
        spread = rewards.std()
        y = (rewards - rewards.mean()) / (spread if spread > 0 else 1.0)
        x = np.column_stack([np.ones(len(x)), x])
        prior = np.full(x.shape[1], PRIOR_STD**-2)
        prior[0] = 1e-3  # the constant may be anything
        covariance = np.linalg.inv(np.diag(prior) + x.T @ x / NOISE_STD**2)
        mean = covariance @ x.T @ y / NOISE_STD**2
        return cls(choices, mean[1:], np.linalg.cholesky(covariance)[1:])

    def best_look(self, most: int, curiosity: float, rng: np.random.Generator) -> Look:
        """Return what is best to say under one draw of the weights.

        Parameters
        ----------
        most : aspects said at most; only what beats silence is said.
        curiosity : scale of the draw's deviation from the mean; 1 is Thompson sampling.
        """
        draw = rng.standard_normal(self.root.shape[1])
        weights = iter(np.split(self.mean + curiosity * self.root @ draw, _ends(self.choices)))
        found = []
        for (name, options), weight in zip(self.choices.items(), weights, strict=False):
            worth = np.array([_of(option, options) for option in options]) @ weight
            found.append((float(worth.max()), name, options[int(worth.argmax())]))
        found.sort(key=lambda one: -one[0])
        return {name: option for worth, name, option in found[:most] if worth > 0}


def _columns(look: Look, choices: Choices) -> Floats:
    return np.concatenate([_of(look.get(name), options) for name, options in choices.items()])


def _of(said: float | str | None, options: Sequence[float | str]) -> Floats:
    """Return the columns of one aspect: a level and its square, or which of the names; 0 unsaid."""
    if isinstance(options[0], str):
        return np.array([float(said == option) for option in options])
    if said is None:
        return np.zeros(2)
    level = float(said)
    return np.array([level, level**2 - UNSAID_SQUARE])


def _ends(choices: Choices) -> list[int]:
    sizes = [len(options) if isinstance(options[0], str) else 2 for options in choices.values()]
    return np.cumsum(sizes).tolist()
