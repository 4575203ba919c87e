"""Stable pseudo-random numbers of ids: the same on every machine and whatever else is there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Floats, Ints

Hashes = npt.NDArray[np.uint64]


def mix(values: npt.NDArray[Any]) -> Hashes:
    """Scramble 64-bit integers (the finaliser of SplitMix64); a bijection."""
    with np.errstate(over="ignore"):
        x = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def uniform(values: npt.NDArray[Any]) -> Floats:
    """Return a number in [0, 1) for every integer."""
    return (mix(values) >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def hash_ids(ids: Iterable[str], seed: int) -> Hashes:
    """Return a 64-bit hash of every id."""
    digests = [hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest() for name in ids]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def places_by_user(
    user: Ints,
    user_keys: Sequence[str],
    item: Ints,
    item_keys: Sequence[str],
    seed: int,
) -> Ints:
    """Return each pair's place (0..) in the pseudo-random order of its user's pairs.

    A pair's key depends on (seed, user, item) alone, so that further pairs never reshuffle others.

    Parameters
    ----------
    user, item : (n,), places in `user_keys` and `item_keys`, each ``dataset/id``.
    """
    user_hash = _hash_rows(user_keys, user, seed)
    key = mix(user_hash ^ mix(_hash_rows(item_keys, item, seed)))
    return places_within(user, item, key)


def places_within(group: Ints, *keys: npt.NDArray[Any]) -> Ints:
    """Return each row's place (0..) among the rows of its group, by `keys` (the last one first)."""
    order = np.lexsort((*keys, group))
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order)) - np.searchsorted(group[order], group[order])
    return places


def _hash_rows(keys: Sequence[str], rows: Ints, seed: int) -> Hashes:
    """Hash the keys of `rows`, each distinct one once."""
    distinct, inverse = np.unique(rows, return_inverse=True)
    return hash_ids((keys[r] for r in distinct), seed)[inverse]
