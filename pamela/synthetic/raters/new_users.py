"""New people of a world, as many as one likes, and what they say of given pictures.

A release has a few dozen unseen people; how well a model meets cold-start users is measured better
on thousands. They are drawn from the same prior as everybody, and are in no part of the release.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Ints
from pamela.core.errors import PamelaError
from pamela.synthetic import vocabulary as v
from pamela.synthetic.raters import people as p
from pamela.synthetic.raters import utility as taste
from pamela.synthetic.raters.world import World, impression, rate, scenes_of

CONTEXT: Final = "context"
QUERY: Final = "query"
_CHUNK: Final = 250  # people at a time


@dataclass(frozen=True)
class Newcomers:
    """People and their ratings.

    Attributes
    ----------
    people : user_id and demographics.
    ratings : user_id, image_id, part (`CONTEXT` or `QUERY`), place (0.. in the person's order, so
        that the first k are k shots), rating 1..5, utility (the noise-free opinion), again (the
        impression another time: fresh noise, not rounded).
    """

    people: pl.DataFrame
    ratings: pl.DataFrame


def draw_newcomers(
    world: World,
    count: int,
    *,
    context_images: pl.DataFrame,
    query_images: pl.DataFrame,
    context_size: int,
    query_size: int,
    seed: int,
) -> Newcomers:
    """Draw `count` people and their ratings; the same arguments give the same people.

    Parameters
    ----------
    context_images, query_images : rows of ``data/truth/images.parquet``. Each person is asked
        about pictures of each type as much as they rate it, drawn without replacement.

    Raises
    ------
    PamelaError
        If there are too few pictures of a type.
    """
    rng = np.random.Generator(np.random.PCG64([seed, 11]))
    people = p.create_people(count, world.prior, world.nations, rng, all_busy=True).select(
        pl.Series(s.USER, [f"n{number + 1:05d}" for number in range(count)]), pl.all()
    )
    fresh = np.random.Generator(np.random.PCG64([seed, 12]))
    parts = [
        _part(world, people, images, size, name, rng, fresh)
        for name, images, size in (
            (CONTEXT, context_images, context_size),
            (QUERY, query_images, query_size),
        )
    ]
    return Newcomers(people.select(s.USER, *p.DEMOGRAPHICS), pl.concat(parts))


def _part(
    world: World,
    people: pl.DataFrame,
    images: pl.DataFrame,
    size: int,
    name: str,
    rng: np.random.Generator,
    fresh: np.random.Generator,
) -> pl.DataFrame:
    scenes = scenes_of(images)
    design, shared = taste.design(scenes), world.shared_utility(scenes)
    is_art = (images.get_column(s.TYPE) == v.ART).to_numpy()
    ids = images.get_column(s.IMAGE)
    frames = []
    for start in range(0, people.height, _CHUNK):
        some = people[start : start + _CHUNK]
        chosen = _choose(some, is_art, size, name, rng)
        own = np.einsum("nkd,nd->nk", design[chosen], p.weights_of(some))
        utility = shared[chosen] + own
        frames.append(
            pl.DataFrame(
                {
                    s.USER: np.repeat(some.get_column(s.USER).to_numpy(), size),
                    s.IMAGE: ids.gather(chosen.ravel()),
                    s.PART: [name] * chosen.size,
                    "place": np.tile(np.arange(size), some.height),
                    s.RATING: rate(some, utility, rng.normal(size=utility.shape)).ravel(),
                    "utility": utility.ravel(),
                    "again": impression(some, utility, fresh.normal(size=utility.shape)).ravel(),
                }
            )
        )
    return pl.concat(frames)


def _choose(
    people: pl.DataFrame,
    is_art: Bools,
    size: int,
    name: str,
    rng: np.random.Generator,
) -> Ints:
    """Return which pictures (people, size) each person is asked about."""
    rates = people.select(p.RATES_PHOTO, p.RATES_ART).to_numpy()[:, is_art.astype(int)]
    least = int((rates > 0).sum(axis=1).min(initial=len(is_art)))
    if least < size:
        raise PamelaError(
            f"newcomers: {size} {name} ratings each are asked for, but there are only {least} "
            "pictures of one type; give more pictures or ask for fewer ratings"
        )
    # The k smallest of exponential noise over the weight are k draws without replacement.
    noise = rng.exponential(size=rates.shape)
    keys = np.divide(noise, rates, out=np.full(rates.shape, np.inf), where=rates > 0)
    return np.argsort(keys, axis=1)[:, :size]
