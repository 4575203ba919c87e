"""What was scored lately is found again, in a folder of bounded size, whoever else writes there."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pamela.features import recent_cache
from pamela.features.recent_cache import RecentCache
from tests.helpers.disks import fill, small_disks

DIM = 3


@pytest.fixture
def cache(tmp_path) -> RecentCache:
    return RecentCache(tmp_path / "recent", "model/image", DIM)


def rows_of(keys) -> np.ndarray:
    return np.array([[int(key), 1, 2] for key in keys], np.float32).reshape(-1, DIM)


def add(cache: RecentCache, *keys: str) -> None:
    cache.add(list(keys), rows_of(keys))


def test_rows_are_found_by_their_keys(cache):
    add(cache, "1", "2")
    add(cache, "2", "3")
    held, rows = cache.find(["3", None, "1", "9", "2", "1"])
    assert held.tolist() == [True, False, True, False, True, True]
    np.testing.assert_array_equal(rows[held], rows_of(["3", "1", "2", "1"]))
    assert not rows[~held].any()
    assert not RecentCache(cache.root, "other/image", DIM).find(["1"])[0].any()
    assert cache.find([])[1].shape == (0, DIM)


def test_what_was_used_longest_ago_goes_first(cache, monkeypatch):
    for number in range(4):
        add(cache, str(number))
        for path in cache.folder.glob("*.parquet"):
            os.utime(path, ns=(path.stat().st_mtime_ns - 10**9,) * 2)
    cache.find(["0"])  # used just now
    size = max(path.stat().st_size for path in cache.folder.iterdir())
    monkeypatch.setattr(recent_cache, "MOST_BYTES", 4 * size)
    add(cache, "4")
    assert cache.find(["0", "1", "2", "3", "4"])[0].tolist() == [True, False, False, True, True]


def test_many_small_parts_become_one(cache, monkeypatch):
    monkeypatch.setattr(recent_cache, "MOST_PARTS", 5)
    for number in range(8):
        add(cache, str(number))
    assert len(list(cache.folder.iterdir())) <= 5
    held, rows = cache.find([str(number) for number in range(8)])
    assert held.all()
    np.testing.assert_array_equal(rows, rows_of(range(8)))


def test_several_writers_lose_nothing_and_end_small(cache, monkeypatch):
    monkeypatch.setattr(recent_cache, "MOST_PARTS", 3)
    keys = [str(number) for number in range(60)]

    def work(key: str) -> bool:
        add(cache, key)
        held, rows = cache.find(keys)
        return np.array_equal(rows[held], rows_of(np.array(keys)[held]))

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, keys))
    assert cache.find(keys)[0].all()


def test_a_damaged_part_holds_nothing_and_is_written_again(cache):
    add(cache, "1")
    (part,) = cache.folder.iterdir()
    part.write_bytes(part.read_bytes()[:50])
    assert not cache.find(["1"])[0].any()
    add(cache, "1")
    assert cache.find(["1"])[0].all()


def test_no_room_is_a_warning(cache):
    with small_disks() as mount:
        mount(cache.root, 16)
        fill(cache.root)
        with pytest.warns(UserWarning, match="features are not kept for the next time"):
            add(cache, "1")
        assert not cache.find(["1"])[0].any()
