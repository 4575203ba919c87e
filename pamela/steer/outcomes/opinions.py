"""What is thought of pictures that no search was steered by: an independent reward, the encoder."""

from __future__ import annotations

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats32
from pamela.steer.generators.base import Generator
from pamela.steer.outcomes.fidelity import subject_kept
from pamela.steer.outcomes.metrics import FAITHFUL
from pamela.steer.people import Rewards
from pamela.steer.results import INDEPENDENT, candidates_of
from pamela.steer.rewards.base import RewardFunction
from pamela.steer.search.scoring import draw
from pamela.steer.search.store import Store


def features_of(
    rows: pl.DataFrame, rewards: Rewards, generator: Generator, store: Store
) -> Floats32:
    """Return the features (n, d) of the pictures that `rows` name, drawn where they are not yet."""
    candidates = candidates_of(rows)
    drawn = draw(list(dict.fromkeys(candidates)), generator, store)
    return rewards.encoding.of(candidates, [drawn[c] for c in candidates])[0]


def with_independent(
    rows: pl.DataFrame, rewards: Rewards, generator: Generator, store: Store
) -> pl.DataFrame:
    """Return `rows` with what the independent reward says of each picture for its user."""
    return with_score(rows, INDEPENDENT, rewards.independent, generator, store)


def with_score(
    rows: pl.DataFrame, name: str, reward: RewardFunction, generator: Generator, store: Store
) -> pl.DataFrame:
    """Return `rows` with a column `name`: what `reward` says of each picture for its user."""
    candidates = candidates_of(rows)
    drawn = draw(list(dict.fromkeys(candidates)), generator, store)
    pictures = [drawn[c] for c in candidates]
    values = reward.score(rows[s.USER].to_list(), candidates, pictures)
    return rows.with_columns(pl.Series(name, values))


def with_fidelity(
    rows: pl.DataFrame, rewards: Rewards, generator: Generator, store: Store
) -> pl.DataFrame:
    """Return `rows` with whether each picture shows its prompt's subject; null if not known."""
    features = features_of(rows, rewards, generator, store)
    kept = subject_kept(candidates_of(rows), features, rewards.encoder)
    column = pl.lit(None, pl.Float64) if kept is None else pl.Series(kept.astype(np.float64))
    return rows.with_columns(column.alias(FAITHFUL))
