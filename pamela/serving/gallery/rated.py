"""What somebody has rated."""

from __future__ import annotations

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Items
from pamela.serving.user_context import UserContext, UserContexts


def rated_by(user_contexts: UserContexts, user_context: UserContext) -> tuple[Items, pl.DataFrame]:
    """Return the pictures that the user's taste was learned from, and what else they rated."""
    items = user_contexts.bundle.items
    none = items.frame.clear()
    if len(user_context.context) or user_context.key.endswith("/"):
        return user_context.context, none
    learned, others = user_contexts.bundle.rated_by(user_context.key)
    if user_context.source != "seen":  # the model knows them, and has not learned from them
        return user_context.context, items.frame[np.concatenate([learned, others])]
    return items.take(learned), items.frame[others]


def is_among(*frames: pl.DataFrame) -> pl.Expr:
    """Return whether a picture is one of those of `frames`, by id or by content."""
    ids = pl.concat([f.select(s.DATASET, s.IMAGE) for f in frames]).drop_nulls()
    contents = pl.concat([f[s.SHA256] for f in frames]).drop_nulls()
    same_id = pl.struct(s.DATASET, s.IMAGE).is_in(ids.to_struct().implode())
    return same_id | pl.col(s.SHA256).is_in(contents.implode()).fill_null(False)
