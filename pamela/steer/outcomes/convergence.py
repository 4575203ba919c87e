"""Do independent searches for one person and prompt end in like pictures?

Likeness is the cosine between the encoder's features of two ends, centred on the mean of all that
are compared. It says something only beside others: the ends of other people's searches for the same
prompt, and random variants of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Floats32
from pamela.steer.outcomes.gains import named

RUN: Final = "run"
WITHIN, BETWEEN, BY_CHANCE = "within_person", "between_people", "by_chance"


def convergence_metrics(
    ends: pl.DataFrame,
    features: Floats32,
    variants: Floats32,
    *,
    bootstrap: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Return mean likenesses, with intervals over people.

    Both likenesses of ends are of different runs, so that neither shares its random numbers.

    Parameters
    ----------
    ends : ``user_id, prompt_id, run``, one row per search.
    features : array (n, d), of the pictures where they ended.
    variants : array (n, d), of a random variant of the first round of each search.
    """
    centre = np.concatenate([features, variants]).mean(axis=0)
    end, variant = _unit(features - centre), _unit(variants - centre)
    user, prompt, run = (ends[name].rank("dense").to_numpy() for name in (s.USER, s.PROMPT_ID, RUN))
    other_run = (prompt[:, None] == prompt) & (run[:, None] != run)
    same = user[:, None] == user
    found = {
        WITHIN: _mean_by_person(end @ end.T, other_run & same, user),
        BETWEEN: _mean_by_person(end @ end.T, other_run & ~same, user),
        BY_CHANCE: _mean_by_person(variant @ variant.T, other_run, user),
    }
    people = len(found[WITHIN])
    weights = rng.exponential(size=(bootstrap, people))
    weights /= weights.sum(axis=1, keepdims=True)
    metrics: dict[str, float] = {}
    for name, values in found.items():
        metrics |= named(f"likeness_{name}", float(values.mean()), weights @ values)
    return metrics


def _mean_by_person(likeness: Floats, counts: Floats, user: Floats) -> Floats:
    """Return the mean over the pairs that count, of each person's rows (people,)."""
    total = [(likeness * counts)[user == one].sum() for one in np.unique(user)]
    pairs = [counts[user == one].sum() for one in np.unique(user)]
    return np.asarray(total, np.float64) / np.asarray(pairs, np.float64)


def _unit(rows: Floats32) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float64)
