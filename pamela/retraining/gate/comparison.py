"""The rows of the gate's table: champion and challenger on the same ratings and choices, now.

Every row is one number of both models, a mean over people, with a paired bootstrap over those
people. A dataset with held-out ratings is compared on them, one of choices alone on its choices.
What a row must reach stands in `pamela.retraining.gate.judgement`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools
from pamela.core.dataset import Fold
from pamela.retraining.gate.holdout import NEWEST, PARTS, Holdout
from pamela.retraining.gate.scored import Scored, ScoredChoices, ScoredRatings
from pamela.retraining.gate.table_rows import FROZEN, Row, Setting, nothing
from pamela.training.bundle import Bundle

Parts = npt.NDArray[np.str_]
NAMES: Final = {s.TEST_SEEN: "seen people", s.TEST_UNSEEN: "cold-start people"}


def compare(champion: Bundle, challenger: Bundle, holdout: Holdout, setting: Setting) -> list[Row]:
    """Return every row of the table: frozen hold-out, its slices, calibration, newest rows."""
    models = {"champion": champion, "challenger": challenger}
    rows: list[Row] = []
    for frozen, parts in _frozen(models, holdout):
        rows += [
            frozen.row((FROZEN, dataset, name), metric, mask, setting)
            for dataset, name, mask, metrics in _slices(frozen, parts, holdout.fold)
            for metric in metrics
        ]
        rows.append(_newest(models, holdout, frozen, setting))
    return rows


def compare_with_best(
    best: Bundle, challenger: Bundle, holdout: Holdout, setting: Setting
) -> list[Row]:
    """Return how `best` (as champion) and challenger do on the frozen hold-out of each dataset."""
    models = {"best champion": best, "challenger": challenger}
    return [
        frozen.row((FROZEN, dataset, ""), frozen.metric, mask, setting)
        for frozen, _ in _frozen(models, holdout)
        for dataset, mask in _datasets(frozen, holdout.fold)
    ]


def _frozen(models: Mapping[str, Bundle], holdout: Holdout) -> Iterator[tuple[Scored, Parts]]:
    """Yield the frozen ratings, and the frozen choices if there are any, with each row's part."""
    if len(holdout.rows) or not len(holdout.choices):
        parts = np.repeat(PARTS, [len(holdout.frozen[part]) for part in PARTS])
        yield ScoredRatings(models, holdout.fold, holdout.rows), parts
    if len(holdout.choices):
        parts = np.repeat(PARTS, [len(holdout.frozen_choices[part]) for part in PARTS])
        yield ScoredChoices(models, holdout.fold, holdout.choices), parts


def _newest(models: Mapping[str, Bundle], holdout: Holdout, like: Scored, setting: Setting) -> Row:
    """Return the row of the newest ratings, or choices, as `like` has them."""
    what, newest = (NEWEST, "", ""), like
    if isinstance(like, ScoredRatings):
        if not len(holdout.newest):
            return nothing(what, like.metric)
        newest = ScoredRatings(models, holdout.fold, holdout.newest)
    else:
        if not len(holdout.newest_choices):
            return nothing(what, like.metric)
        newest = ScoredChoices(models, holdout.fold, holdout.newest_choices)
    return newest.row(what, newest.metric, np.ones(len(newest), bool), setting)


def _slices(
    frozen: Scored, part: Parts, fold: Fold
) -> Iterator[tuple[str, str, Bools, tuple[str, ...]]]:
    """Yield dataset, slice, mask and metrics of every row on the frozen hold-out."""
    yield "", "", np.ones(len(frozen), bool), (frozen.metric,)
    for dataset, mine in _datasets(frozen, fold):
        yield dataset, "", mine, (frozen.metric,)
        for name in PARTS:
            yield dataset, NAMES[name], mine & (part == name), (frozen.metric, *frozen.calibration)
        for name, mask in _kinds(frozen, fold):
            if (mine & mask).any():  # not the groups of other datasets
                yield dataset, name, mine & mask, (frozen.metric,)


def _datasets(scored: Scored, fold: Fold) -> Iterator[tuple[str, Bools]]:
    column = fold.people.frame[s.DATASET].to_numpy()[scored.user]
    for name in np.unique(column.astype(str)):
        yield str(name), column == name


def _kinds(scored: Scored, fold: Fold) -> Iterator[tuple[str, Bools]]:
    """Yield every type of picture and every group of people, by name.

    A choice is of a type where both pictures are.
    """
    types = (s.TYPE, fold.items.frame, scored.pictures)
    groups = ((c, fold.people.frame, (scored.user,)) for c in fold.people.demographics)
    for column, frame, indices in (types, *groups):
        names = frame[column].cast(pl.String).to_numpy()
        values = [names[index] for index in indices]
        for value in sorted({v for v in values[0].tolist() if v is not None}):
            yield f"{column} {value}", np.all([one == value for one in values], axis=0)
