"""On which side an id lies in every fold: users and groups of near-duplicates are drawn alike.

As a rule by a hash of each id alone. A few people, or prompts, would fall into the folds as dice do
and leave some of them empty. So where a study begins with fewer than `LEAST` ids a fold, or with a
fold that the hash leaves empty, those whom it begins with are assigned in turn instead, in the
order of their first ratings: every ``folds`` of them lie in a fold each (permuted blocks), and
validation takes them at even distances (systematic sampling). What comes after somebody does not
change their place in that order, so nobody moves; whoever comes with a later batch is hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Ints
from pamela.data.leakage import SIDE, TEST, VAL
from pamela.params import SplitParams

LEAST: Final = 5  # ids a fold: with as many the hash leaves a fold empty in one of fifty datasets


def draw_sides(
    dataset: str, kind: str, ids: pl.Series, founders: pl.Series, params: SplitParams
) -> pl.DataFrame:
    """Return (id, fold, side) of every id in every fold.

    Parameters
    ----------
    kind : user or prompt; keeps a user and a prompt of the same name apart.
    ids : all of them.
    founders : those that the study begins with, in the order of their first ratings.
    """
    hashed = hash_sides(dataset, kind, ids, params)
    founding = pl.col("id").is_in(founders.implode())
    many = len(founders) >= LEAST * params.folds
    if many and _fills(hashed.filter(founding), params.folds):
        return hashed
    return pl.concat([deal_sides(dataset, kind, founders, params), hashed.filter(~founding)])


def _fills(sides: pl.DataFrame, folds: int) -> bool:
    """Tell whether every fold has somebody to test and somebody to train on."""
    needed = sides.filter(pl.col(SIDE) != VAL).select(s.FOLD, SIDE)
    return needed.n_unique() == 2 * folds


def hash_sides(
    dataset: str, kind: str, ids: Sequence[str] | pl.Series, params: SplitParams
) -> pl.DataFrame:
    """Return (id, fold, side) of every id in every fold, each by itself.

    An id is on the test side in the fold ``hash mod folds``; in each other fold a hash of its own
    puts it on the validation side with probability ``val_share``.
    """
    keys = pl.Series("id", ids, dtype=pl.String).to_list()
    stem = _stem(dataset, kind, params)
    home = _hashed_homes(stem, keys, params.folds)
    draws = [stable_hashes(f"{stem}/val{fold}/", keys) / 2**64 for fold in range(params.folds)]
    return _sides(keys, home, [np.less(draw, params.val_share) for draw in draws])


def deal_sides(
    dataset: str, kind: str, ids: Sequence[str] | pl.Series, params: SplitParams
) -> pl.DataFrame:
    """Return (id, fold, side) of every id in every fold, as its place among `ids` says."""
    keys = pl.Series("id", ids, dtype=pl.String).to_list()
    stem = _stem(dataset, kind, params)
    home = _dealt_homes(stem, len(keys), params.folds)
    starts = stable_hashes(f"{stem}/dealt val", map(str, range(params.folds))) / 2**64
    validating = [
        _at_even_distances(home != fold, params.val_share, float(start))
        for fold, start in enumerate(starts)
    ]
    return _sides(keys, home, validating)


def _stem(dataset: str, kind: str, params: SplitParams) -> str:
    return f"{params.seed}/{dataset}/{kind}"


def _hashed_homes(stem: str, keys: Iterable[str], folds: int) -> Ints:
    homes: Ints = (stable_hashes(f"{stem}/", keys) % np.uint64(folds)).astype(np.int64)
    return homes


def _dealt_homes(stem: str, count: int, folds: int) -> Ints:
    """Return the test fold of `count` places: a permutation of all folds after the other."""
    blocks = -(-count // folds)
    numbers = [f"{block}/{fold}" for block in range(blocks) for fold in range(folds)]
    orders = stable_hashes(f"{stem}/dealt/", numbers).reshape(blocks, folds).argsort(axis=1)
    return orders.ravel()[:count]


def _at_even_distances(there: Bools, share: float, start: float) -> Bools:
    """Return which of those `there` validate: a `share` of them, the first of them never.

    Parameters
    ----------
    start : of [0, 1), how soon the first one comes.
    """
    place = np.cumsum(there) - 1
    offset = start * (1 - share)
    due = np.floor((place + 1) * share + offset) > np.floor(place * share + offset)
    return there & due


def _sides(keys: list[str], home: Ints, validating: Sequence[Bools]) -> pl.DataFrame:
    """Return (id, fold, side): test at `home`, validation where `validating` says so."""
    drawn = pl.DataFrame({"id": keys, "_home": home}, schema={"id": pl.String, "_home": pl.Int64})
    return pl.concat(
        drawn.with_columns(_val=pl.Series(val, dtype=pl.Boolean)).select(
            "id",
            pl.lit(fold, pl.Int64).alias(s.FOLD),
            pl.when(pl.col("_home") == fold)
            .then(pl.lit(TEST))
            .when("_val")
            .then(pl.lit(VAL))
            .otherwise(pl.lit(s.TRAIN))
            .alias(SIDE),
        )
        for fold, val in enumerate(validating)
    )


def stable_hashes(prefix: str, keys: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Return 64 bits of BLAKE2b of ``prefix + key``: the same everywhere and in every version."""
    start = hashlib.blake2b(prefix.encode(), digest_size=8)
    digests: list[bytes] = []
    for key in keys:
        one = start.copy()
        one.update(key.encode())
        digests.append(one.digest())
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)
