"""Who rates high and what is rated high: additive effects of users and pictures.

The mean opinion of a picture, freed of which users happened to rate it, is what the population
head learns from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pamela.core.arrays import Floats, Ints
from pamela.core.dataset import Pairs
from pamela.models.preprocessing import Datasets, canonical
from pamela.models.repeats import averaged

SWEEPS = 20
SMALLEST = 1e-4  # floor of a variance, so that constant raters divide nothing by zero


@dataclass(frozen=True)
class BiasModel:
    """Rating = picture + user + noise, fitted by alternating means.

    Attributes
    ----------
    items : int64 array (m,), rows of the rated pictures, sorted.
    item_mean : array (m,), mean rating with the users' biases taken off.
    item_count : array (m,), people behind it.
    user_bias : array (number of people,), shrunken; 0 for users without ratings.
    user_variance, noise_variance : between users' biases, of what one person says of a picture.
    """

    items: Ints
    item_mean: Floats
    item_count: Ints
    user_bias: Floats
    user_variance: float
    noise_variance: float


def fit_effects(pairs: Pairs, people: int) -> BiasModel:
    """Fit user and picture effects to `pairs` (at least one row); repeats count as their mean."""
    pairs, _ = averaged(canonical(pairs))
    rating = pairs.rating.astype(np.float64)
    items, item = np.unique(pairs.item, return_inverse=True)
    item_count = np.bincount(item)
    user_count = np.bincount(pairs.user, minlength=people)
    bias, mean, shrink = np.zeros(people), np.zeros(len(items)), 2.0
    noise, between = 1.0, 0.5
    for _ in range(SWEEPS):
        mean = np.bincount(item, rating - bias[pairs.user]) / item_count
        total = np.bincount(pairs.user, rating - mean[item], minlength=people)
        bias = total / (user_count + shrink)
        rated = user_count > 0
        free = max(len(pairs) - len(items) - int(rated.sum()), 1)
        noise = max(float(np.sum((rating - mean[item] - bias[pairs.user]) ** 2)) / free, SMALLEST)
        # E[bias^2] under its posterior: the EM step for the variance between users
        posterior = noise / (user_count[rated] + shrink)
        between = max(float(np.mean(bias[rated] ** 2 + posterior)), SMALLEST)
        shrink = noise / between
    return BiasModel(items, mean, item_count, bias, between, noise)


@dataclass(frozen=True)
class PictureMeans:
    """What the raters of each picture think on the whole, and how surely that is known.

    Attributes
    ----------
    items : int64 array (m,), rows of the rated pictures, sorted.
    mean : array (m,), mean rating with the users' biases taken off.
    count : array (m,), people behind it; where choices are, as many as would say as much.
    noise : array (m,), variance of what one of them says, in the picture's dataset.
    spread : array (datasets,), variance of one rating of a cold-start user about the picture's
        mean.
    """

    items: Ints
    mean: Floats
    count: Ints | Floats
    noise: Floats
    spread: Floats


def picture_means(pairs: Pairs, people: int, datasets: Datasets) -> PictureMeans:
    """Fit user and picture effects to each dataset apart: raters differ in care and in spread."""
    code = datasets.code[pairs.item]
    rated = (pairs.take(code == one) for one in range(len(datasets)))
    return joined_means([means_of(fit_effects(one, people)) for one in rated])


def means_of(effects: BiasModel) -> PictureMeans:
    """Return what is known of the pictures of one dataset by their ratings."""
    return PictureMeans(
        effects.items,
        effects.item_mean,
        effects.item_count,
        np.full(len(effects.items), effects.noise_variance),
        np.array([effects.noise_variance + effects.user_variance]),
    )


def joined_means(parts: Sequence[PictureMeans]) -> PictureMeans:
    """Return the pictures of several datasets together, in their order."""
    items = np.concatenate([one.items for one in parts])
    order = np.argsort(items)
    return PictureMeans(
        items[order],
        np.concatenate([one.mean for one in parts])[order],
        np.concatenate([one.count for one in parts])[order],
        np.concatenate([one.noise for one in parts])[order],
        np.concatenate([one.spread for one in parts]),
    )


def within_user_correlation(pairs: Pairs, score: Floats) -> float:
    """Return the correlation of ratings and scores after centring both within users.

    A fast stand-in for the mean within-user rank correlation when configurations are compared.

    Parameters
    ----------
    score : array (n,), predicted rating of each pair.
    """
    rating = pairs.rating.astype(np.float64)
    count = np.maximum(np.bincount(pairs.user), 1)
    y = rating - (np.bincount(pairs.user, rating) / count)[pairs.user]
    x = score - (np.bincount(pairs.user, score) / count)[pairs.user]
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 1e-12 else 0.0
