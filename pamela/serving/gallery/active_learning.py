"""Which pictures to rate next: those whose ratings would teach most about a person's order.

A person's score of pictures is ``base + X w`` with a Gaussian posterior of the weights w, whose
covariance C does not depend on what the ratings turn out to be. What is to be learned is the order
of n pictures: the sum over all pairs of the variance of the two scores' difference, which is
``n^2 trace(A C)`` with A the covariance of the columns X over the pictures. A common level adds
nothing to it. Rating a picture x with noise s^2 takes ``x'C A C x / (s^2 + x'C x)`` off the trace
(Bayesian A-optimal design: Chaloner & Verdinelli 1995). The best picture is picked, C is updated,
and so on. After two matrix products a pick costs O(n k).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.core.dataset import Items
from pamela.core.errors import PamelaError
from pamela.serving.adaptation import reject_repeats
from pamela.serving.gallery.rated import is_among, rated_by
from pamela.serving.image_lookup import PictureLookup
from pamela.serving.types import CatalogImage, ImageLike, Suggestion, detail
from pamela.serving.user_context import UserContext, UserContexts

# A choice between equals says 2 / pi of what two ratings' difference would, whose variance is two.
CHOICE_SHARE = float(np.sqrt(2 / np.pi / 2))
DIGITS = 10  # of a gain's share of the largest: below that, rounding is no preference


@dataclass(frozen=True)
class RatingPlan:
    """What to rate, in order.

    Attributes
    ----------
    picks : int64 array (m,), rows of the candidates.
    before : standard deviation of the difference of two random pictures' scores before any rating.
    left : array (m,), the same once this one and those before it are rated.
    """

    picks: Ints
    before: float
    left: Floats


def given(covariance: Floats, noise: float, rated: Floats) -> Floats:
    """Return the covariance (k, k) of weights once pictures of columns `rated` (m, k) are rated."""
    if not len(rated):
        return covariance
    shared = covariance @ rated.T
    gain = np.linalg.solve(noise * np.eye(len(rated)) + rated @ shared, shared.T)
    found: Floats = covariance - shared @ gain
    return (found + found.T) / 2.0


def choose_greedily(
    candidates: Floats,
    target: Floats,
    covariance: Floats,
    noise: float,
    count: int,
) -> RatingPlan:
    """Choose up to `count` candidates greedily; of equals the first.

    Parameters
    ----------
    candidates : array (m, k), columns of the pictures that may be rated.
    target : array (n, k), columns of the pictures whose order is to be learned.
    covariance : array (k, k), of the person's weights now.
    noise : variance of one rating about the person's opinion.
    """
    centred = target - target.mean(axis=0) if len(target) else target
    spread = centred.T @ centred / max(len(target) - 1, 1)
    total = float(np.sum(spread * covariance))
    covered = candidates @ covariance
    gained = covered @ _root(spread)
    variance = np.einsum("ij,ij->i", covered, candidates)
    strength = np.einsum("ij,ij->i", gained, gained)
    free = np.ones(len(candidates), np.bool_)
    picks: list[int] = []
    left: list[float] = []
    before = _difference(total)
    for _ in range(min(count, len(candidates))):
        gain = np.where(free, strength / (noise + variance), -1.0)
        best = int(np.argmax(np.round(gain / max(gain.max(), np.finfo(float).tiny), DIGITS)))
        shared = covered @ candidates[best] / (noise + variance[best])  # C x
        total -= float(gain[best])
        picks.append(best)
        left.append(_difference(total))
        free[best] = False
        of_best, to_best = covered[best].copy(), gained[best].copy()
        scale = noise + variance[best]
        covered = covered - np.outer(shared, of_best)
        gained = gained - np.outer(shared, to_best)
        variance = variance - shared**2 * scale
        strength = np.einsum("ij,ij->i", gained, gained)
    return RatingPlan(np.array(picks, np.int64), before, np.array(left))


def _difference(total: float) -> float:
    return float(np.sqrt(max(2.0 * total, 0.0)))


def _root(matrix: Floats) -> Floats:
    """Return R (k, k) with R R' = `matrix`, which is positive semidefinite."""
    values, vectors = np.linalg.eigh(matrix)
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


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
