"""What people on the whole think of each picture, from their ratings and choices together."""

from __future__ import annotations

from functools import partial

import numpy as np

from pamela.core.dataset import Choices
from pamela.core.shards.rows import Shards
from pamela.models.biases import (
    PictureMeans,
    fit_effects,
    joined_means,
    means_of,
    picture_means,
)
from pamela.models.choices.as_ratings import MIDDLE, rated_pictures
from pamela.models.choices.picture_strengths import Comparisons, Known, fit_strengths
from pamela.models.choices.thurstone import Thurstone, usual
from pamela.models.preprocessing import Datasets, canonical_choices

# Where there are no ratings choices say what a unit is: of two pictures that are one unit of
# `schema.STANDARD_SCALE` apart, half a unit inside, Phi(1) of the choices take the better one.
STANDARD_NOISE = 0.5


def picture_opinions(
    train: Shards, choices: Choices, people: int, datasets: Datasets
) -> tuple[PictureMeans, dict[str, Thurstone]]:
    """Return what is known of every picture that was rated or stood in a choice.

    Choices count as ratings that would say as much: `count` is how many.

    Returns
    -------
    The pictures, and how people on the whole choose, by dataset, where they did.
    """
    if not len(choices):
        return picture_means(train, people, datasets), {}
    choices = canonical_choices(choices)
    parts, learned = [], {}
    pictures = len(datasets.code)
    touched = sum(train.map(partial(rated_pictures, pictures)), np.zeros(pictures, np.int64))
    for code, name in enumerate(datasets.names):
        own = datasets.code == code
        chosen = choices.take(own[choices.a])
        rated = bool(touched[own].any())
        means = means_of(fit_effects(train, people, pictures, own)) if rated else None
        if len(chosen):
            means, learned[name] = _with_choices(means, chosen)
        if means is not None:
            parts.append(means)
    return joined_means(parts), learned


def _with_choices(means: PictureMeans | None, chosen: Choices) -> tuple[PictureMeans, Thurstone]:
    """Add what choices say to the mean ratings of one dataset; None where it has no ratings."""
    compared = np.unique(np.concatenate([chosen.a, chosen.b]))
    items = compared if means is None else np.union1d(means.items, compared)
    made = Comparisons(
        np.searchsorted(items, chosen.a), np.searchsorted(items, chosen.b), chosen.outcome
    )
    mean, count, centre = np.zeros(len(items)), np.zeros(len(items)), MIDDLE
    noise = spread = STANDARD_NOISE**2 / 2  # of one picture of the two
    start = usual(STANDARD_NOISE)
    fixed: float | None = STANDARD_NOISE
    if means is not None:
        place = np.searchsorted(items, means.items)
        mean[place], count[place] = means.mean, means.count
        centre, noise, spread = float(means.mean.mean()), float(means.noise[0]), means.spread[0]
        start, fixed = usual(float(np.sqrt(2 * noise))), None
    found = fit_strengths(made, Known(mean, count / noise, centre), start, noise=fixed)
    both, precision = found.message(centre)
    touched = np.isin(items, compared)
    together = PictureMeans(
        items,
        np.where(touched, both, mean),
        np.where(touched, precision * noise, count),
        np.full(len(items), noise),
        np.array([spread]),
    )
    return together, found.thurstone
