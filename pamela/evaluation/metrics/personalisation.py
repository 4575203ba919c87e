"""How much of a model's accuracy is about the person: user swaps, generic and personal parts.

From the answers of `pamela.evaluation.swapped_users`, for SROCC and for pairwise accuracy at the
first margin, mean over users, paired over users:

- ``generic_<metric>``: the model asked as a cold-start user, of whom nothing is known.
- ``swapped_<metric>``: asked as another user of the dataset, mean over the derangements.
- ``swap_loss_<metric>``: own minus swapped. Near 0 the model tells nobody apart.
- differences ``<metric>_generic`` and ``<metric>_personal``: the two parts of model minus baseline.
  generic = generic(model) - generic(baseline), personal = [own - generic](model) -
  [own - generic](baseline). A model that knows no person is its own generic. They add up to the
  difference.

Every one is a linear combination of users' values, so that all share the bootstrap of the slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics import influence as psi
from pamela.evaluation.metrics.bootstrap import Draws, Estimate, function_estimates, resampled_means
from pamela.evaluation.metrics.grouping import GroupedPredictions, group_slice
from pamela.evaluation.metrics.intervals import slice_draws
from pamela.evaluation.metrics.schema import GENERIC, MODEL, NOISE_CEILING, VARIANT
from pamela.params import EvaluateParams

METRICS: Final = (m.SROCC, m.PAIRWISE_ACCURACY)
GENERIC_LEVEL: Final = "generic_"
SWAPPED: Final = "swapped_"
SWAP_LOSS: Final = "swap_loss_"
GENERIC_PART: Final = "_generic"
PERSONAL_PART: Final = "_personal"
BETWEEN: Final = "|"  # model and variant, in the name of a column


@dataclass(frozen=True)
class PersonalNumber:
    """One number: of a model, or of a model against a baseline."""

    model: str
    baseline: str | None
    metric: str
    estimate: Estimate
    n_pairs: int


@dataclass(frozen=True)
class _Contrast:
    """A weighted sum of columns; `form` holds the metric's name in braces."""

    model: str
    baseline: str | None
    form: str
    weight: Floats


class Columns:
    """Places of the models and of their variants among the columns of a judgment.

    Parameters
    ----------
    models : without a variant.
    variants : model to its variants.
    """

    def __init__(self, models: Sequence[str], variants: Mapping[str, Sequence[str]]) -> None:
        self.models, self.variants = list(models), dict(variants)
        self.names = [*models, *(_joined(n, v) for n, found in variants.items() for v in found)]
        self._place = {name: number for number, name in enumerate(self.names)}

    def unit(self, model: str, variant: str | None = None) -> Floats:
        """Return the weights (C,) that pick one column."""
        name = model if variant is None else _joined(model, variant)
        return np.eye(len(self.names))[self._place[name]]

    def generic(self, model: str) -> Floats:
        """Return the column of a model's generic answer: its own where it knows no person."""
        known = GENERIC in self.variants.get(model, ())
        return self.unit(model, GENERIC if known else None)

    def swapped(self, model: str) -> Floats | None:
        """Return the mean of a model's swaps; None where it was not asked."""
        swaps = [v for v in self.variants.get(model, ()) if v != GENERIC]
        return np.mean([self.unit(model, v) for v in swaps], axis=0) if swaps else None


def _joined(model: str, variant: str) -> str:
    return f"{model}{BETWEEN}{variant}"


