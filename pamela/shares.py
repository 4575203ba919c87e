"""Shares of the ideal: of what telling people apart could gain, how much does a model gain?

Share = (model - population) / (ideal_observer - ideal_population), of within-user SROCC, mean over
users. Known only in the embedded world, where the ideal is (`pamela.observers`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pamela.bootstrap import Draws, Estimate, function_estimates
from pamela.judgments import Floats

SHARE_OF_IDEAL: Final = "share_of_ideal"


@dataclass(frozen=True)
class Ideal:
    """Places of the models that shares are made of, and of those whose share is wanted."""

    models: tuple[int, ...]
    population: int
    observer: int
    ideal_population: int


def share_estimates(values: Floats, ideal: Ideal, draws: Draws) -> list[Estimate]:
    """Return each model's share with its interval over users.

    Parameters
    ----------
    values : (U, M), every user's SROCC by every model; NaN for a user whose ratings have no order.
    draws : resamples of the users, the same for numerator and denominator.

    Returns
    -------
    One estimate per ``ideal.models``; null where the ideal gains nothing.
    """
    most = values[:, ideal.observer] - values[:, ideal.ideal_population]
    gains = values[:, ideal.models] - values[:, [ideal.population]]
    told = ~np.isnan(most)
    gained, possible = gains[told].sum(axis=0), most[told].sum()
    point = gained / possible if possible > 0 else np.full_like(gained, np.nan)
    weight = draws.users[:, told]
    top, bottom = weight @ gains[told], (weight @ most[told])[:, None]
    resampled = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
    found = function_estimates(point, resampled, int(told.sum()))
    return [e if e.value is not None else Estimate(None, None, None, e.n) for e in found]
