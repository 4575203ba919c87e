"""The world that `benchmarks.poison` attacks: people, what they rated, and batches to come.

The simulated raters of the embedded dataset, fewer of them, over the true design of the pictures in
place of an encoder's features. Half of what the known people rated in training, and all that new
people say, is kept for batches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Ints
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.params import Params
from pamela.retraining.gate.holdout import PARTS
from pamela.synthetic import vocabulary as v
from pamela.synthetic.design import plan_items, plan_ratings
from pamela.synthetic.prompts import Spec
from pamela.synthetic.raters import utility
from pamela.synthetic.raters.new_users import CONTEXT, draw_newcomers
from pamela.synthetic.raters.world import World
from pamela.synthetic.release import NAME, image_id, rate_pairs

Kind = Literal["honest", "flipped", "fives", "shuffled"]
Source = Literal["new", "known"]
SIZE: Final = {"train_users": 48, "unseen_users": 22, "train_images": 300,
               "heldout_images": 120, "ratings": 9000}  # fmt: skip
NEW_PEOPLE: Final = 400
NEW_RATINGS: Final = 100  # of each new person, at most


@dataclass(frozen=True)
class Attacked:
    """What the champion learns from, and honest ratings that have not come yet.

    Attributes
    ----------
    fold : fold 0 without the ratings to come; its people include the new ones.
    known, new : ratings to come, of people whom the champion knows and of new ones.
    """

    fold: Fold
    known: Pairs
    new: Pairs

    @property
    def people(self) -> int:
        """How many people the data hold."""
        rated = [pairs.user for pairs in self.fold.parts.values()]
        return len(np.unique(np.concatenate(rated)))

    @property
    def frozen(self) -> dict[str, Pairs]:
        """The frozen hold-out."""
        return {part: self.fold[part] for part in PARTS}


def make_attacked(params: Params, seed: int) -> Attacked:
    """Draw the world of a seed."""
    sizes = params.synthetic.model_copy(update={**SIZE, "seed": seed})
    world = World.create(sizes)
    planned = plan_items(sizes, world)
    rated = rate_pairs(sizes, world, planned, plan_ratings(sizes, world, planned))
    items = _items([item.scene for item in planned], [item.prompt for item in planned])
    trained = np.unique(rated.filter(pl.col(s.PART) == s.TRAIN)["item"].to_numpy())
    images = _truth(items.frame[trained], [planned[row].scene for row in trained])
    drawn = draw_newcomers(
        world, NEW_PEOPLE, context_images=images, query_images=images,
        context_size=NEW_RATINGS, query_size=1, seed=seed,
    )  # fmt: skip
    columns = [s.USER, "age_binned", "gender", "nationality"]
    users = pl.concat([world.users.select(columns), drawn.people.select(columns)])
    people = People(users.select(pl.lit(NAME).alias(s.DATASET), pl.all()))
    every = _pairs(rated, people, items)
    parts = {
        part: every.take((rated[s.PART] == part).to_numpy()) for part in rated[s.PART].unique()
    }
    later = np.random.default_rng([seed, 1]).random(len(parts[s.TRAIN])) < 0.5
    known = parts[s.TRAIN].take(later)
    now = {**parts, s.TRAIN: parts[s.TRAIN].take(~later)}
    asked = drawn.ratings.filter(pl.col(s.PART) == CONTEXT)
    return Attacked(Fold(0, items, people, now), known, _pairs(asked, people, items))


def _items(scenes: list[Spec], prompts: list[str]) -> Items:
    ids = [str(image_id(row)) for row in range(len(scenes))]
    frame = pl.DataFrame(
        {
            s.IMAGE: ids,
            s.PROMPT: prompts,
            s.TYPE: [scene.type for scene in scenes],
            s.GROUP: [scene.group for scene in scenes],
            s.STYLE: pl.Series([scene.style for scene in scenes], dtype=pl.String),
            s.PROMPT_ID: ids,
        }
    ).select(pl.lit(NAME).alias(s.DATASET), pl.all())
    image = utility.design(scenes).astype(np.float32)
    return Items(frame, image, np.zeros((len(ids), 0), np.float32))


def _truth(frame: pl.DataFrame, scenes: list[Spec]) -> pl.DataFrame:
    """Return the rows of these pictures as ``data/truth/images.parquet`` holds them."""
    wanted = {
        "subject": pl.Series([scene.subject for scene in scenes]),
        "lighting": pl.Series([scene.lighting for scene in scenes], dtype=pl.String),
        **{
            name: pl.Series([scene.attributes.get(name) for scene in scenes], dtype=pl.Float64)
            for name in v.ATTRIBUTES
        },
    }
    return frame.with_columns(**wanted)


def _pairs(ratings: pl.DataFrame, people: People, items: Items) -> Pairs:
    """Return rows of (user_id, item or image_id, rating) as pairs of these people and pictures."""
    user = ratings[s.USER].replace_strict(people.frame[s.USER], np.arange(len(people)))
    if "item" in ratings.columns:
        item = ratings["item"]
    else:
        item = ratings[s.IMAGE].replace_strict(items.frame[s.IMAGE], np.arange(len(items)))
    return Pairs(
        user.to_numpy().astype(np.int64),
        item.to_numpy().astype(np.int64),
        ratings[s.RATING].to_numpy().astype(np.float32),
    )


# --- batches ----------------------------------------------------------------------------------


def draw_batch(
    world: Attacked, kind: Kind, source: Source, people: int, each: int, *, first: int = 0
) -> Pairs:
    """Return a batch: `each` ratings, at most, of `people` people, from the `first` on."""
    pool = world.new if source == "new" else world.known
    chosen = np.unique(pool.user)[first : first + people]
    mine = pool.take(np.isin(pool.user, chosen))
    taken = mine.take(_place(mine.user) < each)
    rng = np.random.default_rng([people, each, first])
    spoilt = {
        "honest": taken.rating,
        "flipped": (s.SCALE_LOW + s.SCALE_HIGH - taken.rating).astype(np.float32),
        "fives": np.full_like(taken.rating, s.SCALE_HIGH),
        "shuffled": rng.permutation(taken.rating),
    }[kind]
    return replace(taken, rating=spoilt)


def _place(user: Ints) -> Ints:
    """Return how many rows of the same person come before each row."""
    frame = pl.DataFrame({"user": user})
    return frame.select(pl.int_range(pl.len()).over("user")).to_series().to_numpy()