def estimate_parts(
    rows: pl.DataFrame,
    variants: pl.DataFrame,
    comparisons: Sequence[tuple[str, str]],
    params: EvaluateParams,
    *,
    stream: str,
) -> list[PersonalNumber]:
    """Return the numbers of one slice (a dataset, a population, a number of shots).

    Parameters
    ----------
    rows : predictions of the slice, with a column ``prompt_id``.
    variants : rows of `pamela.evaluation.metrics.schema.VARIANTS` of the slice, with the same
        column.
    comparisons : (model, baseline) whose difference is parted, where one of the two is personal.
    stream : names the random stream, as in `pamela.evaluation.metrics.intervals.estimate_slice`.

    Returns
    -------
    Nothing where no model was asked as somebody else.
    """
    if variants.is_empty():
        return []
    personal = variants[MODEL].unique(maintain_order=True).to_list()
    gaps = [pair for pair in comparisons if not {*pair}.isdisjoint(personal) and not _opinion(pair)]
    others = [name for pair in gaps for name in pair if name not in personal]
    asked = variants.select(MODEL, VARIANT).unique(maintain_order=True).group_by(
        MODEL, maintain_order=True).agg(VARIANT)  # fmt: skip
    columns = Columns([*personal, *dict.fromkeys(others)], dict(asked.iter_rows()))
    j = group_slice(_side_by_side(rows, variants, columns), columns.names)
    draws = slice_draws(j, params, stream)
    return list(_parts(j, _contrasts(columns, personal, gaps), params, draws))


def _opinion(pair: tuple[str, str]) -> bool:
    """Return whether one of the two is no model: nobody can be asked as somebody else there."""
    return NOISE_CEILING in pair


def _side_by_side(rows: pl.DataFrame, variants: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """Return own and other answers as rows of models, of the (user, image) that all have."""
    keys = [s.FOLD, s.USER, s.IMAGE]
    own = rows.filter(pl.col(MODEL).is_in(columns.models))
    name = pl.concat_str(MODEL, VARIANT, separator=BETWEEN)
    other = variants.with_columns(name.alias(MODEL)).select(own.columns)
    stacked = pl.concat([own, other])
    complete = stacked.group_by(keys).agg(n=pl.col(MODEL).n_unique())
    short = complete.filter(pl.col("n") < len(columns.names)).select(keys)
    return stacked.join(short, on=keys, how="anti") if short.height else stacked


def _contrasts(
    columns: Columns, personal: Sequence[str], gaps: Sequence[tuple[str, str]]
) -> Iterator[_Contrast]:
    for name in personal:
        yield _Contrast(name, None, f"{GENERIC_LEVEL}{{}}", columns.generic(name))
        swapped = columns.swapped(name)
        if swapped is not None:
            yield _Contrast(name, None, f"{SWAPPED}{{}}", swapped)
            yield _Contrast(name, None, f"{SWAP_LOSS}{{}}", columns.unit(name) - swapped)
    for model, baseline in gaps:
        whole = columns.unit(model) - columns.unit(baseline)
        generic = columns.generic(model) - columns.generic(baseline)
        yield _Contrast(model, baseline, f"{{}}{GENERIC_PART}", generic)
        yield _Contrast(model, baseline, f"{{}}{PERSONAL_PART}", whole - generic)


def _parts(
    j: GroupedPredictions, contrasts: Iterator[_Contrast], params: EvaluateParams, draws: Draws
) -> Iterator[PersonalNumber]:
    wanted = list(contrasts)
    weights = np.stack([c.weight for c in wanted], axis=1)
    first = [float(params.margins[0])]
    two_way = draws.prompts is not None
    rows = np.bincount(j.user, minlength=j.n_users).astype(np.float64)
    counts = m.pair_counts(j, first)
    for metric in METRICS:
        if metric == m.SROCC:
            values, used = m.srocc(j), rows
            moved = psi.srocc_influence(j) if two_way else None
        else:
            values, used = m.accuracy_of(counts, params.min_pairs)[:, 0], counts.count[:, 0]
            moved = psi.pairwise_influence(j, first, counts)[:, 0] if two_way else None
        effect = None if moved is None else psi.by_prompt(moved, j)
        # a user without a value has none in any column: means of sums are sums of means
        point, resampled, n = resampled_means(values, draws, effect)
        estimates = function_estimates(
            point @ weights, resampled @ weights, int(n[0]), prompts=two_way
        )
        n_pairs = int(used[~np.isnan(values[:, 0])].sum())
        for contrast, e in zip(wanted, estimates, strict=True):
            yield PersonalNumber(
                contrast.model, contrast.baseline, contrast.form.format(metric), e, n_pairs
            )
