"""How much of what knowing a person gains is reached after k of their ratings.

``share_of_seen_gain`` at k shots = gain over `population` of unseen users shown k ratings / gain
over `population` of seen users, of SROCC, means over users. Seen users are those the model was
trained on, with all their training ratings.

The interval resamples both groups. Where a dataset has folds, a person is unseen in one and seen in
the others: one draw of a person then counts on both sides. Prompts, where they are few, are shared.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics import influence as psi
from pamela.evaluation.metrics.bootstrap import (
    Draws,
    Estimate,
    make_draws,
    quotient_estimates,
    resampled_means,
)
from pamela.evaluation.metrics.grouping import Floats
from pamela.evaluation.predictions import POPULATION, SEEN, SHOTS, slice_judgments
from pamela.params import EvaluateParams

SHARE_OF_SEEN_GAIN: Final = "share_of_seen_gain"
KNOWN: Final = -1  # in place of a number of shots: seen users


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
    group = pl.coalesce(pl.col(SHOTS), KNOWN)
    who = rows.select(group.alias("_group"), s.USER).unique().sort("_group", s.USER)
    # who is seen in one fold and unseen in another, or asked at several k, counts as several
    who = who.with_columns(_label=pl.int_range(pl.len()).cast(pl.String).str.zfill(9))
    labelled = (
        rows.with_columns(group.alias("_group"))
        .join(who, on=["_group", s.USER], how="left", maintain_order="left")
        .with_columns(pl.col("_label").alias(s.USER))
    )
    j = slice_judgments(labelled, [baseline, *models])  # a user's code is the label's number
    draws = _draws(who, j.n_clusters, params, stream)
    values = m.srocc(j)
    gain = values[:, 1:] - values[:, :1]
    effect = None
    if draws.prompts is not None:
        moved = psi.srocc_influence(j)
        effect = psi.by_prompt(moved[:, 1:] - moved[:, :1], j)
    of_group = who["_group"].to_numpy()

    def gains(number: int) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
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
