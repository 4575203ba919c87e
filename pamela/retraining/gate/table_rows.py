"""One row of the gate's table: a number of both models, with a paired bootstrap over people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pamela.core.arrays import Floats
from pamela.evaluation.metrics.bootstrap import make_draws, mean_estimates, resampled_means

FROZEN: Final = "frozen hold-out"


@dataclass(frozen=True)
class Row:
    """One number of both models.

    Attributes
    ----------
    rows_of : which ratings or choices: `FROZEN` or ``newest``.
    dataset, slice : whose; the slice is empty for all rows of the dataset, and the dataset for all
        datasets together.
    metric : of ratings ``srocc``, ``coverage_90`` or ``rmse`` (points of 1..5), of choices
        ``choice_accuracy`` or ``choice_log_loss``.
    champion, challenger : means over the `users` who have a value; None where nobody has.
    difference, ci_low, ci_high : challenger - champion, with its 95 % interval.
    lower : the one-sided lower bound of the difference at the level of a promotion.
    """

    rows_of: str
    dataset: str
    slice: str
    metric: str
    champion: float | None
    challenger: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    lower: float | None
    users: int
    rows: int


@dataclass(frozen=True)
class Setting:
    """How rows are estimated: resamples, their seed, and the level of a one-sided bound."""

    draws: int
    seed: int
    level: float


def nothing(what: tuple[str, str, str], metric: str, rows: int = 0) -> Row:
    """Return the row of ratings or choices on which nobody can be compared."""
    return Row(*what, metric, None, None, None, None, None, None, 0, rows)


def row_of(
    what: tuple[str, str, str], metric: str, values: Floats, rows: int, setting: Setting
) -> Row:
    """Return one row of the table.

    Parameters
    ----------
    what : `rows_of`, dataset and slice of the row.
    values : (U, 2), each person's value of champion and challenger; NaN where they have none.
    rows : how many ratings or choices they are of.
    """
    known = ~np.isnan(values).any(axis=1)
    some = values[known]
    if not len(some):
        return nothing(what, metric, rows)
    draws = make_draws(len(some), setting.draws, setting.seed)
    gain = (some[:, 1] - some[:, 0])[:, None]
    estimate = mean_estimates(gain, draws)[0]
    lower = None
    if len(some) > 1:
        lower = float(np.quantile(resampled_means(gain, draws)[1], setting.level))
    champion, challenger = some.mean(axis=0).tolist()
    gains = (estimate.value, estimate.ci_low, estimate.ci_high, lower)
    return Row(*what, metric, champion, challenger, *gains, len(some), rows)
