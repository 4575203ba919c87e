"""Whether any score of champion and challenger would be fair: the same features, nothing leaked."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.retraining.gate.holdout import Holdout
from pamela.training.bundle import Bundle


def check_comparable(champion: Bundle, challenger: Bundle, holdout: Holdout) -> None:
    """Raise unless both models saw the same features and nothing of the hold-out in training."""
    if not same_features(champion, challenger):
        raise PamelaError(
            f"the champion ({champion.version}) was trained on features of {_encoder(champion)}, "
            f"the challenger on {_encoder(challenger)}: no score compares them; set "
            "embed.encoder back, or `pamela promote` a version that was trained on the new ones"
        )
    fold, pairs, chosen = holdout.fold, holdout.rows, holdout.choices
    asked = np.unique(np.concatenate([pairs.item, chosen.a, chosen.b]))
    images = _trained_ids(champion, "items") - _trained_ids(challenger, "items")
    leaked = images & _ids(fold.items.frame[asked], s.IMAGE)
    judges = np.unique(np.concatenate([pairs.user, chosen.user]))
    users = _trained_ids(champion, "people") - _trained_ids(challenger, "people")
    leaked |= users & _ids(fold.people.frame[judges], s.USER)
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
