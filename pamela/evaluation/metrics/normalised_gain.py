"""Normalised gain over an oracle: how much of the ideal observer's gain a model reaches.

``share_of_ideal_<metric>`` = (model - population) / (ideal_observer - ideal_population), of the
mean over users of within-user SROCC or of pairwise accuracy at the first margin;
``share_of_features_<metric>`` has `feature_observer` in place of `ideal_observer`. At the last
margin, where most is shared, ``ratio_to_ideal_pairwise_accuracy_<margin>`` is the model's accuracy
over the ideal observer's. ``share_of_ideal_conflict_side`` is what the model's share of right
orders has above one half, over what the ideal observer's has.

Known only in the embedded world, where the ideal is (`pamela.evaluation.observers`).

``share_of_seen_gain`` at k shots needs no truth: gain over `population` of unseen users shown k
ratings / gain over `population` of seen users, of SROCC, means over users. Its interval resamples
both groups. Where a dataset has folds, a person is unseen in one and seen in the others: one draw
of a person then counts on both sides. Prompts, where they are few, are shared.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics import influence as psi
from pamela.evaluation.metrics.bootstrap import (
    Draws,
    Estimate,
    make_draws,
    quotient_estimates,
    resampled_means,
)
from pamela.evaluation.metrics.definitions import CONFLICT_SIDE, PAIRWISE_ACCURACY, SROCC
from pamela.evaluation.metrics.grouping import group_slice
from pamela.evaluation.metrics.schema import MODEL, POPULATION, SEEN, SHOTS
from pamela.params import EvaluateParams

OF_IDEAL: Final = "share_of_ideal_"
OF_FEATURES: Final = "share_of_features_"
SHARE_OF_IDEAL_ACCURACY: Final = OF_IDEAL + PAIRWISE_ACCURACY
SHARE_OF_FEATURES_ACCURACY: Final = OF_FEATURES + PAIRWISE_ACCURACY
SHARE_OF_IDEAL_CONFLICT: Final = OF_IDEAL + CONFLICT_SIDE
CHANCE: Final = 0.5  # of a single order of a conflict pair
SHARE_OF_SEEN_GAIN: Final = "share_of_seen_gain"
KNOWN: Final = -1  # in place of a number of shots: seen users

Key = tuple[str, float | None]  # metric, margin


@dataclass(frozen=True)
class Ideal:
    """Places of the models that shares are made of, and of those whose share is wanted.

    Attributes
    ----------
    models : whose shares are wanted.
    population, observer, ideal_population : what shares are made of.
    feature_observer : the same given only the features; None where it was not asked.
    """

    models: tuple[int, ...]
    population: int
    observer: int
    ideal_population: int
    feature_observer: int | None = None


def ratio_name(margins: Sequence[float]) -> str:
    """Return the name of the ratio to the ideal observer's accuracy, at the last margin."""
    return f"ratio_to_ideal_{PAIRWISE_ACCURACY}_{max(margins):g}"


def share_names(ideal: Ideal, margins: Sequence[float]) -> list[str]:
    """Return the metrics of `all_shares` in their order."""
    prefixes = [OF_IDEAL, *([OF_FEATURES] if ideal.feature_observer is not None else [])]
    names = [prefix + metric for metric in (SROCC, PAIRWISE_ACCURACY) for prefix in prefixes]
    return [*names, ratio_name(margins)]


def all_shares(
    values: Mapping[Key, Floats], ideal: Ideal, margins: Sequence[float], draws: Draws
) -> dict[str, list[Estimate]]:
    """Return the shares that are made of users' values.

    Parameters
    ----------
    values : (metric, margin) to every user's value by every model, (U, M) each.
    ideal : places of the models.
    margins : as of ``evaluate.margins``; shares are taken at the first, the ratio at the highest.
    draws : resamples of the users.

    Returns
    -------
    For each of `share_names`, one estimate per ``ideal.models``.
    """
    found: dict[str, list[Estimate]] = {}
    for metric, margin in ((SROCC, None), (PAIRWISE_ACCURACY, float(margins[0]))):
        found[OF_IDEAL + metric] = share_estimates(values[metric, margin], ideal, draws)
        if ideal.feature_observer is not None:
            found[OF_FEATURES + metric] = share_estimates(
                values[metric, margin], ideal, draws, observer=ideal.feature_observer
            )
    highest = values[PAIRWISE_ACCURACY, float(max(margins))]
    found[ratio_name(margins)] = ratio_to_ideal(highest, ideal, draws)
    return found


def share_estimates(
    values: Floats, ideal: Ideal, draws: Draws, *, observer: int | None = None
) -> list[Estimate]:
    """Return each model's share with its interval over users.

    Parameters
    ----------
    values : (U, M), every user's value by every model; NaN for a user it is not defined for.
    ideal : places of the models.
    draws : resamples of the users, the same for numerator and denominator.
    observer : whose gain is the whole; ``ideal.observer`` if not given.

    Returns
    -------
    One estimate per ``ideal.models``; null where the whole is nothing.
    """
    best = ideal.observer if observer is None else observer
    most = values[:, [best]] - values[:, [ideal.ideal_population]]
    gains = values[:, ideal.models] - values[:, [ideal.population]]
    defined = ~np.isnan(most[:, 0])
    return _quotients(gains[defined], most[defined], Draws(draws.users[:, defined]))


