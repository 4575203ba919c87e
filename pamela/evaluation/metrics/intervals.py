"""Every number of the evaluation, with its interval: metrics x aggregations x margins.

Takes the predictions of all models for one slice (a dataset, a population, a number of shots) and
returns the rows of ``reports/evaluation.parquet`` and ``reports/differences.parquet``.

Aggregations: `user` is the mean over users; `pooled` puts all users' pairs (of pairwise accuracy)
or all rows (of the rest) into one pool; `image` compares predictions averaged over an image's
raters with the image means. ``n_pairs`` counts pairs of images (pairwise accuracy), conflict
pairs (conflict metrics) or rated (user, image) rows, and images where the aggregation is `image`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pamela.core.arrays import Floats, Ints
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics import influence as psi
from pamela.evaluation.metrics.bootstrap import (
    Draws,
    Estimate,
    function_estimates,
    make_draws,
    mean_estimates,
    resampled_means,
)
from pamela.evaluation.metrics.conflicts import (
    Conflicts,
    Shares,
    find_conflicts,
    resampled_shares,
)
from pamela.evaluation.metrics.grouping import GroupedPredictions, group_by_image
from pamela.evaluation.metrics.normalised_gain import (
    SHARE_OF_IDEAL_CONFLICT,
    Ideal,
    all_shares,
    conflict_shares,
)
from pamela.evaluation.metrics.pooled import RMSE_POOLED_RELATIVE, pooled_estimates, relative_rmse
from pamela.params import EvaluateParams

USER = "user"
POOLED = "pooled"
IMAGE = "image"

# Reported as differences of two models too; pairwise accuracy at the first margin.
DIFFERENCE_METRICS = (
    m.SROCC, m.PLCC, m.RMSE, m.PAIRWISE_ACCURACY, m.CONFLICT_SIDE, RMSE_POOLED_RELATIVE,
)  # fmt: skip

Key = tuple[str, float | None]  # metric, margin


@dataclass(frozen=True)
class Number:
    """One number of one model (by its place among the slice's models)."""

    model: int
    metric: str
    aggregation: str
    margin: float | None
    estimate: Estimate
    n_pairs: int


@dataclass(frozen=True)
class Difference:
    """Model minus baseline, paired over users."""

    model: int
    baseline: int
    metric: str
    estimate: Estimate


def keys_of(aggregation: str, margins: Sequence[float]) -> list[Key]:
    """Return the (metric, margin) pairs that are reported under `aggregation`."""
    keys: list[Key] = [(m.PAIRWISE_ACCURACY, float(margin)) for margin in margins]
    keys += [(m.SROCC, None), (m.PLCC, None), (m.RMSE, None)]
    if aggregation != IMAGE:
        keys.append((m.COVERAGE_90, None))
    if aggregation == POOLED:
        keys += [(m.CONFLICT_SIDE, None), (m.CONFLICT_BOTH, None)]
    return keys


def estimate_slice(
    j: GroupedPredictions,
    params: EvaluateParams,
    *,
    stream: str,
    comparisons: Sequence[tuple[int, int]] = (),
    ideal: Ideal | None = None,
    prompts: bool = True,
) -> tuple[list[Number], list[Difference]]:
    """Compute every number of a slice.

    Parameters
    ----------
    j : predictions of M models for the same rows.
    stream : names the random stream. Slices of one name and the same users share their
        resamples, so that a model that repeats its predictions repeats its intervals.
    comparisons : (model, baseline) places to subtract.
    ideal : whose normalised gain to report, where the oracle is known.
    prompts : whether prompts are resampled as well where they are few.
    """
    draws = slice_draws(j, params, stream, prompts=prompts)
    user = _UserLevel(j, params, draws)
    conflicts = find_conflicts(j)
    shares = resampled_shares(conflicts, draws)
    numbers = [
        *user.numbers(),
        *_pooled(j, params, draws, user.pairs),
        *_conflict_numbers(conflicts, shares, ideal),
        *_image_numbers(j, params, stream),
        *(user.shares(ideal) if ideal is not None else ()),
    ]
    relative = zip(comparisons, relative_rmse(j, draws, comparisons), strict=True)
    differences = [
        *user.differences(comparisons),
        *_conflict_gaps(conflicts, shares, comparisons),
        *(Difference(a, b, RMSE_POOLED_RELATIVE, e) for (a, b), e in relative),
    ]
    return numbers, differences


def contrast_estimates(
    j: GroupedPredictions,
    params: EvaluateParams,
    contrasts: Floats,
    *,
    stream: str,
    prompts: bool = True,
) -> dict[Key, list[Estimate]]:
    """Estimate linear combinations of the models' values, e.g. means over seeds, differences.

    All combinations share their resamples, and with slices of the same name (`estimate_slice`).

    Parameters
    ----------
    contrasts : (M, C), a column of weights on the models per combination wanted; a user whose
        value is undefined for any model is left out of all.
    prompts : as of `estimate_slice`.

    Returns
    -------
    Per metric of aggregation `user` and margin, C estimates.
    """
    draws = slice_draws(j, params, stream, prompts=prompts)
    user = _UserLevel(j, params, draws)
    return {
        key: mean_estimates(
            values @ contrasts,
            draws,
            None if user.influence is None else user.influence[key] @ contrasts,
        )
        for key, values in user.values.items()
    }


def slice_draws(
    j: GroupedPredictions, params: EvaluateParams, stream: str, *, prompts: bool = True
) -> Draws:
    """Return the resamples of a slice: the same for the same users, seed and `stream`."""
    return make_draws(
        j.n_users,
        params.bootstrap,
        [params.seed, zlib.crc32(stream.encode())],
        n_prompts=j.n_clusters if prompts else None,
    )


def user_values(
    j: GroupedPredictions, margins: Sequence[float], min_pairs: int, pairs: m.PairCounts
) -> dict[Key, Floats]:
    """Return every metric's value per user and model, (U, M) each; `pairs` by user."""
    accuracy = m.accuracy_of(pairs, min_pairs)
    values: dict[Key, Floats] = {
        (m.PAIRWISE_ACCURACY, float(margin)): accuracy[:, k] for k, margin in enumerate(margins)
    }
    values[m.SROCC, None] = m.srocc(j)
    values[m.PLCC, None] = m.plcc(j)
    values[m.RMSE, None] = m.rmse(j)
    values[m.COVERAGE_90, None] = m.coverage_90(j)
    return values


def _prompt_influence(
    j: GroupedPredictions, margins: Sequence[float], pairs: m.PairCounts
) -> dict[Key, Floats]:
    """Return what every prompt adds to every user's values, (U, P, M) each."""
    accuracy = psi.pairwise_influence(j, margins, pairs)
    rows: dict[Key, Floats] = {
        (m.PAIRWISE_ACCURACY, float(margin)): accuracy[:, k] for k, margin in enumerate(margins)
    }
    rows[m.SROCC, None] = psi.srocc_influence(j)
    rows[m.PLCC, None] = psi.plcc_influence(j)
    rows[m.RMSE, None] = psi.rmse_influence(j)
    rows[m.COVERAGE_90, None] = psi.coverage_influence(j)
    return {key: psi.by_prompt(value, j) for key, value in rows.items()}


class _UserLevel:
    """Means over users and their paired differences."""

    def __init__(self, j: GroupedPredictions, params: EvaluateParams, draws: Draws) -> None:
        self.j, self.params, self.draws = j, params, draws
        self.pairs = m.pair_counts(j, params.margins)
        self.values = user_values(j, params.margins, params.min_pairs, self.pairs)
        two_way = draws.prompts is not None
        self.influence = _prompt_influence(j, params.margins, self.pairs) if two_way else None
        self._means: dict[Key, tuple[Floats, Floats, Ints]] = {}

    def means(self, key: Key) -> tuple[Floats, Floats, Ints]:
        """Return a metric's means over users (M,), their resamples (B, M), users (M,)."""
        if key not in self._means:
            effect = None if self.influence is None else self.influence[key]
            self._means[key] = resampled_means(self.values[key], self.draws, effect)
        return self._means[key]

    def numbers(self) -> Iterator[Number]:
        """Yield the numbers of aggregation `user`."""
        pairs = self.pairs.count
        rows = np.bincount(self.j.user, minlength=self.j.n_users)
        for key in keys_of(USER, self.params.margins):
            metric, margin = key
            values = self.values[key]
            used = rows if margin is None else pairs[:, self.params.margins.index(margin)]
            estimates = function_estimates(*self.means(key), prompts=self.influence is not None)
            for model, estimate in enumerate(estimates):
                n_pairs = int(used[~np.isnan(values[:, model])].sum())
                yield Number(model, metric, USER, margin, _clipped(estimate, metric), n_pairs)

    def differences(self, comparisons: Sequence[tuple[int, int]]) -> Iterator[Difference]:
        """Yield the mean over users of model - baseline in `DIFFERENCE_METRICS`."""
        for metric in DIFFERENCE_METRICS if comparisons else ():
            margin = float(self.params.margins[0]) if metric == m.PAIRWISE_ACCURACY else None
            if (metric, margin) not in self.values:
                continue  # conflicts have no value per user
            a, b = (np.array(side) for side in zip(*comparisons, strict=True))
            point, resampled, n = self.means((metric, margin))  # over the same users by all models
            two_way = self.influence is not None
            gaps = function_estimates(
                point[a] - point[b], resampled[:, a] - resampled[:, b], n[a], prompts=two_way
            )
            for (model, baseline), estimate in zip(comparisons, gaps, strict=True):
                yield Difference(model, baseline, metric, estimate)

    def shares(self, ideal: Ideal) -> Iterator[Number]:
        """Yield each model's shares of what the observers gain."""
        rows = len(self.j)
        shares = all_shares(self.values, ideal, self.params.margins, self.draws)
        for metric, estimates in shares.items():
            for model, e in zip(ideal.models, estimates, strict=True):
                yield Number(model, metric, USER, None, e, rows if e.n else 0)


def _pooled(
    j: GroupedPredictions, params: EvaluateParams, draws: Draws, counts: m.PairCounts
) -> Iterator[Number]:
    for metric, margin, estimates, n_pairs in pooled_estimates(j, params.margins, draws, counts):
        for model, e in enumerate(estimates):
            yield Number(model, metric, POOLED, margin, e, n_pairs if e.value is not None else 0)


def _conflict_numbers(c: Conflicts, found: Shares, ideal: Ideal | None) -> Iterator[Number]:
    for metric, (point, resampled) in (
        (m.CONFLICT_SIDE, found.side),
        (m.CONFLICT_BOTH, found.both),
    ):
        for model, estimate in enumerate(function_estimates(point, resampled, c.n_users)):
            yield Number(model, metric, POOLED, None, estimate, c.n_pairs)
        if ideal is not None and metric == m.CONFLICT_SIDE:
            shares = conflict_shares(point, resampled, ideal, c.n_users)
            for model, estimate in zip(ideal.models, shares, strict=True):
                yield Number(model, SHARE_OF_IDEAL_CONFLICT, POOLED, None, estimate, c.n_pairs)


def _conflict_gaps(
    c: Conflicts, found: Shares, comparisons: Sequence[tuple[int, int]]
) -> Iterator[Difference]:
    point, resampled = found.side
    for a, b in comparisons:
        gap = function_estimates(
            (point[a] - point[b])[None], (resampled[:, a] - resampled[:, b])[:, None], c.n_users
        )
        yield Difference(a, b, m.CONFLICT_SIDE, gap[0])


def _image_numbers(j: GroupedPredictions, params: EvaluateParams, stream: str) -> Iterator[Number]:
    """Yield the numbers against image means, with intervals over prompts.

    The images are one "user", whose value moves with the prompts drawn.
    """
    images = group_by_image(j)
    seed = [params.seed, zlib.crc32(f"{stream}/images".encode())]
    prompts = make_draws(j.n_clusters, params.bootstrap, seed).users
    draws = Draws(np.ones((params.bootstrap, images.n_users)), prompts)
    counts = m.pair_counts(images, params.margins)
    values = user_values(images, params.margins, params.min_pairs, counts)
    influence = _prompt_influence(images, params.margins, counts)
    pairs = counts.count.sum(axis=0)
    for key in keys_of(IMAGE, params.margins):
        metric, margin = key
        used = len(images) if margin is None else int(pairs[params.margins.index(margin)])
        for model, e in enumerate(mean_estimates(values[key], draws, influence[key])):
            n = j.n_users if e.value is not None else 0
            estimate = _clipped(Estimate(e.value, e.ci_low, e.ci_high, n), metric)
            yield Number(model, metric, IMAGE, margin, estimate, used if n else 0)


def _clipped(e: Estimate, metric: str) -> Estimate:
    """Keep a linearised interval inside the metric's range."""
    if e.ci_low is None or e.ci_high is None:
        return e
    low = -1.0 if metric in (m.SROCC, m.PLCC) else 0.0
    high = float("inf") if metric == m.RMSE else 1.0
    return Estimate(e.value, max(e.ci_low, low), min(e.ci_high, high), e.n)
