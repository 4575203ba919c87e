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
    """The posterior of the weights.

    Attributes
    ----------
    columns : of each aspect, what each of its choices adds to the columns of a prompt.
    mean, root : arrays (k,) and (k, k), the latter a square root of the covariance.
    """

    choices: Choices
    columns: Mapping[str, Floats]
    mean: Floats
    root: Floats

    @classmethod
    def fit(cls, looks: Sequence[Look], rewards: Floats, choices: Choices) -> AspectWorth:
        """Learn from what was said (n,) and the rewards (n,) of its pictures."""
        columns = {name: _columns(options) for name, options in choices.items()}
        said = [_said(name, choices, columns, looks) for name in choices]
        x = np.column_stack([np.ones(len(looks)), *said])
        spread = rewards.std()
        y = (rewards - rewards.mean()) / (spread if spread > 0 else 1.0)
        prior = np.full(x.shape[1], PRIOR_STD**-2)
        prior[0] = 1e-3  # the constant may be anything
        covariance = np.linalg.inv(np.diag(prior) + x.T @ x / NOISE_STD**2)
        mean = covariance @ x.T @ y / NOISE_STD**2
        return cls(choices, columns, mean[1:], np.linalg.cholesky(covariance)[1:])

    def best_look(self, most: int, curiosity: float, rng: np.random.Generator) -> Look:
        """Return what is best to say under one draw of the weights.

        Parameters
        ----------
        most : aspects said at most; only what beats silence is said.
        curiosity : scale of the draw's deviation from the mean; 1 is Thompson sampling.
        """
        draw = rng.standard_normal(self.root.shape[1])
        weights = self.mean + curiosity * self.root @ draw
        found, begin = [], 0
        for (name, options), columns in zip(
            self.choices.items(), self.columns.values(), strict=True
        ):
            end = begin + columns.shape[1]
            worth = columns @ weights[begin:end]
            best = int(worth.argmax())
            found.append((float(worth[best]), name, options[best]))
            begin = end
        found.sort(key=lambda one: -one[0])
        return {name: option for worth, name, option in found[:most] if worth > 0}


def _said(
    name: str, choices: Choices, columns: Mapping[str, Floats], looks: Sequence[Look]
) -> Floats:
    """Return the columns (n, c) of one aspect; zeros where nothing is said of it."""
    row = {option: i for i, option in enumerate(choices[name])}
    table = np.vstack([columns[name], np.zeros(columns[name].shape[1])])
    return table[[row[look[name]] if name in look else -1 for look in looks]]


def _columns(options: Sequence[float | str]) -> Floats:
    """Return a row for each choice: a level and its square, or which of the names it is."""
    if isinstance(options[0], str):
        return np.eye(len(options))
    level = np.array(options, float)
    return np.column_stack([level, level**2 - UNSAID_SQUARE])