def ratio_to_ideal(values: Floats, ideal: Ideal, draws: Draws) -> list[Estimate]:
    """Return each model's mean value over the ideal observer's, with its interval over users."""
    whole = values[:, [ideal.observer]]
    defined = ~np.isnan(whole[:, 0])
    return _quotients(
        values[defined][:, ideal.models], whole[defined], Draws(draws.users[:, defined])
    )


def conflict_shares(point: Floats, resampled: Floats, ideal: Ideal, n_users: int) -> list[Estimate]:
    """Return what each model's share of right orders has above chance, over the ideal's.

    Parameters
    ----------
    point, resampled : `conflict_side` of every model (M,) and its resamples (B, M).
    n_users : users in a conflict.
    """
    models = list(ideal.models)
    whole = [ideal.observer] * len(models)
    above, most = point - CHANCE, resampled - CHANCE
    return quotient_estimates((above[models], most[:, models]), (above[whole], most[:, whole]),
                              n_users)  # fmt: skip


def _quotients(top: Floats, bottom: Floats, draws: Draws) -> list[Estimate]:
    """Divide means over users (U, C) by one mean over the same users (U, 1)."""
    point, resampled, _ = resampled_means(top, draws)
    whole, whole_draws, _ = resampled_means(bottom, draws)
    return quotient_estimates(
        (point, resampled),
        (np.broadcast_to(whole, point.shape), np.broadcast_to(whole_draws, resampled.shape)),
        len(top),
    )


def seen_gain_shares(
    rows: pl.DataFrame,
    models: Sequence[str],
    baseline: str,
    params: EvaluateParams,
    *,
    stream: str,
) -> dict[int, tuple[list[Estimate], int]]:
    """Return each model's shares by the number of shots.

    Parameters
    ----------
    rows : predictions of one dataset, with a column ``prompt_id``.
    models : whose shares are wanted.
    baseline : over which both gains are taken.
    stream : names the random stream.

    Returns
    -------
    Per number of shots, one estimate per model (`n` the unseen users) and the rated rows behind
    them. Null where seen users gain nothing or one of the groups is empty.
    """
    nobody = {k: ([Estimate(None, None, None, 0)] * len(models), 0) for k in params.shots}
    if rows.filter(pl.col(POPULATION) == SEEN).is_empty():
        return nobody
    rows = rows.filter(pl.col(MODEL).is_in([baseline, *models]))
    group = pl.coalesce(pl.col(SHOTS), KNOWN)
    who = rows.select(group.alias("_group"), s.USER).unique().sort("_group", s.USER)
    # who is seen in one fold and unseen in another, or asked at several k, counts as several
    who = who.with_columns(_label=pl.int_range(pl.len()))
    labelled = (
        rows.with_columns(group.alias("_group"))
        .join(who, on=["_group", s.USER], how="left", maintain_order="left")
        .with_columns(pl.col("_label").alias(s.USER))
    )
    j = group_slice(labelled, [baseline, *models])  # a user's code is the label's number
    draws = _draws(who, j.n_clusters, params, stream)
    values = m.srocc(j)
    gain = values[:, 1:] - values[:, :1]
    effect = None
    if draws.prompts is not None:
        moved = psi.srocc_influence(j)
        effect = psi.by_prompt(moved[:, 1:] - moved[:, :1], j)
    of_group = who["_group"].to_numpy()

    def gains(number: int) -> tuple[Floats, Floats, Ints]:
        mine = of_group == number
        some = Draws(draws.users[:, mine], draws.prompts)
        return resampled_means(gain[mine], some, None if effect is None else effect[mine])

    seen, rated = gains(KNOWN)[:2], np.bincount(of_group[j.user] + 1)
    found = dict(nobody)
    for k in np.unique(of_group[of_group != KNOWN]).tolist():
        point, resampled, n = gains(k)
        found[k] = quotient_estimates((point, resampled), seen, int(n[0])), int(rated[k + 1])
    return found


def _draws(who: pl.DataFrame, clusters: int, params: EvaluateParams, stream: str) -> Draws:
    """Resample people once where some are on both sides, else each side by itself."""
    seed = [params.seed, zlib.crc32(f"{stream}/seen gain".encode())]
    known = (who["_group"] == KNOWN).to_numpy()
    names, place = np.unique(who[s.USER].to_numpy().astype(str), return_inverse=True)
    both = make_draws(len(names), params.bootstrap, seed, n_prompts=clusters)
    if np.isin(place[known], place[~known]).any():
        return Draws(both.users[:, place], both.prompts)
    users = np.zeros((params.bootstrap, len(who)))
    for number, side in enumerate((known, ~known)):
        people, own = np.unique(place[side], return_inverse=True)
        users[:, side] = make_draws(len(people), params.bootstrap, [*seed, number]).users[:, own]
    return Draws(users, both.prompts)
