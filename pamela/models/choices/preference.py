"""From predicted ratings to what somebody chooses: the probabilities of `a`, `b` and a tie."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Choices, Fold, Items
from pamela.models.choices.thurstone import Thurstone, fit_thurstone, usual

FEWEST: Final = 100  # held-out choices of a dataset that say how its people choose


@dataclass(frozen=True)
class Difference:
    """How much more somebody is predicted to like `a` than `b`, for n choices.

    Attributes
    ----------
    mean : array (n,), internal units.
    variance : array (n,), by which the true difference may be off.
    noise : array (n,), variance with which it is perceived, where no choices said so.
    """

    mean: Floats
    variance: Floats
    noise: Floats


@dataclass(frozen=True)
class Preference:
    """Probabilities (n,) of the outcomes of n choices; the three sum to one."""

    a: Floats
    b: Floats
    tie: Floats


def preference(
    found: Difference, items: Items, asked: Choices, known: Mapping[str, Thurstone]
) -> Preference:
    """Return the probabilities of what is chosen.

    Parameters
    ----------
    known : how people choose by dataset; in another one, with the noise of ratings.
    """
    a, b, tie = (np.zeros(len(asked)) for _ in range(3))
    names = items.frame[s.DATASET].to_numpy()[asked.a]
    for name in np.unique(names.astype(str)):
        rows = names == name
        made, variance = known.get(name), found.variance[rows]
        if made is None:  # margin and noise in units of one another
            made, scale = usual(1.0), np.sqrt(found.noise[rows])
            a[rows], b[rows], tie[rows] = made.probabilities(
                found.mean[rows] / scale, variance / scale**2
            )
        else:
            a[rows], b[rows], tie[rows] = made.probabilities(found.mean[rows], variance)
    return Preference(a, b, tie)


def choices_to_calibrate_on(fold: Fold, known: Collection[str]) -> dict[str, Choices]:
    """Return each dataset's held-out choices, or the training choices where those are too few.

    Parameters
    ----------
    known : datasets of which too few held-out choices say nothing new.
    """
    held_out = Choices.concat(fold.choices_of(s.VAL_SEEN), fold.choices_of(s.VAL_UNSEEN))
    found: dict[str, Choices] = {}
    column = fold.items.frame[s.DATASET].to_numpy().astype(str)
    for part, fewest in ((held_out, FEWEST), (fold.choices_of(s.TRAIN), 1)):
        names = column[part.a]
        for name in np.unique(names).tolist():
            own = part.take(names == name)
            if name not in found and len(own) >= fewest and not (fewest == 1 and name in known):
                found[name] = own
    return found


def calibrated(found: Difference, asked: Choices) -> Thurstone:
    """Return how people chose between pictures of these predicted differences."""
    start = usual(float(np.sqrt(np.mean(found.noise))))
    return fit_thurstone(found.mean, asked.outcome, start, variance=found.variance)
