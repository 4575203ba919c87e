"""A world in memory: people, scenes and ratings of a release, without a picture being drawn."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.synthetic import design
from pamela.synthetic import vocabulary as v
from pamela.synthetic.raters import utility
from pamela.synthetic.raters.world import World
from pamela.synthetic.release import image_id, rate_pairs

FULL = {
    "seed": 7,
    "train_users": 156,
    "unseen_users": 43,
    "train_images": 3554,
    "heldout_images": 1523,
    "ratings": 69904,
    "image_size": 128,
}
MIDDLING = FULL | {"train_users": 60, "unseen_users": 24, "train_images": 900,
                   "heldout_images": 500, "ratings": 18000}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A world and its ratings.

    Attributes
    ----------
    rated : part, user_id, item, utility, rating; and image_id, type, group, style, demographics.
    images : as ``data/truth/images.parquet`` holds them.
    """

    world: World
    items: list[design.Item]
    rated: pl.DataFrame
    images: pl.DataFrame


def make(**changes: Any) -> Made:
    """Return the world of these params (those of the release where not said)."""
    params: Any = SimpleNamespace(**{**FULL, **changes})
    world = World.create(params)
    items = design.plan_items(params, world)
    rated = rate_pairs(params, world, items, design.plan_ratings(params, world, items))
    scenes = [item.scene for item in items]
    images = pl.DataFrame(
        {
            s.IMAGE: [str(image_id(i)) for i in range(len(items))],
            "side": [item.side for item in items],
            s.PROMPT: [item.prompt for item in items],
            s.TYPE: [scene.type for scene in scenes],
            s.GROUP: [scene.group for scene in scenes],
            s.STYLE: [scene.style for scene in scenes],
            "subject": [scene.subject for scene in scenes],
            "lighting": [scene.lighting for scene in scenes],
            **{name: [scene.attributes.get(name) for scene in scenes] for name in v.ATTRIBUTES},
        },
        schema_overrides={s.STYLE: pl.String, "lighting": pl.String,
                          **dict.fromkeys(v.ATTRIBUTES, pl.Float64)},
    )  # fmt: skip
    known = images.select(s.IMAGE, s.TYPE, s.GROUP, s.STYLE).with_row_index("item")
    rated = rated.join(known.with_columns(pl.col("item").cast(pl.Int64)), on="item", how="left")
    return Made(world, items, rated.join(world.users, on=s.USER, how="left"), images)


def fold_of(made: Made, image: np.ndarray | None = None) -> Fold:
    """Return the fold that models see, over image features (n, d); the true design by default."""
    n = made.images.height
    features = utility.design([item.scene for item in made.items]) if image is None else image
    frame = made.images.select(
        pl.lit("synthetic").alias(s.DATASET), s.IMAGE, s.PROMPT, s.TYPE, s.GROUP, s.STYLE,
        pl.col(s.IMAGE).alias(s.PROMPT_ID),
    )  # fmt: skip
    people = made.world.users.with_columns(pl.lit("synthetic").alias(s.DATASET)).select(
        s.DATASET, s.USER, "age_binned", "gender", "nationality"
    )
    row = {user: i for i, user in enumerate(people[s.USER])}
    parts = {
        part: Pairs(
            np.array([row[user] for user in frame_[s.USER]], np.int64),
            frame_["item"].to_numpy(),
            frame_[s.RATING].to_numpy().astype(np.float32),
        )
        for (part,), frame_ in made.rated.group_by(s.PART, maintain_order=True)
    }
    items = Items(frame, features.astype(np.float32), np.zeros((n, 0), np.float32))
    return Fold(0, items, People(people), parts)
