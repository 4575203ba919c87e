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

from pamela import influence as psi
from pamela import metrics as m
from pamela import schema as s
from pamela.bootstrap import Draws, Estimate, make_draws, quotient_estimates, resampled_means
from pamela.judgments import Bools, Judgments
from pamela.params import EvaluateParams
from pamela.predictions import POPULATION, SEEN, SHOTS, UNSEEN, slice_judgments

SHARE_OF_SEEN_GAIN: Final = "share_of_seen_gain"
SIDE = "/"  # population/user: who is seen in one fold and unseen in another counts as two


def seen_gain_shares(
    rows: pl.DataFrame,
    models: Sequence[str],
    baseline: str,
    params: EvaluateParams,
    *,
    shots: int,
    stream: str,
) -> tuple[list[Estimate], int]:
    """Return each model's share at `shots`, and the rated rows of unseen users behind it.

    Parameters
    ----------
    rows : predictions of one dataset, with a column ``prompt_id``.
    models : whose shares are wanted.
    baseline : over which both gains are taken.
    stream : names the random stream.

    Returns
    -------
    One estimate per model, `n` the unseen users; null where seen users gain nothing or one of the
    groups is empty.
    """
    seen = rows.filter(pl.col(POPULATION) == SEEN)
    unseen = rows.filter((pl.col(POPULATION) == UNSEEN) & (pl.col(SHOTS) == shots))
    if seen.is_empty() or unseen.is_empty():
        return [Estimate(None, None, None, 0)] * len(models), 0
    side = pl.concat_str(POPULATION, s.USER, separator=SIDE)
    both = pl.concat([seen, unseen]).with_columns(side.alias(s.USER))
    j = slice_judgments(both, [baseline, *models])
    labels = both[s.USER].unique().sort()  # a user's code is the place of the label
    known = labels.str.starts_with(SEEN + SIDE).to_numpy()
    person = labels.str.replace(f"^({SEEN}|{UNSEEN}){SIDE}", "").to_numpy()
    draws = _draws(j, person, known, params, stream)
    values = m.srocc(j)
    gain = values[:, 1:] - values[:, :1]
    effect = None
    if draws.prompts is not None:
        moved = psi.srocc_influence(j)
        effect = psi.by_prompt(moved[:, 1:] - moved[:, :1], j)
    here, there = (
        resampled_means(np.where(mask[:, None], gain, np.nan), draws, effect)
        for mask in (known, ~known)
    )
    n = int(there[2][0])
    return quotient_estimates(there[:2], here[:2], n), int((~known)[j.user].sum())


def _draws(
    j: Judgments,
    person: npt.NDArray[np.str_],
    known: Bools,
    params: EvaluateParams,
    stream: str,
) -> Draws:
    """Resample people once where some are on both sides, else each side by itself."""
    seed = [params.seed, zlib.crc32(f"{stream}/seen gain".encode())]
    names, place = np.unique(person.astype(str), return_inverse=True)
    if len(names) < len(person):
        draws = make_draws(len(names), params.bootstrap, seed, n_prompts=j.n_clusters)
        return Draws(draws.users[:, place], draws.prompts)
    seen = make_draws(int(known.sum()), params.bootstrap, seed, n_prompts=j.n_clusters)
    unseen = make_draws(int((~known).sum()), params.bootstrap, [*seed, 1])
    users = np.zeros((params.bootstrap, len(known)))
    users[:, known], users[:, ~known] = seen.users, unseen.users
    return Draws(users, seen.prompts)
