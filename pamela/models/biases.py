"""Who rates high and what is rated high: additive effects of users and pictures.

The mean opinion of a picture, freed of which users happened to rate it, is what the population
head learns from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.dataset import Pairs
from pamela.core.shards.rows import Shard, Shards
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


def fit_effects(rows: Shards, people: int, pictures: int, among: Bools | None = None) -> BiasModel:
    """Fit user and picture effects to ratings (at least one); repeats count as their mean.

    Every sweep adds up what each shard says (`_sweep`).

    Parameters
    ----------
    people, pictures : how many there are in all.
    among : bool array (pictures,), of which the ratings count; all where not given.
    """
    first = _added(rows, pictures, partial(_sums, among=among, pictures=pictures))
    rated = first.count > 0
    bias, user_count = np.zeros(people), np.zeros(people, np.int64)
    totals, mean, shrink = first.total, np.zeros(pictures), 2.0
    noise, between = 1.0, 0.5
    for _ in range(SWEEPS):
        np.divide(totals, first.count, out=mean, where=rated)
        found = _added(rows, pictures, partial(_sweep, mean, shrink, among=among))
        bias[found.users], user_count[found.users] = found.bias, found.user_count
        totals = found.total
        count = found.user_count
        free = max(int(count.sum()) - int(rated.sum()) - len(count), 1)
        noise = max(found.squares / free, SMALLEST)
        # E[bias^2] under its posterior: the EM step for the variance between users
        posterior = noise / (count + shrink)
        between = max(float(np.mean(found.bias**2 + posterior)), SMALLEST)
        shrink = noise / between
    items = np.flatnonzero(rated)
    return BiasModel(items, mean[items], first.count[items], bias, between, noise)


@dataclass(frozen=True)
class _Sums:
    """What some ratings say of pictures and of those who rated them.

    Attributes
    ----------
    total, count : arrays (pictures,), of ratings less their users' biases.
    users, bias, user_count : arrays (n,), rows of the people, sorted in each shard.
    squares : sum of squared errors.
    """

    total: Floats
    count: Ints
    users: Ints
    bias: Floats
    user_count: Ints
    squares: float


def _added(rows: Shards, pictures: int, function: Callable[[Shard], _Sums]) -> _Sums:
    """Add up what `function` finds in every shard."""
    total, count, squares = np.zeros(pictures), np.zeros(pictures, np.int64), 0.0
    of_people: list[tuple[Ints, Floats, Ints]] = []
    for found in rows.map(function):
        total += found.total
        count += found.count
        squares += found.squares
        of_people.append((found.users, found.bias, found.user_count))
    users, bias, user_count = (np.concatenate(arrays) for arrays in zip(*of_people, strict=True))
    order = np.argsort(users, kind="stable")
    if (np.diff(users[order]) == 0).any():
        raise ValueError("ratings of one person are in two shards")
    return _Sums(total, count, users[order], bias[order], user_count[order], squares)


def _sums(shard: Shard, among: Bools | None, pictures: int) -> _Sums:
    """Return the sums before anything is known of users."""
    user, item, rating = _ratings(shard, among)
    users = np.unique(user)
    count = np.bincount(item, minlength=pictures)
    nobody, none = np.zeros(len(users)), np.zeros(len(users), np.int64)
    total = np.bincount(item, rating, pictures).astype(np.float64)
    return _Sums(total, count, users, nobody, none, 0.0)


def _sweep(mean: Floats, shrink: float, shard: Shard, among: Bools | None) -> _Sums:
    """Return the biases of a shard's users about the pictures' means, and the sums without them."""
    user, item, rating = _ratings(shard, among)
    users, place = np.unique(user, return_inverse=True)
    count = np.bincount(place, minlength=len(users))
    away = rating - mean[item]
    bias = np.bincount(place, away, len(users)) / (count + shrink)
    own = bias[place]
    total = np.bincount(item, rating - own, len(mean)).astype(np.float64)
    squares = float(np.sum((away - own) ** 2))
    return _Sums(total, np.zeros(len(mean), np.int64), users, bias, count, squares)


def _ratings(shard: Shard, among: Bools | None) -> tuple[Ints, Ints, Floats]:
    """Return user, picture and rating of a shard's rows, sorted, each picture of a user once."""
    pairs = shard.read()
    if among is not None and not among.all():
        pairs = pairs.take(among[pairs.item])
    pairs, _ = averaged(canonical(pairs))
    return pairs.user, pairs.item, pairs.rating.astype(np.float64)


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


def picture_means(rows: Shards, people: int, datasets: Datasets) -> PictureMeans:
    """Fit user and picture effects to each dataset apart: raters differ in care and in spread."""
    code, pictures = datasets.code, len(datasets.code)
    rated = (code == one for one in range(len(datasets)))
    return joined_means([means_of(fit_effects(rows, people, pictures, one)) for one in rated])


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
