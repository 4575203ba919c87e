"""The tables of a bundle: who and what it knows, and what each of its two fits was trained on."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Fold, Pairs, load_scales
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.models.choices.as_ratings import MIDDLE, as_ratings

BUNDLE_FOLD: Final = 0
IN_TRAIN, IN_FOLD = "in_train", f"in_fold_{BUNDLE_FOLD}"
STANDARDISED: Final = "standardised"


def row_counts(fold: Fold) -> dict[str, int]:
    """Return the number of training ratings, and of choices where there are any."""
    chosen = len(fold.choices_of(s.TRAIN))
    return {"ratings": len(fold[s.TRAIN])} | ({"choices": chosen} if chosen else {})


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
        pl.Series(name, np.isin(rows, getattr(_told(one), column)))
        for name, one in ((IN_TRAIN, everything), (IN_FOLD, fold))
    )


def _told(fold: Fold) -> Pairs:
    """Return the users and pictures of all training rows, choices as two ratings."""
    return Pairs.concat(fold[s.TRAIN], as_ratings(fold.choices_of(s.TRAIN), MIDDLE))


def rated_pairs(fold: Fold) -> pl.DataFrame:
    """Return the rows of user and item of every rated pair, once, and whether it was trained on."""
    rated = pl.concat(
        pl.DataFrame({s.USER: pairs.user, s.IMAGE: pairs.item}).select(
            pl.all().cast(pl.Int32), pl.lit(part == s.TRAIN).alias(IN_TRAIN)
        )
        for part, pairs in sorted((fold.parts or {s.TRAIN: Pairs.empty()}).items())
    )
    return rated.group_by(s.USER, s.IMAGE).agg(pl.col(IN_TRAIN).any()).sort(s.USER, s.IMAGE)
