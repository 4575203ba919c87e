"""Ratings of a release without the luck that a few thousand ratings would have.

Published means hold in every group and style, and the few unseen people say no more and no less of
their taste than the training people do: else a calibration would be hidden by the noise of single
ratings. Opinions are not touched; only which noise goes with which rating is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import rankdata

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats, Ints
from pamela.synthetic.prompts import Spec
from pamela.synthetic.raters import utility as taste
from pamela.synthetic.raters.prior import MIDDLE
from pamela.synthetic.raters.world import rate

ROUNDS: Final = 6  # groups and styles in turn
DRAWS: Final = 256  # of the unseen people's noise, to choose from
OFTEN: Final = 10  # test ratings of a person whose correlations are more than luck
APART: Final = 1000.0  # more than any two ratings or opinions differ
ROWS_PER_COLUMN: Final = 4  # below this, balancing the design would leave too little of the noise


@dataclass(frozen=True)
class PairsToRate:
    """n pairs (person, picture) that are to be rated.

    Attributes
    ----------
    raters : n rows of people: bias, stretch and noise_std.
    user : (n,), who it is.
    opinion : (n,), what the person thinks of the picture.
    usual : (n,), the mean opinion of the picture's cell.
    shared : (n,), what people think of the picture on average.
    queried : bool (n,), the rows that the evaluation asks about by default
        (`pamela.evaluation.few_shot`).
    scenes : n scenes.
    """

    raters: pl.DataFrame
    user: Ints
    opinion: Floats
    usual: Floats
    shared: Floats
    queried: Bools
    scenes: list[Spec]

    def take(self, rows: Bools) -> PairsToRate:
        """Return the pairs of a mask."""
        scenes = [scene for scene, keep in zip(self.scenes, rows.tolist(), strict=True) if keep]
        return PairsToRate(
            self.raters.filter(rows), self.user[rows], self.opinion[rows], self.usual[rows],
            self.shared[rows], self.queried[rows], scenes,
        )  # fmt: skip


def rate_release(
    pairs: PairsToRate, part: npt.NDArray[np.object_], rng: np.random.Generator
) -> Ints:
    """Return the ratings (n,) of a release.

    Parameters
    ----------
    part : (n,), the part of the release that each pair belongs to.
    """
    noise = rng.normal(size=len(part))
    trained = part == s.TRAIN
    noise[trained] = without_luck(pairs.take(trained), noise[trained])
    rating = rate(pairs.raters, pairs.opinion, noise)
    known = part == s.TEST_SEEN
    if not known.any():
        return rating
    asked = np.bincount(pairs.user[known], minlength=int(pairs.user.max()) + 1)
    often = known & (asked[pairs.user] >= OFTEN)
    known = often if often.any() else known  # small worlds have nobody with as many
    usual = mean_correlations(pairs.take(known), rating[known][None])[0]
    for name in (s.VAL_UNSEEN, s.TEST_UNSEEN):
        rows = part == name
        if rows.any():
            rating[rows] = _typical(pairs.take(rows), usual, rng)
    return rating


def without_luck(pairs: PairsToRate, noise: Floats) -> Floats:
    """Return noise such that luck sums to zero over the ratings of a group or style.

    Luck is of noise and of who happened to rate what: without this a style of six hundred ratings
    misses its published mean by a tenth now and then.

    Parameters
    ----------
    noise : (n,), in each rater's own standard deviations.
    """
    bias, stretch, spread = (
        pairs.raters.get_column(name).to_numpy() for name in ("bias", "stretch", "noise_std")
    )
    said = MIDDLE + stretch * (pairs.opinion - MIDDLE) + bias + spread * noise
    luck = said - pairs.usual
    left = luck.copy()
    keys = (
        [f"{scene.type}/{scene.group}" for scene in pairs.scenes],
        [str(scene.style) for scene in pairs.scenes],
    )
    codes = [np.unique(key, return_inverse=True)[1] for key in keys]
    for _ in range(ROUNDS):
        for code in codes:
            left -= (np.bincount(code, left) / np.bincount(code))[code]
    return noise + (left - luck) / spread


def _typical(pairs: PairsToRate, wanted: Floats, rng: np.random.Generator) -> Ints:
    """Return the ratings, of many draws, whose `mean_correlations` is nearest to `wanted`.

    Over all rows and, where there are any, over those that the evaluation asks about by default:
    25 a person, whose mean agreement would stray by .03. Every draw is `without_tendency` in both.
    """
    draws = rng.normal(size=(DRAWS, len(pairs.user)))
    for rows in (pairs.queried, ~pairs.queried):
        if rows.any():
            draws[:, rows] = without_tendency(pairs.take(rows), draws[:, rows])
    ratings = np.stack([rate(pairs.raters, pairs.opinion, noise) for noise in draws])
    distance = ((mean_correlations(pairs, ratings) - wanted) ** 2).sum(axis=1)
    if pairs.queried.any():
        some = mean_correlations(pairs.take(pairs.queried), ratings[:, pairs.queried])
        distance += ((some - wanted) ** 2).sum(axis=1)
    best: Ints = ratings[int(np.nanargmin(distance))]
    return best


def without_tendency(pairs: PairsToRate, noise: Floats) -> Floats:
    """Return noise that favours, over all people, nothing that pictures show.

    By chance the noise of a few dozen people favours, say, warm pictures, and whatever a model
    has learned of warmth then does better or worse. Taken off is the projection on the design's
    columns, apart from what they share with the two opinions: `_typical` settles those. Each
    person counts as in a mean over people. Few rows are left as they are.

    Parameters
    ----------
    noise : (k, n), k draws, in each rater's own standard deviations.
    """
    user = np.unique(pairs.user, return_inverse=True)[1]
    weight = pairs.raters.get_column("noise_std").to_numpy() / np.bincount(user)[user]
    opinions, columns = (
        weight[:, None] * _about_own_mean(user, values)
        for values in (np.column_stack([pairs.shared, pairs.opinion]), taste.design(pairs.scenes))
    )
    columns -= opinions @ np.linalg.lstsq(opinions, columns)[0]
    tendency, _, rank, _ = np.linalg.lstsq(columns, noise.T)
    if len(user) < ROWS_PER_COLUMN * rank:
        return noise
    left = noise - (columns @ tendency).T
    return left * np.sqrt(len(user) / (len(user) - rank))


def mean_correlations(pairs: PairsToRate, ratings: Ints) -> Floats:
    """Return mean within-person correlations with the two opinions, (k, 4).

    Pearson's with the shared and with the own opinion, then Spearman's, as the evaluation
    measures both.

    Parameters
    ----------
    ratings : (k, n), k sets of ratings of the same pairs.
    """
    user = np.unique(pairs.user, return_inverse=True)[1]
    known = [pairs.shared, pairs.opinion]
    ranked = [_own_ranks(user, opinion) for opinion in known]
    return np.array(
        [
            [*(_within(user, x, row) for x in known),
             *(_within(user, x, _own_ranks(user, row)) for x in ranked)]
            for row in ratings
        ]
    )  # fmt: skip


def _within(user: Ints, x: Floats, y: Floats | Ints) -> float:
    """Return the mean over people of the correlation of x and y; 0 where either is constant."""
    a, b = _about_own_mean(user, np.column_stack([x, y])).T
    scale = np.sqrt(np.bincount(user, a * a) * np.bincount(user, b * b))
    both = np.bincount(user, a * b)
    return float(np.divide(both, scale, out=np.zeros_like(both), where=scale > 1e-9).mean())


def _own_ranks(user: Ints, values: Floats | Ints) -> Floats:
    """Return the rank of each value (n,) among its person's, plus a number of the person's own."""
    ranks: Floats = rankdata(values + APART * user)
    return ranks


def _about_own_mean(user: Ints, values: Floats) -> Floats:
    """Return each column of values (n, k) less the mean of its person."""
    count = np.bincount(user)
    means = np.stack([np.bincount(user, column) for column in values.T], axis=1) / count[:, None]
    return values - means[user]
