"""Resamples of people and prompts, as weights: whatever is averaged can be averaged again.

A Bayesian bootstrap (Rubin 1981): every user and every prompt gets an exponential weight and a cell
(a user on a prompt) the product of its two, so both sources of variation count and no resample is
empty. Where people share prompts in small groups the intervals are a little wide (95 % ones hold 95
to 99 % of the time in simulation), where people alone were resampled they would be too narrow.
"""

from __future__ import annotations

import numpy as np

from pamela.core.arrays import Floats, Ints


def cell_weights(user: Ints, prompt: Ints, *, draws: int, rng: np.random.Generator) -> Floats:
    """Return the weights of all cells in each of `draws` resamples, (draws, n_cells).

    Parameters
    ----------
    user, prompt : int arrays (n_cells,), each cell's user and prompt.

    Returns
    -------
    array (draws, n_cells); each row sums to n_cells.
    """
    by_user = rng.exponential(size=(draws, int(user.max()) + 1))
    by_prompt = rng.exponential(size=(draws, int(prompt.max()) + 1))
    weight = by_user[:, user] * by_prompt[:, prompt]
    weight *= weight.shape[1] / weight.sum(axis=1, keepdims=True)
    return np.asarray(weight, np.float64)
