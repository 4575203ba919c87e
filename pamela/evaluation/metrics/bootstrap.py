"""95 % percentile bootstrap intervals over users, and over prompts where images are few.

Users are resampled as multinomial weights, all draws at once. Resampling prompts would change
every user's own value; its first-order effect is taken from the values' influence
(`pamela.evaluation.metrics.influence`), so that a draw costs one matrix product there too. Models
that share a draw share its users: the difference of two models is a paired bootstrap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Bools, Floats, Ints

LEVEL = 0.95
FEW_PROMPTS = 200  # below this many test prompts, images are resampled as well as users


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, over `n` users; all three are None where it is undefined."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int

    def to_row(self) -> dict[str, float | int | None]:
        """Return it as the columns that tables of numbers share."""
        interval = {"value": self.value, "ci_low": self.ci_low, "ci_high": self.ci_high}
        return {**interval, "n_users": self.n}


@dataclass(frozen=True)
class Draws:
    """Bootstrap weights that all models of a comparison share.

    Attributes
    ----------
    users : float array (B, U), how often each user is drawn.
    prompts : float array (B, P), the same for prompt clusters; None to resample users only.
    """

    users: Floats
    prompts: Floats | None = None


def multinomial_weights(n: int, draws: int, rng: np.random.Generator) -> Floats:
    """Return how often each of `n` units is drawn in each of `draws` resamples, (draws, n)."""
    if n == 0:
        return np.zeros((draws, 0))
    return rng.multinomial(n, np.full(n, 1.0 / n), size=draws).astype(np.float64)


def make_draws(
    n_users: int, draws: int, seed: int | list[int], *, n_prompts: int | None = None
) -> Draws:
    """Return the weights of `draws` resamples of users and, where few, of prompts."""
    rng = np.random.default_rng(seed)
    users = multinomial_weights(n_users, draws, rng)
    if n_prompts is None or n_prompts >= FEW_PROMPTS:
        return Draws(users)
    return Draws(users, multinomial_weights(n_prompts, draws, rng))


def interval(resampled: Floats) -> tuple[Floats, Floats]:
    """Return the percentile interval over the first axis, ignoring undefined (NaN) draws."""
    tail = (1.0 - LEVEL) / 2.0
    columns = resampled.reshape(len(resampled), math.prod(resampled.shape[1:]))
    missing = np.isnan(columns)
    ends = np.full((2, columns.shape[1]), np.nan)
    whole = ~missing.any(axis=0)
    some = ~whole & ~missing.all(axis=0)  # slow, so by themselves
    for kept, quantile in ((whole, np.quantile), (some, np.nanquantile)):
        if len(resampled) and kept.any():
            ends[:, kept] = quantile(columns[:, kept], [tail, 1.0 - tail], axis=0)
    low, high = ends.reshape(2, *resampled.shape[1:])
    return low, high


def mean_estimates(values: Floats, draws: Draws, influence: Floats | None = None) -> list[Estimate]:
    """Average users' values and bootstrap the averages.

    Parameters
    ----------
    values : (U, C), one column per number wanted; NaN leaves the user out of that column.
    draws : weights over the same U users.
    influence : (U, P, C), what each prompt adds to each value; only with ``draws.prompts``.

    Returns
    -------
    C estimates; `n` is the number of users who have a value.
    """
    point, resampled, n = resampled_means(values, draws, influence)
    return function_estimates(point, resampled, n, prompts=influence is not None)


def resampled_means(
    values: Floats, draws: Draws, influence: Floats | None = None
) -> tuple[Floats, Floats, Ints]:
    """Return the averages of `mean_estimates` (C,), their resamples (B, C) and users (C,)."""
    valid = ~np.isnan(values)
    filled = np.where(valid, values, 0.0)
    total = draws.users @ filled
    if influence is not None and draws.prompts is not None:
        kept = np.where(valid[:, None, :], influence, 0.0)
        total += _by_prompts(kept, draws.users, draws.prompts - 1.0)
    weight = draws.users @ valid.astype(np.float64)
    resampled = np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)
    n = valid.sum(axis=0)
    point = np.divide(filled.sum(axis=0), n, out=np.full(len(n), np.nan), where=n > 0)
    return point, resampled, n


def _by_prompts(influence: Floats, users: Floats, shift: Floats) -> Floats:
    """Return the sums over users (B, U) and prompts (B, P) of influence (U, P, C), (B, C)."""
    count, prompts, columns = influence.shape
    if count <= prompts:  # the fewer come last
        moved = shift @ influence.transpose(1, 0, 2).reshape(prompts, count * columns)
        return np.einsum("bu,buc->bc", users, moved.reshape(-1, count, columns))
    by_column = influence.transpose(2, 0, 1)
    return np.stack([np.einsum("bp,bp->b", users @ one, shift) for one in by_column], axis=1)


def quotient_estimates(
    top: tuple[Floats, Floats], bottom: tuple[Floats, Floats], n: int
) -> list[Estimate]:
    """Return quotients of two quantities that share their draws, e.g. shares of a gain.

    Parameters
    ----------
    top, bottom : values (C,) and their resamples (B, C).
    n : users behind them.

    Returns
    -------
    C estimates. A share of nothing is no number: null where the bottom is not above 0, and without
    an interval where it is not in more than 2.5 % of the draws.
    """
    point = np.divide(
        top[0], bottom[0], out=np.full_like(top[0], np.nan), where=np.asarray(bottom[0]) > 0
    )
    defined = bottom[1] > 0
    resampled = np.divide(top[1], bottom[1], out=np.full_like(top[1], np.nan), where=defined)
    sure = (~defined).mean(axis=0) <= (1.0 - LEVEL) / 2.0
    found = _estimates(point, resampled, np.full(len(point), n), spread=sure & (n > 1))
    return [e if e.value is not None else Estimate(None, None, None, e.n) for e in found]


def ratio_estimates(top: Floats, bottom: Floats, draws: Draws) -> list[Estimate]:
    """Bootstrap sums over users divided by sums over users, e.g. pooled shares.

    Parameters
    ----------
    top, bottom : (U, C). `n` counts the users with a bottom above 0.
    """
    weight = draws.users @ bottom
    resampled = np.divide(draws.users @ top, weight, out=np.full_like(weight, np.nan),
                          where=weight > 0)  # fmt: skip
    n = (bottom > 0).sum(axis=0)
    whole = bottom.sum(axis=0)
    point = np.divide(top.sum(axis=0), whole, out=np.full(len(n), np.nan), where=whole > 0)
    return _estimates(point, resampled, n, spread=n > 1)


def function_estimates(
    point: Floats, resampled: Floats, n: int | Ints, *, prompts: bool = False
) -> list[Estimate]:
    """Return estimates from values (C,) and their resamples (B, C) computed elsewhere.

    Parameters
    ----------
    prompts : whether prompts were resampled as well, so that one user has an interval too.
    """
    count = np.broadcast_to(np.asarray(n), point.shape)
    return _estimates(point, resampled, count, spread=(count > 1) | prompts)


def _estimates(point: Floats, resampled: Floats, n: Ints, spread: Bools) -> list[Estimate]:
    low, high = interval(resampled) if resampled.shape[1] else (point, point)
    return [
        Estimate(
            _number(point[c]),
            _number(low[c]) if spread[c] else None,
            _number(high[c]) if spread[c] else None,
            int(n[c]),
        )
        for c in range(len(point))
    ]


def _number(x: float) -> float | None:
    return None if np.isnan(x) else float(x)


def paired_difference(
    values_a: npt.ArrayLike, values_b: npt.ArrayLike, *, draws: int, seed: int
) -> Estimate:
    """Return the mean over users of a - b with a paired bootstrap interval.

    Parameters
    ----------
    values_a, values_b : (U,), the same users' values of two models in the same order; a user
        undefined (NaN) for either is left out of both.
    draws : number of resamples.
    seed : of the resamples.

    Examples
    --------
    >>> gain = paired_difference([0.5, 0.4, 0.6], [0.4, 0.3, 0.5], draws=200, seed=0)
    >>> round(gain.value, 6), round(gain.ci_low, 6), gain.n
    (0.1, 0.1, 3)
    """
    a, b = np.asarray(values_a, np.float64), np.asarray(values_b, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"two vectors of the same users are wanted, got {a.shape} and {b.shape}")
    return mean_estimates((a - b)[:, None], make_draws(len(a), draws, seed))[0]
