"""What a person likes best: the model's catalog, or pictures of one's own, in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats32, Ints
from pamela.core.dataset import Items
from pamela.models.base import Prediction
from pamela.serving.gallery.rated import is_among, rated_by
from pamela.serving.types import CatalogImage, ImageLike, Ranked, Score
from pamela.serving.user_context import UserContext, UserContexts

RATED = "rated"
Scorer = Callable[[UserContext, Prediction, Sequence[str | None]], list[Score]]


def order_of(mean: Floats32, last: Bools, name: Ints) -> Ints:
    """Return rows, best first: those of `last` after all others, ties by `name`."""
    return np.lexsort((name, -mean, last))


def rank_catalog(
    user_contexts: UserContexts,
    user_context: UserContext,
    count: int | None,
    score: Scorer,
    root: Path | None,
) -> list[Ranked]:
    """Return the pictures of the person's dataset, those not yet rated first, ties by id.

    Parameters
    ----------
    count : how many; None for all.
    score : makes predictions scores on the dataset's scale (`Reward.scores`).
    root : where the files lie, if that is known.
    """
    gallery = user_contexts.gallery(user_context.dataset)
    prediction = user_contexts.opinion(user_context, gallery)
    frame = _with_rated(user_contexts, user_context, gallery.items)
    name = frame[s.IMAGE].rank("ordinal").to_numpy()
    rows = order_of(prediction.mean, frame[RATED].to_numpy(), name)[:count]
    images = [CatalogImage(*key) for key in frame[rows].select(s.DATASET, s.IMAGE).iter_rows()]
    return _ranked(frame[rows], images, score, user_context, _of(prediction, rows), root)


def rank_given(
    user_contexts: UserContexts,
    user_context: UserContext,
    items: Items,
    given: Sequence[ImageLike],
    count: int | None,
    score: Scorer,
    root: Path | None,
) -> list[Ranked]:
    """Return pictures of one's own, best first whether rated or not, ties in the order given.

    Parameters
    ----------
    items, given : the pictures, and how a caller gave them.
    count, score, root : as of `rank_catalog`.
    """
    prediction = user_contexts.predict(user_context, items)
    frame = _with_rated(user_contexts, user_context, items)
    together = np.zeros(len(items), np.bool_)
    rows = order_of(prediction.mean, together, np.arange(len(items)))[:count]
    images = [given[row] for row in rows]
    return _ranked(frame[rows], images, score, user_context, _of(prediction, rows), root)


def _with_rated(
    user_contexts: UserContexts, user_context: UserContext, items: Items
) -> pl.DataFrame:
    learned, others = rated_by(user_contexts, user_context)
    rated = learned.frame
    if len(user_context.context):  # then come pictures that were only chosen between
        rated = rated.head(len(user_context.ratings))
    return items.frame.with_columns(is_among(rated, others).alias(RATED))


def _of(prediction: Prediction, rows: Ints) -> Prediction:
    return Prediction(prediction.mean[rows], prediction.std[rows])


def _ranked(
    frame: pl.DataFrame,
    images: Sequence[ImageLike],
    score: Scorer,
    user_context: UserContext,
    prediction: Prediction,
    root: Path | None,
) -> list[Ranked]:
    scores = score(user_context, prediction, frame[s.PROMPT].to_list())
    files = frame[s.FILE] if s.FILE in frame.columns else [None] * frame.height
    columns = (images, frame[s.IMAGE], files, frame[s.PROMPT], frame[RATED], scores)
    return [
        Ranked(image, key, root / file if file and root else None, prompt, rated, one)
        for image, key, file, prompt, rated, one in zip(*columns, strict=True)
    ]
