"""The tables of a bundle: who and what it knows, and what each of its two fits was trained on."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Ints
from pamela.core.dataset import Fold, Pairs, load_scales
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.core.shards.fold import count_rows, shards_of
from pamela.core.shards.rows import Shard
from pamela.models.choices.as_ratings import MIDDLE, as_ratings

BUNDLE_FOLD: Final = 0
IN_TRAIN, IN_FOLD = "in_train", f"in_fold_{BUNDLE_FOLD}"
STANDARDISED: Final = "standardised"


def row_counts(fold: Fold) -> dict[str, int]:
    """Return the number of training ratings, and of choices where there are any."""
    chosen = len(fold.choices_of(s.TRAIN))
    return {"ratings": count_rows(fold, s.TRAIN)} | ({"choices": chosen} if chosen else {})


def datasets_of(project: Project) -> dict[str, dict[str, Any]]:
    """Return each dataset's scale, and whether it is that of choices alone."""
    said = read_json(project.tables / "datasets.json")
    return {
        name: {"scale": list(scale)}
        | ({STANDARDISED: True} if said[name].get(STANDARDISED) else {})
        for name, scale in load_scales(project).items()
    }


def flagged(
    frame: pl.DataFrame, everything: Fold, fold: Fold, column: Literal["user", "item"]
) -> pl.DataFrame:
    """Return a table of users or items with a column per fit: whether it was trained on the row."""
    rows = np.arange(frame.height)
    return frame.with_columns(
        pl.Series(name, np.isin(rows, _trained_on(one, column)))
        for name, one in ((IN_TRAIN, everything), (IN_FOLD, fold))
    )


def _trained_on(fold: Fold, column: Literal["user", "item"]) -> Ints:
    """Return the users or the pictures of all training rows, choices as two ratings."""
    chosen = as_ratings(fold.choices_of(s.TRAIN), MIDDLE)
    rated = shards_of(fold, s.TRAIN).map(partial(_distinct, column))
    return np.unique(np.concatenate([getattr(chosen, column), *rated]))


def _distinct(column: str, shard: Shard) -> Ints:
    return np.unique(getattr(shard.read(), column))


def rated_pairs(fold: Fold) -> pl.DataFrame:
    """Return the rows of user and item of every rated pair, once, and whether it was trained on."""
    parts = sorted(fold.parts or {s.TRAIN: Pairs.empty()})
    rated = pl.concat(
        pairs for part in parts for pairs in shards_of(fold, part).map(partial(_rated, part))
    )
    if len(parts) > 1:
        rated = rated.group_by(s.USER, s.IMAGE).agg(pl.col(IN_TRAIN).any())
    return rated.sort(s.USER, s.IMAGE)


def _rated(part: str, shard: Shard) -> pl.DataFrame:
    pairs = shard.read()
    rows = pl.DataFrame({s.USER: pairs.user, s.IMAGE: pairs.item}).unique()
    return rows.select(pl.all().cast(pl.Int32), pl.lit(part == s.TRAIN).alias(IN_TRAIN))
