"""Which pictures a person should rate next, by a loaded model (`random_effects.rating_design`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Items
from pamela.core.errors import PamelaError
from pamela.models.random_effects.rating_design import RatingPlan, choose_greedily, given
from pamela.serving.adaptation import reject_repeats
from pamela.serving.gallery.rated import is_among, rated_by
from pamela.serving.image_lookup import PictureLookup
from pamela.serving.types import CatalogImage, ImageLike, Suggestion, detail
from pamela.serving.user_context import UserContext, UserContexts

# A choice between equals says 2 / pi of what two ratings' difference would, whose variance is two.
CHOICE_SHARE = float(np.sqrt(2 / np.pi / 2))


# --- for a model and a person ---------------------------------------------------------------------
def suggest_rows(
    user_contexts: UserContexts,
    user_context: UserContext,
    count: int,
    candidates: Items | None = None,
) -> tuple[Items, RatingPlan]:
    """Choose what `user_context` should rate next.

    Parameters
    ----------
    candidates : what to choose from, and whose order is to be learned; by default the training
        pictures of the user's dataset, of which those already rated are not suggested.

    Returns
    -------
    The candidates that were left to choose from, sorted by id where they are the training pictures,
    and the design, whose picks are rows of them.
    """
    model = user_contexts.linear
    if model is None:
        raise PamelaError(
            f"the model {user_contexts.bundle.model.name!r} cannot tell which "
            "ratings are most informative: use a champion such as hierarchical"
        )
    if count < 1:
        raise PamelaError(f"n: {count} suggestions; ask for at least 1")
    learned, others = rated_by(user_contexts, user_context)
    rows = model.as_of_new(model.columns(learned)[2])
    if user_context.ratings or user_context.choices:
        rows = _told(rows, user_context)
    covariance = given(model.prior.covariance, model.prior.rating_variance, rows)
    if candidates is not None:
        columns = model.as_of_new(model.columns(candidates)[2])
        return candidates, choose_greedily(
            columns, columns, covariance, model.prior.rating_variance, count
        )
    catalogue = user_contexts.catalogue(user_context.dataset)
    target = model.as_of_new((catalogue.columns or model.columns(catalogue.items))[2])
    frame = catalogue.items.frame.with_row_index("_row")
    free = frame.filter(~is_among(learned.frame, others)).sort(s.IMAGE)["_row"].to_numpy()
    free = free.astype(np.int64)
    return catalogue.items.take(free), choose_greedily(
        target[free], target, covariance, model.prior.rating_variance, count
    )


def suggest_pictures(
    user_contexts: UserContexts,
    user_context: UserContext,
    count: int,
    candidates: Items | None,
    given: Sequence[ImageLike] | None,
    root: Path | None,
) -> list[Suggestion]:
    """Choose what `user_context` should rate next, as pictures.

    Parameters
    ----------
    candidates, given : what to choose from, and how a caller gave it; None for training pictures.
    root : where the files of training pictures lie, if that is known.
    """
    items, design = suggest_rows(user_contexts, user_context, count, candidates)
    unit = s.internal_unit(*user_contexts.bundle.scales[user_context.dataset])
    frame = items.frame
    files = frame[s.FILE] if s.FILE in frame.columns else [None] * frame.height
    names, keys, prompts = frame[s.DATASET], frame[s.IMAGE], frame[s.PROMPT]
    return [
        Suggestion(
            image=given[row] if given else CatalogImage(names[row], keys[row]),
            image_id=keys[row],
            file=root / files[row] if files[row] and root else None,
            prompt=prompts[row],
            before=design.before * unit,
            left=left * unit,
        )
        for row, left in zip(design.picks.tolist(), design.left.tolist(), strict=True)
    ]


def _told(columns: Floats, user_context: UserContext) -> Floats:
    """Return what a person's ratings and choices say of their weights, as rows that are rated.

    Parameters
    ----------
    columns : array (m, k), of the pictures of their context.
    """
    _, choices = user_context.shown()
    away = columns[choices.a] - columns[choices.b]
    return np.concatenate([columns[: len(user_context.ratings)], away * CHOICE_SHARE])


def read_candidates(pictures: PictureLookup, given: Sequence[ImageLike]) -> Items:
    """Return the candidates as items.

    Raises
    ------
    PamelaError
        If one is given twice, or cannot be read.
    """
    names = [f"candidate {number}{detail(one)}" for number, one in enumerate(given, 1)]
    found = pictures.catalog.find(given, names)
    items = pictures.items(found, None, names)
    reject_repeats(found, items, names)
    return items
