"""The gate between a newly trained model and the alias ``champion``.

Champion (the registry's copy) and challenger (``models/bundle``) each hold a model of fold 0 that
never saw the hold-out: fold 0's test_seen and test_unseen rows of the current splits. Both predict
it now, on the current features and users. They are compared by the mean over users of the Spearman
correlation, with a paired bootstrap over users; the challenger passes unless it is worse by more
than ``retrain.tolerance``. Several datasets are judged one by one, and it must pass in each: a gain
for the many users of one pays for no loss in another. What follows from that, for the models that
serve, is in `pamela.retraining.promotion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Ints
from pamela.core.dataset import Fold, Pairs
from pamela.core.errors import PamelaError
from pamela.evaluation.metrics.bootstrap import Estimate, paired_difference
from pamela.evaluation.metrics.definitions import srocc
from pamela.evaluation.metrics.grouping import group_predictions
from pamela.training.bundle import Bundle

HOLDOUT = (s.TEST_SEEN, s.TEST_UNSEEN)


@dataclass(frozen=True)
class DatasetComparison:
    """Scores on one dataset's part of the hold-out, as in `Comparison`.

    All but `rows` and `users` are None where none of its users has two different ratings.
    """

    champion: float | None
    challenger: float | None
    difference: Estimate
    rows: int
    users: int


@dataclass(frozen=True)
class Comparison:
    """Scores on the same hold-out.

    Attributes
    ----------
    champion, challenger : mean over users of the Spearman correlation.
    difference : challenger - champion over the same users, with its 95 % interval.
    by_part : per part of the hold-out, the two means and the number of users.
    rows, users : size of the hold-out; users whose ratings are all equal have no correlation.
    by_dataset : the same for each dataset, where there are several.
    """

    champion: float
    challenger: float
    difference: Estimate
    by_part: dict[str, dict[str, float | int | None]]
    rows: int
    users: int
    by_dataset: dict[str, DatasetComparison] = field(default_factory=dict)


# --- scoring ----------------------------------------------------------------------------------


def compare_on_holdout(
    champion: Bundle, challenger: Bundle, fold: Fold, *, draws: int, seed: int
) -> Comparison:
    """Score both models on the hold-out of `fold`, unseen users at 0 shots.

    Raises
    ------
    PamelaError
        If the two were not trained on the same features, if the champion was trained on what is
        held out now, or if no user of the hold-out has ratings that differ.
    """
    pairs = Pairs.concat(*(fold[part] for part in HOLDOUT))
    check_comparable(champion, challenger, fold, pairs)
    both = np.stack(
        [b.model.predict(fold.items, fold.people, pairs).mean for b in (champion, challenger)],
        axis=1,
    )
    for side, mean in zip(("champion", "challenger"), both.T, strict=True):
        if not np.isfinite(mean).all():
            raise PamelaError(f"the {side} predicts numbers that are not finite: train it again")
    j = group_predictions(pairs.user, pairs.item, pairs.rating, both)
    values = srocc(j)
    gain = paired_difference(values[:, 1], values[:, 0], draws=draws, seed=seed)
    if gain.value is None:
        raise PamelaError(
            "no user of the hold-out (test_seen, test_unseen of fold 0) has two different ratings: "
            "nothing to compare on; add test ratings"
        )
    by_part = {part: _part_means(values, j.users, fold[part].user) for part in HOLDOUT}
    known = ~np.isnan(values).any(axis=1)
    return Comparison(
        champion=float(values[known, 0].mean()),
        challenger=float(values[known, 1].mean()),
        difference=gain,
        by_part=by_part,
        rows=len(pairs),
        users=int(known.sum()),
        by_dataset=_by_dataset(values, j.users, fold, pairs, draws=draws, seed=seed),
    )


def _by_dataset(
    values: np.ndarray[Any, Any],
    users: Ints,
    fold: Fold,
    pairs: Pairs,
    *,
    draws: int,
    seed: int,
) -> dict[str, DatasetComparison]:
    """Return the comparison within each dataset; nothing where there is one."""
    column = fold.people.frame[s.DATASET].to_numpy()
    names = np.unique(column[users].astype(str))
    found: dict[str, DatasetComparison] = {}
    for name in names if len(names) > 1 else ():
        rows = values[column[users] == name]
        gain = paired_difference(rows[:, 1], rows[:, 0], draws=draws, seed=seed)
        known = rows[~np.isnan(rows).any(axis=1)]
        champion, challenger = known.mean(axis=0).tolist() if len(known) else (None, None)
        count = int((column[pairs.user] == name).sum())
        found[str(name)] = DatasetComparison(champion, challenger, gain, count, len(known))
    return found


def _part_means(
    values: np.ndarray[Any, Any], users: Ints, in_part: Ints
) -> dict[str, float | int | None]:
    """Return both means over the users of one part (a user is in one part of a fold)."""
    rows = values[np.isin(users, in_part) & ~np.isnan(values).any(axis=1)]
    champion, challenger = rows.mean(axis=0).tolist() if len(rows) else (None, None)
    return {"champion": champion, "challenger": challenger, "users": len(rows)}


def check_comparable(champion: Bundle, challenger: Bundle, fold: Fold, pairs: Pairs) -> None:
    """Raise unless both models saw the same features and nothing of the hold-out in training."""
    old, new = champion.encoder, challenger.encoder
    if old["fingerprint"] != new["fingerprint"] and not _same_features(champion, challenger):
        raise PamelaError(
            f"the champion ({champion.version}) was trained on features of {_encoder(old)}, the "
            f"challenger on {_encoder(new)}: no score compares them; set embed.encoder back, or "
            "move the alias champion yourself in MLflow (`make ui`)"
        )
    held_out = np.unique(pairs.item)
    images = _trained_ids(champion, "items") - _trained_ids(challenger, "items")
    leaked = images & _ids(fold.items.frame[held_out], s.IMAGE)
    users = _trained_ids(champion, "people") - _trained_ids(challenger, "people")
    leaked |= users & _ids(fold.people.frame[np.unique(pairs.user)], s.USER)
    if leaked:
        raise PamelaError(
            f"the champion ({champion.version}) was trained on {len(leaked)} users or images that "
            f"are held out now, first {min(leaked)}: the splits changed, so no score is fair; set "
            "`split` back, or move the alias champion yourself in MLflow (`make ui`)"
        )


def _same_features(one: Bundle, other: Bundle) -> bool:
    """Whether the pictures that both know have the same features.

    Precomputed features get a new fingerprint when a batch brings those of new pictures.
    """
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


def _encoder(info: Mapping[str, Any]) -> str:
    return f"{info['encoder']} ({str(info['fingerprint'])[:8]})"


def _trained_ids(bundle: Bundle, kind: Literal["items", "people"]) -> set[str]:
    if kind == "items":
        return _ids(bundle.items.frame.filter(bundle.in_train_items), s.IMAGE)
    return _ids(bundle.people.frame.filter(bundle.in_train_people), s.USER)


def _ids(frame: pl.DataFrame, column: str) -> set[str]:
    keys = frame.select(pl.concat_str([pl.col(s.DATASET), pl.col(column)], separator="/"))
    return set(keys.to_series().to_list())


# --- deciding ---------------------------------------------------------------------------------


def decide(comparison: Comparison, tolerance: float) -> tuple[bool, str]:
    """Return whether the challenger may be promoted, and why, for people.

    Parameters
    ----------
    tolerance : how much lower the challenger's mean SROCC may be, in each dataset.
    """
    judged: Mapping[str, Comparison | DatasetComparison] = comparison.by_dataset or {"": comparison}
    allowed = all(
        one.difference.value is None or one.difference.value >= -tolerance
        for one in judged.values()
    )
    lines = "; ".join(_sentence(name, one) for name, one in judged.items())
    each = " in each dataset" if len(judged) > 1 else ""
    return allowed, f"{lines}, wanted at least {0.0 - tolerance:g}{each}"


def _sentence(name: str, one: Comparison | DatasetComparison) -> str:
    """Return one comparison in words."""
    where = f"{name}: " if name else ""
    gain = one.difference
    if gain.value is None:
        return f"{where}nothing to compare on ({one.rows} held-out ratings, none differ in a user)"
    span = "" if gain.ci_low is None else f" [{gain.ci_low:+.3f}, {gain.ci_high:+.3f}]"
    return (
        f"{where}challenger SROCC {one.challenger:.3f}, champion {one.champion:.3f} on "
        f"{one.rows} held-out ratings of {one.users} users scored now; difference "
        f"{gain.value:+.3f}{span}"
    )
