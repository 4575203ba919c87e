"""The rows of the gate's table: champion and challenger on the same ratings, scored now.

Every row is one number of both models, a mean over people, with a paired bootstrap over those
people. What a row must reach stands in `pamela.retraining.gate.judgement`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats
from pamela.core.dataset import Fold, Pairs
from pamela.core.errors import PamelaError
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics.bootstrap import make_draws, mean_estimates, resampled_means
from pamela.evaluation.metrics.grouping import GroupedPredictions, group_predictions
from pamela.models.base import Prediction
from pamela.retraining.gate.holdout import NEWEST, PARTS, Holdout
from pamela.training.bundle import Bundle

NAMES: Final = {s.TEST_SEEN: "seen people", s.TEST_UNSEEN: "cold-start people"}
NOMINAL: Final = 0.9
FROZEN: Final = "frozen hold-out"


@dataclass(frozen=True)
class Row:
    """One number of both models.

    Attributes
    ----------
    rows_of : which ratings: `FROZEN` or ``newest``.
    dataset, slice : whose; the slice is empty for all ratings of the dataset, and the dataset for
        all datasets together.
    metric : ``srocc``, ``coverage_90`` or ``rmse`` (points of 1..5).
    champion, challenger : means over the `users` who have a value; None where nobody has.
    difference, ci_low, ci_high : challenger - champion, with its 95 % interval.
    lower : the one-sided lower bound of the difference at the level of a promotion.
    """

    rows_of: str
    dataset: str
    slice: str
    metric: str
    champion: float | None
    challenger: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    lower: float | None
    users: int
    rows: int


@dataclass(frozen=True)
class Setting:
    """How rows are estimated: resamples, their seed, and the level of a one-sided bound."""

    draws: int
    seed: int
    level: float


class Scored:
    """Two models' predictions of the same pairs.

    Parameters
    ----------
    models : champion and challenger, each with the fit that never saw the hold-out.
    fold : the pictures and people as they are now.
    pairs : the ratings to compare on.

    Raises
    ------
    PamelaError
        If a prediction is not finite.
    """

    def __init__(self, models: Mapping[str, Bundle], fold: Fold, pairs: Pairs) -> None:
        self.fold, self.pairs = fold, pairs
        found = [_predict(side, bundle, fold, pairs) for side, bundle in models.items()]
        self.mean = np.stack([one.mean for one in found], axis=1)
        self.std = np.stack([one.std for one in found], axis=1)

    def grouped(self, mask: Bools) -> GroupedPredictions:
        """Return the pairs of `mask`, grouped by person."""
        some = self.pairs.take(mask)
        return group_predictions(some.user, some.item, some.rating, self.mean[mask], self.std[mask])

    def row(self, what: tuple[str, str, str], metric: str, mask: Bools, setting: Setting) -> Row:
        """Return one row of the table.

        Parameters
        ----------
        what : `rows_of`, dataset and slice of the row.
        mask : (n,), which pairs.
        """
        if not mask.any():
            return nothing(what, metric)
        grouped = self.grouped(mask)
        values = {m.SROCC: m.srocc, m.COVERAGE_90: m.coverage_90, m.RMSE: m.rmse}[metric](grouped)
        return _row(what, metric, values, int(mask.sum()), setting)


def _predict(side: str, bundle: Bundle, fold: Fold, pairs: Pairs) -> Prediction:
    try:
        return bundle.model.predict(fold.items, fold.people, pairs)
    except PamelaError as error:  # numbers that are not finite
        raise PamelaError(f"the {side} ({bundle.version}): {error}") from None


def nothing(what: tuple[str, str, str], metric: str, rows: int = 0) -> Row:
    """Return the row of ratings on which nobody can be compared."""
    return Row(*what, metric, None, None, None, None, None, None, 0, rows)


def _row(
    what: tuple[str, str, str], metric: str, values: Floats, rows: int, setting: Setting
) -> Row:
    known = ~np.isnan(values).any(axis=1)
    some = values[known]
    if not len(some):
        return nothing(what, metric, rows)
    draws = make_draws(len(some), setting.draws, setting.seed)
    gain = (some[:, 1] - some[:, 0])[:, None]
    estimate = mean_estimates(gain, draws)[0]
    lower = None
    if len(some) > 1:
        lower = float(np.quantile(resampled_means(gain, draws)[1], setting.level))
    champion, challenger = some.mean(axis=0).tolist()
    gains = (estimate.value, estimate.ci_low, estimate.ci_high, lower)
    return Row(*what, metric, champion, challenger, *gains, len(some), rows)


# --- the table --------------------------------------------------------------------------------


def compare(champion: Bundle, challenger: Bundle, holdout: Holdout, setting: Setting) -> list[Row]:
    """Return every row of the table: frozen hold-out, its slices, calibration, newest ratings."""
    models = {"champion": champion, "challenger": challenger}
    frozen = Scored(models, holdout.fold, holdout.rows)
    rows = [
        frozen.row((FROZEN, dataset, name), metric, mask, setting)
        for dataset, name, mask, metrics in _frozen_slices(holdout)
        for metric in metrics
    ]
    newest = (NEWEST, "", "")
    if not len(holdout.newest):
        return [*rows, nothing(newest, m.SROCC)]
    scored = Scored(models, holdout.fold, holdout.newest)
    everyone = np.ones(len(holdout.newest), bool)
    return [*rows, scored.row(newest, m.SROCC, everyone, setting)]


def compare_with_best(
    best: Bundle, challenger: Bundle, holdout: Holdout, setting: Setting
) -> list[Row]:
    """Return the SROCC of `best` (as champion) and challenger on the frozen hold-outs."""
    scored = Scored({"best champion": best, "challenger": challenger}, holdout.fold, holdout.rows)
    return [
        scored.row((FROZEN, dataset, ""), m.SROCC, mask, setting)
        for dataset, mask in _datasets(holdout.fold, holdout.rows)
    ]


def _frozen_slices(holdout: Holdout) -> Iterator[tuple[str, str, Bools, Sequence[str]]]:
    """Yield dataset, slice, mask and metrics of every row on the frozen hold-out."""
    fold, pairs = holdout.fold, holdout.rows
    everything = np.ones(len(pairs), bool)
    yield "", "", everything, (m.SROCC,)
    part = np.repeat(PARTS, [len(holdout.frozen[p]) for p in PARTS])
    for dataset, mine in _datasets(fold, pairs):
        yield dataset, "", mine, (m.SROCC,)
        for name in PARTS:
            yield dataset, NAMES[name], mine & (part == name), (m.SROCC, m.COVERAGE_90, m.RMSE)
        for name, mask in _kinds(fold, pairs):
            if (mine & mask).any():  # not the groups of other datasets
                yield dataset, name, mine & mask, (m.SROCC,)


def _datasets(fold: Fold, pairs: Pairs) -> Iterator[tuple[str, Bools]]:
    column = fold.people.frame[s.DATASET].to_numpy()[pairs.user]
    for name in np.unique(column.astype(str)):
        yield str(name), column == name


def _kinds(fold: Fold, pairs: Pairs) -> Iterator[tuple[str, Bools]]:
    """Yield every type of picture and every group of people, by name."""
    types = (s.TYPE, fold.items.frame, pairs.item)
    groups = ((c, fold.people.frame, pairs.user) for c in fold.people.demographics)
    for column, frame, index in (types, *groups):
        values = frame[column].cast(pl.String).to_numpy()[index]
        for value in sorted({v for v in values.tolist() if v is not None}):
            yield f"{column} {value}", values == value


# --- fairness ---------------------------------------------------------------------------------


def check_comparable(champion: Bundle, challenger: Bundle, holdout: Holdout) -> None:
    """Raise unless both models saw the same features and nothing of the hold-out in training."""
    if not same_features(champion, challenger):
        raise PamelaError(
            f"the champion ({champion.version}) was trained on features of {_encoder(champion)}, "
            f"the challenger on {_encoder(challenger)}: no score compares them; set "
            "embed.encoder back, or `pamela promote` a version that was trained on the new ones"
        )
    fold, pairs = holdout.fold, holdout.rows
    images = _trained_ids(champion, "items") - _trained_ids(challenger, "items")
    leaked = images & _ids(fold.items.frame[np.unique(pairs.item)], s.IMAGE)
    users = _trained_ids(champion, "people") - _trained_ids(challenger, "people")
    leaked |= users & _ids(fold.people.frame[np.unique(pairs.user)], s.USER)
    if leaked:
        raise PamelaError(
            f"the champion ({champion.version}) was trained on {len(leaked)} users or images that "
            f"are held out now, first {min(leaked)}: the splits changed, so no score is fair; set "
            "`split` back, or `pamela promote` a version that was trained on these splits"
        )


def same_features(one: Bundle, other: Bundle) -> bool:
    """Tell whether the pictures that both know have the same features.

    Precomputed features get a new fingerprint when a batch brings those of new pictures.
    """
    if one.encoder["fingerprint"] == other.encoder["fingerprint"]:
        return True
    shared = (
        _numbered(one, "one")
        .join(_numbered(other, "other"), on=[s.DATASET, s.IMAGE])
        .select("one", "other")
        .to_numpy()
    )
    mine, theirs = one.items.take(shared[:, 0]), other.items.take(shared[:, 1])
    return (
        len(shared) > 0
        and np.array_equal(mine.image, theirs.image)
        and np.array_equal(mine.prompt, theirs.prompt)
    )


def _numbered(bundle: Bundle, name: str) -> pl.DataFrame:
    row = pl.int_range(pl.len(), dtype=pl.Int64).alias(name)
    return bundle.items.frame.select(s.DATASET, s.IMAGE, row)


def _encoder(bundle: Bundle) -> str:
    return f"{bundle.encoder['encoder']} ({str(bundle.encoder['fingerprint'])[:8]})"


def _trained_ids(bundle: Bundle, kind: Literal["items", "people"]) -> set[str]:
    if kind == "items":
        return _ids(bundle.items.frame.filter(bundle.in_train_items), s.IMAGE)
    return _ids(bundle.people.frame.filter(bundle.in_train_people), s.USER)


def _ids(frame: pl.DataFrame, column: str) -> set[str]:
    keys = frame.select(pl.concat_str([pl.col(s.DATASET), pl.col(column)], separator="/"))
    return set(keys.to_series().to_list())
