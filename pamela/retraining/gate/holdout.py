"""What the gate compares on: the frozen hold-out, and a share of the newest ratings.

Both are rows of fold 0. The frozen hold-out is what the datasets hold out as they were imported:
nothing that came by the inbox is in it, so that no batch has a say in its own case. The newest
ratings are a share of the batches that the gate has not judged yet. They are taken out of part
train, so that neither the champion nor the challenger has seen them, and are learned in the next
cycle.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Ints
from pamela.core.dataset import Fold, Pairs, load_fold
from pamela.core.hashing import hash_ids, mix, uniform
from pamela.core.paths import Project
from pamela.data.partitions import SEPARATOR
from pamela.models.repeats import averaged
from pamela.training.bundle_tables import BUNDLE_FOLD

NEWEST: Final = "newest"  # the part of the newest ratings
PARTS: Final = (s.TEST_SEEN, s.TEST_UNSEEN)


@dataclass(frozen=True)
class Holdout:
    """Fold 0 as the gate sees it.

    Attributes
    ----------
    fold : fold 0; its part train lacks the newest ratings, which are its part `NEWEST`.
    frozen : the rows of test_seen and test_unseen that the datasets were imported with, by part;
        of repeats the mean.
    """

    fold: Fold
    frozen: dict[str, Pairs]

    @property
    def newest(self) -> Pairs:
        """The newest ratings, of which neither side has learned; of repeats the mean."""
        return averaged(self.fold[NEWEST])[0]

    @property
    def rows(self) -> Pairs:
        """The frozen hold-out, both parts."""
        return Pairs.concat(*(self.frozen[part] for part in PARTS))


def load_holdout(project: Project, newest: Collection[str], *, share: float, seed: int) -> Holdout:
    """Return fold 0 with what the gate compares on.

    Parameters
    ----------
    newest : batches that the gate has not judged, ``dataset/batch``.
    share : of their ratings in part train, how much is held out.
    seed : of the draw; a rating's own draw does not depend on any other rating.
    """
    batches = _batch_rows(project)
    fold = load_fold(project, BUNDLE_FOLD)
    of_batches = _keys(fold, batches)
    frozen = {part: averaged(pairs.take(~np.isin(_key(fold, pairs), of_batches)))[0]
              for part in PARTS for pairs in [fold[part]]}  # fmt: skip
    of_newest = _keys(fold, batches.filter(pl.col("batch").is_in(list(newest))))
    return Holdout(hold_out_newest(fold, of_newest, share, seed), frozen)


def hold_out_newest(fold: Fold, keys: Ints, share: float, seed: int) -> Fold:
    """Move a share of the rows of part train whose key is in `keys` to part `NEWEST`."""
    train = fold[s.TRAIN]
    held = np.isin(_key(fold, train), keys)
    held[held] = _drawn(fold, train.take(held), share, seed)
    parts = {**fold.parts, s.TRAIN: train.take(~held), NEWEST: train.take(held)}
    return replace(fold, parts=parts)


def _drawn(fold: Fold, pairs: Pairs, share: float, seed: int) -> Bools:
    """Draw a share of `pairs` by hashes of user and picture."""
    users = hash_ids(fold.people.keys, seed)[pairs.user]
    images = hash_ids(_image_keys(fold), seed)[pairs.item]
    return uniform(mix(users) ^ images) < share


def _image_keys(fold: Fold) -> Sequence[str]:
    keys = pl.concat_str([pl.col(s.DATASET), pl.col(s.IMAGE)], separator="/")
    return fold.items.frame.select(keys).to_series().to_list()


def _batch_rows(project: Project) -> pl.DataFrame:
    """Return (dataset, user_id, image_id, batch) of every validated rating of a batch."""
    columns = [s.DATASET, s.USER, s.IMAGE]
    files = sorted((project.validated / "ratings.parquet").glob(f"*{SEPARATOR}*.parquet"))
    frames = [
        pl.scan_parquet(file, glob=False).select(
            *columns, batch=pl.lit(file.stem.replace(SEPARATOR, "/"))
        )
        for file in files
    ]
    if not frames:
        return pl.DataFrame(schema=dict.fromkeys([*columns, "batch"], pl.String))
    return pl.concat(frames).collect()


def _keys(fold: Fold, rows: pl.DataFrame) -> Ints:
    """Return one number per (user, picture) of `rows`, as `_key` numbers pairs."""
    found = rows.join(
        fold.people.frame.select(*s.USERS_KEYS).with_row_index("_user"), on=list(s.USERS_KEYS)
    ).join(
        fold.items.frame.select(s.DATASET, s.IMAGE).with_row_index("_item"), on=[s.DATASET, s.IMAGE]
    )
    user, item = (found[c].to_numpy().astype(np.int64) for c in ("_user", "_item"))
    return user * len(fold.items) + item


def _key(fold: Fold, pairs: Pairs) -> Ints:
    return pairs.user * len(fold.items) + pairs.item
