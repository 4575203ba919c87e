"""What the gate compares on: the frozen hold-out, and a share of the newest ratings and choices.

Both are rows of fold 0. The frozen hold-out is what the datasets hold out as they were imported:
nothing that came by the inbox is in it, so that no batch has a say in its own case. The newest
rows are a share of the batches that the gate has not judged yet. They are taken out of part train,
so that neither the champion nor the challenger has seen them, and are learned in the next cycle.

A dataset that holds out ratings is compared on ratings, and all its choices are learned; one of
choices alone is compared on choices.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Ints
from pamela.core.dataset import Choices, Fold, Pairs, load_fold
from pamela.core.hashing import Hashes, hash_ids, mix, uniform
from pamela.core.paths import Project
from pamela.core.split_rows import CHOICES, RATINGS, with_indices
from pamela.data.partitions import SEPARATOR
from pamela.models.repeats import averaged
from pamela.training.bundle_tables import BUNDLE_FOLD

NEWEST: Final = "newest"  # the part of the newest ratings
PARTS: Final = (s.TEST_SEEN, s.TEST_UNSEEN)
RATING: Final = (s.USER, s.IMAGE)  # what tells a rating, and a choice, of a batch from others
CHOICE: Final = (s.USER, s.IMAGE_A, s.IMAGE_B, s.CHOICE)
BATCH: Final = "batch"


@dataclass(frozen=True)
class Holdout:
    """Fold 0 as the gate sees it.

    Attributes
    ----------
    fold : fold 0; its part train lacks the newest rows, which are its part `NEWEST`.
    frozen : the ratings of test_seen and test_unseen that the datasets were imported with, by part;
        of repeats the mean.
    frozen_choices : the choices likewise, of the datasets that have none of these ratings.
    """

    fold: Fold
    frozen: dict[str, Pairs]
    frozen_choices: dict[str, Choices] = field(default_factory=dict)

    @property
    def newest(self) -> Pairs:
        """The newest ratings, of which neither side has learned; of repeats the mean."""
        return averaged(self.fold[NEWEST])[0]

    @property
    def rows(self) -> Pairs:
        """The frozen ratings, both parts."""
        return Pairs.concat(*(self.frozen[part] for part in PARTS))

    @property
    def newest_choices(self) -> Choices:
        """The newest choices, of which neither side has learned."""
        return self.fold.choices_of(NEWEST)

    @property
    def choices(self) -> Choices:
        """The frozen choices, both parts."""
        none = Choices.empty()
        return Choices.concat(*(self.frozen_choices.get(part, none) for part in PARTS))

    @property
    def kinds(self) -> int:
        """How many kinds of frozen rows there are: ratings or choices, or both."""
        return max(bool(len(self.rows)) + bool(len(self.choices)), 1)


def load_holdout(project: Project, newest: Collection[str], *, share: float, seed: int) -> Holdout:
    """Return fold 0 with what the gate compares on.

    Parameters
    ----------
    newest : batches that the gate has not judged, ``dataset/batch``.
    share : of their ratings and choices in part train, how much is held out.
    seed : of the draw; a row's own draw does not depend on any other row.
    """
    rated = _batch_rows(project, RATINGS, RATING)
    chosen = _batch_rows(project, CHOICES, CHOICE)
    fold = load_fold(project, BUNDLE_FOLD)
    of_batches = _keys(fold, rated)
    frozen = {part: averaged(pairs.take(~np.isin(_key(fold, pairs), of_batches)))[0]
              for part in PARTS for pairs in [fold[part]]}  # fmt: skip
    choosing = _choosing(fold, frozen)
    frozen_choices = {
        part: choices.take(choosing[choices.a] & ~_among(choices, _choices(fold, chosen)))
        for part in PARTS
        for choices in [fold.choices_of(part)]
    }
    judged = pl.col(BATCH).is_in(list(newest))
    fold = hold_out_newest(fold, _keys(fold, rated.filter(judged)), share, seed)
    new = _choices(fold, chosen.filter(judged))
    fold = hold_out_newest_choices(fold, new.take(choosing[new.a]), share, seed)
    return Holdout(fold, frozen, frozen_choices)


# --- ratings ----------------------------------------------------------------------------------


def hold_out_newest(fold: Fold, keys: Ints, share: float, seed: int) -> Fold:
    """Move a share of the rows of part train whose key is in `keys` to part `NEWEST`."""
    train = fold[s.TRAIN]
    held = np.isin(_key(fold, train), keys)
    some = train.take(held)
    held[held] = _drawn(fold, some.user, _image_hashes(fold, seed)[some.item], share, seed)
    parts = {**fold.parts, s.TRAIN: train.take(~held), NEWEST: train.take(held)}
    return replace(fold, parts=parts)


def _drawn(fold: Fold, user: Ints, pictures: Hashes, share: float, seed: int) -> Bools:
    """Draw a share of rows by hashes of their user and picture or pictures."""
    users = hash_ids(fold.people.keys, seed)[user]
    return uniform(mix(users) ^ pictures) < share


def _image_hashes(fold: Fold, seed: int) -> Hashes:
    keys = pl.concat_str([pl.col(s.DATASET), pl.col(s.IMAGE)], separator="/")
    return hash_ids(fold.items.frame.select(keys).to_series().to_list(), seed)


def _keys(fold: Fold, rows: pl.DataFrame) -> Ints:
    """Return one number per (user, picture) of `rows`, as `_key` numbers pairs."""
    user, item = _numbered(fold, rows, RATINGS, [s.IMAGE])
    return user * len(fold.items) + item


def _key(fold: Fold, pairs: Pairs) -> Ints:
    return pairs.user * len(fold.items) + pairs.item


# --- choices ----------------------------------------------------------------------------------


def _choosing(fold: Fold, frozen: Mapping[str, Pairs]) -> Bools:
    """Return the pictures (n,) of the datasets that hold out no rating as they were imported."""
    rated = np.concatenate([pairs.item for pairs in frozen.values()])
    datasets = fold.items.frame[s.DATASET]
    return (~datasets.is_in(datasets.gather(rated).unique().implode())).to_numpy()


def hold_out_newest_choices(fold: Fold, newest: Choices, share: float, seed: int) -> Fold:
    """Move a share of the choices `newest` from part train to part `NEWEST`.

    All that a person says of the same two pictures goes together.
    """
    train = fold.choices_of(s.TRAIN)
    held = _among(train, newest)
    some, images = train.take(held), _image_hashes(fold, seed)
    both = mix(images[some.a] + images[some.b])  # whichever stands first
    held[held] = _drawn(fold, some.user, both, share, seed)
    if not held.any():
        return fold
    choices = {**fold.choices, s.TRAIN: train.take(~held), NEWEST: train.take(held)}
    return replace(fold, choices=choices)


def _among(choices: Choices, others: Choices) -> Bools:
    """Return which rows (n,) are those of `others`: equal ones as often as they are there."""
    mine, theirs = (_frame(one) for one in (choices, others))
    found = mine.with_row_index("row").join(theirs, on=mine.columns, how="semi")
    mask = np.zeros(len(choices), bool)
    mask[found["row"].to_numpy()] = True
    return mask


def _frame(choices: Choices) -> pl.DataFrame:
    columns = {name: getattr(choices, name) for name in ("user", "a", "b", "outcome")}
    frame = pl.DataFrame(columns)
    return frame.with_columns(nth=pl.int_range(pl.len()).over(*columns))


def _choices(fold: Fold, rows: pl.DataFrame) -> Choices:
    """Return rows of batches as choices of the fold."""
    outcome = rows[s.CHOICE].replace_strict(s.OUTCOMES, return_dtype=pl.Float32)
    rows = rows.with_columns(outcome.alias(s.CHOICE))
    user, a, b = _numbered(fold, rows, CHOICES, [s.IMAGE_A, s.IMAGE_B])
    return Choices(user, a, b, rows[s.CHOICE].to_numpy())


# --- what came by the inbox -------------------------------------------------------------------


def _batch_rows(project: Project, table: str, columns: Sequence[str]) -> pl.DataFrame:
    """Return dataset, `columns` and batch of every validated row of a batch."""
    files = sorted((project.validated / table).glob(f"*{SEPARATOR}*.parquet"))
    frames = [
        pl.scan_parquet(file, glob=False).select(
            s.DATASET, *columns, pl.lit(file.stem.replace(SEPARATOR, "/")).alias(BATCH)
        )
        for file in files
    ]
    if not frames:
        return pl.DataFrame(schema=dict.fromkeys([s.DATASET, *columns, BATCH], pl.String))
    return pl.concat(frames).collect()


def _numbered(fold: Fold, rows: pl.DataFrame, table: str, images: Sequence[str]) -> list[Ints]:
    """Return the row indices of user and pictures in the fold."""
    found = with_indices(rows, table, images, fold.items.frame, fold.people.frame)
    return [found[f"_{column}"].to_numpy().astype(np.int64) for column in ("user", *images)]
